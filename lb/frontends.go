package lb

import (
	"math/bits"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// frontends finds the server that listens at an address, protocol and port of an address space: a hash table with
// linear probing, at most half full, that is not changed once it is made.
type frontends struct {
	slots []frontendSlot // as many as a power of two; nil: none
	runs  bool           // some frontends are runs of ports: those of an address hang at its port 0
}

type frontendSlot struct {
	addr packet.Addr
	at   uint64 // scope << 32 | protocol << 16 | port
	*frontend
}

// frontend is a service.Frontend of a server at work, or a run of several.
type frontend struct {
	spec            *service.Frontend
	server          *server
	inside, outside *poolAtWork
	sorry           *poolAtWork // nil: none

	next *frontend // the next run of ports at this address
}

func listensAt(scope uint32, proto uint8, port uint16) uint64 {
	return uint64(scope)<<32 | uint64(proto)<<16 | uint64(port)
}

// newFrontends makes the table of all servers' frontends.
func newFrontends(servers []*server) frontends {
	n := 0
	for _, s := range servers {
		n += len(s.frontends)
	}
	x := frontends{}
	if n == 0 {
		return x
	}
	x.slots = make([]frontendSlot, 1<<bits.Len(uint(2*n)))
	for _, s := range servers {
		for i := range s.frontends {
			x.put(&s.frontends[i])
		}
	}
	return x
}

func (x *frontends) put(f *frontend) {
	port := f.spec.First
	if !f.spec.Single() {
		port, x.runs = 0, true
	}
	s := x.slot(f.spec.Address, listensAt(f.spec.Scope, f.spec.Protocol, port))
	if !f.spec.Single() {
		// Servers keep their frontends over revisions, so the chain is made of copies.
		run := *f
		run.next = s.frontend
		f = &run
	}
	s.addr, s.at, s.frontend = f.spec.Address, listensAt(f.spec.Scope, f.spec.Protocol, port), f
}

// slot returns the slot of an address, or the free one that it would get.
func (x *frontends) slot(addr packet.Addr, at uint64) *frontendSlot {
	h := (addr[0]^bits.RotateLeft64(addr[1], 31)^at)*0x9e3779b97f4a7c15 ^ at
	h *= 0xff51afd7ed558ccd
	mask := uint64(len(x.slots) - 1)
	for i := h >> 32; ; i++ {
		if s := &x.slots[i&mask]; s.frontend == nil || s.addr == addr && s.at == at {
			return s
		}
	}
}

// find returns who listens where a packet goes to; nil if nobody does.
func (x *frontends) find(scope uint32, k *packet.Key) *frontend {
	if len(x.slots) == 0 {
		return nil
	}
	if f := x.slot(k.Dst, listensAt(scope, k.Proto(), k.DstPort())).frontend; f != nil && f.spec.Single() {
		return f
	}
	if !x.runs {
		return nil
	}
	for f := x.slot(k.Dst, listensAt(scope, k.Proto(), 0)).frontend; f != nil; f = f.next {
		if port := k.DstPort(); port >= f.spec.First && port <= f.spec.Last {
			return f
		}
	}
	return nil
}
