package dhcp

import (
	"bytes"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// compile6 makes the DHCPv6 service of a segment.
func compile6(a *Advertisement) *service6 {
	valid := seconds(a.Lease)
	v := &service6{
		stateful: a.Stateful,
		valid:    valid, preferred: uint32(uint64(valid) * 5 / 8),
		dns: addresses(a.DNS, 128), search: labels(a.Search),
		refresh: max(valid, uint32(minRefresh/time.Second)),
	}
	for _, ip := range a.NTP {
		if ip.Is6() {
			v.ntp = append(v.ntp, 0, 1, 0, 16) // suboption NTP_SUBOPTION_SRV_ADDR (RFC 5908 section 4.1)
			v.ntp = append(v.ntp, ip.AsSlice()...)
		}
	}
	return v
}

// minRefresh is IRT_MINIMUM (RFC 8415 section 7.6).
const minRefresh = 600 * time.Second

// duid returns the server's identifier: DUID-LL of its MAC (RFC 8415 section 11.4).
func (x *Server) duid() (b [10]byte) {
	b[1], b[3] = 3, 1
	copy(b[4:], x.mac[:])
	return b
}

// datagram6 looks at a datagram to all DHCPv6 servers. Those to the server
// alone are not allowed, and end as others that nobody listens to.
func (x *Server) datagram6(d *dataplane.Decision) {
	m := x.member(d)
	if m == nil || m.seg.v6 == nil {
		return
	}
	if !intact(d) {
		d.Drop(packet.InvalidHeader)
		return
	}
	msg, r := read6(packet.UDP(message(d)).Payload())
	own := x.duid()
	switch {
	case r == malformed:
		d.Drop(packet.InvalidHeader)
	case r == foreign || msg.server != nil && !bytes.Equal(msg.server, own[:]):
		pass(d)
	case d.Info.Key.Src == unspecified6:
		d.Drop(packet.InvalidSourceIP)
	default:
		x.serve6(d, m, &msg)
	}
}

// serve6 does what a message asks for (RFC 8415 section 18.3). A host is known by the
// MAC that the frame is from: a DUID says nothing that could be checked.
func (x *Server) serve6(d *dataplane.Decision, m *member, msg *message6) {
	c := m.client(packet.Ethernet(d.Frame()).Src())
	if c != nil && !c.has6 {
		c = nil
	}
	if m.seg.v6.stateful && msg.kind != information6 && c == nil {
		d.Drop(packet.NoAddress)
		return
	}
	if !x.allowed(d, m) {
		return
	}
	if !m.seg.v6.stateful {
		c = nil // there is no address to be had by DHCP
	}
	switch msg.kind {
	case decline6:
		x.state.count(countDeclines6)
	case release6:
		x.state.count(countReleases6)
	case confirm6:
		if !msg.addressesWhere(func(packet.Addr) bool { return true }) {
			d.Consume() // there is nothing to confirm
			return
		}
	}
	kind, counted := uint8(reply6), countReplies
	if msg.kind != solicit6 || c == nil {
		msg.rapid = false
	}
	if msg.kind == solicit6 && !msg.rapid {
		kind, counted = advertise6, countAdvertises
	}
	e := envelope{
		from: x.mac, to: packet.Ethernet(d.Frame()).Src(), src: x.link, dst: d.Info.Key.Src,
		srcPort: serverPort6, dstPort: clientPort6,
	}
	size := maxFrameMTU
	if m.mtu != 0 {
		size = min(size, max(m.mtu, minMTU6))
	}
	b, payload := e.generate(d.W, d.In.Number, size-packet.IPv6Size-packet.UDPSize)
	if b != 0 {
		w := writer{b: payload}
		x.write6(&w, m.seg.v6, c, msg, kind)
		e.send(d.W, m.out, b, w.n)
	}
	x.finish(d, b != 0, counted)
}

// write6 writes an answer.
func (x *Server) write6(w *writer, v *service6, c *client, msg *message6, kind uint8) {
	w.b[0], w.n = kind, 1
	w.bytes(msg.transaction)
	own := x.duid()
	w.option6(option6ServerID, own[:])
	if msg.client != nil {
		w.option6(option6ClientID, msg.client)
	}
	switch msg.kind {
	case confirm6:
		// An address that is not the port's is not appropriate to the link either: the
		// guard would drop what is sent from it.
		if msg.addressesWhere(func(a packet.Addr) bool { return c == nil || a != c.v6 }) {
			w.status6(status6NotOnLink)
		} else {
			w.status6(status6Success)
		}
		return
	case release6, decline6:
		w.status6(status6Success)
		return
	case solicit6:
		w.option6(option6Preference, []byte{255}) // there is none better: don't wait for others
		if msg.rapid {
			w.option6(option6RapidCommit, nil)
		}
	}
	w.associations(v, c, msg)
	for _, o := range [...]struct {
		code uint16
		data []byte
	}{{option6DNS, v.dns}, {option6Search, v.search}, {option6NTP, v.ntp}} {
		if len(o.data) > 0 && msg.wants(o.code) {
			w.option6(o.code, o.data)
		}
	}
	if msg.kind == information6 && msg.wants(option6Refresh) {
		if at, ok := w.open6(option6Refresh, 4); ok {
			w.words(v.refresh)
			w.close6(at)
		}
	}
}

// status6 writes a status without words: the code says it.
func (w *writer) status6(code uint8) { w.option6(option6Status, []byte{0, code}) }

// associations answers each IA_NA of a message: the first has the client's
// address, and there is none for others. c nil is a host that gets none at all.
// An address that the client thinks it has and has not ends at once (RFC 8415
// section 18.3.4).
func (w *writer) associations(v *service6, c *client, msg *message6) {
	refused := uint8(status6NoAddrsAvail)
	if msg.kind == renew6 || msg.kind == rebind6 {
		refused = status6NoBinding
	}
	it := options6{b: msg.body}
	for code, data, ok := it.next(); ok; code, data, ok = it.next() {
		if code != option6IANA {
			continue
		}
		at, fits := w.open6(option6IANA, iaHeader+2*(4+iaAddrSize))
		if !fits {
			return
		}
		w.bytes(data[:4]) // IAID
		if c == nil {
			w.words(0, 0)
			w.status6(refused)
			w.close6(at)
			continue
		}
		w.words(v.preferred/2, uint32(uint64(v.preferred)*4/5)) // T1, T2
		w.address6(c.v6, v.preferred, v.valid)
		if refused == status6NoBinding {
			w.ended(data[iaHeader:], c.v6)
		}
		w.close6(at)
		c = nil
	}
}

// address6 writes an address with its lifetimes in seconds.
func (w *writer) address6(a packet.Addr, preferred, valid uint32) {
	if at, ok := w.open6(option6IAAddr, iaAddrSize); ok {
		ip := a.As16()
		w.bytes(ip[:])
		w.words(preferred, valid)
		w.close6(at)
	}
}

// ended writes the addresses among options that are not own, with no time left.
func (w *writer) ended(options []byte, own packet.Addr) {
	it := options6{b: options}
	for code, data, ok := it.next(); ok; code, data, ok = it.next() {
		if code == option6IAAddr {
			if a := packet.AddrFrom16((*[16]byte)(data)); a != own {
				w.address6(a, 0, 0)
			}
		}
	}
}

// addressesWhere reports whether one of the addresses in IA_NAs is such.
func (m *message6) addressesWhere(such func(packet.Addr) bool) bool {
	it := options6{b: m.body}
	for code, data, ok := it.next(); ok; code, data, ok = it.next() {
		if code != option6IANA {
			continue
		}
		in := options6{b: data[iaHeader:]}
		for code, data, ok := in.next(); ok; code, data, ok = in.next() {
			if code == option6IAAddr && such(packet.AddrFrom16((*[16]byte)(data))) {
				return true
			}
		}
	}
	return false
}
