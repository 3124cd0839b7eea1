package dhcp

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// payloads are what the questions carry, as seeds.
func payloads(f *testing.F, proto uint8, v6 bool) {
	for _, q := range questions(f) {
		var in packet.Info
		packet.Parse(q, &in)
		if in.Proto == proto && in.Has(packet.IsIPv6) == v6 {
			f.Add(q[in.L4+packet.UDPSize:])
		}
	}
}

// answering makes a testbed that says nothing unasked.
func answering(f *testing.F) *testbed {
	n := quiet(f, dualStack())
	n.state.due.Store(never)
	return n
}

// with makes a UDP frame with a payload and a right checksum.
func with(f []byte, payload []byte) []byte {
	var in packet.Info
	packet.Parse(f, &in)
	f = append(slices.Clone(f[:in.L4+packet.UDPSize]), payload...)
	l4 := packet.UDP(f[in.L4:])
	l4.SetLength(uint16(len(l4)))
	if in.Has(packet.IsIPv6) {
		packet.IPv6(f[in.L3:]).SetPayloadLen(uint16(len(l4)))
	} else {
		packet.IPv4(f[in.L3:]).SetLength(uint16(len(f) - int(in.L3)))
		packet.IPv4(f[in.L3:]).UpdateChecksum()
	}
	packet.SetTransport(f, int(in.L3), int(in.L4), len(f)-int(in.L3), in.Proto)
	return f
}

// FuzzServer4: no payload panics the server or unbalances the books. There is at
// most one answer, which another implementation can read; it is the server's
// word about this client's address and no other, and fits into what the client takes.
func FuzzServer4(f *testing.F) {
	payloads(f, packet.ProtoUDP, false)
	n := answering(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 1400 {
			return
		}
		n.t = t
		question := with(frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"), p)
		sent, drop := n.give(1, question)
		n.sent(3)
		n.sent(2)
		require.LessOrEqual(t, len(sent), 1)
		require.Zero(t, n.engine.Ledger().Unexplained)
		_, crashes := n.engine.Crashes()
		require.Zero(t, crashes)
		if len(sent) == 0 {
			return
		}
		require.Equal(t, packet.None, drop)
		_, payload := datagram(t, sent[0])
		a, err := dhcpv4.FromBytes(payload)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(payload), bootMinSize)
		msg, r := read4(p)
		require.Equal(t, readable, r)
		require.LessOrEqual(t, len(payload)+headers4, max(int(msg.maxSize), defaultSize4))
		require.True(t, bytes.Equal(p[4:8], a.TransactionID[:]))
		require.Equal(t, clientMAC, packet.MAC(a.ClientHWAddr))
		require.True(t, a.ServerIdentifier().Equal(gateway))
		switch a.MessageType() {
		case dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck:
			require.True(t, a.YourIPAddr.Equal(own) || msg.kind == inform && a.YourIPAddr.IsUnspecified())
			require.NotEmpty(t, a.SubnetMask())
		case dhcpv4.MessageTypeNak:
			require.True(t, a.YourIPAddr.IsUnspecified())
		default:
			t.Fatalf("a server does not say %v", a.MessageType())
		}
		require.Equal(t, len(msg.id) > 0, a.Options.Has(dhcpv4.OptionClientIdentifier))
	})
}

// FuzzServer6: the same of DHCPv6.
func FuzzServer6(f *testing.F) {
	payloads(f, packet.ProtoUDP, true)
	n := answering(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 1400 {
			return
		}
		n.t = t
		sent, drop := n.give(1, with(frame(t, "udp [fe80::2]:546 > [ff02::1:2]:547 %s", client6Ends), p))
		n.sent(3)
		n.sent(2)
		require.LessOrEqual(t, len(sent), 1)
		require.Zero(t, n.engine.Ledger().Unexplained)
		_, crashes := n.engine.Crashes()
		require.Zero(t, crashes)
		if len(sent) == 0 {
			return
		}
		require.Equal(t, packet.None, drop)
		_, payload := datagram(t, sent[0])
		require.LessOrEqual(t, len(payload), 1400-48, "the port's MTU")
		require.Equal(t, p[1:4], payload[1:4], "the transaction")
		it := options6{b: payload[4:]}
		seen := map[uint16]int{}
		for code, data, ok := it.next(); ok; code, data, ok = it.next() {
			seen[code]++
			if code != option6IANA {
				continue
			}
			in := options6{b: data[iaHeader:]}
			for code, data, ok := in.next(); ok; code, data, ok = in.next() {
				if code == option6IAAddr && binary.BigEndian.Uint32(data[20:]) != 0 {
					require.Equal(t, "2001:db8::2", packet.AddrFrom16((*[16]byte)(data)).String(), "no other address is alive")
				}
			}
			require.False(t, in.malformed)
		}
		require.False(t, it.malformed)
		require.Equal(t, 1, seen[option6ServerID])
		msg, r := read6(p)
		require.Equal(t, readable, r)
		if msg.client != nil {
			require.Equal(t, 1, seen[option6ClientID])
		}
		if duid, err := dhcpv6.DUIDFromBytes(msg.client); err == nil && duid != nil {
			_, err = dhcpv6.MessageFromBytes(payload)
			require.NoError(t, err, "whoever can read the client's identifier can read the answer")
		}
	})
}

// FuzzSolicitation: no router solicitation panics; an answer is well-formed.
func FuzzSolicitation(f *testing.F) {
	f.Add([]byte{133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 10, 88, 10, 0, 0, 2})
	n := answering(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 1400 || len(p) == 0 {
			return
		}
		n.t = t
		sent, _ := n.give(1, frame(t, "icmp6 fe80::2 > ff02::2 type 133 code 0 rest 0 hex %x ttl 255 eth 0a:58:0a:00:00:02 > 33:33:00:00:00:02", p))
		require.Zero(t, n.engine.Ledger().Unexplained)
		for _, a := range sent {
			readAdvertisement(t, a)
		}
	})
}
