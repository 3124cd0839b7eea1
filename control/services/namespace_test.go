package services

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// outside is a resolver with an IPPool of two addresses for sources, and namespaces with a network each.
type outside struct {
	*Resolver
	held *vips.Allocations
	ids  map[string]IDs
	last uint32
	now  int64
}

const outsideScope = 7

func (x *outside) namespace(name string, annotations ...string) {
	v := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}}}
	for i := 0; i < len(annotations); i += 2 {
		v.Annotations[annotations[i]] = annotations[i+1]
	}
	x.Put(service.Origin{Kind: "Namespace", Name: name}, v)
}

func (x *outside) resolve(t *testing.T) Result {
	t.Helper()
	first, last := netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("192.0.2.201")
	faults := x.Check(Settings{
		Routers: []Router{{Name: "default", Scope: outsideScope}},
		Sources: []Source{{Name: "out", Addresses: []packet.Addr{packet.AddrFrom(first), packet.AddrFrom(last)}}},
		Subnets: map[string][]netip.Prefix{
			"web": {netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64")}, "db": {netip.MustParsePrefix("10.244.2.0/24")},
		},
	}, vips.Input{
		Pools: []vips.Pool{{Name: "out", Use: vips.Source, Ranges: []ipam.Range{{First: first, Last: last}}}}, Previous: x.held, Now: x.now, Quarantine: 100,
	})
	require.Empty(t, faults)
	result := x.Resolve(Input{Previous: x.ids, LastID: x.last})
	x.held, x.ids, x.last = x.Given().Allocations, result.IDs, result.LastID
	return result
}

func TestNamespaceOutside(t *testing.T) {
	x := &outside{Resolver: New()}
	x.namespace("web", "ncp/snat_pool", "out")
	x.namespace("db")
	x.Put(service.Origin{Kind: "NATRule", Name: "all"}, object(t, "NATRule",
		"{metadata: {name: all}, spec: {action: SNAT, sourceNetworks: [10.0.0.0/8], translatedPool: out}}"))
	result := x.resolve(t)
	require.Len(t, result.Config.Rules, 2)
	all, web := result.Config.Rules[0], result.Config.Rules[1]
	require.Equal(t, "all", all.Name, "rules that are written come first")
	require.Equal(t, service.Origin{Kind: "Namespace", Name: "web"}, web.Origin)
	require.Equal(t, service.SNAT, web.Action)
	require.EqualValues(t, outsideScope, web.Scope)
	require.Nil(t, web.Uplinks)
	own := packet.AddrFrom(netip.MustParseAddr("192.0.2.200"))
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}, web.Source)
	require.Equal(t, []packet.Addr{own}, web.Pool.Addresses)
	require.Equal(t, []service.FixedSource{{Prefix: web.Source[0], To: own}}, web.Pool.Fixed)
	require.NotZero(t, web.Pool.ID)
	require.NotEqual(t, web.ID, web.Pool.ID)
	require.Equal(t, []packet.Addr{packet.AddrFrom(netip.MustParseAddr("192.0.2.201"))}, all.Pool.Addresses, "a namespace's address is its own")
	require.Contains(t, result.Config.Sources, web.Pool)
	require.Len(t, result.Statuses, 1)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.200")}, result.Statuses[0].Addresses)

	again := x.resolve(t)
	require.Same(t, result.Config, again.Config, "nothing has changed")

	x.namespace("db", "ncp/static_snat_ip", "192.0.2.201")
	result = x.resolve(t)
	require.Len(t, result.Config.Rules, 3)
	require.Equal(t, "db", result.Config.Rules[1].Name)
	require.Same(t, web, result.Config.Rules[2], "who has an address keeps it")

	x.namespace("db")
	x.namespace("shop", "ncp/snat_pool", "out")
	result = x.resolve(t)
	require.Len(t, result.Config.Rules, 2, "the address of db is in quarantine; shop has none, and no network")
	require.Equal(t, vips.NoAddressFree, result.Statuses[0].Problems[0].Reason)
	x.now = 100
	result = x.resolve(t)
	require.Len(t, result.Statuses[0].Addresses, 1)
	require.Len(t, result.Config.Rules, 2, "a rule without a network would be for everybody")
}

func TestNamespaceFaults(t *testing.T) {
	for _, text := range []string{"colour", "0.0.0.0", "224.0.0.1", "fe80::1%eth0", "127.0.0.1"} {
		x := &outside{Resolver: New()}
		x.namespace("web", "ncp/static_snat_ip", text)
		faults := x.CheckObjects()
		require.Len(t, faults, 1, text)
		require.Equal(t, "metadata.annotations[ncp/static_snat_ip]", faults[0].Path)
		require.Equal(t, text+" is no address that workloads can have outside", faults[0].Message)
	}
}
