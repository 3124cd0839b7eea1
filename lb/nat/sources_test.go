package nat_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

const (
	inside  packet.Zone = 7 // where sources are
	outside packet.Zone = 9 // where replies enter
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func addrs(list ...string) (all []packet.Addr) {
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}

// key returns the key of a session from one address and port to another.
func key(proto uint8, src, dst string) *packet.Key {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return &packet.Key{
		Src: packet.AddrFrom(s.Addr()), Dst: packet.AddrFrom(d.Addr()),
		Tail: packet.MakeTail(inside, proto, s.Port(), d.Port()),
	}
}

// newTable returns a flow table of a test, with room for so many sessions.
func newTable(tb testing.TB, sessions int) *flowtable.Table {
	tb.Helper()
	t, err := flowtable.New(flowtable.Config{Sessions: sessions, Seed: 1})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, t.Close()) })
	return t
}

// begin begins a session that leaves with a source.
func begin(tb testing.TB, t *flowtable.Table, k *packet.Key, src packet.Addr, port uint16) {
	tb.Helper()
	reply := packet.Key{Src: k.Dst, Dst: src, Tail: packet.MakeTail(outside, k.Proto(), k.DstPort(), port)}
	in := packet.Info{Key: *k, Proto: k.Proto(), Flags: packet.IsIP | packet.HasPorts}
	_, created, r := t.Worker(0).Create(*k, reply, flowtable.Terms{}, &in, make([]byte, 64), 1)
	require.True(tb, created, "%v of %v", r, k)
}

func TestMappedSourceHasOnePortTowardAll(t *testing.T) {
	s := nat.NewSources(newTable(t, 1000), 1)
	require.NoError(t, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1", "192.0.2.2")}}))
	a, port, ok := s.Take(1, key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.1:53"), outside, 0)
	require.True(t, ok)
	require.EqualValues(t, 5000, port, "its own is free")
	b, port2, ok := s.Take(1, key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.2:99"), outside, 0)
	require.True(t, ok)
	require.Equal(t, a, b)
	require.Equal(t, port, port2)
}

func TestSourceOfAPoolPerDestination(t *testing.T) {
	table := newTable(t, 1000)
	s := nat.NewSources(table, 1)
	require.NoError(t, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1"), PerDestination: true}}))
	first, other := key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.1:80"), key(packet.ProtoUDP, "10.0.0.2:5000", "198.51.100.1:80")
	a, port, ok := s.Take(1, first, outside, 0)
	require.True(t, ok)
	require.EqualValues(t, 5000, port, "its own port is not in use")
	begin(t, table, first, a, port)

	_, port, ok = s.Take(1, other, outside, 0)
	require.True(t, ok)
	require.NotEqualValues(t, 5000, port, "it has a session to the same destination")
	elsewhere := key(packet.ProtoUDP, "10.0.0.2:5000", "198.51.100.2:80")
	_, port, ok = s.Take(1, elsewhere, outside, 0)
	require.True(t, ok)
	require.EqualValues(t, 5000, port, "no session has it toward another destination")
}

func TestPortsThatSessionsHaveOtherwise(t *testing.T) {
	table := newTable(t, 1000)
	s := nat.NewSources(table, 1)
	require.NoError(t, s.Set([]*service.SourcePool{
		{ID: 1, Addresses: addrs("192.0.2.1")},
		{ID: 2, Addresses: addrs("192.0.2.1"), PerDestination: true, Ports: service.PortRange{First: 5000, Last: 5002}},
	}))
	begin(t, table, key(packet.ProtoUDP, "10.0.0.9:5000", "198.51.100.1:80"), addr("192.0.2.1"), 5000)
	k := key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.1:80")
	_, port, ok := s.Take(1, k, outside, 0)
	require.True(t, ok)
	require.NotEqualValues(t, 5000, port, "a router's address may have connections of its own")
	_, port, ok = s.Take(1, key(packet.ProtoUDP, "10.0.0.2:5001", "198.51.100.7:80"), outside, 0)
	require.True(t, ok)
	require.EqualValues(t, 5001, port)

	_, port, ok = s.Take(2, k, outside, 0)
	require.True(t, ok)
	require.EqualValues(t, 5002, port, "5000 has a session toward this destination, 5001 is a mapped source's")
	begin(t, table, k, addr("192.0.2.1"), 5002)
	_, _, ok = s.Take(2, key(packet.ProtoUDP, "10.0.0.3:5000", "198.51.100.1:80"), outside, 0)
	require.False(t, ok, "nothing is left toward this destination")
	require.EqualValues(t, 1, s.Stats()[1].Protocols[1].Exhausted)
	require.EqualValues(t, 1, s.Stats()[1].Sessions)
	s.Give(2, k, addr("192.0.2.1"), 5002)
	require.Zero(t, s.Stats()[1].Sessions)
}

func TestProtocolsWithoutPorts(t *testing.T) {
	table := newTable(t, 1000)
	s := nat.NewSources(table, 1)
	require.NoError(t, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1")}}))
	first := key(packet.ProtoGRE, "10.0.0.1:0", "198.51.100.1:0")
	a, port, ok := s.Take(1, first, outside, 0)
	require.True(t, ok)
	require.Zero(t, port)
	begin(t, table, first, a, 0)
	_, _, ok = s.Take(1, key(packet.ProtoGRE, "10.0.0.2:0", "198.51.100.1:0"), outside, 0)
	require.False(t, ok, "replies could not be told apart")
	_, _, ok = s.Take(1, key(packet.ProtoGRE, "10.0.0.2:0", "198.51.100.2:0"), outside, 0)
	require.True(t, ok, "of another destination they can")
	require.EqualValues(t, 1, s.Stats()[0].Protocols[4].Exhausted)
}
