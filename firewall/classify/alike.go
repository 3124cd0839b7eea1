package classify

import "github.com/sluice-net/sluice/firewall/policy"

// Alike reports whether no rule of any tier tells two places apart: what is found at one is found at the other.
func (t *Table) Alike(a uint16, atA policy.Direction, b uint16, atB policy.Direction) bool {
	for i := range t.tiers {
		ports := t.tiers[i].ports
		x := &ports[min(uint32(a), t.ports)<<1|uint32(atA>>1)&1]
		y := &ports[min(uint32(b), t.ports)<<1|uint32(atB>>1)&1]
		if x.label != y.label || x.tree != y.tree {
			return false
		}
	}
	return true
}
