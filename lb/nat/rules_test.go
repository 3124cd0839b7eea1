package nat_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestDestination(t *testing.T) {
	web := &service.NATRule{
		ID: 1, Name: "web", Action: service.DNAT, Destination: prefixes("203.0.113.1/32"), Protocol: packet.ProtoTCP,
		Ports: []service.PortRange{{First: 80, Last: 80}}, To: prefix("10.0.0.5/32"), ToPort: service.PortRange{First: 8080, Last: 8080},
	}
	kept := &service.NATRule{ID: 2, Name: "kept", Action: service.NoDNAT, Destination: prefixes("203.0.113.2/32"), Source: prefixes("198.51.100.0/25")}
	all := &service.NATRule{ID: 3, Name: "all", Action: service.DNAT, Destination: prefixes("203.0.113.2/32"), To: prefix("10.0.0.6/32")}
	run := &service.NATRule{
		ID: 4, Name: "run", Action: service.DNAT, Destination: prefixes("203.0.113.3/32"),
		Ports: []service.PortRange{{First: 100, Last: 109}, {First: 200, Last: 209}}, To: prefix("10.0.0.7/32"), ToPort: service.PortRange{First: 1000, Last: 1019},
	}
	twin := &service.NATRule{
		ID: 5, Name: "twin", Action: service.Reflexive, Inside: prefix("10.1.0.0/24"), To: prefix("203.0.114.0/24"),
		Source: prefixes("10.1.0.128/25"), Destination: prefixes("198.51.100.0/24"),
	}
	twin6 := &service.NATRule{ID: 6, Name: "twin6", Action: service.Reflexive, Inside: prefix("fd00:1::/64"), To: prefix("2001:db8:5::/64")}
	uplink := &service.NATRule{ID: 7, Name: "uplink", Action: service.DNAT, Destination: prefixes("203.0.113.9/32"), Uplinks: []uint16{3, 8}, To: prefix("10.0.0.9/32")}
	source := &service.NATRule{ID: 8, Name: "source", Action: service.SNAT}
	anything := &service.NATRule{ID: 9, Name: "anything", Scope: 5, Action: service.DNAT, To: prefix("10.0.0.10/32")}
	r := nat.NewRules([]*service.NATRule{web, kept, all, run, twin, twin6, uplink, source, anything})
	for _, row := range []struct {
		why      string
		scope    uint32
		uplink   uint16
		proto    uint8
		src, dst string
		rule     *service.NATRule
		want     string
	}{
		{"address and port are translated", 0, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.1:80", web, "10.0.0.5:8080"},
		{"another port is not that of the rule", 0, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.1:81", nil, "203.0.113.1:81"},
		{"nor is another protocol", 0, 1, packet.ProtoUDP, "198.51.100.1:999", "203.0.113.1:80", nil, "203.0.113.1:80"},
		{"an exception stands before the rule", 0, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.2:80", kept, "203.0.113.2:80"},
		{"and does not hold for others", 0, 1, packet.ProtoTCP, "198.51.100.200:999", "203.0.113.2:80", all, "10.0.0.6:80"},
		{"without a port it stays as it is, with any protocol", 0, 1, packet.ProtoGRE, "198.51.100.200:0", "203.0.113.2:0", all, "10.0.0.6:0"},
		{"ports are translated one to one", 0, 1, packet.ProtoUDP, "198.51.100.1:999", "203.0.113.3:103", run, "10.0.0.7:1003"},
		{"through all ranges", 0, 1, packet.ProtoUDP, "198.51.100.1:999", "203.0.113.3:209", run, "10.0.0.7:1019"},
		{"what stands for ports of a ping is none", 0, 1, packet.ProtoICMP, "198.51.100.1:999", "203.0.113.3:103", nil, "203.0.113.3:103"},
		{"one to one by the place in the network", 0, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.114.200:80", twin, "10.1.0.200:80"},
		{"the inside's part of a reflexive rule holds outside, too", 0, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.114.20:80", nil, "203.0.114.20:80"},
		{"and the other end's", 0, 1, packet.ProtoTCP, "198.51.101.1:999", "203.0.114.200:80", nil, "203.0.114.200:80"},
		{"likewise for IPv6", 0, 1, packet.ProtoTCP, "[2001:db8::1]:999", "[2001:db8:5::1:2:3:4]:80", twin6, "[fd00:1::1:2:3:4]:80"},
		{"the rule is of this uplink", 0, 8, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.9:80", uplink, "10.0.0.9:80"},
		{"and not of that", 0, 9, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.9:80", nil, "203.0.113.9:80"},
		{"another router has rules of its own", 5, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.9:80", anything, "10.0.0.10:80"},
		{"which can't make IPv4 of IPv6", 5, 1, packet.ProtoTCP, "[2001:db8::1]:999", "[2001:db8::2]:80", nil, "[2001:db8::2]:80"},
		{"a third has none", 6, 1, packet.ProtoTCP, "198.51.100.1:999", "203.0.113.9:80", nil, "203.0.113.9:80"},
	} {
		t.Run(row.why, func(t *testing.T) {
			rule, dst, port := r.Destination(row.scope, row.uplink, key(row.proto, row.src, row.dst))
			require.Equal(t, row.rule, rule)
			require.Equal(t, row.want, netip.AddrPortFrom(dst.Netip(), port).String())
		})
	}
}

func TestSource(t *testing.T) {
	v4 := &service.SourcePool{ID: 100, Addresses: addrs("203.0.113.1")}
	kept := &service.NATRule{ID: 1, Name: "kept", Action: service.NoSNAT, Destination: prefixes("192.168.0.0/16")}
	twin := &service.NATRule{ID: 2, Name: "twin", Action: service.Reflexive, Inside: prefix("10.1.0.0/24"), To: prefix("203.0.114.0/24"), SourcePorts: []service.PortRange{{First: 5000, Last: 6000}}}
	rest := &service.NATRule{ID: 3, Name: "rest", Action: service.SNAT, Pool: v4}
	r := nat.NewRules([]*service.NATRule{kept, twin, rest, {ID: 4, Action: service.DNAT}, {ID: 5, Action: service.NoDNAT}})
	for _, row := range []struct {
		why, src, dst string
		rule          *service.NATRule
		want          string
	}{
		{"an exception", "10.1.0.7:5000", "192.168.1.1:80", kept, "10.1.0.7:5000"},
		{"one to one, with the port as it is", "10.1.0.7:5000", "198.51.100.1:80", twin, "203.0.114.7:5000"},
		{"its ports are those of the inside", "10.1.0.7:4999", "198.51.100.1:80", rest, "10.1.0.7:4999"},
		{"a pool is asked by the caller", "10.2.0.7:5000", "198.51.100.1:80", rest, "10.2.0.7:5000"},
		{"a pool without addresses of IPv6 does not hold for it", "[fd00::1]:5000", "[2001:db8::1]:80", nil, "[fd00::1]:5000"},
	} {
		t.Run(row.why, func(t *testing.T) {
			rule, src, port := r.Source(0, 1, key(packet.ProtoTCP, row.src, row.dst))
			require.Equal(t, row.rule, rule)
			require.Equal(t, row.want, netip.AddrPortFrom(src.Netip(), port).String())
		})
	}
	back, dst, _ := r.Destination(0, 1, key(packet.ProtoTCP, "198.51.100.1:80", "203.0.114.7:5000"))
	require.Equal(t, twin, back, "a reflexive rule holds for who connects from outside to these ports")
	require.Equal(t, "10.1.0.7", dst.String())
	back, _, _ = r.Destination(0, 1, key(packet.ProtoTCP, "198.51.100.1:80", "203.0.114.7:4999"))
	require.NotEqual(t, twin, back)
}

func TestDestinationsAreSpread(t *testing.T) {
	for _, to := range []string{"10.0.0.16/28", "fd00::10/124"} {
		r := nat.NewRules([]*service.NATRule{{ID: 1, Action: service.DNAT, To: prefix(to)}})
		counts := map[packet.Addr]int{}
		for i := range 16000 {
			k := key(packet.ProtoTCP, "198.51.100.1:80", "203.0.113.1:80")
			if prefix(to).Addr().Is6() {
				k = key(packet.ProtoTCP, "[2001:db8::1]:80", "[2001:db8:1::1]:80")
			}
			b := k.Src.As16()
			b[14], b[15] = byte(i>>8), byte(i)
			k.Src = packet.AddrFrom16(&b)
			_, dst, _ := r.Destination(0, 1, k)
			require.True(t, prefix(to).Contains(dst.Netip()))
			k.Tail = packet.MakeTail(inside, packet.ProtoTCP, uint16(i), 443)
			_, again, _ := r.Destination(0, 1, k)
			require.Equal(t, dst, again, "a client comes to the same address with every connection")
			counts[dst]++
		}
		require.Len(t, counts, 16)
		for a, n := range counts {
			require.InDelta(t, 1000, n, 150, "%v of %s", a, to)
		}
	}
}

// world makes rules and connections of few numbers, so that many meet.
type world struct{ *rand.Rand }

func (w world) addr(v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 15: byte(w.IntN(32)), 7: byte(w.IntN(2))})
	}
	return netip.AddrFrom4([4]byte{10, byte(w.IntN(2)), 0, byte(w.IntN(32))})
}

func (w world) prefix(v6 bool) netip.Prefix {
	a := w.addr(v6)
	if w.IntN(20) == 0 {
		return netip.PrefixFrom(a, 0).Masked()
	}
	return netip.PrefixFrom(a, a.BitLen()-w.IntN(6)).Masked()
}

func (w world) prefixes(v6 bool) (all []netip.Prefix) {
	for range w.IntN(3) {
		all = append(all, w.prefix(v6 != (w.IntN(10) == 0)))
	}
	return all
}

func (w world) ranges() (all []service.PortRange) {
	for range max(0, w.IntN(5)-2) {
		first := uint16(w.IntN(20))
		all = append(all, service.PortRange{First: first, Last: first + uint16(w.IntN(5))})
	}
	return all
}

var protocols = []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoICMP, packet.ProtoGRE}

func (w world) rule(id int) *service.NATRule {
	v6 := w.IntN(2) == 0
	r := &service.NATRule{
		ID: uint32(id), Scope: uint32(w.IntN(2)), Action: service.NATAction(w.IntN(5)),
		Source: w.prefixes(v6), Destination: w.prefixes(v6), SourcePorts: w.ranges(), Ports: w.ranges(),
	}
	if w.IntN(2) == 0 {
		r.Protocol = protocols[w.IntN(len(protocols))]
	}
	if w.IntN(4) == 0 {
		r.Uplinks = []uint16{uint16(w.IntN(3)), uint16(w.IntN(3))}
	}
	switch r.Action {
	case service.DNAT:
		r.To = w.prefix(v6)
		if n := total(r.Ports); n > 0 {
			r.ToPort = service.PortRange{First: 1000, Last: 1000 + uint16(n) - 1}
		}
	case service.Reflexive:
		r.Inside = w.prefix(v6)
		r.To = netip.PrefixFrom(w.addr(v6), r.Inside.Bits()).Masked()
	case service.SNAT:
		r.Pool = &service.SourcePool{ID: 99, Addresses: []packet.Addr{packet.AddrFrom(w.addr(v6))}}
	}
	return r
}

func total(ranges []service.PortRange) (n int) {
	for _, r := range ranges {
		n += int(r.Last) - int(r.First) + 1
	}
	return n
}

func (w world) key() *packet.Key {
	v6 := w.IntN(2) == 0
	return &packet.Key{
		Src: packet.AddrFrom(w.addr(v6)), Dst: packet.AddrFrom(w.addr(v6)),
		Tail: packet.MakeTail(inside, protocols[w.IntN(len(protocols))], uint16(w.IntN(24)), uint16(w.IntN(24))),
	}
}

// linear is what Rules has to agree with: one rule after the other, as their text says.
type linear []*service.NATRule

func anyOf(list []netip.Prefix, a netip.Addr) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func anyPort(list []service.PortRange, port uint16) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(r service.PortRange) bool { return r.Has(port) })
}

// matches looks at a connection from its inside end if it leaves, or if the rule is for what enters, from the outside one.
func matches(r *service.NATRule, scope uint32, uplink uint16, proto uint8, src, dst netip.AddrPort) bool {
	if r.Scope != scope || r.Uplinks != nil && !slices.Contains(r.Uplinks, uplink) || r.Protocol != 0 && r.Protocol != proto {
		return false
	}
	if len(r.Ports)+len(r.SourcePorts) > 0 && proto != packet.ProtoTCP && proto != packet.ProtoUDP && proto != packet.ProtoSCTP {
		return false
	}
	return anyOf(r.Source, src.Addr()) && anyOf(r.Destination, dst.Addr()) && anyPort(r.SourcePorts, src.Port()) && anyPort(r.Ports, dst.Port())
}

// twin returns the address of network to with the host part of a.
func twin(a netip.Addr, to netip.Prefix) netip.Addr {
	from, b := a.AsSlice(), to.Addr().AsSlice()
	for i := to.Bits(); i < len(b)*8; i++ {
		b[i/8] = b[i/8]&^(0x80>>(i%8)) | from[i/8]&(0x80>>(i%8))
	}
	c, _ := netip.AddrFromSlice(b)
	return c
}

func (l linear) leaving(scope uint32, uplink uint16, k *packet.Key) (*service.NATRule, string) {
	src, dst := netip.AddrPortFrom(k.Src.Netip(), k.SrcPort()), netip.AddrPortFrom(k.Dst.Netip(), k.DstPort())
	for _, r := range l {
		if !matches(r, scope, uplink, k.Proto(), src, dst) {
			continue
		}
		switch r.Action {
		case service.NoSNAT:
			return r, src.String()
		case service.SNAT:
			if r.Pool.Addresses[0].Is4() == src.Addr().Is4() {
				return r, src.String()
			}
		case service.Reflexive:
			if r.Inside.Contains(src.Addr()) {
				return r, netip.AddrPortFrom(twin(src.Addr(), r.To), src.Port()).String()
			}
		}
	}
	return nil, src.String()
}

func (l linear) entering(scope uint32, uplink uint16, k *packet.Key) (rule *service.NATRule, port uint16, to netip.Prefix) {
	src, dst := netip.AddrPortFrom(k.Src.Netip(), k.SrcPort()), netip.AddrPortFrom(k.Dst.Netip(), k.DstPort())
	stays := netip.PrefixFrom(dst.Addr(), dst.Addr().BitLen())
	for _, r := range l {
		switch r.Action {
		case service.DNAT:
			if r.To.Addr().Is4() == dst.Addr().Is4() && matches(r, scope, uplink, k.Proto(), src, dst) {
				if r.ToPort == (service.PortRange{}) {
					return r, dst.Port(), r.To
				}
				var list []uint16
				for _, x := range r.Ports {
					for p := x.First; p <= x.Last; p++ {
						list = append(list, p)
					}
				}
				return r, r.ToPort.First + uint16(slices.Index(list, dst.Port())), r.To
			}
		case service.NoDNAT:
			if matches(r, scope, uplink, k.Proto(), src, dst) {
				return r, dst.Port(), stays
			}
		case service.Reflexive:
			if !r.To.Contains(dst.Addr()) {
				continue
			}
			in := netip.AddrPortFrom(twin(dst.Addr(), r.Inside), dst.Port())
			if matches(r, scope, uplink, k.Proto(), in, src) {
				return r, dst.Port(), netip.PrefixFrom(in.Addr(), in.Addr().BitLen())
			}
		}
	}
	return nil, dst.Port(), stays
}

// agree holds rules against the linear search.
func agree(tb testing.TB, rules []*service.NATRule, w world, lookups int) {
	tb.Helper()
	r, l := nat.NewRules(rules), linear(rules)
	for range lookups {
		scope, uplink, k := uint32(w.IntN(3)), uint16(w.IntN(4)), w.key()
		wantRule, want := l.leaving(scope, uplink, k)
		rule, src, port := r.Source(scope, uplink, k)
		require.Equal(tb, wantRule, rule, "leaving: %v", k)
		require.Equal(tb, want, netip.AddrPortFrom(src.Netip(), port).String(), "leaving: %v by %+v", k, rule)

		wantRule, wantPort, to := l.entering(scope, uplink, k)
		rule, dst, port := r.Destination(scope, uplink, k)
		require.Equal(tb, wantRule, rule, "entering: %v", k)
		require.Equal(tb, wantPort, port, "entering: %v by %+v", k, rule)
		require.True(tb, to.Contains(dst.Netip()), "%v is not of %v: %v by %+v", dst, to, k, rule)
	}
}

func TestRulesAgreeWithLinearSearch(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 63, 64, 65, 200, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := world{rand.New(rand.NewPCG(uint64(n), 1))}
			var rules []*service.NATRule
			for i := range n {
				rules = append(rules, w.rule(i))
				if n > 200 && i%10 != 0 { // so many that hold for almost nothing, that the last ones have their turn
					rules[i].Uplinks = []uint16{9}
				}
			}
			agree(t, rules, w, 3000)
		})
	}
}

// FuzzRules: whatever the rules, Rules finds what a linear search finds, and does not panic.
func FuzzRules(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Add(uint64(7), uint8(130))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		w := world{rand.New(rand.NewPCG(seed, 2))}
		var rules []*service.NATRule
		for i := range int(n) {
			rules = append(rules, w.rule(i))
		}
		agree(t, rules, w, 50)
	})
}

// benchRules are rules as a provider has them: port forwards, exceptions and one-to-one networks, and SNAT at the end.
func benchRules(n int) (rules []*service.NATRule) {
	pool := &service.SourcePool{ID: 9999, Addresses: addrs("203.0.113.250")}
	for i := range n - 1 {
		a, b := byte(i>>8), byte(i)
		r := &service.NATRule{ID: uint32(i + 1)}
		switch i % 4 {
		case 0, 1:
			r.Action, r.Protocol = service.DNAT, packet.ProtoTCP
			r.Destination = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 112 + a, b}), 32)}
			r.Ports = []service.PortRange{{First: 8000 + uint16(i), Last: 8000 + uint16(i)}}
			r.To = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, a, b}), 32)
		case 2:
			r.Action = service.NoSNAT
			r.Source = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, a, b, 0}), 24)}
			r.Destination = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16 + a, b, 0}), 24)}
		case 3:
			r.Action = service.Reflexive
			r.Inside = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 128 + a, b, 0}), 28)
			r.To = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + a, b, 0}), 28)
		}
		rules = append(rules, r)
	}
	return append(rules, &service.NATRule{ID: uint32(n), Action: service.SNAT, Pool: pool})
}

func BenchmarkRules(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		rules := benchRules(n)
		b.Run(fmt.Sprintf("compile/%d", n), func(b *testing.B) {
			for b.Loop() {
				nat.NewRules(rules)
			}
		})
		r := nat.NewRules(rules)
		var keys [1024]packet.Key
		w := rand.New(rand.NewPCG(1, 1))
		for i := range keys {
			keys[i] = *key(packet.ProtoTCP, fmt.Sprintf("10.%d.%d.%d:%d", w.IntN(4)*64, w.IntN(256), w.IntN(32), w.IntN(1<<16)), "198.51.100.1:80")
		}
		b.Run(fmt.Sprintf("source/%d", n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				r.Source(0, 1, &keys[i&1023])
				i++
			}
		})
		for i := range keys {
			rule := rules[w.IntN(n)]
			if rule.Action != service.DNAT {
				continue
			}
			keys[i].Dst = packet.AddrFrom(rule.Destination[0].Addr())
			keys[i].Tail = packet.MakeTail(inside, packet.ProtoTCP, 999, rule.Ports[0].First)
		}
		b.Run(fmt.Sprintf("destination/%d", n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				r.Destination(0, 1, &keys[i&1023])
				i++
			}
		})
	}
}
