package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// A packet that is too long for its hop is forwarded like any other: it has a
// session, is translated and counted as a whole. Only before it is sent it is
// cut (RFC 791 section 3.2), by a stage that node puts after all that
// rewrite frames. Decisions leave a note for it, so packets that fit cost nothing.

// cutList is the packets of a worker's vector that are to be cut.
type cutList struct {
	n    int
	list [dataplane.VectorSize]cut
	_    [64]byte // workers' lists are allocated in a row
}

// cut is a packet and how its fragments leave.
type cut struct {
	buf  packet.Index
	port uint16
	mtu  uint16
	tags dataplane.Tags
}

func (l *cutList) add(b packet.Index, h *dataplane.Hop) {
	if l.n < len(l.list) {
		l.list[l.n] = cut{buf: b, port: h.Port, mtu: h.MTU, tags: h.Tags}
		l.n++
	}
}

// mayFragment reports whether a packet may be cut: IPv6 and packets with DF
// are their senders' to cut. So are super-frames: they are a sender's who was told
// the size of segments, and is told again.
func mayFragment(d *dataplane.Decision) bool {
	in := d.Info
	return in.Has(packet.IsIPv4) && d.Meta().GSOType == packet.GSONone &&
		!packet.IPv4(d.Frame()[in.L3:]).DontFragment()
}

// StageFragment returns the stage that cuts packets which are longer than
// their way out takes. It belongs after the last stage that changes frames, and
// before the one that sends them.
func (s *State) StageFragment() dataplane.Stage {
	return dataplane.Stage{Name: "cut", Run: s.routers.cutAll}
}

// cutAll cuts what decisions about this vector have left notes about. Frames
// that have been dropped since are no longer in the vector.
func (r *routerState) cutAll(w *dataplane.Worker, v *dataplane.Vector) {
	l := &r.cuts[w.ID()]
	n := l.n
	l.n = 0
	for k := range l.list[:n] {
		c := &l.list[k]
		for i := range v.N {
			if v.Buf[i&63] == c.buf && v.Live&v.Hit>>(i&63)&1 != 0 {
				cutOne(w, v, i&63, c)
				break
			}
		}
	}
}

// cutOne sends all fragments of packet i but the last, which takes the packet's place
// in the vector: so nothing is left over to be accounted for. The fragments
// before the last overtake frames of the vector that came earlier; reassembly
// does not mind.
//
// What a stage has put between Ethernet and the packet goes with each of them: an outer IP header, whose length alone differs.
//
//	| Ethernet | header | payload ..............................|
//	|          |        |  1st     |  2nd     | ... |   last    |
//	                               | Ethernet | hdr | payload   |   frame i afterwards
func cutOne(w *dataplane.Worker, v *dataplane.Vector, i int, c *cut) {
	in, b := &v.Info[i], v.Buf[i]
	meta, frame := w.Arena().Meta(b), w.Arena().Frame(b)
	if !packet.CompleteIfPartial(frame, meta) {
		v.Drop(i, packet.InvalidHeader)
		return
	}
	l3 := int(in.L3)
	whole := packet.IPv4(frame[l3 : l3+int(in.IPLen)])
	payload := whole[whole.HeaderLen():]
	offset, more := int(whole.FragmentOffset()), whole.MoreFragments()

	var first, later [packet.IPv4MaxSize]byte
	header := packet.IPv4(first[:copy(first[:], whole[:whole.HeaderLen()])])
	at := 0
	for len(header)+len(payload)-at > int(c.mtu) {
		size := (int(c.mtu) - len(header)) &^ 7
		if size < 8 {
			v.Drop(i, packet.FragmentationNeeded) // RFC 791: every link takes 68 bytes
			return
		}
		f, out := w.Generate(l3+len(header)+size, meta.InPort)
		if f == 0 {
			v.Drop(i, packet.NoBuffer)
			return
		}
		w.Arena().Meta(f).Mark = meta.Mark
		copy(out, frame[:l3])
		copy(out[l3:], header)
		copy(out[l3+len(header):], payload[at:at+size])
		finishFragment(out, l3, offset+at, true)
		w.SendReplica(c.port, f, c.tags)
		if at == 0 {
			header = packet.IPv4(later[:copyHeader(later[:], whole)])
		}
		at += size
	}
	if at == 0 {
		return // it fits
	}
	// The last one. What it overwrites has been sent.
	start := whole.HeaderLen() + at - len(header)
	copy(frame[start:], frame[:l3])
	copy(frame[start+l3:], header)
	w.Arena().TrimFront(b, start)
	size := len(header) + len(payload) - at
	w.Arena().Trim(b, int(meta.Len)-l3-size) // padding after the packet
	finishFragment(w.Arena().Frame(b), l3, offset+at, more)

	v.Off[i], v.Len[i] = meta.Off, meta.Len
	in.IPLen, in.L4, in.FragOff = uint32(size), in.L3+uint16(len(header)), uint16(offset+at)
	in.Flags |= packet.IsFragment | packet.IsLaterFragment
}

// finishFragment fills in what is a fragment's own in the header at l3 of a frame, which
// ends where the fragment does, and in that of the packet it is in, if there is one.
func finishFragment(frame []byte, l3, offset int, more bool) {
	p := packet.IPv4(frame[l3:])
	p.SetFragment(false, more, uint16(offset))
	packet.SetIPLength(p)
	if l3 > packet.EthernetSize {
		packet.SetIPLength(frame[packet.EthernetSize:])
	}
}

// copyHeader writes the header of all fragments but the first: of the options it has
// those whose type says that they are copied (RFC 791 section 3.1). It returns
// the size.
func copyHeader(to []byte, whole packet.IPv4) (n int) {
	const copied = 0x80
	n = copy(to, whole[:packet.IPv4MinSize])
	it := whole.Options()
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		if o.Kind&copied != 0 {
			to[n], to[n+1] = o.Kind, uint8(len(o.Data)+2)
			n += 2 + copy(to[n+2:], o.Data)
		}
	}
	for n%4 != 0 {
		to[n] = packet.OptionEnd
		n++
	}
	to[0] = 4<<4 | uint8(n/4)
	return n
}
