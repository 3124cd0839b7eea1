package vips_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
)

const quarantine = int64(time.Minute)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func pool(name string, use vips.Use, ranges ...string) vips.Pool {
	p := vips.Pool{Name: name, Use: use}
	for _, r := range ranges {
		first, last, _ := strings.Cut(r, "-")
		p.Ranges = append(p.Ranges, ipam.Range{First: ip(first), Last: ip(last)})
	}
	return p
}

func owner(name string) service.Origin {
	return service.Origin{Kind: "Service", Namespace: "web", Name: name}
}

// asks makes a request for a load balancer's IPv4 address, changed as given.
func asks(name string, change ...func(*vips.Request, *vips.Want)) *vips.Request {
	r := &vips.Request{Owner: owner(name), Wants: []vips.Want{{Use: vips.Virtual, Families: []int{32}}}}
	for _, c := range change {
		c(r, &r.Wants[0])
	}
	return r
}

func certain(addresses ...string) func(*vips.Request, *vips.Want) {
	return func(_ *vips.Request, w *vips.Want) {
		for _, a := range addresses {
			w.Addresses = append(w.Addresses, ip(a))
		}
	}
}

func anywhere(_ *vips.Request, w *vips.Want) { w.Anywhere = true }

func families(bits ...int) func(*vips.Request, *vips.Want) {
	return func(_ *vips.Request, w *vips.Want) { w.Families = bits }
}

func optional(_ *vips.Request, w *vips.Want) { w.Optional = true }

func of(pool string) func(*vips.Request, *vips.Want) {
	return func(_ *vips.Request, w *vips.Want) { w.Pool = pool }
}

func in(scope uint32) func(*vips.Request, *vips.Want) {
	return func(r *vips.Request, _ *vips.Want) { r.Scope = scope }
}

func shares(key, policy string, ports ...uint16) func(*vips.Request, *vips.Want) {
	return func(_ *vips.Request, w *vips.Want) {
		w.Share = &vips.Share{Key: key, Policy: policy}
		for _, p := range ports {
			w.Share.Ports = append(w.Share.Ports, vips.Ports{Protocol: 6, First: p, Last: p})
		}
	}
}

func nodePorts(list ...vips.NodePort) func(*vips.Request, *vips.Want) {
	return func(r *vips.Request, _ *vips.Want) { r.Wants, r.NodePorts = nil, list }
}

// text writes what owners have: "a=192.0.2.1 b=?REASON".
func text(r *vips.Result) string {
	var parts []string
	for _, g := range r.Grants {
		var values []string
		for _, list := range g.Addresses {
			for _, a := range list {
				values = append(values, a.String())
			}
		}
		for _, n := range g.NodePorts {
			values = append(values, fmt.Sprint(n))
		}
		for _, p := range g.Problems {
			mark := "?"
			if p.Warning {
				mark = "!"
			}
			values = append(values, mark+string(p.Reason))
		}
		parts = append(parts, g.Owner.Name+"="+strings.Join(values, ","))
	}
	return strings.Join(parts, " ")
}

// step is one of the runs that follow each other, a second later each.
type step struct {
	requests []*vips.Request
	pools    []vips.Pool // nil: as before
	after    time.Duration
	taken    string
	want     string
}

func TestAllocate(t *testing.T) {
	two := []vips.Pool{pool("p", vips.Virtual, "192.0.2.1-192.0.2.2")}
	list := func(r ...*vips.Request) []*vips.Request { return r }
	dns := []vips.NodePort{{Protocol: 17, Port: 53}, {Protocol: 6, Port: 53}}
	for _, test := range []struct {
		why   string
		pools []vips.Pool
		steps []step
	}{
		{"addresses are given by name of the owner, lowest first", two, []step{
			{requests: list(asks("b"), asks("a")), want: "b=192.0.2.2 a=192.0.2.1"},
		}},
		{"what is held stays, whoever comes", two, []step{
			{requests: list(asks("b")), want: "b=192.0.2.1"},
			{requests: list(asks("a"), asks("b")), want: "a=192.0.2.2 b=192.0.2.1"},
			{requests: list(asks("a", certain("192.0.2.1")), asks("b")), want: "a=?AddressTaken b=192.0.2.1"},
		}},
		{"of new ones, who asks for a certain address comes first", two, []step{
			{requests: list(asks("a"), asks("b", certain("192.0.2.1"))), want: "a=192.0.2.2 b=192.0.2.1"},
		}},
		{"who is too late waits, and is served when the quarantine is over", two, []step{
			{requests: list(asks("a"), asks("b"), asks("c")), want: "a=192.0.2.1 b=192.0.2.2 c=?NoAddressFree"},
			{requests: list(asks("b"), asks("c")), want: "b=192.0.2.2 c=?NoAddressFree"},
			{requests: list(asks("b"), asks("c")), after: time.Minute, want: "b=192.0.2.2 c=192.0.2.1"},
		}},
		{"the owner itself may have its address again at once", two, []step{
			{requests: list(asks("a"), asks("b")), want: "a=192.0.2.1 b=192.0.2.2"},
			{requests: list(), want: ""},
			{requests: list(asks("0"), asks("b")), want: "0=?NoAddressFree b=192.0.2.2"},
			{requests: list(asks("0", certain("192.0.2.1")), asks("a")), want: "0=?AddressTaken a=192.0.2.1"},
		}},
		{"an address in quarantine is refused to who asks for it", two, []step{
			{requests: list(asks("a")), want: "a=192.0.2.1"},
			{requests: list(asks("b", certain("192.0.2.1"))), want: "b=?AddressQuarantined"},
		}},
		{"an owner that asks for another address gives back its own", two, []step{
			{requests: list(asks("a")), want: "a=192.0.2.1"},
			{requests: list(asks("a", certain("192.0.2.2"))), want: "a=192.0.2.2"},
			{requests: list(asks("a")), want: "a=192.0.2.2"},
		}},
		{"an address in no pool is refused, but to who may have any", two, []step{
			{requests: list(asks("a", certain("198.51.100.1")), asks("b", certain("198.51.100.1"), anywhere)), want: "a=?AddressNotInPool b=198.51.100.1"},
			{requests: list(asks("b")), want: "b=192.0.2.1"},
			{requests: list(asks("c", certain("198.51.100.1"), anywhere)), want: "c=198.51.100.1"},
		}},
		{"a pool that goes leaves the addresses, and a warning", two, []step{
			{requests: list(asks("a"), asks("b", of("p"))), want: "a=192.0.2.1 b=192.0.2.2"},
			{
				requests: list(asks("a"), asks("b", of("p"))), pools: []vips.Pool{pool("q", vips.Virtual, "192.0.2.9-192.0.2.9")},
				want: "a=192.0.2.1,!AddressOutsidePools b=192.0.2.2,!AddressOutsidePools",
			},
			{requests: list(asks("b", of("q"))), want: "b=192.0.2.9"},
			{requests: list(asks("b", of("p"))), want: "b=?PoolNotFound"},
		}},
		{"pools are for their use, and by name", []vips.Pool{
			pool("c", vips.Cluster, "172.30.0.1-172.30.0.9"), pool("v", vips.Virtual, "192.0.2.1-192.0.2.1"), pool("w", vips.Virtual, "192.0.2.7-192.0.2.8"),
		}, []step{
			{requests: list(asks("a"), asks("b"), asks("c", of("c")), asks("d", of("w"))), want: "a=192.0.2.1 b=192.0.2.7 c=?PoolNotFound d=192.0.2.8"},
		}},
		{"of two families each has its address, and one that no pool has is done without if it is optional", []vips.Pool{
			pool("v4", vips.Virtual, "192.0.2.1-192.0.2.2"), pool("v6", vips.Virtual, "2001:db8::1-2001:db8::1"),
		}, []step{
			{requests: list(asks("a", families(128, 32)), asks("b", families(32, 128))), want: "a=2001:db8::1,192.0.2.1 b=192.0.2.2,?NoAddressFree"},
			{
				requests: list(asks("a", families(128, 32)), asks("b", families(32, 128), optional)), pools: two,
				want: "a=2001:db8::1,192.0.2.1,!AddressOutsidePools b=192.0.2.2",
			},
			{requests: list(asks("b", families(32, 128))), want: "b=192.0.2.2,?NoPool"},
		}},
		{"those with one key share, until two want the same port", two, []step{
			{
				requests: list(asks("a", shares("key k", "", 80)), asks("b", shares("key k", "", 443)), asks("c", shares("key k", "", 80)), asks("d", shares("key l", "", 1))),
				want:     "a=192.0.2.1 b=192.0.2.1 c=192.0.2.2 d=?NoAddressFree",
			},
			{
				requests: list(asks("a", shares("key k", "", 443)), asks("b", shares("key k", "", 443)), asks("c", shares("key k", "", 80))),
				want:     "a=192.0.2.2 b=192.0.2.1 c=192.0.2.2",
			},
		}},
		{"an address that another still shares is not in quarantine", two[:1], []step{
			{requests: list(asks("a", shares("key k", "", 80)), asks("b", shares("key k", "", 443))), want: "a=192.0.2.1 b=192.0.2.1"},
			{requests: list(asks("b", shares("key k", "", 443)), asks("c", shares("key k", "", 80))), want: "b=192.0.2.1 c=192.0.2.1"},
		}},
		{"who has members of its own shares with those that have the same", two, []step{
			{
				requests: list(asks("a", shares("key k", "web/x", 80)), asks("b", shares("key k", "", 443)), asks("c", shares("key k", "web/x", 443), certain("192.0.2.2"))),
				want:     "a=192.0.2.2 b=192.0.2.1 c=192.0.2.2",
			},
		}},
		{"virtual servers share the address that both name, and have one each if they name none", two, []step{
			{requests: list(
				asks("a", shares(vips.SharedByPorts, "", 80), certain("198.51.100.1"), anywhere), asks("b", shares(vips.SharedByPorts, "", 443), certain("198.51.100.1"), anywhere),
				asks("c", shares(vips.SharedByPorts, "", 80)), asks("d", shares(vips.SharedByPorts, "", 443)), asks("e", shares(vips.SharedByPorts, "", 80), certain("198.51.100.1"), anywhere),
			), want: "a=198.51.100.1 b=198.51.100.1 c=192.0.2.1 d=192.0.2.2 e=?AddressTaken"},
		}},
		{"address spaces are apart, but a pool is one stock", two, []step{
			{requests: list(
				asks("a", in(1), certain("198.51.100.1"), anywhere), asks("b", in(2), certain("198.51.100.1"), anywhere),
				asks("c", in(1), certain("192.0.2.1")), asks("d", in(2), certain("192.0.2.1")),
			), want: "a=198.51.100.1 b=198.51.100.1 c=192.0.2.1 d=?AddressTaken"},
		}},
		{"an address that a port has is not given", two, []step{
			{requests: list(asks("a"), asks("b", certain("192.0.2.1"))), taken: "192.0.2.1", want: "a=192.0.2.2 b=?AddressTaken"},
			{requests: list(asks("a"), asks("b", certain("192.0.2.1"))), taken: "192.0.2.2", want: "a=192.0.2.2,!AddressInUse b=192.0.2.1"},
			{requests: list(asks("a"), asks("b", certain("192.0.2.1"))), want: "a=192.0.2.2 b=192.0.2.1"},
		}},
		{"who changes into another address space is the one to give way", two, []step{
			{requests: list(asks("a", in(1), certain("198.51.100.1"), anywhere), asks("b", in(2), certain("198.51.100.1"), anywhere)), want: "a=198.51.100.1 b=198.51.100.1"},
			{requests: list(asks("a", in(2), certain("198.51.100.1"), anywhere), asks("b", in(2), certain("198.51.100.1"), anywhere)), want: "a=?AddressTaken b=198.51.100.1"},
		}},
		{"node ports: those asked for first, one number for both protocols of a port, the first ones left for who asks", nil, []step{
			{requests: list(asks("a", nodePorts(dns...)), asks("b", nodePorts(vips.NodePort{Protocol: 6, Port: 80, Number: 30086}))), want: "a=30086,30087 b=30086"},
			{requests: list(asks("a", nodePorts(dns[1])), asks("c", nodePorts(vips.NodePort{Protocol: 6}, vips.NodePort{Protocol: 17, Port: 9}))), want: "a=30087 c=30086,30086"},
			{requests: list(asks("a", nodePorts(vips.NodePort{Protocol: 6, Port: 53, Number: 30086})), asks("c", nodePorts(vips.NodePort{Protocol: 6}))), want: "a=0,?NodePortTaken c=30086"},
			{requests: list(asks("a", nodePorts(vips.NodePort{Protocol: 6, Port: 53, Number: 80}))), want: "a=0,?NodePortOutOfRange"},
		}},
	} {
		t.Run(test.why, func(t *testing.T) {
			allocator := vips.New()
			var last *vips.Allocations
			now, pools := int64(0), test.pools
			for i, s := range test.steps {
				if s.pools != nil {
					pools = s.pools
				}
				now += int64(time.Second + s.after)
				input := vips.Input{Requests: s.requests, Pools: pools, Previous: last, Now: now, Quarantine: quarantine}
				input.Taken = func(_ uint32, a netip.Addr) string {
					if a.String() == s.taken {
						return "Port web/x"
					}
					return ""
				}
				result := allocator.Allocate(input)
				require.Equal(t, s.want, text(result), "step %d", i)
				require.Equal(t, s.want, text(vips.Allocate(input)), "step %d, as a restart finds it", i)
				last = result.Allocations
			}
		})
	}
}

func TestProblems(t *testing.T) {
	pools := []vips.Pool{pool("p", vips.Virtual, "192.0.2.1-192.0.2.2"), pool("s", vips.Source, "192.0.2.3-192.0.2.3")}
	previous := &vips.Allocations{Freed: []vips.Freed{{Address: ip("192.0.2.2"), Owner: "Service/web/old", At: int64(time.Hour)}}}
	for _, test := range []struct {
		why      string
		requests []*vips.Request
		want     string // what the last is told
	}{
		{
			"a pool that is used up says how large it is and what comes back",
			[]*vips.Request{asks("a"), asks("b")},
			"no address is free in pool p: 2 IPv4 addresses, 1 in quarantine",
		},
		{
			"a quarantine says whose it was, until when, and what sets it",
			[]*vips.Request{asks("a", certain("192.0.2.2"))},
			"192.0.2.2 belonged to Service web/old and is in quarantine until 1970-01-01T01:01:00Z (NodeConfig, spec.ipReallocationTime)",
		},
		{
			"two with a key want one port",
			[]*vips.Request{asks("a", shares("key k", "", 80), certain("192.0.2.1")), asks("b", shares("key k", "", 80), certain("192.0.2.1"))},
			"192.0.2.1 belongs to Service web/a, and both want a port of it",
		},
		{
			"the key is another",
			[]*vips.Request{asks("a", certain("192.0.2.1")), asks("b", shares("key k", "", 80), certain("192.0.2.1"))},
			"192.0.2.1 belongs to Service web/a, which does not share it: both need the same annotation sluice.dev/allow-shared-ip",
		},
		{
			"the members are others",
			[]*vips.Request{asks("a", shares("key k", "", 80), certain("192.0.2.1")), asks("b", shares("key k", "web/x", 81), certain("192.0.2.1"))},
			"192.0.2.1 belongs to Service web/a, whose members are others: only with externalTrafficPolicy Cluster, or the same selector, an address can be shared",
		},
		{
			"a pool of another use is no pool",
			[]*vips.Request{asks("a", of("s"))},
			"there is no IPPool s with usage vips; those there are: p",
		},
		{
			"a pool without the family says so",
			[]*vips.Request{asks("a", of("p"), families(128))},
			"IPPool p has no IPv6 addresses: add a range to it",
		},
		{
			"no pool at all has the family",
			[]*vips.Request{asks("a", families(128))},
			"there is no IPPool with usage vips and IPv6 addresses: add one",
		},
		{
			"an address of another use's pool",
			[]*vips.Request{asks("a", certain("192.0.2.3"))},
			"192.0.2.3 is in no IPPool with usage vips: add it to one, or ask for none",
		},
		{
			"a node port is another's",
			[]*vips.Request{
				asks("a", nodePorts(vips.NodePort{Protocol: 6, Port: 1, Number: 31000})), asks("b", nodePorts(vips.NodePort{Protocol: 6, Port: 1, Number: 31000})),
			},
			"node port 31000 belongs to Service web/a",
		},
		{
			"a node port is out of range",
			[]*vips.Request{asks("a", nodePorts(vips.NodePort{Protocol: 6, Port: 1, Number: 80}))},
			"node port 80 is not between 30000 and 32767",
		},
	} {
		t.Run(test.why, func(t *testing.T) {
			r := vips.Allocate(vips.Input{Requests: test.requests, Pools: pools, Previous: previous, Now: int64(time.Hour), Quarantine: quarantine})
			problems := r.Grants[len(test.requests)-1].Problems
			require.Len(t, problems, 1)
			require.Equal(t, test.want, problems[0].Message)
		})
	}
}
