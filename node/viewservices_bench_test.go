package node_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// manyServices are n virtual servers of 10 members each.
func manyServices(n int) func(scope uint32) *service.Config {
	return func(scope uint32) *service.Config {
		c := &service.Config{}
		id := uint32(0)
		for i := range n {
			of := service.Origin{Kind: "Service", Namespace: "demo", Name: fmt.Sprintf("s%05d", i)}
			p := &service.Pool{ID: uint32(i + 1), Origin: of, Name: of.Namespace + "/" + of.Name, MinActive: 1}
			for k := range 10 {
				id++
				ip := netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), byte(k + 1)})
				p.Members = append(p.Members, &service.Member{ID: id, Address: packet.AddrFrom(ip), Port: 8080, Weight: 1})
			}
			c.Pools = append(c.Pools, p)
			c.Servers = append(c.Servers, &service.Server{ID: uint32(i + 1), Origin: of, Name: p.Name, Frontends: []service.Frontend{{
				Kind: service.ClusterIP, Scope: scope, Address: packet.AddrFrom(netip.AddrFrom4([4]byte{172, 30, byte(i >> 8), byte(i)})),
				Protocol: packet.ProtoTCP, First: 80, Last: 80, Inside: p, Outside: p,
			}}})
		}
		return c
	}
}

// BenchmarkServiceViews lists 10,000 virtual servers, their pools, and their 100,000 members.
func BenchmarkServiceViews(b *testing.B) {
	const servers = 10_000
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 1024, Supers: 4}, withServices(compile(b, tenant), manyServices(servers)))
	require.NoError(b, err)
	defer func() { require.NoError(b, n.Close()) }()
	for _, row := range []struct {
		name string
		want int
		list func() int
	}{
		{"virtualservers", servers, func() int { return len(list(b, n.VirtualServerViews, api.Filter{})) }},
		{"pools", servers, func() int { return len(list(b, n.LBPoolViews, api.Filter{})) }},
		{"members", 10 * servers, func() int { return len(list(b, n.LBMemberViews, api.Filter{})) }},
		{"members of one", 10, func() int { return len(list(b, n.LBMemberViews, api.Filter{Service: "demo/s05000"})) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			for b.Loop() {
				require.Equal(b, row.want, row.list())
			}
		})
	}
}
