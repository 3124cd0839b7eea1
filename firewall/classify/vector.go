package classify

import (
	"math"
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// VectorSize is how many keys a vector has at most.
const VectorSize = 64

// job is a way that has come to a reference: the index of the key above it.
type job uint64

func newJob(key int, ref uint32) job { return job(key)<<32 | job(ref) }

func (j job) ref() uint32 { return uint32(j) }
func (j job) key() int    { return int(j>>32) & (VectorSize - 1) }

// jobs are ways that are followed a step at a time, all of them, so that the processor waits for many lines
// of memory at once. Those that have arrived at a leaf are put aside.
//
// Appending counts in place of branching: which way goes on can't be predicted.
type jobs struct {
	inner, leaves [VectorSize * int(homes)]job
	n, arrived    int
}

func (js *jobs) put(j job) {
	ref := j.ref()
	leaf := ref >> 31
	some := (ref | -ref) >> 31
	js.inner[js.n] = j
	js.n += int(some &^ leaf)
	js.leaves[js.arrived] = j
	js.arrived += int(leaf)
}

// LookupVector is Lookup for up to VectorSize keys at once, which hides what memory costs. refs is as
// long as keys, and is written.
func (t *Table) LookupVector(tier int, keys []Key, refs []Ref) {
	for len(keys) > VectorSize {
		t.LookupVector(tier, keys[:VectorSize], refs[:VectorSize])
		keys, refs = keys[VectorSize:], refs[VectorSize:]
	}
	var (
		queries [VectorSize]query
		js      jobs
		best    [VectorSize]uint64 // rank << 32 | slot
	)
	tt := &t.tiers[tier]
	for i := range keys {
		q := &queries[i&(VectorSize-1)]
		q.set(tt, &keys[i], t.ports)
		best[i&(VectorSize-1)] = math.MaxUint64
	}
	for i := range keys {
		for _, ref := range queries[i&(VectorSize-1)].trees {
			js.put(newJob(i, ref))
		}
	}
	for js.n > 0 {
		n := js.n
		js.n = 0
		for _, j := range js.inner[:n] {
			js.put(newJob(j.key(), t.nodes[j.ref()].step(&queries[j.key()].point)))
		}
	}
	t.finish(&js, &queries, &best)
	for i := range keys {
		slot := uint32(best[i&(VectorSize-1)])
		if best[i&(VectorSize-1)] == math.MaxUint64 {
			slot = 0
		}
		refs[i] = Ref(slot)
	}
}

// finish asks all leaves, and keeps the best of each key.
func (t *Table) finish(js *jobs, queries *[VectorSize]query, best *[VectorSize]uint64) {
	touched := uint32(0)
	for _, j := range js.leaves[:js.arrived] { // so that the lines come all at once
		touched |= t.entries[j.ref()&^leafRef].slot
	}
	if touched == 0 {
		return
	}
	found := 0
	for _, j := range js.leaves[:js.arrived] {
		q := &queries[j.key()]
		slot := t.scan(j.ref()&^leafRef, &q.point, q.family)
		js.inner[found] = newJob(j.key(), slot)
		found += int((slot | -slot) >> 31)
	}
	for _, j := range js.inner[:found] {
		b := &best[j.key()]
		*b = min(*b, uint64(t.ranks[j.ref()])<<32|uint64(j.ref()))
	}
}

// ClassVector is Class for up to VectorSize addresses at once. scopes and classes are as long as addrs, and classes is written.
func (t *Table) ClassVector(scopes []uint32, addrs []packet.Addr, classes []Class) {
	for len(addrs) > VectorSize {
		t.ClassVector(scopes[:VectorSize], addrs[:VectorSize], classes[:VectorSize])
		scopes, addrs, classes = scopes[VectorSize:], addrs[VectorSize:], classes[VectorSize:]
	}
	var inner [VectorSize]job
	n := 0
	for i := range addrs {
		a := &addrs[i]
		ref := t.trie.root6
		if a.Is4() {
			ref = t.trie.root4[int(bits.ReverseBytes16(uint16(a[1]>>32)))&(len(t.trie.root4)-1)]
		}
		classes[i] = Class(ref)
		inner[n&(VectorSize-1)] = newJob(i, ref)
		n += int(ref >> 31)
	}
	for n > 0 {
		left := 0
		for _, j := range inner[:n] {
			ref := t.trie.step(&t.trie.nodes[j.ref()&^trieInner], addrs[j.key()])
			classes[j.key()] = Class(ref)
			inner[left&(VectorSize-1)] = newJob(j.key(), ref)
			left += int(ref >> 31)
		}
		n = left
	}
	if len(t.bound.slots) == 0 {
		return
	}
	touched := uint32(0)
	for i := range addrs {
		touched |= t.bound.slots[t.bound.first(host{addrs[i], scopes[i]})].class
	}
	if touched == 0 && t.bound.reach == 1 {
		return
	}
	for i := range addrs {
		if c, found := t.bound.class(host{addrs[i], scopes[i]}); found {
			classes[i] = Class(c)
		}
	}
}
