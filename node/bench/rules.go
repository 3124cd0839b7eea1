package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// rulesPerPolicy is how many rules stand in one object: administrators split them up, too.
const rulesPerPolicy = 500

// rules are firewall rules as a user would write them, of which the last allows the traffic and the others
// are near misses: of the same networks and hosts, but of other ones, other ports or another
// protocol. What no rule matches is dropped.
func rules(c *Config) string {
	if !c.has(DFW) {
		return ""
	}
	var b strings.Builder
	random := rand.New(rand.NewPCG(c.Seed, 7))
	for i := range c.Rules {
		if i%rulesPerPolicy == 0 {
			fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: SecurityPolicy\nmetadata: {name: policy-%06d}\nspec:\n  sequenceNumber: %d\n  rules:\n", i/rulesPerPolicy, i/rulesPerPolicy)
		}
		if i == c.Rules-1 {
			b.WriteString("  - {name: traffic, action: ALLOW, sourceGroups: [10.1.0.0/24], serviceEntries: [{l4Protocol: UDP, destinationPorts: [9000-9999]}]}\n")
			break
		}
		fmt.Fprintf(&b, "  - {name: r%06d, action: %s, %s}\n", i, [...]string{"ALLOW", "DROP"}[i%2], nearMiss(random, i))
	}
	return b.String()
}

// nearMiss is a condition that the traffic does not meet.
func nearMiss(r *rand.Rand, i int) string {
	port := func() int { return 1 + r.IntN(8999) }
	host := func() string {
		return fmt.Sprintf("10.%d.%d.%d", 1+r.IntN(2), r.IntN(2), 2+r.IntN(hostsPerPort))
	}
	network := func() string { return fmt.Sprintf("10.%d.%d.0/24", 3+r.IntN(200), r.IntN(256)) }
	switch i % 4 {
	case 0: // between hosts of the traffic, to other ports
		return fmt.Sprintf("sourceGroups: [%s], destinationGroups: [%s], serviceEntries: [{l4Protocol: UDP, destinationPorts: ['%d']}]", host(), host(), port())
	case 1: // to its receivers, by TCP
		return fmt.Sprintf("sourceGroups: [%s], destinationGroups: [10.2.1.0/24], serviceEntries: [{l4Protocol: TCP, destinationPorts: ['%d']}]", network(), port())
	case 2: // from its senders to others
		return fmt.Sprintf("sourceGroups: [%s], destinationGroups: [%s], serviceEntries: [{l4Protocol: UDP, destinationPorts: [9000-9999]}]", host(), network())
	default: // from anywhere
		return fmt.Sprintf("destinationGroups: [%s], serviceEntries: [{l4Protocol: UDP, destinationPorts: [%d-%d]}]", network(), port(), 9000+r.IntN(1000))
	}
}
