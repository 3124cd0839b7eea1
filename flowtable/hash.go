package flowtable

import (
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

const golden = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio

// splitMix draws the next number of a sequence (Steele et al., "Fast
// splittable pseudorandom number generators", OOPSLA 2014).
func splitMix(state *uint64) uint64 {
	*state += golden
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Hash hashes a key by multiply and fold: products of 64 by 64 bits, both
// halves XORed, with secret numbers from the seed, so that who can choose
// addresses and ports still can't choose buckets. The two addresses' products
// do not depend on each other. The last multiplication carries what differs in
// the low bits, such as ports, to the high ones, by which an Index goes: without
// it, ports counted up gave fingerprints of one destination that took 45 values.
// Inlined; another operation would exceed the compiler's budget.
func (t *Table) Hash(k *packet.Key) uint64 {
	sh, sl := bits.Mul64(k.Src[0]^t.seeds[0], k.Src[1]^t.seeds[1])
	dh, dl := bits.Mul64(k.Dst[0]^t.seeds[2], k.Dst[1]^t.seeds[3])
	hi, lo := bits.Mul64(sh^sl^k.Tail, dh^dl)
	return (hi ^ lo) * golden
}
