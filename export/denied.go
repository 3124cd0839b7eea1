package export

import (
	"github.com/sluice-net/sluice/packet"
)

// Denial is a connection that a firewall rule has refused: packets of one key, for which there was no session.
type Denial struct {
	Key         packet.Key
	Rule        uint32
	Reason      packet.Reason
	Start, Last int64 // ns, of the first and of the last packet
	Packets     uint64
	Bytes       uint64 // of whole frames, without FCS
}

// Denied makes the line for a connection that was refused.
func (l *FlowLog) Denied(d *Denial) Flow {
	f := Flow{
		Time: Time(l.WallClock(d.Last)), Verdict: "DROPPED", DropReason: d.Reason.String(), Type: "L3_L4", EventType: "denied",
		IP: flowIP(&d.Key), L4: l4(&d.Key), Protocol: d.Key.Proto(), Zone: uint32(d.Key.Zone()),
		Start: Time(l.WallClock(d.Start)), Last: Time(l.WallClock(d.Last)), Revision: l.Revision,
		Packets: Directions{Original: d.Packets}, Bytes: Directions{Original: d.Bytes},
		Source: l.Endpoint(d.Key.Zone(), d.Key.Src.Netip()), Dest: l.Endpoint(d.Key.Zone(), d.Key.Dst.Netip()),
		Rules: &FlowRules{Denied: d.Rule},
	}
	return f
}

// flowIP returns the addresses of a key.
func flowIP(k *packet.Key) FlowIP {
	ip := FlowIP{Source: k.Src.Netip(), Destination: k.Dst.Netip(), IPVersion: "IPv4"}
	if !k.Src.Is4() {
		ip.IPVersion = "IPv6"
	}
	return ip
}
