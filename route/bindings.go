package route

import (
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// binding is an address of a port. That with the zero ip is the MAC itself, and
// true if it may send from any IP address; others are true.
type binding struct {
	ip  packet.Addr
	mac uint64
}

// with returns the binding of an IP address to the MAC.
func (b binding) with(ip packet.Addr) binding {
	b.ip = ip
	return b
}

// bindings are those of a port: a hash table with linear probing, at most half full, that is not changed once
// it is made. A Go map costs 20 ns more, for each first packet of a flow.
type bindings struct {
	slots []bindingSlot // as many as a power of two; nil: none
}

type bindingSlot struct {
	binding
	used, value bool
}

// newBindings makes room for n bindings.
func newBindings(n int) bindings {
	return bindings{make([]bindingSlot, 1<<bits.Len(uint(2*n)))}
}

func (x *bindings) slot(b *binding) *bindingSlot {
	h := (b.ip[0]^b.ip[1]^bits.RotateLeft64(b.mac, 21))*0x9e3779b97f4a7c15 ^ b.mac
	h *= 0xff51afd7ed558ccd
	mask := uint64(len(x.slots) - 1)
	for i := h >> 32; ; i++ {
		if s := &x.slots[i&mask]; !s.used || s.binding == *b {
			return s
		}
	}
}

// get returns the value of a binding, and whether it is there.
func (x *bindings) get(b binding) (value, found bool) {
	if len(x.slots) == 0 {
		return false, false
	}
	s := x.slot(&b)
	return s.value, s.used
}

// has reports whether a binding is there and true.
func (x *bindings) has(b binding) bool {
	value, _ := x.get(b)
	return value
}

// put sets the value of a binding; at most as many as there is room for.
func (x *bindings) put(b binding, value bool) {
	s := x.slot(&b)
	s.binding, s.used, s.value = b, true, value
}
