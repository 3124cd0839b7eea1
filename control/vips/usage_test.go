package vips_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
)

func TestUsageOf(t *testing.T) {
	p := pool("p", vips.Virtual, "192.0.2.1-192.0.2.9")
	in := vips.Input{Pools: []vips.Pool{p}, Quarantine: quarantine, Requests: []*vips.Request{
		asks("a", shares("key k", "", 80)), asks("b", shares("key k", "", 443)), asks("c"), asks("d", certain("198.51.100.1"), anywhere),
	}}
	in.Previous = vips.Allocate(in).Allocations
	in.Requests, in.Now = in.Requests[:2], int64(time.Second)
	a := vips.Allocate(in).Allocations

	u := vips.UsageOf(a, p.Ranges, in.Now, quarantine)
	require.Equal(t, vips.Usage{Size: 9, Used: 1, Free: 7, Quarantined: 1, Holders: []vips.Holder{
		{Address: ip("192.0.2.1"), Owner: owner("a")},
		{Address: ip("192.0.2.1"), Owner: owner("b")},
		{Address: ip("192.0.2.2"), Owner: owner("c"), Quarantined: true},
	}}, u, "an address that two share is one that is used; what is outside of the pool is not of it")
	u = vips.UsageOf(a, p.Ranges, in.Now+quarantine, quarantine)
	require.EqualValues(t, 8, u.Free, "a quarantine that is over, and that nobody has ended yet")
	require.Equal(t, vips.Usage{Size: 9, Free: 9}, vips.UsageOf(nil, p.Ranges, 0, 0))

	for _, o := range []service.Origin{owner("a"), {Kind: "VirtualServer", Name: "x"}} {
		require.Equal(t, o, vips.ParseKey(vips.Key(o)))
	}
}
