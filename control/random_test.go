package control

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/ipam"
)

// randomConfiguration writes objects of few names and addresses, so that they
// refer to each other and collide.
func randomConfiguration(r *rand.Rand) string {
	var docs []string
	add := func(format string, args ...any) { docs = append(docs, fmt.Sprintf(format, args...)) }
	name := func(prefix string, n int) string { return fmt.Sprintf("%s%d", prefix, r.IntN(n)) }
	maybe := func(odds int, text string) string {
		if r.IntN(odds) == 0 {
			return text
		}
		return ""
	}
	taken := map[string]bool{}
	fresh := func(kind, name string) bool {
		key := kind + name
		if taken[key] {
			return false
		}
		taken[key] = true
		return true
	}
	for range r.IntN(3) {
		if n := name("pool", 3); fresh("IPPool", n) {
			usage := []string{"segments, prefixLength: 29", "vips", "snat"}[r.IntN(3)]
			add("{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: %s}, spec: {usage: %s, cidr: 10.%d.0.0/26}}", n, usage, r.IntN(5))
		}
	}
	for range r.IntN(4) {
		if n := name("s", 4); fresh("Segment", n) {
			add("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {vlan: %d%s%s}}", n, r.IntN(12),
				maybe(2, fmt.Sprintf(", router: %s", []string{"none", "default", "r0"}[r.IntN(3)])),
				maybe(2, fmt.Sprintf(", subnets: [{cidr: 10.%d.0.%d/28}, {cidr: \"fd0%d::/126\"}]", r.IntN(5), 16*r.IntN(3), r.IntN(6))))
		}
	}
	for range r.IntN(4) {
		if n := name("s", 4); fresh("Namespace", n) {
			add("{apiVersion: v1, kind: Namespace, metadata: {name: %s%s}}", n,
				maybe(3, fmt.Sprintf(", annotations: {sluice.dev/segment: %s}", name("s", 5))))
		}
	}
	for range r.IntN(10) {
		if n, ns := name("p", 8), name("s", 4); fresh("Pod", ns+n) {
			add("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}%s}", n, ns,
				maybe(4, fmt.Sprintf(", status: {podIP: 10.%d.0.%d}", r.IntN(5), r.IntN(60))))
		}
	}
	for range r.IntN(5) {
		if n := name("q", 6); fresh("Port", n) {
			spec := []string{
				fmt.Sprintf("segment: s%d, addresses: [{ip: 10.%d.0.%d}]", r.IntN(4), r.IntN(5), r.IntN(60)),
				"vlan: {mode: trunk}",
				fmt.Sprintf("vlan: {mode: trunk, native: %d, trunks: [{vlan: 1, endVlan: 20}]}", 1+r.IntN(11)),
				fmt.Sprintf("vlan: {mode: qinq, outer: 9, trunks: [{vlan: 4, segment: s%d}, {vlan: 5, segment: s%d}]}", r.IntN(4), r.IntN(4)),
				"", "",
			}[r.IntN(6)]
			add("{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s}, spec: {%s}}", n, spec)
		}
	}
	if r.IntN(2) == 0 {
		add("{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: %s}, spec: {uplinks: [{port: %s, addresses: [10.%d.0.%d/27]}], routes: [{prefix: 0.0.0.0/0, via: 10.%d.0.%d}]}}",
			[]string{"r0", "default"}[r.IntN(2)], name("q", 6), r.IntN(6), r.IntN(60), r.IntN(6), r.IntN(60))
	}
	return strings.Join(docs, "\n---\n")
}

// checkModel asserts what holds of every model.
func checkModel(t *testing.T, m *Model) {
	t.Helper()
	require.Len(t, m.Allocations.Numbers, len(m.Ports), "what is gone is forgotten")
	zones, numbers := map[uint32]bool{}, map[uint16]bool{}
	unique := func(zone uint32) {
		require.NotZero(t, zone)
		require.False(t, zones[zone], "each zone is one segment or uplink")
		zones[zone] = true
	}
	for _, s := range m.Segments {
		unique(s.Zone)
	}
	for _, r := range m.Routers {
		var networks []netip.Prefix
		for _, c := range r.Connected {
			networks = append(networks, c.Prefix)
		}
		for _, u := range r.Uplinks {
			unique(u.Zone)
			require.Equal(t, -1, m.Ports[u.Port].Segment)
			for _, a := range u.Addresses {
				networks = append(networks, a.Masked())
			}
		}
		for i, a := range networks {
			for _, b := range networks[:i] {
				require.False(t, a.Overlaps(b), "%s and %s of router %s", a, b, r.Name)
			}
		}
		for _, route := range r.Routes {
			require.True(t, route.Blackhole || (route.Segment < 0) != (route.Uplink < 0))
		}
	}
	owner := map[string]string{}
	for _, p := range m.Ports {
		require.NotZero(t, p.Number)
		require.False(t, numbers[p.Number], "each number is one port's")
		numbers[p.Number] = true
		require.False(t, p.Guard && len(p.Addresses) == 0)
		for _, a := range p.Addresses {
			if !a.IP.IsValid() {
				continue // a MAC alone
			}
			key := fmt.Sprint(p.Segment, a.IP)
			require.Empty(t, owner[key], "%s is %s's", a.IP, p.Name)
			owner[key] = p.Name
			subnets := m.Segments[p.Segment].Subnets
			require.True(t, len(subnets) == 0 || slices.ContainsFunc(subnets, func(s Subnet) bool {
				return ipam.Hosts(s.Prefix).Contains(a.IP) && (a.IP != s.Gateway || m.Segments[p.Segment].Router < 0)
			}), "%s of %s is a host's address in %v", a.IP, p.Name, subnets)
		}
		carried := map[int]int{}
		for _, a := range p.Attachments {
			carried[a.Segment]++
			require.LessOrEqual(t, carried[a.Segment], 2)
		}
	}
}

// FuzzConfigurations compiles one random configuration after the other, each
// with the allocations of the one before, and checks what holds of every
// model, and that a port that stays keeps its number. Objects at fault are left
// out until there is none: every fault names an object that it goes away with.
func FuzzConfigurations(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		var before *Model
		for step := range 12 {
			list, faults := Decode("a.yaml", []byte(randomConfiguration(r)), Options{})
			require.NoError(t, faults.Err())
			in := Input{Objects: list, Now: int64(step) * int64(time.Minute)}
			if before != nil {
				in.Previous = &before.Allocations
			}
			m, faults := Compile(in)
			for len(faults) > 0 {
				require.Nil(t, m)
				slices.Reverse(in.Objects)
				_, again := Compile(in)
				require.Equal(t, faults, again, "the order of the objects does not matter")
				n := len(in.Objects)
				in.Objects = slices.DeleteFunc(in.Objects, func(o *Object) bool {
					return slices.ContainsFunc(faults, func(f Fault) bool { return f.Object == o.Key().String() })
				})
				require.Less(t, len(in.Objects), n, "each fault is an object's")
				m, faults = Compile(in)
			}
			require.NotNil(t, m)
			slices.Reverse(in.Objects)
			require.Equal(t, m, compile(t, in), "the order of the objects does not matter")
			checkModel(t, m)
			if before != nil {
				for name, number := range before.Allocations.Numbers {
					if now := m.Allocations.Numbers[name]; now != 0 {
						require.Equal(t, number, now, name)
					}
				}
			}
			again, faults := Compile(Input{Objects: in.Objects, Previous: &m.Allocations, Now: in.Now})
			require.NoError(t, faults.Err())
			require.Equal(t, m, again, "applied again, nothing changes")
			before = m
		}
	})
}
