package ruleset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/firewall/policy"
)

// site is a resolver with pods, which have labels of few values.
type site struct {
	*Resolver
	endpoints []*Endpoint
	rules     map[string]RuleIDs
	last      uint32
	settings  Settings
}

func newSite() *site { return &site{Resolver: New(), settings: Settings{Top: 1e6, Bottom: 2e6}} }

func (s *site) pod(n int, labels map[string]string) {
	for len(s.endpoints) <= n {
		s.endpoints = append(s.endpoints, nil)
	}
	now := slices.Clone(s.endpoints) // what was handed over is not written to
	now[n] = &Endpoint{Endpoint: policy.Endpoint{Number: uint16(n), Name: fmt.Sprint("p", n)}, Labels: labels}
	s.endpoints = now
}

func (s *site) turn(t *testing.T) Result {
	t.Helper()
	require.Empty(t, s.Check(s.settings))
	r := s.Resolve(s.endpoints, s.rules, s.last)
	s.rules, s.last = r.Rules, r.LastRule
	return r
}

func group(labels map[string]string, groups ...string) *api.Group {
	g := &api.Group{Spec: api.GroupSpec{Groups: groups}}
	if labels != nil {
		g.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: labels}
	}
	return g
}

func origin(kind, name string) policy.Origin { return policy.Origin{Kind: kind, Name: name} }

func policyFrom(groups ...string) *api.SecurityPolicy {
	p := &api.SecurityPolicy{}
	for _, g := range groups {
		p.Spec.Rules = append(p.Spec.Rules, api.SecurityRule{SourceGroups: []string{g}, Scope: []string{g}})
	}
	return p
}

// TestAChangeTouchesWhatItChanges: everything else is the pointer that it was.
func TestAChangeTouchesWhatItChanges(t *testing.T) {
	s := newSite()
	for n := 1; n <= 30; n++ {
		s.pod(n, map[string]string{"app": fmt.Sprint("a", n%3)})
	}
	for i := range 3 {
		s.Put(origin(kindGroup, fmt.Sprint("g", i)), group(map[string]string{"app": fmt.Sprint("a", i)}))
		s.Put(origin(kindSecurityPolicy, fmt.Sprint("x", i)), policyFrom(fmt.Sprint("g", i)))
	}
	s.Put(origin(kindGroup, "both"), group(nil, "g0", "g1"))
	before := s.turn(t)
	require.Equal(t, before, s.turn(t), "nothing is another")
	require.Same(t, before.Policy, s.turn(t).Policy)
	at := func(r Result, name string) *policy.Set {
		i := slices.IndexFunc(r.Groups, func(g Group) bool { return g.Origin.Name == name })
		return r.Policy.Sets[r.Groups[i].Set]
	}

	s.pod(31, map[string]string{"app": "a1"})
	after := s.turn(t)
	require.Same(t, at(before, "g0"), at(after, "g0"))
	require.Same(t, at(before, "g2"), at(after, "g2"))
	require.Equal(t, append(slices.Clone(at(before, "g1").Ports), 31), at(after, "g1").Ports)
	require.Contains(t, at(after, "both").Ports, uint16(31))
	require.True(t, same(before.Policy.Sections, after.Policy.Sections), "sections name sets by number")
	for n := 1; n <= 30; n++ {
		require.Same(t, before.Policy.Endpoints[n], after.Policy.Endpoints[n])
	}

	before = after
	s.pod(31, map[string]string{"app": "a1", "other": "label"})
	after = s.turn(t)
	require.Same(t, before.Policy, after.Policy, "no rule is about that label")

	s.Put(origin(kindSecurityPolicy, "x1"), policyFrom("both"))
	after = s.turn(t)
	require.Same(t, before.Policy.Sections[0], after.Policy.Sections[0])
	require.NotSame(t, before.Policy.Sections[1], after.Policy.Sections[1])
	require.Same(t, before.Policy.Sections[2], after.Policy.Sections[2])
	require.Equal(t, before.Rules, after.Rules, "the rule of that name has its number")
	require.Same(t, at(before, "both"), at(after, "both"))
}

// TestNothingIsLeft: whatever was there, with all gone the resolver knows nothing.
func TestNothingIsLeft(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	s := newSite()
	keys := map[policy.Origin]bool{}
	for range 600 {
		name := fmt.Sprint("g", r.IntN(6))
		other := fmt.Sprint("g", r.IntN(6))
		labels := map[string]string{"app": fmt.Sprint("a", r.IntN(3))}
		var key policy.Origin
		var value any
		switch r.IntN(5) {
		case 0:
			key, value = origin(kindGroup, name), group(labels, other)
		case 1:
			key, value = origin(kindGroup, name), group(labels)
		case 2:
			key, value = origin(kindSecurityPolicy, name), policyFrom(name, other)
		case 3:
			key, value = origin(kindTimers, name), &api.SessionTimerProfile{Spec: api.SessionTimerProfileSpec{AppliedTo: []string{other}}}
		case 4:
			s.pod(1+r.IntN(20), labels)
			continue
		}
		if r.IntN(3) == 0 {
			value = nil
		}
		s.Put(key, value)
		keys[key] = value != nil
		if len(s.Check(s.settings)) == 0 {
			s.turn(t)
		}
	}
	for key := range keys {
		s.Put(key, nil)
	}
	s.endpoints = nil
	result := s.turn(t)
	require.Empty(t, result.Rules)
	require.Empty(t, result.Policy.Sections)
	for id, set := range result.Policy.Sets {
		require.True(t, id == int(policy.None) || set == nil)
	}
	x := s.sets
	require.Equal(t, [10]int{1, 0, 0, 0, 0, 0, 2, 0, 0, 0}, [10]int{
		len(s.nodes) + 1, len(s.users), len(s.faulty), len(s.unbuilt), len(s.removed), len(s.groupSets),
		len(x.byKey), len(x.atoms), len(x.index), len(x.fresh),
	})
	require.Zero(t, x.sum)
	require.Empty(t, s.offers.count)
	require.Empty(t, s.offers.users)
	require.Zero(t, s.numbers.Taken())
}

// TestSetsAreSharedByMeaning: selections that mean the same, however they are written, are one set.
func TestSetsAreSharedByMeaning(t *testing.T) {
	s := newSite()
	s.Put(origin(kindGroup, "g"), group(map[string]string{"app": "a"}))
	s.Put(origin(kindGroup, "h"), group(map[string]string{"app": "b"}))
	p := &api.SecurityPolicy{}
	for _, sources := range [][]string{
		{"g"}, {"g", "g"}, {"g", "h"}, {"h", "g"}, {"10.0.0.0/8"}, {"10.0.0.0/9", "10.128.0.0/9"}, {"10.0.0.0-10.255.255.255"}, {}, {"ANY"},
	} {
		p.Spec.Rules = append(p.Spec.Rules, api.SecurityRule{SourceGroups: sources})
	}
	s.Put(origin(kindSecurityPolicy, "p"), p)
	result := s.turn(t)
	var got []policy.SetID
	for _, r := range result.Policy.Sections[0].Rules {
		got = append(got, r.Source)
	}
	require.Equal(t, []policy.SetID{got[0], got[0], got[2], got[2], got[4], got[4], got[4], policy.Any, policy.Any}, got)
	require.Equal(t, result.Groups[0].Set, got[0])
}
