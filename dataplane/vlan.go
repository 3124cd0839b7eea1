package dataplane

import (
	"encoding/binary"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

const (
	vlanMask = 0x0fff

	// EtherTypes of tags as a little-endian load of the two bytes sees them.
	tagTypeC  = 0x0081 // 0x8100
	tagTypeS  = 0xa888 // 0x88a8
	tagTypeS1 = 0x0091 // 0x9100
)

// untag maps a tagged frame to its segment and pops the tags that said so
// (IEEE 802.1Q clause 6.9, 802.1ad). Tags that did not take part stay.
func (w *Worker) untag(v *Vector, i int) (packet.Zone, packet.Reason) {
	f := v.Frame(i)
	outer := binary.BigEndian.Uint16(f[14:]) & vlanMask
	a := &v.In.VLAN
	if a.Stacked != nil && len(f) >= packet.EthernetSize+2*packet.VLANSize {
		switch binary.LittleEndian.Uint16(f[16:]) {
		case tagTypeC, tagTypeS, tagTypeS1:
			inner := binary.BigEndian.Uint16(f[18:]) & vlanMask
			if zone := a.Stacked[[2]uint16{outer, inner}]; zone != 0 {
				w.pop(v, i, 2)
				return zone, packet.None
			}
		}
	}
	zone := packet.Zone(0)
	switch {
	case outer == 0: // a priority tag names no VLAN
		zone = a.Untagged
	case a.Tagged != nil:
		zone = a.Tagged[outer]
	}
	if zone == 0 {
		return 0, packet.VLANFiltered
	}
	w.pop(v, i, 1)
	return zone, packet.None
}

// pop removes n tags by moving the addresses up.
func (w *Worker) pop(v *Vector, i, n int) {
	p := v.data(i)
	addresses := *(*[12]byte)(p)
	*(*[12]byte)(unsafe.Add(p, n*packet.VLANSize)) = addresses
	w.arena.TrimFront(v.Buf[i], n*packet.VLANSize) // untag has seen that it is that long
	meta := w.arena.Meta(v.Buf[i])
	v.Off[i], v.Len[i] = meta.Off, meta.Len
}

// push prepends tags, outer first. The headroom has room for them.
func (w *Worker) push(b packet.Index, t Tags, a *Attachment) bool {
	if t.Inner == 0 {
		return w.pushOne(b, t.Outer, packet.EtherTypeVLAN)
	}
	outer := a.OuterType
	if outer == 0 {
		outer = packet.EtherTypeQinQ
	}
	return w.pushOne(b, t.Inner, packet.EtherTypeVLAN) && w.pushOne(b, t.Outer, outer)
}

func (w *Worker) pushOne(b packet.Index, tci uint16, etherType uint16) bool {
	if !w.arena.Prepend(b, packet.VLANSize) {
		return false
	}
	f := w.arena.Frame(b)
	copy(f[:12], f[packet.VLANSize:packet.VLANSize+12])
	binary.BigEndian.PutUint16(f[12:], etherType)
	binary.BigEndian.PutUint16(f[14:], tci)
	return true
}
