package flowtable

import "sync/atomic"

// searchNodes bounds the search for a free slot: two roots and 8 children
// each make three whole levels and part of the fourth, so no element moves
// more than four others. At a load of 90 % one node in 3 has a free slot.
const searchNodes = 512

// searchNode is a bucket that the search has reached.
type searchNode struct {
	bucket uint32
	parent int16  // node before it, -1 for the two roots
	slot   uint8  // slot of the parent whose element may move here
	fp     uint16 // that element's fingerprint
}

// makeRoom frees a slot in bucket i1 or i2 by moving elements to their other
// buckets; no lock is held on entry. It reports false if the search found no
// way. If others changed the way meanwhile it reports true and the caller
// looks again.
func (x *Index) makeRoom(i1, i2 uint64) bool {
	var nodes [searchNodes]searchNode
	nodes[0] = searchNode{bucket: uint32(i1), parent: -1}
	nodes[1] = searchNode{bucket: uint32(i2), parent: -1}
	n := 2
	for at := 0; at < n; at++ {
		b := x.at(uint64(nodes[at].bucket))
		for slot := uint64(0); slot < slotsPerBucket && n < searchNodes; slot++ {
			fp := atomic.LoadUint64(&b.fp[slot>>2]) >> (slot & 3 * 16) & 0xffff
			if fp == 0 {
				return x.moveAlong(&nodes, at) // somebody made room; the way ends here
			}
			to := x.alternate(uint64(nodes[at].bucket), fp)
			nodes[n] = searchNode{bucket: uint32(to), parent: int16(at), slot: uint8(slot), fp: uint16(fp)}
			tb := x.at(to)
			if matches(atomic.LoadUint64(&tb.fp[0]), atomic.LoadUint64(&tb.fp[1]), 0) != 0 {
				return x.moveAlong(&nodes, n)
			}
			n++
		}
	}
	return false
}

// moveAlong moves the elements on the way to node last, from its far end, so that
// each finds the slot free that the one before it left. An element is written
// to its new bucket before it goes from the old one.
func (x *Index) moveAlong(nodes *[searchNodes]searchNode, last int) bool {
	for at := last; nodes[at].parent >= 0; at = int(nodes[at].parent) {
		node := &nodes[at]
		fp, slot := uint64(node.fp), uint64(node.slot)
		from, to := x.lock(uint64(nodes[node.parent].bucket), uint64(node.bucket))
		// The search took no lock: is the element still the one that may move?
		moved := from.fp[slot>>2]>>(slot&3*16)&0xffff == fp && to.put(fp, from.id[slot])
		if moved {
			from.set(slot, 0)
		}
		unlock(from, to)
		if !moved {
			break
		}
	}
	return true
}
