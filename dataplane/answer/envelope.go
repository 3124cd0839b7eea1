// Package answer makes the packets that a node sends in its own name because of what others
// sent, ICMP errors foremost, and bounds how many: what the router and the
// firewall have in common.
package answer

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// ttl is the TTL and hop limit of what the node sends.
const ttl = 64

// Envelope is what is around an ICMP message or a TCP segment that the node sends.
type Envelope struct {
	Eth        packet.EthernetFields // Type is filled in
	Src, Dst   packet.Addr           // of one IP version
	Proto, TOS uint8
}

// To returns the envelope of an answer to a frame from the station that it was for, from src to
// dst. A frame that is decided about has no tags any more.
func To(frame []byte, src, dst packet.Addr) Envelope {
	eth := packet.Ethernet(frame)
	return Envelope{Eth: packet.EthernetFields{Dst: eth.Src(), Src: eth.Dst()}, Src: src, Dst: dst}
}

// Header returns the size of the IP header.
func (e *Envelope) Header() int {
	if e.Src.Is4() {
		return packet.IPv4MinSize
	}
	return packet.IPv6Size
}

// Generate makes a frame for a message of n bytes, on account of port in, and returns where the message
// goes; b is 0 if there is no buffer.
func (e *Envelope) Generate(w *dataplane.Worker, in uint16, n int) (b packet.Index, message []byte) {
	const l3 = packet.EthernetSize
	l4 := l3 + e.Header()
	b, frame := w.Generate(l4+n, in)
	if b == 0 {
		return 0, nil
	}
	if e.Src.Is4() {
		e.Eth.Type = packet.EtherTypeIPv4
		// One that is never fragmented needs no identification (RFC 6864 section 4.1).
		ip := packet.IPv4Fields{
			TOS: e.TOS, TTL: ttl, Proto: e.Proto, DontFragment: true,
			Length: uint16(packet.IPv4MinSize + n), Src: e.Src, Dst: e.Dst,
		}
		ip.Put(frame[l3:])
	} else {
		e.Eth.Type = packet.EtherTypeIPv6
		ip := packet.IPv6Fields{
			TrafficClass: e.TOS, NextHeader: e.Proto, HopLimit: ttl,
			PayloadLen: uint16(n), Src: e.Src, Dst: e.Dst,
		}
		ip.Put(frame[l3:])
	}
	e.Eth.Put(frame)
	return b, frame[l4:]
}

// Send completes the message's checksum and sends the frame.
func (e *Envelope) Send(w *dataplane.Worker, out dataplane.FloodTarget, b packet.Index) {
	frame := w.Arena().Frame(b)
	const l3 = packet.EthernetSize
	packet.SetTransport(frame, l3, l3+e.Header(), len(frame)-l3, e.Proto)
	w.Send(out.Port, b, out.Tags)
}

// Toward returns the way to a port for packets of a zone: with the tags that its frames
// of that zone had when they came. It is for what is rare, for a trunk has no
// table by zone; found is false if the zone is none of the port's.
func Toward(p *dataplane.PortConfig, z packet.Zone) (t dataplane.FloodTarget, found bool) {
	t.Port = p.Number
	a := &p.VLAN
	switch {
	case z == 0:
		return t, false
	case a.Untagged == z || p.Sessions == z: // that is a port of one zone
		return t, true
	}
	for tags, zone := range a.Stacked {
		if zone == z {
			t.Tags = dataplane.Tags{Outer: tags[0], Inner: tags[1]}
			return t, true
		}
	}
	if a.Tagged != nil {
		for vlan, zone := range a.Tagged {
			if zone == z {
				t.Tags.Outer = uint16(vlan)
				return t, true
			}
		}
	}
	return t, false
}
