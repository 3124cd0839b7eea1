package vips

import (
	"math/bits"

	"github.com/sluice-net/sluice/lb/service"
)

// portSpace is where a node port's number is one owner's.
type portSpace struct {
	scope    uint32
	protocol uint8
}

// portBook is who has the ports of a portSpace.
type portBook struct {
	owner map[uint16]*holding
	taken [1 << 16 / 64]uint64 // bits: those that have an owner
}

func (b *portBook) give(n uint16, h *holding) {
	b.owner[n] = h
	b.taken[n/64] |= 1 << (n % 64)
}

func (b *portBook) free(n uint16) {
	delete(b.owner, n)
	b.taken[n/64] &^= 1 << (n % 64)
}

// lowest returns the lowest port of a range that nobody has; 0 if there is none.
func (b *portBook) lowest(r service.PortRange) uint16 {
	for n := int(r.First); n <= int(r.Last); n = n/64*64 + 64 {
		if left := ^b.taken[n/64] >> (n % 64); left != 0 {
			if n += bits.TrailingZeros64(left); n <= int(r.Last) {
				return uint16(n)
			}
			return 0
		}
	}
	return 0
}

// band is how many ports at the beginning of a range are given last to those who take any, so that those who ask for a
// certain port find it free more often, as Kubernetes does (KEP-3668).
func band(r service.PortRange) uint16 {
	size := int(r.Last) - int(r.First) + 1
	if size < 32 {
		return 0
	}
	return uint16(min(max(16, size/32), 128))
}

func (a *Allocator) space(h *holding, protocol uint8) *portBook {
	space := portSpace{h.request.Scope, protocol}
	if a.ports[space] == nil {
		a.ports[space] = &portBook{owner: map[uint16]*holding{}}
	}
	return a.ports[space]
}

// nodePort returns what a holding has for one it asks for; 0: none.
func (h *holding) nodePort(p NodePort) uint16 {
	for _, x := range h.has.NodePorts {
		if x.Protocol == p.Protocol && x.Port == p.Port {
			return x.Number
		}
	}
	return 0
}

// grantNodePorts has owners keep the node ports that they have, and gives others: first those that are
// asked for.
func (a *Allocator) grantNodePorts() {
	for _, moved := range []bool{false, true} {
		a.lackingPorts(func(h *holding, _ int, p NodePort) {
			for _, x := range h.had.NodePorts {
				if (x.Scope != h.request.Scope) == moved && x.Protocol == p.Protocol && x.Port == p.Port && x.Number != 0 && (p.Number == 0 || p.Number == x.Number) {
					a.takePort(h, p, x.Number)
					return
				}
			}
		})
	}
	a.lackingPorts(func(h *holding, i int, p NodePort) {
		switch r := a.in.NodePorts; {
		case p.Number == 0:
		case !r.Has(p.Number):
			h.missing = append(h.missing, missing{nodePort: true, want: i, reason: NodePortOutside})
		case !a.takePort(h, p, p.Number):
			h.missing = append(h.missing, missing{nodePort: true, want: i, reason: NodePortTaken})
		}
	})
	a.lackingPorts(func(h *holding, i int, p NodePort) {
		if p.Number != 0 {
			return
		}
		// A DNS service has one number for both of its protocols.
		for _, x := range h.has.NodePorts {
			if x.Port == p.Port && p.Port != 0 && a.takePort(h, p, x.Number) {
				return
			}
		}
		r, space := a.in.NodePorts, a.space(h, p.Protocol)
		upper := service.PortRange{First: r.First + band(r), Last: r.Last}
		number := space.lowest(upper)
		if number == 0 {
			number = space.lowest(r)
		}
		if number == 0 {
			h.missing = append(h.missing, missing{nodePort: true, want: i, reason: NoNodePortFree})
			return
		}
		a.takePort(h, p, number)
	})
}

// lackingPorts calls do for each node port that work asks for and has not.
func (a *Allocator) lackingPorts(do func(h *holding, i int, p NodePort)) {
	for _, h := range a.work {
		for i, p := range h.request.NodePorts {
			if h.nodePort(p) == 0 {
				do(h, i, p)
			}
		}
	}
}

// takePort gives a node port to a holding if it is free.
func (a *Allocator) takePort(h *holding, p NodePort, number uint16) bool {
	space := a.space(h, p.Protocol)
	if space.owner[number] != nil {
		return false
	}
	space.give(number, h)
	h.has.NodePorts = append(h.has.NodePorts, HeldPort{p.Protocol, p.Port, number, h.request.Scope})
	return true
}
