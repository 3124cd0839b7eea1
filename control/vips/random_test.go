package vips_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/vips"
)

// world is owners, pools and time, changed at random.
type world struct {
	rand     *rand.Rand
	requests map[string]*vips.Request
	pools    []vips.Pool
	taken    map[netip.Addr]bool
	takenRun uint64
	now      int64
}

func (w *world) input(previous *vips.Allocations) vips.Input {
	in := vips.Input{Pools: w.pools, Previous: previous, Now: w.now, Quarantine: quarantine, TakenRun: w.takenRun}
	for _, name := range names(w.requests) {
		in.Requests = append(in.Requests, w.requests[name])
	}
	taken := w.taken
	in.Taken = func(_ uint32, a netip.Addr) string {
		if taken[a] {
			return "Port web/x"
		}
		return ""
	}
	in.NodePorts.First, in.NodePorts.Last = 30000, 30009
	return in
}

func names[V any](m map[string]V) (list []string) {
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func pick[T any](w *world, list ...T) T { return list[w.rand.IntN(len(list))] }

// request makes up what an owner asks for: out of few addresses, keys and ports, so that owners meet.
func (w *world) request(name string) *vips.Request {
	r := &vips.Request{Owner: owner(name), Scope: pick(w, uint32(1), 1, 1, 2)}
	want := vips.Want{Use: pick(w, vips.Virtual, vips.Virtual, vips.Cluster, vips.Source), Pool: pick(w, "", "", "", "v", "w", "x")}
	want.Families = pick(w, []int{32}, []int{32}, []int{32, 128}, []int{128, 32}, nil)
	want.Optional = w.rand.IntN(2) == 0
	want.Anywhere = w.rand.IntN(4) == 0
	for w.rand.IntN(3) == 0 {
		want.Addresses = append(want.Addresses, ip(fmt.Sprintf(pick(w, "192.0.2.%d", "198.51.100.%d", "2001:db8::%d"), 1+w.rand.IntN(9))))
	}
	if w.rand.IntN(2) == 0 {
		want.Share = &vips.Share{Key: pick(w, "key k", "key l", vips.SharedByPorts), Policy: pick(w, "", "", "x")}
		for range 1 + w.rand.IntN(2) {
			first := uint16(1 + w.rand.IntN(6))
			want.Share.Ports = append(want.Share.Ports, vips.Ports{Protocol: pick(w, uint8(6), 17), First: first, Last: first + uint16(w.rand.IntN(2))})
		}
	}
	r.Wants = append(r.Wants, want)
	for port := range uint16(w.rand.IntN(3)) {
		r.NodePorts = append(r.NodePorts, vips.NodePort{Protocol: pick(w, uint8(6), 17), Port: port, Number: pick(w, uint16(0), 0, 0, 30000, 30003, 80)})
	}
	return r
}

func (w *world) change() {
	switch w.rand.IntN(10) {
	case 0, 1, 2, 3:
		name := fmt.Sprintf("s%02d", w.rand.IntN(30))
		w.requests[name] = w.request(name)
	case 4, 5, 6:
		if list := names(w.requests); len(list) > 0 {
			delete(w.requests, pick(w, list...))
		}
	case 7:
		w.now += int64(w.rand.IntN(70)) * int64(time.Second)
	case 8:
		taken := map[netip.Addr]bool{}
		for range w.rand.IntN(3) {
			taken[ip(fmt.Sprintf("192.0.2.%d", 1+w.rand.IntN(9)))] = true
		}
		w.taken = taken
		w.takenRun++
	case 9:
		w.pools = nil
		for _, p := range []vips.Pool{
			pool("c", vips.Cluster, "192.0.2.1-192.0.2.2"),
			pool("s", vips.Source, "192.0.2.3-192.0.2.3"),
			pool("v", vips.Virtual, "192.0.2.4-192.0.2.6", "2001:db8::1-2001:db8::3"),
			pool("w", vips.Virtual, "192.0.2.8-192.0.2.9"),
		} {
			if w.rand.IntN(4) > 0 {
				if w.rand.IntN(4) == 0 {
					p.Ranges = p.Ranges[:1]
					p.Ranges[0].Last = p.Ranges[0].First
				}
				w.pools = append(w.pools, p)
			}
		}
	}
}

// TestRandom changes owners, pools, others' addresses and time, restarts now and then, and holds each result against
// the one before and the rules.
func TestRandom(t *testing.T) {
	steps := 1500
	if testing.Short() {
		steps = 300
	}
	for seed := range uint64(4) {
		w := &world{rand: rand.New(rand.NewPCG(seed, 1)), requests: map[string]*vips.Request{}, takenRun: 1}
		allocator := vips.New()
		var last *vips.Allocations
		var before []*vips.Request
		for step := range steps {
			for range 1 + w.rand.IntN(3) {
				w.change()
			}
			in := w.input(last)
			if w.rand.IntN(8) == 0 {
				allocator = vips.New()
				in.Previous = throughJSON(t, last)
			}
			result := allocator.Allocate(in)
			fresh := vips.Allocate(in)
			where := fmt.Sprintf("seed %d, step %d", seed, step)
			require.Equal(t, fresh, result, "%s: what was there before makes a difference", where)
			w.check(t, where, in, before, result)
			again := allocator.Allocate(withPrevious(in, result.Allocations))
			require.Same(t, result.Allocations, again.Allocations, "%s: nothing has changed", where)
			for i := range again.Grants {
				require.Same(t, result.Grants[i], again.Grants[i], "%s: nothing has changed", where)
			}
			last, before = result.Allocations, in.Requests
		}
		w.leave(t, allocator, last)
	}
}

func withPrevious(in vips.Input, a *vips.Allocations) vips.Input {
	in.Previous = a
	return in
}

func throughJSON(t *testing.T, a *vips.Allocations) *vips.Allocations {
	if a == nil {
		return nil
	}
	data, err := json.Marshal(a)
	require.NoError(t, err)
	var back vips.Allocations
	require.NoError(t, json.Unmarshal(data, &back))
	second, err := json.Marshal(&back)
	require.NoError(t, err)
	require.Equal(t, string(data), string(second))
	return &back
}

// check holds a result against the rules.
func (w *world) check(t *testing.T, where string, in vips.Input, before []*vips.Request, result *vips.Result) {
	previous := in.Previous
	if previous == nil {
		previous = &vips.Allocations{}
	}
	was := map[string]*vips.Request{}
	for _, r := range before {
		was[vips.Key(r.Owner)] = r
	}
	type holder struct {
		r    *vips.Request
		want *vips.Want
	}
	type place struct {
		scope   uint32
		address netip.Addr
	}
	holders := map[place][]holder{}
	numbers := map[string]string{}
	for i, r := range in.Requests {
		grant, want, key := result.Grants[i], &r.Wants[0], vips.Key(r.Owner)
		held := previous.Held[key]
		for _, a := range grant.Addresses[0] {
			for _, o := range holders[place{r.Scope, a}] {
				require.True(t, mayShare(want, o.want), "%s: %s has two owners, %s and %s", where, a, r.Owner, o.r.Owner)
			}
			holders[place{r.Scope, a}] = append(holders[place{r.Scope, a}], holder{r, want})
			had := held != nil && slices.ContainsFunc(held.Addresses, func(x vips.HeldAddress) bool { return x.Address == a })
			require.True(t, had || !w.taken[a], "%s: %s is given to %s, and a port has it", where, a, r.Owner)
			quarantined, own := false, false
			for _, f := range previous.Freed {
				if f.Address == a && in.Now-f.At < quarantine {
					// Who gave it back may have it again, and share it.
					again := result.Allocations.Held[f.Owner]
					quarantined, own = true, own || again != nil && slices.ContainsFunc(again.Addresses, func(x vips.HeldAddress) bool { return x.Address == a })
				}
			}
			require.True(t, !quarantined || own, "%s: %s is given to %s and is in quarantine", where, a, r.Owner)
		}
		for n, number := range grant.NodePorts {
			if number != 0 {
				at := fmt.Sprint(r.Scope, r.NodePorts[n].Protocol, number)
				require.Contains(t, []string{"", key}, numbers[at], "%s: node port %d has two owners", where, number)
				numbers[at] = key
			}
		}
		if was[key] == r && held != nil {
			for _, x := range held.Addresses {
				require.Contains(t, grant.Addresses[0], x.Address, "%s: %s has lost what it held", where, r.Owner)
			}
			for _, x := range held.NodePorts {
				require.Contains(t, grant.NodePorts, x.Number, "%s: %s has lost what it held", where, r.Owner)
			}
		}
		w.checkMissing(t, where, in, r, grant, result)
	}
	for _, f := range result.Allocations.Freed {
		require.Less(t, in.Now-f.At, quarantine, "%s: %s is in quarantine for too long", where, f.Address)
		for scope := range uint32(3) {
			require.Empty(t, holders[place{scope, f.Address}], "%s: %s is held and in quarantine", where, f.Address)
		}
	}
}

// checkMissing requires a reason for what is missing; that nothing is free, if that is the reason; and a time when to try again.
func (w *world) checkMissing(t *testing.T, where string, in vips.Input, r *vips.Request, grant *vips.Grant, result *vips.Result) {
	reasons := map[vips.Reason]bool{}
	for _, p := range grant.Problems {
		require.NotEmpty(t, p.Message)
		reasons[p.Reason] = true
	}
	want := &r.Wants[0]
	for _, a := range want.Addresses {
		require.True(t, len(reasons) > 0 || slices.Contains(grant.Addresses[0], a), "%s: %s lacks %s for no reason", where, r.Owner, a)
	}
	for i, bitLen := range want.Families {
		has := slices.ContainsFunc(grant.Addresses[0], func(a netip.Addr) bool { return a.BitLen() == bitLen })
		require.True(t, has || len(reasons) > 0 || want.Optional && i > 0, "%s: %s lacks an address for no reason", where, r.Owner)
	}
	if !reasons[vips.NoAddressFree] {
		return
	}
	out := map[netip.Addr]bool{}
	for _, held := range result.Allocations.Held {
		for _, x := range held.Addresses {
			out[x.Address] = true
		}
	}
	for _, f := range result.Allocations.Freed {
		out[f.Address] = true
	}
	short := false // some wanted family has nothing left
	for _, bitLen := range want.Families {
		if slices.ContainsFunc(grant.Addresses[0], func(a netip.Addr) bool { return a.BitLen() == bitLen }) {
			continue
		}
		free := false
		for _, p := range in.Pools {
			for _, run := range p.Ranges {
				for a := run.First; p.Use == want.Use && (want.Pool == "" || want.Pool == p.Name) && run.Contains(a); a = a.Next() {
					free = free || a.BitLen() == bitLen && !out[a] && !w.taken[a]
				}
			}
		}
		short = short || !free
	}
	require.True(t, short, "%s: %s waits, and an address is free", where, r.Owner)
	if len(result.Allocations.Freed) > 0 {
		require.Positive(t, result.RetryAt, where)
	}
}

func mayShare(a, b *vips.Want) bool {
	if a.Use != b.Use || a.Share == nil || b.Share == nil || a.Share.Key != b.Share.Key || a.Share.Policy != b.Share.Policy {
		return false
	}
	for _, p := range a.Share.Ports {
		for _, o := range b.Share.Ports {
			if p.Protocol == o.Protocol && p.First <= o.Last && o.First <= p.Last {
				return false
			}
		}
	}
	return true
}

// leave has all owners go: after the quarantine everything is free, and whoever comes gets it all.
func (w *world) leave(t *testing.T, allocator *vips.Allocator, last *vips.Allocations) {
	w.requests, w.taken = map[string]*vips.Request{}, nil
	w.takenRun++
	w.pools = []vips.Pool{pool("v", vips.Virtual, "192.0.2.1-192.0.2.9")}
	last = allocator.Allocate(w.input(last)).Allocations
	require.Empty(t, last.Held)
	w.now += quarantine
	for i := range 9 {
		name := fmt.Sprintf("t%d", i)
		w.requests[name] = asks(name, func(r *vips.Request, _ *vips.Want) {
			r.NodePorts = []vips.NodePort{{Protocol: 6, Port: 1}}
		})
	}
	for _, grant := range allocator.Allocate(w.input(last)).Grants {
		require.Empty(t, grant.Problems)
	}
}
