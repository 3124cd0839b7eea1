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
// those of a configuration refer to each other and collide.
func randomObject(r *rand.Rand) string {
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
	switch r.IntN(16) {
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
	objects []*Object
	models  []*Model // that were made, newest last
	now     int64
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
			if len(s.objects) > 40 {
				remove(s.r.IntN(len(s.objects)))
			}
			fallthrough
		default:
			list, faults := Decode(fmt.Sprintf("%d.yaml", s.r.IntN(1000)), []byte(randomObject(s.r)), Options{})
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
		s := &scenario{r: rand.New(rand.NewPCG(uint64(seed), 7))}
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
		for m, text := range frozen {
			require.Equal(t, text, asJSON(t, m), "a model is not written to")
		}
	}
	t.Logf("%d models, %d faulty configurations, %d ports shared", models, faulty, shared)
	require.Greater(t, models, scenarios*steps/4, "many of the configurations are right")
	require.Greater(t, faulty, scenarios*steps/10, "and many are wrong")
	require.Greater(t, shared, models)
}

// TestModelsAreReadWhileTheNextIsCompiled is for the race detector: all of a model is read
// while the Compiler makes others.
func TestModelsAreReadWhileTheNextIsCompiled(t *testing.T) {
	s := &scenario{r: rand.New(rand.NewPCG(1, 8))}
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
