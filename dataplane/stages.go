package dataplane

import (
	"encoding/binary"
	"unsafe"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// The engine's own stages. node puts them in order, with the features' stages
// between them; the order stands there, as data.
var (
	StageParse     = Stage{"parse", parse}
	StageStorm     = Stage{"storm", storm}
	StageFragments = Stage{"fragments", fragments}
	StageLookup    = Stage{"lookup", lookup}
	StageCheck     = Stage{"check", check}
	StageDecide    = Stage{"decide", decide}
	StageTrack     = Stage{"track", track}
	StageRewrite   = Stage{"rewrite", rewrite}
	StageTransmit  = Stage{"transmit", transmit}
)

// parse finds the segment each frame belongs to, pops the tags that said so,
// and reads the headers.
func parse(w *Worker, v *Vector) {
	untagged := v.In.VLAN.Untagged
	if v.again {
		untagged = 0 // each of them knows its own
	}
	sessions := untagged
	if v.In.Sessions != 0 {
		sessions = v.In.Sessions
	}
	for m := v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		v.Zone[i] = untagged
		if untagged == 0 || !packet.ParseCommon(v.data(i), v.Len[i], sessions, &v.Info[i]) {
			w.parse(v, i)
		}
	}
}

// parse is for frames that are not common.
func (w *Worker) parse(v *Vector, i int) {
	if v.again {
		v.Zone[i] = w.arena.Meta(v.Buf[i]).Zone
	} else if v.Len[i] >= packet.EthernetSize+packet.VLANSize {
		switch binary.LittleEndian.Uint16(v.Frame(i)[12:]) {
		case tagTypeC, tagTypeS, tagTypeS1:
			zone, r := w.untag(v, i)
			if r != packet.None {
				packet.Parse(v.Frame(i), &v.Info[i]) // for whoever asks what was dropped
				v.Drop(i, r)
				return
			}
			v.Zone[i] = zone
		}
	}
	in := &v.Info[i]
	if r := packet.Parse(v.Frame(i), in); r != packet.None {
		v.Drop(i, r)
		return
	}
	zone := v.Zone[i]
	switch {
	case zone != 0:
	case v.In.VLAN.Tagged != nil || v.In.VLAN.Stacked != nil:
		v.Drop(i, packet.VLANFiltered) // no tag where one is needed
		return
	default:
		v.Drop(i, packet.UnknownSegment)
		return
	}
	if in.Has(packet.HasVLAN) {
		v.Drop(i, packet.VLANFiltered)
		return
	}
	if v.In.Sessions != 0 {
		zone = v.In.Sessions
	}
	in.Key.Tail |= uint64(zone) << 32
	if in.Has(packet.ToMulticast) {
		v.Group |= 1 << i
	}
	if in.Has(packet.IsFragment) {
		v.Frag |= 1 << i
	}
}

// storm applies the port's limits on frames to many receivers.
func storm(_ *Worker, v *Vector) {
	if v.again {
		return // they have been counted when they came
	}
	s := &v.In.Storm
	for m := v.Group & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		limit := s.RxMulticast
		if v.Info[i].Has(packet.ToBroadcast) {
			limit = s.RxBroadcast
		}
		if limit != nil && !limit.Take(v.Now) {
			v.Drop(i, packet.StormControl)
		}
	}
}

// fragments gives later fragments the ports of their first one, so that they
// find its flow; those that come before it wait.
func fragments(w *Worker, v *Vector) {
	for m := v.Frag & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		w.fragment(v, i)
	}
}

// lookup finds the flow entries.
func lookup(w *Worker, v *Vector) {
	v.Hit = w.table.LookupVector(&v.Info, v.Live, &v.Hash, &v.Entry)
}

// check takes the permits that are in force. Whatever a permit does not
// answer for goes to be decided: no session, another epoch, another link than the one the
// permit was given for, a hop that has changed, a packet that the hop's MTU, its
// own TTL or a wrong header checksum keeps from being forwarded. There is one slow path, and it is
// the authority.
func check(w *Worker, v *Vector) {
	v.Todo |= v.Live &^ v.Hit
	epoch, now, quiet, refreshShift := v.Epoch, v.Now, w.quiet, w.refreshShift&63
	for m := v.Hit &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		id := v.Entry[i]
		e := w.table.Entry(id)
		link0, link1 := v.link(i)
		hop, flags, ok := e.Allowed(link0, link1, epoch)
		h := &v.hop[i]
		in := &v.Info[i]
		if !ok || !w.hops.load(uint32(hop), uint32(hop>>32), h) ||
			h.routed()&unroutable(in) != 0 || in.Flags&packet.ICMPError != 0 ||
			(in.IPLen+flags>>overheadShift > h.mtu() && !w.fits(v, i, h, flags>>overheadShift)) {
			v.Hit &^= 1 << i
			v.Todo |= 1 << i
		}
		v.Routed |= h.routed() << i
		v.Translated |= uint64(flags/flowtable.Translated&1) << i
		if last := e.LastSeen(); (now^last)>>refreshShift != 0 || now-last >= quiet {
			w.revive(v, i, id, now-last)
		}
	}
}

// unroutable is 1 for a packet that a router does not forward as it is, else 0:
// TTL or hop limit are used up, or the header checksum is wrong. In numbers, not
// branches: bridged and routed packets come mixed, and which is which can't be predicted.
func unroutable(in *packet.Info) uint64 {
	usedUp := (uint64(in.TTL) - 2) >> 63
	return usedUp | uint64(in.Flags/packet.BadIPChecksum)&1
}

// revive looks at a flow when the flows' clock has ticked since its last frame,
// or the shortest of timeouts has passed: a session whose time is over has
// ended, whether or not the sweep has been by; others tell the features that
// they are in use.
func (w *Worker) revive(v *Vector, i int, id flowtable.ID, pause int64) {
	bit := uint64(1) << i
	if pause >= w.quiet && w.flows.Expire(id, v.Now) {
		v.Hit &^= bit
		v.Todo |= bit
		v.Entry[i] = 0
		return
	}
	v.refresh |= bit
}

// link returns what a permit is tied to besides the key: both MAC addresses and the
// ingress port. See flowtable.Entry.
func (v *Vector) link(i int) (link0, link1 uint64) {
	p := (*[12]byte)(v.data(i))
	return binary.LittleEndian.Uint64(p[:8]),
		uint64(binary.LittleEndian.Uint32(p[8:])) | uint64(v.In.Number)<<32 | flowtable.LinkValid
}

// fits reports whether a packet that is longer than the hop's MTU, with the overhead, may pass
// all the same: there is no limit, or its segments are within it.
func (w *Worker) fits(v *Vector, i int, h *hopWords, overhead uint32) bool {
	mtu := h.mtu()
	if mtu == noMTU || h.flags()&HopFlood != 0 {
		return true
	}
	return SegmentLen(w.arena.Meta(v.Buf[i]), &v.Info[i], v.Frame(i))+overhead <= mtu
}

// SegmentLen returns the length of the IP packet that goes over the wire: the
// frame's own, or that of a super-frame's segments. The transport header says how
// long it is; a device's header length is a hint only (virtio 1.2 section 5.1.6.2).
func SegmentLen(meta *packet.Meta, in *packet.Info, frame []byte) uint32 {
	if meta.GSOType == packet.GSONone {
		return in.IPLen
	}
	transport := uint32(packet.UDPSize)
	if tcp, ok := packet.AsTCP(frame[min(int(in.L4), len(frame)):]); ok && in.Proto == packet.ProtoTCP {
		transport = uint32(tcp.HeaderLen())
	}
	return uint32(in.L4-in.L3) + transport + uint32(meta.GSOSize)
}

// track moves the sessions' states on and counts.
func track(w *Worker, v *Vector) {
	now := v.Now
	for m := v.Hit & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		id := v.Entry[i]
		if id == 0 {
			continue
		}
		v.at = i
		e := w.table.Entry(id)
		if e.Flags()&flowtable.Settled == 0 && v.Fresh&(1<<i) == 0 {
			if !w.track(v, i, id) {
				continue
			}
			e = w.table.Entry(v.Entry[i])
		}
		e.Count(v.Len[i], now)
	}
}

// rewrite gives frames the headers they leave with.
func rewrite(_ *Worker, v *Vector) {
	for m := v.Routed & v.Hit & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		h := &v.hop[i]
		v.at = i
		p := v.data(i)
		eth := (*[12]byte)(p)
		binary.LittleEndian.PutUint64(eth[:8], h.w0&(1<<48-1)|h.w1<<48)
		binary.LittleEndian.PutUint32(eth[8:], uint32(h.w1>>16))
		in := &v.Info[i]
		ip := (*[20]byte)(unsafe.Add(p, in.L3))
		if in.Flags&packet.IsIPv4 != 0 {
			ip[8]--
			// RFC 1624 eqn. 3 for a TTL less by one: HC + 0x0100 in one's
			// complement, where 0xffff is written 0x0000.
			sum := uint32(binary.BigEndian.Uint16(ip[10:])) + 0x0100
			binary.BigEndian.PutUint16(ip[10:], uint16(sum+(sum+1)>>16))
		} else {
			ip[7]--
		}
	}
}
