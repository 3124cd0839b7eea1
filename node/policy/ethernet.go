package policy

import (
	"slices"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// askEthernet asks the rules of category Ethernet at a port about the frame that a packet comes in; nil if
// there are none.
func (e *Evaluator) askEthernet(t *tuple, at *control.Port, d policy.Direction) *classify.Match {
	if e.Frames == nil {
		return nil
	}
	src, dst := e.macs(t)
	k := classify.Key{
		Src: e.Frames.MACClass(src), Dst: e.Frames.MACClass(dst), Port: at.Number, Direction: d, DstPort: packet.EtherTypeIPv4,
	}
	if !t.src.Is4() {
		k.DstPort = packet.EtherTypeIPv6
	}
	return e.FindFrame(&k)
}

// macs are the addresses of the frame as it comes in: to the receiver if that is next to the sender, else to
// the router. That of somebody outside is not known, and zero.
func (e *Evaluator) macs(t *tuple) (src, dst packet.MAC) {
	if t.from != nil {
		src = macOf(t.from, t.src)
	}
	switch {
	case t.from == nil:
		if s := t.to.Segment; s >= 0 && e.model.Segments[s].Router >= 0 {
			if uplinks := e.model.Routers[e.model.Segments[s].Router].Uplinks; len(uplinks) > 0 {
				return src, packet.MAC(uplinks[0].MAC)
			}
		}
	case t.to != nil && t.from.Segment >= 0 && t.from.Segment == t.to.Segment:
		return src, macOf(t.to, t.dst)
	}
	return src, packet.MAC(e.model.Node.GatewayMAC)
}

// macOf is the MAC address that a port has for an IP address; its first for one of a host behind it.
func macOf(p *control.Port, a packet.Addr) packet.MAC {
	if len(p.Addresses) == 0 {
		return packet.MAC{}
	}
	i := slices.IndexFunc(p.Addresses, func(x control.Address) bool { return x.IP.IsValid() && packet.AddrFrom(x.IP) == a })
	return packet.MAC(p.Addresses[max(i, 0)].MAC)
}
