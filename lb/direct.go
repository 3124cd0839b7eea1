package lb

// Encapsulated is the flag of permits whose packets go to their member in an IP packet; of those flags that
// flowtable leaves to features.
const Encapsulated uint32 = 1 << 16

// encapsulates reports whether packets of a server go to members in IP packets.
func (b *Balancer) encapsulates(server uint32) bool {
	c := b.state.servers.get(server)
	return c != nil && c.encapsulates.Load()
}
