package control

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// randomObject writes one object of few names and addresses, right or wrong, so that
// those of a configuration refer to each other and collide. Which kinds of objects come
// often is the caller's choice, of 0 to 15.
func randomObject(r *rand.Rand, kinds []int) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	maybe := func(odds int, format string, args ...any) string {
		if r.IntN(odds) == 0 {
			return fmt.Sprintf(format, args...)
		}
		return ""
	}
	ip := func() string { return fmt.Sprintf("10.%d.0.%d", r.IntN(4), r.IntN(20)) }
	mac := func() string { return fmt.Sprintf("02:00:00:00:00:%02x", r.IntN(4)) }
	segment := func() string { return fmt.Sprintf("s%d", r.IntN(5)) }
	switch kinds[r.IntN(len(kinds))] {
	case 0:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: pool%d}, spec: {usage: %s, cidr: %s}}", r.IntN(3),
			one("segments, prefixLength: 29, dnsNameservers: [10.9.9.9]", "segments, prefixLength: 126", "vips", "snat"),
			one(fmt.Sprintf("10.%d.0.0/%d", r.IntN(4), 26+r.IntN(4)), `"fd00::/120"`))
	case 1, 2:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {vlan: %d%s%s%s%s%s%s%s}}", segment(), r.IntN(8),
			maybe(2, ", router: %s", one("none", "default", "r0")),
			maybe(2, `, subnets: [{cidr: 10.%d.0.%d/29}, {cidr: "fd0%d::/64"}]`, r.IntN(4), 8*r.IntN(2), r.IntN(6)),
			maybe(3, ", mtu: %d", 1400+r.IntN(3)), maybe(6, ", vni: %d", 1+r.IntN(3)), maybe(6, ", dhcp: {enabled: true}"),
			maybe(6, ", routerAdvertisement: {mode: %s}", one("SLAAC", "STATEFUL_DHCP")), maybe(6, ", security: {raGuard: true}"))
	case 3:
		return fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s%s%s}}", segment(),
			maybe(3, ", annotations: {sluice.dev/segment: %s}", segment()), maybe(3, ", labels: {a: b%d}", r.IntN(3)))
	case 4, 5, 6, 7, 8, 9:
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: p%d, namespace: %s%s%s}%s}", r.IntN(6), segment(),
			maybe(8, ", annotations: {sluice.dev/segment: %s}", segment()), maybe(3, ", labels: {a: b%d}", r.IntN(3)),
			one("", "", "", "", fmt.Sprintf(", status: {podIP: %s}", ip()), `, status: {podIP: "fd00::5", podIPs: [{ip: 10.1.0.3}]}`,
				", spec: {hostNetwork: true, containers: []}", ", status: {phase: Failed}", ", status: {podIP: nonsense}"))
	case 10, 11, 12:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s%s}, spec: {%s%s}}", one("q0", "q1", "q2", "p0", "p1"),
			maybe(3, ", namespace: %s", segment()),
			one(fmt.Sprintf("segment: %s, addresses: [{ip: %s%s}]", segment(), ip(), maybe(2, ", mac: %q", mac())),
				fmt.Sprintf("segment: %s, addresses: [{mac: %q}, {ip: %s}]", segment(), mac(), ip()),
				"vlan: {mode: trunk}",
				fmt.Sprintf("vlan: {mode: trunk, native: %d, trunks: [{vlan: 1, endVlan: 20}]}", 1+r.IntN(7)),
				fmt.Sprintf("segment: %s, vlan: {mode: trunk}", segment()),
				fmt.Sprintf("vlan: {mode: access%s}, addresses: [{ip: %s}]", maybe(2, ", access: %d", 1+r.IntN(7)), ip()),
				fmt.Sprintf("vlan: {mode: qinq, outer: 9, trunks: [{vlan: 4, segment: %s}, {vlan: 5, segment: %s}]}", segment(), segment()),
				fmt.Sprintf("segment: %s, guard: true", segment()),
				fmt.Sprintf("addresses: [{mac: %q}]", mac()), "mtu: 9000", "mtu: 1500"),
			maybe(3, ", device: {type: %s, name: eth%d}", one("tap", "afpacket", "mem"), r.IntN(3)))
	case 13, 14:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: %s}, spec: {uplinks: [%s{port: %s, addresses: [10.%d.0.%d/29%s]}], routes: [{prefix: 0.0.0.0/0, via: %s}]}}",
			one("r0", "default"), maybe(3, "{port: %s, addresses: [10.7.0.1/24], gateway: 10.7.0.2}, ", one("q0", "q1")), one("q0", "q1", "q2", "p0"), 4+r.IntN(2), r.IntN(9),
			maybe(2, `, "fd09::1/64"`), ip())
	}
	return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: %s}, spec: {ipReallocationTime: %d%s%s}}", one("a", "a", "b"), 60*r.IntN(3),
		maybe(2, `, gatewayMAC: "%s"`, one("02:00:00:00:00:01", "0a:58:0a:f4:00:02", "03:00:00:00:00:00")), maybe(8, ", workers: 2, cpus: \"1\""))
}

// scenario is a configuration that is changed step by step.
type scenario struct {
	r       *rand.Rand
	kinds   []int         // see randomObject
	write   func() string // an object
	objects []*Object
	models  []*Model // that were made, newest last
	now     int64
}

// newScenario returns one in which some kinds of objects come more often than others.
func newScenario(seed uint64) *scenario {
	s := &scenario{r: rand.New(rand.NewPCG(seed, 7)), kinds: []int{1, 4}}
	for range 1 + s.r.IntN(6) {
		s.kinds = append(s.kinds, s.r.IntN(16))
	}
	s.write = func() string { return randomObject(s.r, s.kinds) }
	return s
}

func (s *scenario) change(t *testing.T) {
	remove := func(at int) { s.objects = slices.Delete(s.objects, at, at+1) }
	for range 1 + s.r.IntN(3)*s.r.IntN(3) {
		switch s.r.IntN(8) {
		case 0, 1:
			if len(s.objects) > 0 {
				remove(s.r.IntN(len(s.objects)))
			}
		case 2:
			if len(s.objects) > 0 { // the same again, as another pointer
				at := s.r.IntN(len(s.objects))
				o := *s.objects[at]
				s.objects[at] = &o
			}
		case 3:
			if len(s.objects) > 0 && s.r.IntN(10) == 0 {
				s.objects = append(s.objects, s.objects[s.r.IntN(len(s.objects))])
			}
			if len(s.objects) > 40 {
				remove(s.r.IntN(len(s.objects)))
			}
			fallthrough
		default:
			list, faults := Decode(fmt.Sprintf("%d.yaml", s.r.IntN(1000)), []byte(s.write()), Options{})
			require.NoError(t, faults.Err())
			at := slices.IndexFunc(s.objects, func(o *Object) bool { return o.Key() == list[0].Key() })
			if at >= 0 && s.r.IntN(30) > 0 {
				s.objects[at] = list[0]
			} else {
				s.objects = append(s.objects, list[0]) // now and then it is there twice
			}
		}
	}
	if s.r.IntN(10) == 0 {
		s.r.Shuffle(len(s.objects), func(i, j int) { s.objects[i], s.objects[j] = s.objects[j], s.objects[i] })
	}
	s.now += int64(s.r.IntN(50)) * int64(time.Second)
}

// mend leaves out objects at fault.
func (s *scenario) mend(faults Faults) {
	s.objects = slices.DeleteFunc(s.objects, func(o *Object) bool {
		return slices.ContainsFunc(faults, func(f Fault) bool { return f.Object == o.Key().String() })
	})
}

// input has, as a rule, the allocations of the last model, else those of an older one.
func (s *scenario) input(t *testing.T, revision int) Input {
	in := Input{Objects: slices.Clone(s.objects), Revision: uint64(revision), Now: s.now}
	n := len(s.models)
	switch {
	case n == 0 || s.r.IntN(40) == 0:
	case s.r.IntN(10) == 0:
		in.Previous = &s.models[s.r.IntN(n)].Allocations
	case s.r.IntN(10) == 0: // as it comes from the store
		data, err := json.Marshal(&s.models[n-1].Allocations)
		require.NoError(t, err)
		in.Previous = &Allocations{}
		require.NoError(t, json.Unmarshal(data, in.Previous))
	default:
		in.Previous = &s.models[n-1].Allocations
	}
	return in
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// meanings says of a model's port what its indices stand for.
func meanings(m *Model, p *Port) (list []string) {
	name := func(i int) {
		if i >= 0 {
			list = append(list, fmt.Sprint(m.Segments[i].Name, m.Segments[i].Zone))
		}
	}
	name(p.Segment)
	for _, a := range p.Memberships {
		name(a.Segment)
	}
	if p.Uplink >= 0 {
		r := m.Routers[p.Router]
		list = append(list, fmt.Sprint(r.Name, r.Uplinks[0].Zone, r.Uplinks[p.Uplink].Zone))
	}
	return list
}

// checkSharing asserts that a port is the same pointer as in the model before exactly
// if it is the same port.
func checkSharing(t *testing.T, before, after *Model) (shared int) {
	t.Helper()
	was := map[string]*Port{}
	for _, p := range before.Ports {
		was[p.Name] = p
	}
	for _, p := range after.Ports {
		old := was[p.Name]
		if old == nil {
			continue
		}
		same := reflect.DeepEqual(old, p) && slices.Equal(meanings(before, old), meanings(after, p))
		require.Equal(t, same, old == p, "%s: %s, then %s", p.Name, asJSON(t, old), asJSON(t, p))
		if same {
			shared++
		}
	}
	return shared
}

// TestCompilerAgainstCompile makes random changes, and holds what a Compiler makes of them,
// with all that it remembers, against what one makes that has seen nothing.
func TestCompilerAgainstCompile(t *testing.T) {
	scenarios, steps := 40, 80
	if testing.Short() {
		scenarios = 8
	}
	models, faulty, shared := 0, 0, 0
	for seed := range scenarios {
		s := newScenario(uint64(seed))
		k := NewCompiler()
		frozen := map[*Model]string{}
		for step := range steps {
			s.change(t)
			in := s.input(t, step)
			for {
				want, wantFaults := Compile(in)
				got, gotFaults := k.Compile(in)
				require.Equal(t, wantFaults, gotFaults, "seed %d, step %d", seed, step)
				if want == nil {
					require.Nil(t, got)
					faulty++
				} else {
					if !reflect.DeepEqual(want, got) {
						require.Equal(t, asJSON(t, want), asJSON(t, got), "seed %d, step %d", seed, step)
						require.Equal(t, want, got, "seed %d, step %d", seed, step)
					}
					checkModel(t, got)
					models++
					if n := len(s.models); n > 0 {
						shared += checkSharing(t, s.models[n-1], got)
					}
					s.models = append(s.models, got)
					frozen[got] = asJSON(t, got)
				}
				if want != nil || s.r.IntN(2) == 0 {
					break
				}
				s.mend(wantFaults)
				in.Objects = slices.Clone(s.objects)
			}
		}
		_, faults := k.Compile(Input{})
		require.NoError(t, faults.Err())
		require.Equal(t, [11]int{}, [11]int{
			len(k.plans), len(k.ports), len(k.portOrder), len(k.segments), len(k.segmentOrder), len(k.namespaces),
			len(k.namespaceOrder), len(k.devices), len(k.contended), len(k.gone), len(k.uplinked),
		}, "what is gone is forgotten")
		for m, text := range frozen {
			require.Equal(t, text, asJSON(t, m), "a model is not written to")
		}
	}
	t.Logf("%d models, %d faulty configurations, %d ports shared", models, faulty, shared)
	require.Greater(t, models, scenarios*steps/4, "many of the configurations are right")
	require.Greater(t, faulty, scenarios*steps/10, "and many are wrong")
	require.Greater(t, shared, models/2)
}

// TestCompilerSteps goes through configurations in which one thing takes something from
// another that has not changed.
func TestCompilerSteps(t *testing.T) {
	const (
		isolated  = "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {router: none, subnets: [{cidr: 10.0.0.0/29}]}}"
		routed    = "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {subnets: [{cidr: 10.0.0.0/29}]}}"
		slaac     = `{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {subnets: [{cidr: "fd00::/64"}], routerAdvertisement: {mode: SLAAC}}}`
		namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: %s, annotations: {sluice.dev/segment: %s}}}"
		pod       = "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}}"
		port      = "{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s}, spec: {%s}}"
		router    = "{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [%s]}}"
	)
	doc := fmt.Sprintf
	for _, row := range []struct {
		why   string
		steps [][]string
		want  []string // for each step, of its first fault; empty: none
	}{
		{
			"two pods of isolated segments have one address; when one moves, the first by name keeps it",
			[][]string{
				{doc(isolated, "s1"), doc(isolated, "s2"), doc(namespace, "a", "s1"), doc(namespace, "b", "s2"), doc(pod, "x", "a"), doc(pod, "x", "b")},
				{doc(isolated, "s1"), doc(isolated, "s2"), doc(namespace, "a", "s2"), doc(namespace, "b", "s2"), doc(pod, "x", "a"), doc(pod, "x", "b")},
			},
			[]string{"", ""},
		},
		{
			"the port has not changed, nor a segment, but which of them its namespace has",
			[][]string{
				{
					doc(isolated, "s1"), doc(isolated, "s2"), doc(namespace, "a", "s1"),
					"{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: p, namespace: a}, spec: {vlan: {mode: access}}}",
				},
				{
					doc(isolated, "s1"), doc(isolated, "s2"), doc(namespace, "a", "s2"),
					"{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: p, namespace: a}, spec: {vlan: {mode: access}}}",
				},
			},
			[]string{"", ""},
		},
		{
			"an uplink's network comes to be that of a segment",
			[][]string{
				{doc(routed, "s"), doc(port, "up", ""), doc(router, "{port: up, addresses: [192.0.2.1/24]}")},
				{doc(routed, "s"), doc(port, "up", ""), doc(router, "{port: up, addresses: [10.0.0.6/24]}")},
				{doc(routed, "s"), doc(port, "up", ""), doc(router, "{port: up, addresses: [192.0.2.1/24]}")},
			},
			[]string{"", "10.0.0.0/29 overlaps", ""},
		},
		{
			"the first host's address is a gateway's once there is a router",
			[][]string{
				{doc(isolated, "s"), doc(port, "p", "segment: s, addresses: [{ip: 10.0.0.1}]")},
				{doc(routed, "s"), doc(port, "p", "segment: s, addresses: [{ip: 10.0.0.1}]")},
				{doc(isolated, "s"), doc(port, "p", "segment: s, addresses: [{ip: 10.0.0.1}]")},
			},
			[]string{"", "10.0.0.1 is the gateway", ""},
		},
		{
			"an address that a host made by itself is given to another",
			[][]string{
				{doc(slaac, "s"), doc(port, "p", `segment: s, addresses: [{mac: "02:00:00:00:00:01"}]`)},
				{
					doc(slaac, "s"), doc(port, "p", `segment: s, addresses: [{mac: "02:00:00:00:00:01"}]`),
					doc(port, "q", `segment: s, addresses: [{ip: "fd00::ff:fe00:1"}]`),
				},
				{doc(slaac, "s"), doc(port, "p", `segment: s, addresses: [{mac: "02:00:00:00:00:01"}]`)},
			},
			[]string{"", "", ""},
		},
		{
			"a pod whose segment was not there for a while has lost its place in the book",
			[][]string{
				{doc(isolated, "s1"), doc(namespace, "a", "s1"), doc(pod, "x", "a"), doc(pod, "y", "a")},
				{doc(isolated, "s1"), doc(namespace, "a", "none"), doc(pod, "x", "a"), doc(pod, "y", "a")},
				{doc(isolated, "s1"), doc(namespace, "a", "s1"), doc(pod, "x", "a"), doc(pod, "y", "a"), doc(port, "q", "segment: s1, addresses: [{ip: 10.0.0.2}]")},
				{doc(isolated, "s1"), doc(namespace, "a", "s1"), doc(pod, "x", "a"), doc(pod, "y", "a"), doc(pod, "z", "a")},
			},
			[]string{"", "there is no Segment none", "", ""},
		},
		{
			"the uplink has not changed, but the first of its router, whose zone its sessions have",
			[][]string{
				{doc(port, "a", ""), doc(port, "b", ""), doc(port, "c", ""), doc(router, "{port: a, addresses: [192.0.2.1/24]}, {port: c, addresses: [198.51.100.1/24]}")},
				{doc(port, "a", ""), doc(port, "b", ""), doc(port, "c", ""), doc(router, "{port: b, addresses: [192.0.2.1/24]}, {port: c, addresses: [198.51.100.1/24]}")},
				{doc(port, "a", ""), doc(port, "b", ""), doc(port, "c", "")},
			},
			[]string{"", "", ""},
		},
		{
			"a MAC address comes to be the gateways'",
			[][]string{
				{doc(isolated, "s"), doc(port, "p", `segment: s, addresses: [{mac: "02:00:00:00:00:01"}]`)},
				{
					doc(isolated, "s"), doc(port, "p", `segment: s, addresses: [{mac: "02:00:00:00:00:01"}]`),
					`{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: n}, spec: {gatewayMAC: "02:00:00:00:00:01"}}`,
				},
			},
			[]string{"", "02:00:00:00:00:01 is the gateways' MAC address"},
		},
		{
			"what two ports want is the other's when the first is gone",
			[][]string{
				{doc(port, "a", "device: {type: tap, name: t}"), doc(port, "b", "device: {type: tap, name: t}")},
				{doc(port, "b", "device: {type: tap, name: t}")},
				{doc(port, "b", "device: {type: tap, name: t}"), doc(port, "c", "device: {type: afpacket, name: t}")},
			},
			[]string{"the device t is taken", "", "the device t is taken"},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			k, same := NewCompiler(), map[string]*Object{}
			var before *Model
			for i, docs := range row.steps {
				in := Input{Revision: uint64(i)}
				for _, text := range docs {
					if same[text] == nil {
						same[text] = objects(t, text)[0]
					}
					in.Objects = append(in.Objects, same[text])
				}
				if before != nil {
					in.Previous = &before.Allocations
				}
				want, wantFaults := Compile(in)
				got, faults := k.Compile(in)
				require.Equal(t, wantFaults, faults)
				require.Equal(t, want, got)
				if row.want[i] != "" {
					require.ErrorContains(t, faults.Err(), row.want[i])
					continue
				}
				require.NoError(t, faults.Err())
				checkModel(t, got)
				if before != nil {
					checkSharing(t, before, got)
				}
				before = got
			}
		})
	}
}

// TestModelsAreReadWhileTheNextIsCompiled is for the race detector: all of a model is read
// while the Compiler makes others.
func TestModelsAreReadWhileTheNextIsCompiled(t *testing.T) {
	s := newScenario(1)
	k := NewCompiler()
	var readers sync.WaitGroup
	for step := range 150 {
		s.change(t)
		in := s.input(t, step)
		m, faults := k.Compile(in)
		if m == nil {
			s.mend(faults)
			continue
		}
		s.models = append(s.models, m)
		readers.Go(func() {
			for range 3 {
				if data, err := json.Marshal(m); err != nil || len(data) == 0 {
					panic("a model is plain data")
				}
			}
		})
	}
	readers.Wait()
}
