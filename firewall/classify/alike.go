package classify

// Alike reports whether no rule of any tier applies to one of two ports and not to the other.
func (t *Table) Alike(a, b uint16) bool {
	for i := range t.tiers {
		ports := t.tiers[i].ports
		if ports[min(uint32(a), t.ports)<<1].label != ports[min(uint32(b), t.ports)<<1].label {
			return false
		}
	}
	return true
}
