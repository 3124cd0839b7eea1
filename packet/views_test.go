package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// viewRow is a header as bytes and as fields; each has to give the other.
type viewRow[F any] struct {
	why    string
	hex    string
	fields F
}

// runViewRows checks that parse reads the fields from the bytes, and put
// writes the bytes over rubbish.
func runViewRows[F any](t *testing.T, rows []viewRow[F], parse func([]byte) (F, bool), put func(F, []byte) int) {
	t.Helper()
	for _, row := range rows {
		b := unhex(t, row.hex)
		got, ok := parse(b)
		require.True(t, ok, row.why)
		require.Equal(t, row.fields, got, row.why)
		out := make([]byte, len(b)+8)
		for i := range out {
			out[i] = 0xa5
		}
		require.Equal(t, len(b), put(row.fields, out), row.why)
		require.Equal(t, b, out[:len(b)], row.why)
		for n := range b {
			_, ok := parse(b[:n:n])
			require.False(t, ok, "%s: cut to %d bytes", row.why, n)
		}
	}
}

func TestEthernetAndVLAN(t *testing.T) {
	runViewRows(t, []viewRow[EthernetFields]{
		{"destination first", `0a58c0a80002 0a58c0a80001 0800`, EthernetFields{Dst: macB, Src: macA, Type: EtherTypeIPv4}},
	}, func(b []byte) (EthernetFields, bool) {
		e, ok := AsEthernet(b)
		if !ok {
			return EthernetFields{}, false
		}
		return e.Fields(), true
	}, func(f EthernetFields, b []byte) int { return f.Put(b) })
	runViewRows(t, []viewRow[VLANFields]{
		{"priority, DEI and identifier share a word", `b064 86dd`, VLANFields{ID: 100, Priority: 5, DropEligible: true, Type: EtherTypeIPv6}},
		{"the largest identifier", `0fff 0800`, VLANFields{ID: 4095, Type: EtherTypeIPv4}},
	}, func(b []byte) (VLANFields, bool) {
		v, ok := AsVLAN(b)
		if !ok {
			return VLANFields{}, false
		}
		return v.Fields(), true
	}, func(f VLANFields, b []byte) int { return f.Put(b) })

	v := VLAN(unhex(t, `b064 86dd 0102`))
	v.SetID(7)
	require.Equal(t, VLANFields{ID: 7, Priority: 5, DropEligible: true, Type: EtherTypeIPv6}, v.Fields(), "SetID keeps the rest")
	require.Equal(t, []byte{1, 2}, v.Payload())
}

func TestARP(t *testing.T) {
	runViewRows(t, []viewRow[ARPFields]{
		{
			"a request", `0001 0800 06 04 0001 0a58c0a80001 c0a80001 000000000000 c0a80002`,
			ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: a4, TargetIP: b4},
		},
		{
			"a reply", `0001 0800 06 04 0002 0a58c0a80002 c0a80002 0a58c0a80001 c0a80001`,
			ARPFields{Op: ARPReply, SenderMAC: macB, SenderIP: b4, TargetMAC: macA, TargetIP: a4},
		},
	}, func(b []byte) (ARPFields, bool) {
		a, ok := AsARP(b)
		if !ok {
			return ARPFields{}, false
		}
		return a.Fields(), true
	}, func(f ARPFields, b []byte) int { return f.Put(b) })

	for _, row := range []struct {
		why, hex string
	}{
		{"hardware type 6 is IEEE 802", `0006 0800 06 04 0001`},
		{"protocol type IPv6", `0001 86dd 06 04 0001`},
		{"hardware addresses of 8 bytes", `0001 0800 08 04 0001`},
		{"protocol addresses of 16 bytes", `0001 0800 06 10 0001`},
	} {
		_, ok := AsARP(append(unhex(t, row.hex), make([]byte, 40)...))
		require.False(t, ok, row.why)
	}
	f := ARPFields{Op: ARPRequest, SenderIP: a4, TargetIP: a4}
	b := make([]byte, ARPSize)
	f.Put(b)
	require.True(t, ARP(b).IsGratuitous())
	ARP(b).SetTargetIP(b4)
	require.False(t, ARP(b).IsGratuitous())
}

func TestIPv4(t *testing.T) {
	runViewRows(t, []viewRow[IPv4Fields]{
		{
			"a checksum worked out elsewhere: b861", `45000073 00004000 4011b861 c0a80001 c0a800c7`,
			IPv4Fields{TTL: 64, Proto: ProtoUDP, DontFragment: true, Length: 0x73, Src: a4, Dst: addr("192.168.0.199"), Options: []byte{}},
		},
		{
			"a fragment with options", `46b80024 12342102 40113083 c0a80001 c0a80002 94040000`,
			IPv4Fields{
				TOS: 0xb8, TTL: 64, Proto: ProtoUDP, MoreFragments: true, FragmentOffset: 2064, Length: 36, ID: 0x1234,
				Src: a4, Dst: b4, Options: []byte{IPv4OptionRouterAlert, 4, 0, 0},
			},
		},
	}, func(b []byte) (IPv4Fields, bool) {
		p, ok := AsIPv4(b)
		if !ok {
			return IPv4Fields{}, false
		}
		return p.Fields(), p.ChecksumValid()
	}, func(f IPv4Fields, b []byte) int { return f.Put(b) })

	p, ok := AsIPv4(ip4(IPv4Fields{Proto: ProtoUDP, Options: []byte{7, 3, 4}}, []byte{1, 2, 3}))
	require.True(t, ok)
	require.Equal(t, []byte{1, 2, 3}, p.Payload())
	require.Equal(t, 24, p.HeaderLen(), "options are padded")
	p.SetLength(26)
	require.Equal(t, []byte{1, 2}, p.Payload(), "the length cuts the payload")
	p.SetLength(2000)
	require.Equal(t, []byte{1, 2, 3}, p.Payload(), "the length cannot lengthen it")
	p.SetLength(3)
	require.Empty(t, p.Payload(), "a length that contradicts the header")
	p.SetTTL(1)
	require.False(t, p.ChecksumValid())
	p.UpdateChecksum()
	require.True(t, p.ChecksumValid())
	for _, b := range [][]byte{ip6(IPv6Fields{}), {0x44, 39: 0}, {0x4f, 39: 0}} {
		_, ok := AsIPv4(b)
		require.False(t, ok, "% x", b[:1])
	}
}

func TestIPv6(t *testing.T) {
	runViewRows(t, []viewRow[IPv6Fields]{
		{
			"traffic class and flow label straddle bytes", `6b8abcde 0008 3a ff` + ip6Addrs,
			IPv6Fields{TrafficClass: 0xb8, FlowLabel: 0xabcde, PayloadLen: 8, NextHeader: ProtoICMPv6, HopLimit: 255, Src: a6, Dst: b6},
		},
	}, func(b []byte) (IPv6Fields, bool) {
		p, ok := AsIPv6(b)
		if !ok {
			return IPv6Fields{}, false
		}
		return p.Fields(), true
	}, func(f IPv6Fields, b []byte) int { return f.Put(b) })

	p, ok := AsIPv6(ip6(IPv6Fields{NextHeader: ProtoUDP, TrafficClass: 0x12, FlowLabel: 0x34567}, []byte{1, 2}))
	require.True(t, ok)
	p.SetTrafficClass(0xb8)
	require.EqualValues(t, 0x34567, p.FlowLabel(), "SetTrafficClass keeps the flow label")
	p.SetFlowLabel(0xfffff)
	require.EqualValues(t, 0xb8, p.TrafficClass(), "SetFlowLabel keeps the traffic class")
	require.EqualValues(t, 6, p[0]>>4, "and both the version")
	require.Equal(t, []byte{1, 2}, p.Payload())
	p.SetPayloadLen(1)
	require.Equal(t, []byte{1}, p.Payload())
	p.SetPayloadLen(100)
	require.Equal(t, []byte{1, 2}, p.Payload())
	_, ok = AsIPv6(append(ip4(IPv4Fields{}), make([]byte, 20)...))
	require.False(t, ok, "an IPv4 packet")
}

func TestIPv6Extensions(t *testing.T) {
	walk := func(b []byte) (types []uint8, it IPv6Extensions) {
		it = IPv6(b).Extensions()
		for h, ok := it.Next(); ok; h, ok = it.Next() {
			types = append(types, h.Type)
		}
		return types, it
	}
	types, it := walk(ip6(IPv6Fields{NextHeader: ProtoHopByHop}, ext(ProtoFragment),
		frag6(IPv6FragmentFields{Next: ProtoDestOpts, More: true, ID: 7}), ext(ProtoUDP), udp(1, 2)))
	require.Equal(t, []uint8{ProtoHopByHop, ProtoFragment, ProtoDestOpts}, types)
	require.EqualValues(t, ProtoUDP, it.Proto())
	require.Equal(t, 64, it.Offset())
	require.False(t, it.Malformed())

	types, it = walk(ip6(IPv6Fields{NextHeader: ProtoFragment}, frag6(IPv6FragmentFields{Next: ProtoDestOpts, Offset: 8}), ext(ProtoUDP)))
	require.Equal(t, []uint8{ProtoFragment}, types, "a later fragment holds no headers")
	require.EqualValues(t, ProtoDestOpts, it.Proto())
	require.False(t, it.Malformed())

	types, it = walk(ip6(IPv6Fields{NextHeader: ProtoDestOpts}, ext(ProtoRouting)[:7]))
	require.Empty(t, types)
	require.True(t, it.Malformed() && it.Truncated())

	f := IPv6FragmentFields{Next: ProtoTCP, More: true, Offset: 1448, ID: 0xdeadbeef}
	h := IPv6Extension{Type: ProtoFragment, Bytes: frag6(f)}
	require.Equal(t, unhex(t, `0600 05a9 deadbeef`), h.Bytes)
	require.Equal(t, f, IPv6FragmentFields{Next: h.Next(), More: h.MoreFragments(), Offset: h.FragmentOffset(), ID: h.FragmentID()})
	require.False(t, h.IsAtomic())

	opts := IPv6Extension{Type: ProtoHopByHop, Bytes: unhex(t, `3a01 00 0502 0000 0101 00 c204 00011170`)}
	var got []IPv6Option
	oi := opts.Options()
	for o, ok := oi.Next(); ok; o, ok = oi.Next() {
		got = append(got, o)
	}
	require.Equal(t, []IPv6Option{{IPv6OptionRouterAlert, []byte{0, 0}}, {IPv6OptionJumbo, []byte{0, 1, 0x11, 0x70}}}, got)
	require.False(t, oi.Malformed())
	oi = IPv6Extension{Bytes: unhex(t, `3a00 0505 00000000`)}.Options()
	_, ok := oi.Next()
	require.False(t, ok)
	require.True(t, oi.Malformed(), "an option longer than its header")
}

func TestTransportViews(t *testing.T) {
	runViewRows(t, []viewRow[UDPFields]{
		{"UDP", `1f90 0035 001a beef`, UDPFields{SrcPort: 8080, DstPort: 53, Length: 26, Checksum: 0xbeef}},
	}, func(b []byte) (UDPFields, bool) {
		u, ok := AsUDP(b)
		if !ok {
			return UDPFields{}, false
		}
		return u.Fields(), true
	}, func(f UDPFields, b []byte) int { return f.Put(b) })
	runViewRows(t, []viewRow[TCPFields]{
		{
			"TCP without options", `03e8 0050 01020304 05060708 5010 0200 beef 0009`,
			TCPFields{SrcPort: 1000, DstPort: 80, Seq: 0x01020304, Ack: 0x05060708, Flags: TCPAck, Window: 512, Checksum: 0xbeef, Urgent: 9, Options: []byte{}},
		},
		{
			"TCP with options", `03e8 0050 00000000 00000000 60c2 ffff 0000 0000 020405b4`,
			TCPFields{SrcPort: 1000, DstPort: 80, Flags: TCPSyn | TCPEce | TCPCwr, Window: 65535, Options: []byte{2, 4, 5, 0xb4}},
		},
	}, func(b []byte) (TCPFields, bool) {
		s, ok := AsTCP(b)
		if !ok {
			return TCPFields{}, false
		}
		return s.Fields(), true
	}, func(f TCPFields, b []byte) int { return f.Put(b) })
	runViewRows(t, []viewRow[SCTPFields]{
		{
			"SCTP's checksum goes least significant byte first", `03e8 0f1c 00000007 78563412`,
			SCTPFields{SrcPort: 1000, DstPort: 3868, Tag: 7, Checksum: 0x12345678},
		},
	}, func(b []byte) (SCTPFields, bool) {
		s, ok := AsSCTP(b)
		if !ok {
			return SCTPFields{}, false
		}
		return s.Fields(), true
	}, func(f SCTPFields, b []byte) int { return f.Put(b) })
	runViewRows(t, []viewRow[ICMPFields]{
		{"ICMP", `0800 beef 12340001`, ICMPFields{Type: ICMPEcho, Checksum: 0xbeef, Rest: 0x12340001}},
	}, func(b []byte) (ICMPFields, bool) {
		m, ok := AsICMP(b)
		if !ok {
			return ICMPFields{}, false
		}
		return m.Fields(), true
	}, func(f ICMPFields, b []byte) int { return f.Put(b) })

	m := ICMP(icmp(ICMPUnreachable, ICMPCodeFragNeeded, 1400, []byte{1}))
	require.EqualValues(t, 1400, m.NextHopMTU())
	require.Equal(t, []byte{1}, m.Payload())
	m.SetID(0x1234)
	m.SetSeq(0x5678)
	require.Equal(t, [3]uint32{0x1234, 0x5678, 0x12345678}, [3]uint32{uint32(m.ID()), uint32(m.Seq()), m.Rest()})

	u := UDP(udp(1, 2, 3, 4))
	require.Equal(t, []byte{3, 4}, u.Payload())
	u.SetLength(9)
	require.Equal(t, []byte{3}, u.Payload())
	u.SetLength(0)
	require.Equal(t, []byte{3, 4}, u.Payload(), "a jumbogram's length is the packet's")
	u.SetLength(4)
	require.Empty(t, u.Payload())

	s := SCTP(sctp(SCTPInit, 0, 0, 6, 1, 2, 0, 0, SCTPCookieAck, 1, 0, 4, SCTPSack, 0, 0, 5, 9))
	var chunks []SCTPChunk
	it := s.Chunks()
	for c, ok := it.Next(); ok; c, ok = it.Next() {
		chunks = append(chunks, c)
	}
	require.Equal(t, []SCTPChunk{{SCTPInit, 0, []byte{1, 2}}, {SCTPCookieAck, 1, []byte{}}, {SCTPSack, 0, []byte{9}}}, chunks)
	require.False(t, it.Malformed(), "the last chunk's padding may be missing")
	for _, chunk := range [][]byte{{1, 0, 0, 3}, {1, 0, 0, 5}, {1, 0, 0}} {
		it := SCTP(sctp(chunk...)).Chunks()
		_, ok := it.Next()
		require.False(t, ok, "% x", chunk)
		require.True(t, it.Malformed(), "% x", chunk)
	}
}

func TestTCPOptions(t *testing.T) {
	syn := TCPOptions{HasMSS: true, MSS: 1460, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2, HasWindowScale: true, WindowScale: 7}
	ack := TCPOptions{HasTimestamps: true, TSVal: 5, TSEcr: 6, SACKs: 2, SACK: [MaxSACK]SACKBlock{{10, 20}, {0xfffffff0, 5}}}
	for _, row := range []struct {
		why, hex string
		want     TCPOptions
	}{
		{"none", ``, TCPOptions{}},
		{"Linux's SYN", `020405b4 0402 080a0000000100000002 01 030307`, syn},
		{"timestamps and two SACK blocks, one around zero", `0101 080a0000000500000006 0101 0512 0000000a00000014 fffffff000000005`, ack},
		{"what comes after the end does not count", `00 020405b4 000000`, TCPOptions{}},
		{"a shift above 14 reads as 14 (RFC 7323)", `03030f 00`, TCPOptions{HasWindowScale: true, WindowScale: 14}},
		{"a wrong length makes an option unknown", `0203ff 00`, TCPOptions{}},
		{"the last of two counts", `020405b4 02040200`, TCPOptions{HasMSS: true, MSS: 512}},
		{"unknown options are skipped", `fd04abcd 020405b4`, TCPOptions{HasMSS: true, MSS: 1460}},
		{"length 0 would never end", `020405b4 08000000`, TCPOptions{HasMSS: true, MSS: 1460, Malformed: true}},
		{"length past the header", `080a0000`, TCPOptions{Malformed: true}},
		{"kind without length", `010101fd`, TCPOptions{Malformed: true}},
	} {
		s, ok := AsTCP(tcp(TCPSyn, unhex(t, row.hex)...))
		require.True(t, ok, row.why)
		require.Equal(t, row.want, s.TCPOptions(), row.why)
	}
	for _, o := range []TCPOptions{syn, ack, {}} {
		b := o.Append(nil)
		require.Zero(t, len(b)%4)
		require.Equal(t, o, TCP(tcp(TCPSyn, b...)).TCPOptions())
	}
	s := TCP(tcp(TCPSyn, syn.Append(nil)...))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.TCPOptions() }))
}

func TestND(t *testing.T) {
	neighbor := func(b []byte) (NDNeighborFields, bool) {
		m, ok := AsNDNeighbor(b)
		if !ok {
			return NDNeighborFields{}, false
		}
		f := m.Fields()
		return f, f.HasLinkAddr
	}
	runViewRows(t, []viewRow[NDNeighborFields]{
		{
			"a solicitation has the source's address", `8700 0000 00000000 20010db8000000000000000000000002 0101 0a58c0a80001`,
			NDNeighborFields{Type: ICMPv6NeighborSolicitation, HasLinkAddr: true, LinkAddr: macA, Target: b6},
		},
		{
			"an advertisement has the target's", `8800 0000 e0000000 20010db8000000000000000000000002 0201 0a58c0a80002`,
			NDNeighborFields{
				Type: ICMPv6NeighborAdvertisement, Router: true, Solicited: true, Override: true,
				HasLinkAddr: true, LinkAddr: macB, Target: b6,
			},
		},
	}, neighbor, func(f NDNeighborFields, b []byte) int { return f.Put(b) })

	for _, row := range []struct {
		why, hex string
		ok       bool
		link     bool
	}{
		{"without options, as in duplicate address detection", ``, true, false},
		{"an option of the wrong kind", `0201 0a58c0a80001`, true, false},
		{"a nonce before it", `0e01 000000000000 0101 0a58c0a80001`, true, true},
		{"an address that is not Ethernet's", `0102 0a58c0a80001 0000000000000000`, true, false},
		{"length 0 would never end", `0100 0a58c0a80001`, true, false},
	} {
		m, ok := AsNDNeighbor(append(unhex(t, `8700 0000 00000000`+ip6Addrs[:32]), unhex(t, row.hex)...))
		require.Equal(t, row.ok, ok, row.why)
		_, found := m.LinkAddr()
		require.Equal(t, row.link, found, row.why)
	}
	for _, head := range []string{`8701`, `8900`, `8500`} {
		_, ok := AsNDNeighbor(unhex(t, head+`0000 00000000`+ip6Addrs[:32]))
		require.False(t, ok, head)
	}

	solicit := NDRouterSolicitationFields{HasLinkAddr: true, LinkAddr: macA}
	b := make([]byte, 16)
	require.Equal(t, 16, solicit.Put(b))
	require.Equal(t, unhex(t, `8500 0000 00000000 0101 0a58c0a80001`), b)
	rs, ok := AsNDRouterSolicitation(b)
	require.True(t, ok)
	require.Equal(t, solicit, rs.Fields())

	prefix := NDPrefix{Addr: addr("2001:db8::"), Bits: 64, OnLink: true, Autonomous: true, Valid: 86400, Preferred: 14400}
	advert := NDRouterAdvertisementFields{
		HopLimit: 64, Managed: true, HasLinkAddr: true, LinkAddr: macA, Lifetime: 1800, Reachable: 30000, Retrans: 1000,
		MTU: 1500, Prefixes: []NDPrefix{prefix},
	}
	b = make([]byte, advert.Size())
	require.Equal(t, len(b), advert.Put(b))
	require.Equal(t, unhex(t, `8600 0000 40 80 0708 00007530 000003e8  0101 0a58c0a80001  0501 0000 000005dc
		0304 40 c0 00015180 00003840 00000000 20010db8000000000000000000000000`), b)
	ra, ok := AsNDRouterAdvertisement(b)
	require.True(t, ok)
	got := NDRouterAdvertisementFields{
		HopLimit: ra.HopLimit(), Managed: ra.Managed(), OtherConfig: ra.OtherConfig(),
		Lifetime: ra.Lifetime(), Reachable: ra.Reachable(), Retrans: ra.Retrans(),
	}
	it := ra.Options()
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		if a, ok := o.LinkAddr(); ok {
			got.LinkAddr, got.HasLinkAddr = a, true
		}
		if n, ok := o.MTU(); ok {
			got.MTU = n
		}
		if p, ok := o.Prefix(); ok {
			got.Prefixes = append(got.Prefixes, p)
		}
	}
	require.False(t, it.Malformed())
	require.Equal(t, advert, got)
}
