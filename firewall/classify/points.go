package classify

import (
	"github.com/sluice-net/sluice/firewall/policy"
)

// points is the classes of ports by the sets that rules apply to.
type points struct {
	space *space
	ports memberships
	class []uint32 // by port; those behind are of class 0
	dirty map[uint16]struct{}
}

func newPoints() *points {
	return &points{space: newSpace(outPoints - 2), dirty: map[uint16]struct{}{}}
}

// setSet notes that the ports of a set are others.
func (p *points) setSet(id policy.SetID, was, now *policy.Set) {
	if was == nil {
		was = &policy.Set{}
	}
	if now == nil {
		now = &policy.Set{}
	}
	differ(was.Ports, now.Ports, func(port uint16, in bool) {
		p.ports.put(port, id, in)
		p.dirty[port] = struct{}{}
	})
}

// settle brings the classes up to date.
func (p *points) settle(place placer) error {
	for port := range p.dirty {
		for int(port) >= len(p.class) {
			p.class = append(p.class, 0)
			p.space.take(0)
		}
		sets := p.ports.of(port)
		if err := move(p.space, &p.class[port], sets, 0, place); err != nil {
			return err
		}
	}
	clear(p.dirty)
	return nil
}
