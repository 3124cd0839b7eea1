package packet

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseSeeds are small frames of every kind.
func parseSeeds(f *testing.F) {
	for _, s := range benchFrames {
		f.Add(unhex(f, s.hex))
	}
	u := udp(8080, 53, 1, 2, 3)
	f.Add(eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoUDP, MoreFragments: true, ID: 7}, u)))
	f.Add(eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoSCTP}, sctp(SCTPInit, 0, 0, 4))))
	f.Add(eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoHopByHop}, ext(ProtoRouting), ext(ProtoFragment),
		frag6(IPv6FragmentFields{Next: ProtoUDP, More: true, ID: 7}), u)))
	f.Add(eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoAH}, []byte{ProtoDestOpts, 2, 14: 0, 15: 0}, ext(ProtoTCP), tcp(TCPSyn, 2, 4, 5, 0xb4))))
	f.Add(eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoHopByHop}, jumbo(ProtoUDP, 70000), u)))
	f.Add(eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoICMPv6}, icmp(ICMPv6Unreachable, 4, 0,
		ip6(IPv6Fields{NextHeader: ProtoHopByHop}, ext(ProtoUDP), u)))))
	f.Add(eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoICMPv6}, icmp(ICMPv6Echo, 0, 0x00010002))))
	f.Add(eth(EtherTypeQinQ, tag(5, EtherTypeVLAN), tag(6, EtherTypeIPv4), ip4(IPv4Fields{Proto: ProtoTCP}, tcp(TCPSyn))))
}

// Parse never panics, depends on nothing but the frame, leaves the frame
// alone, and what it says holds for the views: offsets lie in the frame in
// order, headers it promises are there, and the key is the header's. A forwarded
// IP packet is refused if it is cut anywhere, and padding does not change what is said of it.
func FuzzParse(f *testing.F) {
	parseSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := bytes.Clone(data)
		var in Info
		r := Parse(frame, &in)
		require.Equal(t, data, frame, "the frame is changed")

		// What lies behind the frame in its buffer, and the last frame's Info,
		// do not show.
		buf := append(bytes.Clone(data), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		dirty := Info{Key: Key{Tail: 1}, EtherType: 2, L3: 3, L4: 4, IPLen: 5, FragID: 6, Flags: 0xffff, FragOff: 8, Proto: 9, TCPFlags: 10, TTL: 11, TOS: 12}
		require.Equal(t, r, Parse(buf[:len(data)], &dirty))
		require.Equal(t, in, dirty)

		require.LessOrEqual(t, int(in.L3), len(frame))
		require.Zero(t, in.Key.Zone())
		offset, quoted := QuotedPacket(frame, &in)
		if r != None {
			require.Less(t, r, NumReasons)
			return
		}
		if !in.Has(IsIP) {
			require.Zero(t, in.Key)
			return
		}
		end := int(in.L3) + int(in.IPLen)
		require.LessOrEqual(t, int(in.L3)+IPv4MinSize, int(in.L4))
		require.LessOrEqual(t, int(in.L4), end)
		require.LessOrEqual(t, end, len(frame))
		requireViewsAgree(t, frame, &in)
		if quoted {
			require.LessOrEqual(t, offset+IPv4MinSize, end)
		} else if in.Has(ICMPError) {
			require.Zero(t, uint32(in.Key.Tail), "ports of an error without a quote")
			require.Equal(t, in.Proto, in.Key.Proto())
		}
		if in.IPLen > maxIPSize {
			return // BIG TCP: the packet is as long as the frame
		}
		for n := range end {
			var cut Info
			require.NotEqual(t, None, Parse(frame[:n:n], &cut), "cut to %d bytes", n)
		}
		var padded Info
		require.Equal(t, None, Parse(buf, &padded))
		require.Equal(t, in, padded)
	})
}

// requireViewsAgree compares what Parse said of an IP packet with the views.
func requireViewsAgree(t *testing.T, frame []byte, in *Info) {
	t.Helper()
	ip := frame[in.L3 : int(in.L3)+int(in.IPLen)]
	var src, dst Addr
	if in.Has(IsIPv4) {
		p, ok := AsIPv4(ip)
		require.True(t, ok)
		src, dst = p.Src(), p.Dst()
		require.Equal(t, int(in.L4-in.L3), p.HeaderLen())
		require.Equal(t, [3]uint8{in.Proto, in.TTL, in.TOS}, [3]uint8{p.Proto(), p.TTL(), p.TOS()})
		require.Equal(t, in.Has(IsFragment), p.IsFragment())
		require.Equal(t, in.FragOff, p.FragmentOffset())
		require.Equal(t, in.Has(BadIPChecksum), !p.ChecksumValid())
		require.Equal(t, in.Has(HasIPOptions), p.HeaderLen() > IPv4MinSize)
	} else {
		p, ok := AsIPv6(ip)
		require.True(t, ok)
		src, dst = p.Src(), p.Dst()
		it := p.Extensions()
		for _, ok := it.Next(); ok; _, ok = it.Next() {
		}
		require.False(t, it.Malformed())
		require.Equal(t, int(in.L4-in.L3), it.Offset())
		require.Equal(t, [3]uint8{in.Proto, in.TTL, in.TOS}, [3]uint8{it.Proto(), p.HopLimit(), p.TrafficClass()})
		require.Equal(t, in.Has(HasIPOptions), it.Offset() > IPv6Size)
		require.False(t, src.Is4())
	}
	if !in.Has(ICMPError) {
		require.Equal(t, [2]Addr{src, dst}, [2]Addr{in.Key.Src, in.Key.Dst})
		require.Equal(t, in.Proto, in.Key.Proto())
	}
	l4 := frame[in.L4 : int(in.L3)+int(in.IPLen)]
	if !in.Has(HasPorts) {
		require.True(t, in.Has(ICMPError) || uint32(in.Key.Tail) == 0, "ports without HasPorts")
		require.Zero(t, in.TCPFlags)
		return
	}
	ports := [2]uint16{in.Key.SrcPort(), in.Key.DstPort()}
	switch in.Proto {
	case ProtoTCP:
		_, ok := AsTCP(l4)
		require.True(t, ok || in.Has(IsFragment))
		s := TCP(l4) // of a first fragment the fixed header is there
		require.Equal(t, [2]uint16{s.SrcPort(), s.DstPort()}, ports)
		require.Equal(t, s.Flags(), in.TCPFlags)
	case ProtoUDP:
		u, ok := AsUDP(l4)
		require.True(t, ok)
		require.Equal(t, [2]uint16{u.SrcPort(), u.DstPort()}, ports)
	case ProtoSCTP:
		s, ok := AsSCTP(l4)
		require.True(t, ok)
		require.Equal(t, [2]uint16{s.SrcPort(), s.DstPort()}, ports)
	case ProtoICMP, ProtoICMPv6:
		m, ok := AsICMP(l4)
		require.True(t, ok)
		require.Contains(t, ports, m.ID())
	default:
		require.Fail(t, "ports of a protocol without any")
	}
}

// fuzzView states for a header: the constructor never panics, after it said ok
// use (every accessor and walk) does not either, and put(fields(x)) is x in the
// first bytes but for those that mask clears, which are reserved.
func fuzzView[V ~[]byte](f *testing.F, as func([]byte) (V, bool), use func(V), put func(V, []byte) int, mask func([]byte)) {
	f.Fuzz(func(t *testing.T, data []byte) {
		v, ok := as(data[:len(data):len(data)])
		if !ok {
			return
		}
		before := bytes.Clone(data)
		use(v)
		require.Equal(t, before, data, "reading changes the packet")
		out := make([]byte, len(data)+8)
		n := put(v, out)
		require.LessOrEqual(t, n, len(data))
		mask(data[:n])
		mask(out[:n])
		require.Equal(t, data[:n], out[:n])
	})
}

func noMask([]byte) {}

func FuzzEthernet(f *testing.F) {
	f.Add(unhex(f, udp4Hex))
	fuzzView(f, AsEthernet, func(e Ethernet) { e.Payload() },
		func(e Ethernet, b []byte) int { h := e.Fields(); return h.Put(b) }, noMask)
}

func FuzzVLAN(f *testing.F) {
	f.Add(tag(100, EtherTypeIPv4))
	fuzzView(f, AsVLAN, func(v VLAN) { v.Payload() },
		func(v VLAN, b []byte) int { h := v.Fields(); return h.Put(b) }, noMask)
}

func FuzzARP(f *testing.F) {
	f.Add(unhex(f, arpHex)[EthernetSize:])
	fuzzView(f, AsARP, func(a ARP) { a.IsGratuitous() },
		func(a ARP, b []byte) int { h := a.Fields(); return h.Put(b) }, noMask)
}

// drain walks options to their end and says how many there were.
func drain[O any](next func() (O, bool)) (n int) {
	for _, ok := next(); ok; _, ok = next() {
		n++
	}
	return n
}

func FuzzIPv4(f *testing.F) {
	f.Add(unhex(f, udp4Hex)[EthernetSize:])
	f.Add(unhex(f, udp4OptionsHex)[EthernetSize:])
	fuzzView(f, AsIPv4, func(p IPv4) {
		p.Payload()
		it := p.Options()
		drain(it.Next)
	}, func(p IPv4, b []byte) int { h := p.Fields(); return h.Put(b) }, func(b []byte) {
		b[ip4Frag] &^= 0x80                     // the reserved flag
		b[ip4Checksum], b[ip4Checksum+1] = 0, 0 // Put computes it
	})
}

func FuzzIPv6(f *testing.F) {
	f.Add(unhex(f, hopUDP6Hex)[EthernetSize:])
	f.Add(ip6(IPv6Fields{NextHeader: ProtoHopByHop}, jumbo(ProtoFragment, 70000), frag6(IPv6FragmentFields{Next: ProtoDestOpts, More: true}), ext(ProtoUDP)))
	fuzzView(f, AsIPv6, func(p IPv6) {
		p.Payload()
		p.JumboSize()
		it := p.Extensions()
		for h, ok := it.Next(); ok; h, ok = it.Next() {
			h.FragmentID()
			h.IsAtomic()
			options := h.Options()
			drain(options.Next)
		}
		if it.Offset() > len(p) {
			panic("a walk past the packet's end")
		}
	}, func(p IPv6, b []byte) int { h := p.Fields(); return h.Put(b) }, noMask)
}

func FuzzTCP(f *testing.F) {
	o := TCPOptions{HasMSS: true, MSS: 1460, SACKPermitted: true, HasTimestamps: true, HasWindowScale: true, WindowScale: 7}
	f.Add(tcp(TCPSyn, o.Append(nil)...))
	o = TCPOptions{HasTimestamps: true, SACKs: 3}
	f.Add(tcp(TCPAck, o.Append(nil)...))
	fuzzView(f, AsTCP, func(s TCP) {
		s.Payload()
		o := s.TCPOptions()
		if again := TCP(tcp(0, o.Append(nil)...)); len(again) <= TCPMaxSize {
			got := again.TCPOptions()
			got.Malformed = o.Malformed
			if got != o {
				panic("options do not survive Append")
			}
		}
	}, func(s TCP, b []byte) int { h := s.Fields(); return h.Put(b) }, func(b []byte) {
		b[tcpOffset] &^= 0x0f // reserved
	})
}

func FuzzUDP(f *testing.F) {
	f.Add(udp(1, 2, 3, 4))
	fuzzView(f, AsUDP, func(u UDP) { u.Payload() },
		func(u UDP, b []byte) int { h := u.Fields(); return h.Put(b) }, noMask)
}

func FuzzSCTP(f *testing.F) {
	f.Add(sctp(SCTPInit, 0, 0, 6, 1, 2, 0, 0, SCTPCookieAck, 1, 0, 4))
	fuzzView(f, AsSCTP, func(s SCTP) {
		it := s.Chunks()
		if n := drain(it.Next); n > len(s)/4 {
			panic("more chunks than fit")
		}
	}, func(s SCTP, b []byte) int { h := s.Fields(); return h.Put(b) }, noMask)
}

func FuzzICMP(f *testing.F) {
	f.Add(icmp(8, 0, 1))
	fuzzView(f, AsICMP, func(m ICMP) {
		m.NextHopMTU()
		m.Payload()
	}, func(m ICMP, b []byte) int { h := m.Fields(); return h.Put(b) }, noMask)
}

// Neighbour discovery messages are built with one option at most, so what has
// to survive is the fields: fields(put(fields(x))) == fields(x).
func FuzzND(f *testing.F) {
	f.Add(unhex(f, `8700 0000 00000000 20010db8000000000000000000000002 0101 0a58c0a80001`))
	f.Add(unhex(f, `8500 0000 00000000 0101 0a58c0a80001`))
	f.Add(unhex(f, `8600 0000 40800708 00007530 000003e8 0501 0000 000005dc 030440c0 00015180 00003840 00000000 20010db8000000000000000000000000`))
	f.Fuzz(func(t *testing.T, data []byte) {
		out := make([]byte, NDNeighborSize+8)
		if m, ok := AsNDNeighbor(data); ok {
			h := m.Fields()
			again, ok := AsNDNeighbor(out[:h.Put(out)])
			require.True(t, ok)
			require.Equal(t, h, again.Fields())
		}
		if m, ok := AsNDRouterSolicitation(data); ok {
			h := m.Fields()
			again, ok := AsNDRouterSolicitation(out[:h.Put(out)])
			require.True(t, ok)
			require.Equal(t, h, again.Fields())
		}
		if m, ok := AsNDRouterAdvertisement(data); ok {
			it := m.Options()
			n := 0
			for o, ok := it.Next(); ok; o, ok = it.Next() {
				n++
				o.LinkAddr()
				o.MTU()
				if p, ok := o.Prefix(); ok {
					b := make([]byte, ndPrefixSize)
					p.put(b)
					again, ok := NDOption{Type: NDOptionPrefix, Bytes: b}.Prefix()
					require.True(t, ok)
					require.Equal(t, p, again)
				}
			}
			require.LessOrEqual(t, n, len(m)/8)
		}
	})
}

func FuzzGRE(f *testing.F) {
	f.Add(unhex(f, `b000 0800 beef0000 00000007 00000009`))
	fuzzView(f, AsGRE, func(g GRE) { g.Payload() },
		func(g GRE, b []byte) int { h := g.Fields(); return h.Put(b) }, func(b []byte) {
			b[0] &= 0xb0 // C, K and S
			b[1] = 0
			if b[0]&0x80 != 0 {
				b[6], b[7] = 0, 0
			}
		})
}

func FuzzVXLAN(f *testing.F) {
	f.Add(unhex(f, `08000000 00138900 01`))
	fuzzView(f, AsVXLAN, func(v VXLAN) { v.Payload() },
		func(v VXLAN, b []byte) int { h := v.Fields(); return h.Put(b) }, func(b []byte) {
			b[0] &= vxlanHasVNI
			b[1], b[2], b[3], b[7] = 0, 0, 0, 0
		})
}

func FuzzGeneve(f *testing.F) {
	f.Add(unhex(f, `02c0 6558 00138900 0104 80 01 0a0b0c0d`))
	fuzzView(f, AsGeneve, func(g Geneve) {
		g.Payload()
		it := g.Options()
		var b []byte
		for o, ok := it.Next(); ok; o, ok = it.Next() {
			b = o.Append(b)
		}
		if len(b) > GeneveMaxSize-GeneveMinSize {
			panic("options grew")
		}
	}, func(g Geneve, b []byte) int { h := g.Fields(); return h.Put(b) }, func(b []byte) {
		b[1] &= geneveControl | geneveCritical
		b[7] = 0
	})
}
