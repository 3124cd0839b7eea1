package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Decide judges who sent the frame and learns where that address is.
func (x guardDecider) Decide(d *dataplane.Decision) {
	f := x.f
	m, found := f.memberOf(d.In.Number, d.Zone)
	if !found {
		d.Drop(packet.UnknownSegment)
		return
	}
	f.Tick(d.W, d.Now)
	frame := packet.Ethernet(d.Frame())
	src := frame.Src()
	if r := f.judgeSource(d, &m, src); r != packet.None {
		d.Drop(r)
		return
	}
	if isReserved(frame.Dst()) {
		d.Drop(packet.ReservedMulticast)
		return
	}
	if r := f.learn(d, &m, src.Word()); r != packet.None {
		d.Drop(r)
	}
}

// isReserved reports whether a bridge keeps frames to mac on their link (IEEE
// 802.1Q table 8-1): spanning tree, pause, LACP, LLDP.
func isReserved(mac packet.MAC) bool {
	const prefix = 0x0000_00c2_8001 // 01:80:c2:00:00 in memory order
	w := mac.Word()
	return w&(1<<40-1) == prefix && w>>40 < 16
}

// judgeSource returns why an address may not send by this port, or None.
func (f *Forwarder) judgeSource(d *dataplane.Decision, m *member, src packet.MAC) packet.Reason {
	if f.ports[m.port].guard {
		if r := f.judgeBinding(d, m, src); r != packet.None {
			return r
		}
	}
	if at, bound := f.stations[stationKey{src.Word(), uint64(d.Zone)}]; bound && at.port != m.port {
		return packet.MACConflict
	}
	if f.segmentOf(d.Zone).routed(src) {
		return packet.MACConflict
	}
	return packet.None
}

// judgeBinding holds a frame from a guarded port against its bindings: the
// frame's addresses, and those that ARP and ND messages state.
func (f *Forwarder) judgeBinding(d *dataplane.Decision, m *member, src packet.MAC) packet.Reason {
	b := binding{mac: src.Word(), port: uint64(m.port)}
	anyIP, bound := f.bindings[b]
	switch {
	case !bound:
		return packet.SpoofGuard
	case anyIP:
		return packet.None
	}
	switch {
	case d.Info.EtherType == packet.EtherTypeARP:
		return f.judgeARP(d, b, src)
	case !d.Info.Has(packet.IsIP):
		return packet.None
	}
	return packet.None
}

func (f *Forwarder) judgeARP(d *dataplane.Decision, b binding, src packet.MAC) packet.Reason {
	return packet.None
}
