package classify

import (
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// host is an address that is bound to an endpoint, in its scope; or a MAC address, in none.
type host struct {
	addr  packet.Addr
	scope uint32
}

func macHost(m packet.MAC) host { return host{addr: packet.Addr{m.Word()}} }

// hostTable finds the classes of addresses that are bound: open addressing, never more than a quarter
// full, for a second slot to look at is a branch that can't be predicted, with a bound on how far an address may be from where it belongs.
type hostTable struct {
	slots []hostSlot // a power of two; nil if there are no hosts
	shift uint8
	reach int // slots to look at, at most; see maxReach
}

type hostSlot struct {
	host
	class uint32 // plus 1; 0 is an empty slot
}

const hostSlotSize = 32 // bytes

// maxReach bounds hostTable.reach: 8 cache lines. The table is made larger until it is kept to.
const maxReach = 16

func newHostTable(hosts map[host]*member) hostTable {
	if len(hosts) == 0 {
		return hostTable{}
	}
	n := max(3, bits.Len(uint(4*len(hosts))))
	for {
		t := hostTable{slots: make([]hostSlot, 1<<n), shift: uint8(64 - n), reach: 1}
		for h, m := range hosts {
			t.put(h, m.class)
		}
		if t.reach <= maxReach {
			return t
		}
		n++
	}
}

// first returns where a host belongs.
func (t *hostTable) first(h host) int {
	hi, lo := bits.Mul64(h.addr[0]^0x9e3779b97f4a7c15, uint64(h.scope)^0xd1b54a32d192ed03)
	hi, lo = bits.Mul64(h.addr[1]^hi^lo^0x8bb84b93962eacc9, 0x2d358dccaa6c78a5)
	return int((hi ^ lo) * 0x9e3779b97f4a7c15 >> (t.shift & 63))
}

func (t *hostTable) put(h host, class uint32) {
	mask := len(t.slots) - 1
	at := t.first(h)
	for i := 1; ; i++ {
		if s := &t.slots[at&mask]; s.class == 0 {
			*s = hostSlot{h, class + 1}
			t.reach = max(t.reach, i)
			return
		}
		at++
	}
}

// class returns the class of a host.
func (t *hostTable) class(h host) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := len(t.slots) - 1
	at := t.first(h)
	for range t.reach {
		s := &t.slots[at&mask]
		if s.class == 0 {
			break
		}
		if (s.addr[0]^h.addr[0])|(s.addr[1]^h.addr[1])|uint64(s.scope^h.scope) == 0 { // == on the struct is a call
			return s.class - 1, true
		}
		at++
	}
	return 0, false
}
