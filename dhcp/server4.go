package dhcp

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// datagram4 looks at a datagram to port 67. For this server are those to everybody and to
// its own address, at whatever MAC: a segment's gateway may be a machine.
func (x *Server) datagram4(d *dataplane.Decision) {
	m := x.member(d)
	if m == nil || m.seg.v4 == nil {
		return
	}
	own, everybody := m.seg.v4.hears(d.Info.Key.Dst)
	if !own && !everybody {
		return // to a server or a relay elsewhere
	}
	if d.Info.Has(packet.BadIPChecksum) {
		d.Drop(packet.InvalidIPChecksum)
		return
	}
	if !intact(d) {
		d.Drop(packet.InvalidHeader)
		return
	}
	msg, r := read4(packet.UDP(message(d)).Payload())
	if r == readable && msg.hasServer && !m.seg.v4.owns(msg.server) {
		r = foreign // the client has chosen another server
	}
	switch {
	case r == malformed:
		d.Drop(packet.InvalidHeader)
	case r == foreign && own:
		d.Drop(packet.NoService)
	case r == foreign:
		pass(d)
	default:
		x.serve4(d, m, &msg, own)
	}
}

// hears reports whether an address is one of the server's own, or everybody's.
func (v *service4) hears(dst packet.Addr) (own, everybody bool) {
	if dst == broadcast4 {
		return false, true
	}
	for i := range v.subnets {
		n := &v.subnets[i]
		own = own || dst == n.server
		everybody = everybody || dst == n.broadcast
	}
	return own, everybody
}

// owns reports whether an address is one of the server's own.
func (v *service4) owns(ip packet.Addr) bool {
	own, _ := v.hears(ip)
	return own
}

// serve4 does what a message asks for. A REQUEST means what RFC 2131 section
// 4.3.2 makes of the fields that are filled in:
//
//	state        server  requested  ciaddr  asks for
//	SELECTING    yes     yes        0       requested
//	INIT-REBOOT  no      yes        0       requested
//	RENEWING     no      no         yes     ciaddr, by unicast
//	REBINDING    no      no         yes     ciaddr, by broadcast
//
// In each of them the client gets its address if that is what it asks for, and
// else is told to begin anew.
func (x *Server) serve4(d *dataplane.Decision, m *member, msg *message4, own bool) {
	c := m.client(msg.mac)
	if c == nil || c.subnet == nil {
		d.Drop(packet.NoAddress)
		return
	}
	if !x.allowed(d, m) {
		return
	}
	switch msg.kind {
	case discover:
		if msg.rapid {
			x.reply4(d, m, c, msg, ack)
		} else {
			x.reply4(d, m, c, msg, offer)
		}
	case request:
		msg.rapid = false
		asked := msg.client
		if msg.hasRequest {
			asked = msg.requested
		}
		switch {
		case asked == unspecified4:
			d.Drop(packet.InvalidHeader)
		case asked == c.v4 && (!msg.hasServer || msg.server == c.subnet.server):
			x.reply4(d, m, c, msg, ack)
		default:
			x.reply4(d, m, c, msg, nak)
		}
	case inform:
		msg.rapid = false
		x.reply4(d, m, c, msg, inform)
	case decline:
		x.finish(d, true, countDeclines)
	case release:
		x.finish(d, true, countReleases)
	case offer, ack, nak:
		d.Drop(packet.InvalidHeader) // those are a server's
	default:
		if own {
			d.Drop(packet.NoService)
			return
		}
		pass(d)
	}
}

const (
	// defaultSize4 is what every host takes: a datagram of 576 bytes (RFC 2131 section 2).
	defaultSize4 = 576
	headers4     = packet.IPv4MinSize + packet.UDPSize
)

// reply4 answers with an OFFER, an ACK or a NAK; kind inform is an ACK without a
// lease (RFC 2131 section 4.3.5).
func (x *Server) reply4(d *dataplane.Decision, m *member, c *client, msg *message4, kind uint8) {
	size := defaultSize4
	if msg.maxSize > defaultSize4 {
		size = int(msg.maxSize)
	}
	size = min(size, maxFrameMTU)
	if m.mtu != 0 {
		size = min(size, max(m.mtu, defaultSize4))
	}
	e := x.envelope4(d, c, msg, kind)
	b, payload := e.generate(d.W, d.In.Number, size-headers4)
	if b == 0 {
		x.finish(d, false, 0)
		return
	}
	w := writer{b: payload[:len(payload)-1]} // the end always fits
	w.boot(m.seg.v4, c, msg, kind)
	w.options4(m.seg.v4, c, msg, kind)
	w.b = payload
	w.b[w.n] = optionEnd
	w.n++
	w.zeros(bootMinSize)
	e.send(d.W, m.out, b, w.n)
	switch kind {
	case offer:
		x.finish(d, true, countOffers)
	case nak:
		x.finish(d, true, countNaks)
	default:
		x.finish(d, true, countAcks)
	}
}

// envelope4 says where an answer goes (RFC 2131 section 4.1): to the address
// that the client has, else to the one that it is given, unless it says that it
// can't receive that yet. A NAK is for everybody, for the client's address is
// wrong. Whatever the address, it leaves by the client's port alone.
func (x *Server) envelope4(d *dataplane.Decision, c *client, msg *message4, kind uint8) envelope {
	e := envelope{
		from: x.mac, to: msg.mac, src: c.subnet.server, dst: c.v4, srcPort: serverPort4, dstPort: clientPort4,
	}
	switch {
	case kind == nak:
		e.dst = broadcast4
	case msg.client != unspecified4:
		e.dst = msg.client
	case kind == inform && d.Info.Key.Src != unspecified4:
		e.dst = d.Info.Key.Src // ciaddr was forgotten, but the client has an address
	case msg.broadcast:
		e.dst = broadcast4
	}
	if e.dst == broadcast4 {
		e.to = packet.Broadcast
	}
	return e
}

// boot writes the fixed part (RFC 2131 table 3).
func (w *writer) boot(v *service4, c *client, msg *message4, kind uint8) {
	w.zeros(bootOptions)
	p := w.b[:bootOptions]
	p[bootOp], p[bootHType], p[bootHLen] = bootReply, bootEthernet, 6
	copy(p[bootXID:bootXID+4], msg.boot[bootXID:])
	copy(p[bootFlags:bootFlags+2], msg.boot[bootFlags:])
	copy(p[bootCHAddr:bootSName], msg.boot[bootCHAddr:])
	binary.BigEndian.PutUint32(p[bootCookie:], dhcpCookie)
	if kind == nak {
		return
	}
	if kind != offer {
		copy(p[bootCIAddr:bootCIAddr+4], msg.boot[bootCIAddr:])
	}
	if kind != inform {
		ip := c.v4.As4()
		copy(p[bootYIAddr:], ip[:])
	}
	copy(p[bootSIAddr:], v.next[:])
	copy(p[bootFile:bootCookie-1], v.file)
}

// options4 writes the options: those that every client needs first, then what
// the client asks for, in its own order, or all that there is if it asks for
// nothing.
func (w *writer) options4(v *service4, c *client, msg *message4, kind uint8) {
	const notYours = "not the address of this port"
	sent := kind
	if kind == inform {
		sent = ack
	}
	w.option4(optionType, []byte{sent})
	server := c.subnet.server.As4()
	w.option4(optionServer, server[:])
	if len(msg.id) > 0 {
		w.option4(optionClientID, msg.id) // RFC 6842 section 3
	}
	if kind == nak {
		w.option4(optionMessage, []byte(notYours))
		return
	}
	if kind != inform {
		w.option4Word(optionLease, v.lease)
		w.option4Word(optionRenew, v.lease/2)
		w.option4Word(optionRebind, uint32(uint64(v.lease)*7/8)) // RFC 2131 section 4.4.5
	}
	if msg.rapid {
		w.option4(optionRapidCommit, nil)
	}
	// The mask is first of what follows (RFC 2132 section 3.3), and never left out.
	list := c.options
	w.option4(list[0].code, list[0].data)
	if msg.parameters == nil {
		for i := range list[1:] {
			if o := &list[1+i]; !o.asked {
				w.option4(o.code, o.data)
			}
		}
		return
	}
	written := uint64(1) // by place in list
	for _, code := range msg.parameters {
		for i := range list {
			if o := &list[i]; o.code == code && written>>i&1 == 0 {
				written |= 1 << i
				w.option4(o.code, o.data)
			}
		}
	}
}
