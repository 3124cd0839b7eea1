package nat_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// stock is a pool in a test, with the calls that have to succeed.
type stock struct {
	*testing.T
	*nat.Sources
}

func newStock(t *testing.T, pool service.SourcePool) stock {
	s := nat.NewSources(newTable(t, 200000), 7)
	pool.ID = 1
	if pool.Addresses == nil {
		pool.Addresses = addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")
	}
	require.NoError(t, s.Set([]*service.SourcePool{&pool}))
	return stock{t, s}
}

func (s stock) take(proto uint8, src, dst string) netip.AddrPort {
	a, port, ok := s.Take(1, key(proto, src, dst), outside, 0)
	require.True(s, ok, "%s > %s", src, dst)
	return netip.AddrPortFrom(a.Netip(), port)
}

func (s stock) fails(proto uint8, src, dst string) {
	_, _, ok := s.Take(1, key(proto, src, dst), outside, 0)
	require.False(s, ok, "%s > %s", src, dst)
}

func (s stock) give(proto uint8, src string, was netip.AddrPort) {
	s.Give(1, key(proto, src, "0.0.0.0:0"), packet.AddrFrom(was.Addr()), was.Port())
}

const server, server2 = "198.51.100.1:80", "198.51.100.2:443"

// TestRequirements has a row for each requirement of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) that is about the
// choice of addresses and ports. docs/nat.md says what becomes of the others.
func TestRequirements(t *testing.T) {
	portsOf := func(first, last uint16) service.SourcePool {
		return service.SourcePool{Addresses: addrs("192.0.2.1"), Ports: service.PortRange{First: first, Last: last}}
	}
	for _, row := range []struct {
		req, why string
		pool     service.SourcePool
		run      func(s stock)
	}{
		{"RFC 4787 REQ-1", "a source keeps its address and port whoever it sends to", service.SourcePool{}, func(s stock) {
			require.Equal(s, s.take(packet.ProtoUDP, "10.0.0.1:500", server), s.take(packet.ProtoUDP, "10.0.0.1:500", server2))
		}},
		{"RFC 5382 REQ-1", "likewise for TCP, with a port of its own", service.SourcePool{}, func(s stock) {
			require.Equal(s, s.take(packet.ProtoTCP, "10.0.0.1:500", server), s.take(packet.ProtoTCP, "10.0.0.1:500", server2))
		}},
		{"RFC 5508 REQ-1a", "an identifier of queries is kept whoever is asked", service.SourcePool{}, func(s stock) {
			s.take(packet.ProtoICMP, "10.0.0.2:9", "198.51.100.1:2048")
			a, b := s.take(packet.ProtoICMP, "10.0.0.1:9", "198.51.100.1:2048"), s.take(packet.ProtoICMP, "10.0.0.1:9", "198.51.100.2:2048")
			require.Equal(s, a, b)
		}},
		{"identifiers", "small identifiers are as good as others", service.SourcePool{}, func(s stock) {
			require.EqualValues(s, 0, s.take(packet.ProtoICMP, "10.0.0.1:0", "198.51.100.1:2048").Port())
		}},
		{"RFC 4787 REQ-2", "all of a host comes from one address", service.SourcePool{}, func(s stock) {
			first := s.take(packet.ProtoUDP, "10.0.0.1:5000", server)
			for port := 5001; port < 5100; port++ {
				for _, proto := range []uint8{packet.ProtoUDP, packet.ProtoTCP, packet.ProtoICMP, packet.ProtoGRE} {
					require.Equal(s, first.Addr(), s.take(proto, fmt.Sprintf("10.0.0.1:%d", port), fmt.Sprintf("198.51.100.%d:80", port-5000)).Addr())
				}
			}
		}},
		{"RFC 4787 REQ-2", "but if that has nothing left, another is better than none", service.SourcePool{Ports: service.PortRange{First: 2000, Last: 2009}}, func(s stock) {
			seen := map[netip.AddrPort]bool{}
			for port := range 30 {
				seen[s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.1:%d", 2000+port), server)] = true
			}
			require.Len(s, seen, 30)
			s.fails(packet.ProtoUDP, "10.0.0.1:2030", server)
		}},
		{"RFC 4787 REQ-3", "a port is not overloaded: two sources never have the same one", portsOf(2000, 2003), func(s stock) {
			for i := 1; i <= 4; i++ {
				s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.%d:2000", i), fmt.Sprintf("198.51.100.%d:80", i))
			}
			s.fails(packet.ProtoUDP, "10.0.0.5:2000", "198.51.100.5:80")
		}},
		{"RFC 5382 REQ-7", "likewise for TCP", portsOf(2000, 2003), func(s stock) {
			for i := 1; i <= 4; i++ {
				s.take(packet.ProtoTCP, fmt.Sprintf("10.0.0.%d:2000", i), fmt.Sprintf("198.51.100.%d:80", i))
			}
			s.fails(packet.ProtoTCP, "10.0.0.5:2000", "198.51.100.5:80")
		}},
		{"RFC 4787 REQ-3a", "a well-known port becomes a well-known one, where the pool has some", portsOf(1, 65535), func(s stock) {
			require.EqualValues(s, 500, s.take(packet.ProtoUDP, "10.0.0.1:500", server).Port())
			require.Less(s, s.take(packet.ProtoUDP, "10.0.0.2:500", server).Port(), uint16(1024))
		}},
		{"RFC 4787 REQ-3a", "another never does", portsOf(1, 1033), func(s stock) {
			for i := 1; i <= 10; i++ {
				require.GreaterOrEqual(s, s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.%d:5000", i), server).Port(), uint16(1024))
			}
			s.fails(packet.ProtoUDP, "10.0.0.11:5000", server)
		}},
		{"RFC 4787 REQ-3a", "it becomes another where the pool has none", service.SourcePool{}, func(s stock) {
			require.GreaterOrEqual(s, s.take(packet.ProtoUDP, "10.0.0.1:500", server).Port(), uint16(1024))
		}},
		{"RFC 4787 REQ-4", "even ports become even ones, odd ones odd", service.SourcePool{Addresses: addrs("192.0.2.1")}, func(s stock) {
			for i := range 200 {
				port := 5000 + i%2
				require.EqualValues(s, port%2, s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.%d:%d", i+1, port), server).Port()%2)
			}
		}},
		{"RFC 4787 REQ-4", "as long as there are some", portsOf(2000, 2003), func(s stock) {
			for i := 1; i <= 4; i++ {
				s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.%d:6000", i), server)
			}
		}},
		{"RFC 4787 REQ-5", "a mapping ends with its last session", service.SourcePool{Addresses: addrs("192.0.2.1")}, func(s stock) {
			a := s.take(packet.ProtoUDP, "10.0.0.1:5000", server)
			s.take(packet.ProtoUDP, "10.0.0.1:5000", server2)
			s.give(packet.ProtoUDP, "10.0.0.1:5000", a)
			require.NotEqual(s, a, s.take(packet.ProtoUDP, "10.0.0.2:5000", server), "one session is left")
			s.give(packet.ProtoUDP, "10.0.0.1:5000", a)
			require.Equal(s, a, s.take(packet.ProtoUDP, "10.0.0.3:5000", server))
		}},
		{"RFC 6056 section 3", "a port that came back is not the next one's", service.SourcePool{Addresses: addrs("192.0.2.1")}, func(s stock) {
			s.take(packet.ProtoUDP, "10.0.0.1:5000", server)
			seen := map[netip.AddrPort]bool{}
			for range 100 {
				a := s.take(packet.ProtoUDP, "10.0.0.2:5000", server)
				s.give(packet.ProtoUDP, "10.0.0.2:5000", a)
				seen[a] = true
			}
			require.Greater(s, len(seen), 95)
		}},
		{"RFC 4787 section 4.1", "of a pool per destination a port is free toward others", service.SourcePool{PerDestination: true}, func(s stock) {
			require.Equal(s, s.take(packet.ProtoUDP, "10.0.0.1:5000", server).Port(), s.take(packet.ProtoUDP, "10.0.0.2:5000", server2).Port())
		}},
		{"fixed sources", "an address that a network has of a pool is its only one", service.SourcePool{
			Ports: service.PortRange{First: 2000, Last: 2001},
			Fixed: []service.FixedSource{{Prefix: prefix("10.0.0.0/8"), To: addr("192.0.2.2")}, {Prefix: prefix("10.1.0.0/16"), To: addr("192.0.2.3")}},
		}, func(s stock) {
			for i := range 2 {
				require.Equal(s, "192.0.2.2", s.take(packet.ProtoUDP, fmt.Sprintf("10.0.0.%d:2000", i+1), server).Addr().String())
				require.Equal(s, "192.0.2.3", s.take(packet.ProtoUDP, fmt.Sprintf("10.1.0.%d:2000", i+1), server).Addr().String(), "the longest prefix counts")
			}
			s.fails(packet.ProtoUDP, "10.0.0.3:2000", server)
		}},
	} {
		t.Run(row.req+": "+row.why, func(t *testing.T) { row.run(newStock(t, row.pool)) })
	}
}

func TestExhaustionIsCounted(t *testing.T) {
	s := newStock(t, service.SourcePool{Name: "small", Addresses: addrs("192.0.2.1"), Ports: service.PortRange{First: 2000, Last: 2001}})
	s.take(packet.ProtoTCP, "10.0.0.1:5000", server)
	s.take(packet.ProtoTCP, "10.0.0.2:5000", server)
	s.take(packet.ProtoTCP, "10.0.0.2:5000", server2)
	s.fails(packet.ProtoTCP, "10.0.0.3:5000", server)
	s.fails(packet.ProtoUDP, "[fd00::1]:5000", "[2001:db8::1]:80")
	_, _, ok := s.Take(2, key(packet.ProtoTCP, "10.0.0.3:5000", server), outside, 0)
	require.False(t, ok, "there is no such pool")
	all := s.Stats()
	require.Len(t, all, 1)
	require.Equal(t, "small", all[0].Pool.Name)
	require.Equal(t, []nat.ProtocolStats{
		{Protocol: "tcp", Ports: 2, InUse: 2, Exhausted: 1},
		{Protocol: "udp", Ports: 2, Free: 2, Exhausted: 1},
		{Protocol: "sctp", Ports: 2, Free: 2},
		{Protocol: "icmp", Ports: 2, Free: 2},
		{Protocol: "other"},
	}, all[0].Protocols)
	require.Equal(t, 2, all[0].Mappings)
	require.EqualValues(t, 3, all[0].Sessions)
	require.Equal(t, []nat.User{{Zone: inside, Source: addr("10.0.0.2"), Mappings: 1, Sessions: 2}}, s.Users(1, 1))
}

func TestSetRefuses(t *testing.T) {
	s := newStock(t, service.SourcePool{Addresses: addrs("192.0.2.1")})
	was := s.take(packet.ProtoTCP, "10.0.0.1:5000", server)
	for _, row := range []struct {
		why, want string
		pools     []*service.SourcePool
	}{
		{"a number is missing", "it has no number", []*service.SourcePool{{Name: "x"}}},
		{"a number is there twice", `another one, "x", has its number 3; give each its own`, []*service.SourcePool{{ID: 3, Name: "x"}, {ID: 3, Name: "y"}}},
		{"a range is backwards", "name the lower one first", []*service.SourcePool{{ID: 3, Ports: service.PortRange{First: 9, Last: 8}}}},
		{"there are too many addresses", "make several pools of it", []*service.SourcePool{{ID: 3, Addresses: make([]packet.Addr, service.MaxPoolAddresses+1)}}},
	} {
		require.ErrorContains(t, s.Set(row.pools), row.want, row.why)
	}
	require.Equal(t, was, s.take(packet.ProtoTCP, "10.0.0.1:5000", server2), "what was there is there")
}

func TestFewSourcesChangeTheirAddress(t *testing.T) {
	var before []packet.Addr
	for i := range 10 {
		before = append(before, packet.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})))
	}
	s := nat.NewSources(newTable(t, 1000), 7)
	where := func(list []packet.Addr) map[int]packet.Addr {
		require.NoError(t, s.Set([]*service.SourcePool{{ID: 1, Addresses: list, PerDestination: true}}))
		all, counts := map[int]packet.Addr{}, map[packet.Addr]int{}
		for i := range 10000 {
			k := key(packet.ProtoUDP, "10.0.0.1:5000", server)
			k.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			a, _, ok := s.Take(1, k, outside, 0)
			require.True(t, ok)
			all[i] = a
			counts[a]++
		}
		for a, n := range counts {
			require.InDelta(t, 10000/len(list), n, 0.2*float64(10000/len(list)), "of %v", a)
		}
		return all
	}
	all, fewer := where(before), where(before[:9])
	moved := 0
	for i, a := range all {
		if a != fewer[i] && a != before[9] {
			moved++
		}
	}
	require.Less(t, moved, 800, "of 9000 whose address is still there")
}

// BenchmarkSources takes and gives a port of an address of which so many in a thousand are given out.
func BenchmarkSources(b *testing.B) {
	for _, used := range []int{100, 500, 950, 999, 1000} {
		b.Run(fmt.Sprintf("mapped/%d", used), func(b *testing.B) {
			s := nat.NewSources(newTable(b, 100000), 1)
			require.NoError(b, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1")}}))
			k := key(packet.ProtoTCP, "10.0.0.1:80", server)
			for i := range 64512 * used / 1000 {
				k.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
				_, _, ok := s.Take(1, k, outside, 0)
				require.True(b, ok)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				k.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}))
				if a, port, ok := s.Take(1, k, outside, 0); ok {
					s.Give(1, k, a, port)
				}
			}
		})
	}
	b.Run("perDestination", func(b *testing.B) {
		s := nat.NewSources(newTable(b, 100000), 1)
		require.NoError(b, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1"), PerDestination: true}}))
		k := key(packet.ProtoTCP, "10.0.0.1:80", server)
		b.ReportAllocs()
		for b.Loop() {
			a, port, _ := s.Take(1, k, outside, 0)
			s.Give(1, k, a, port)
		}
	})
}
