package flowtable

import (
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// splitMix draws the next number of a sequence (Steele et al., "Fast
// splittable pseudorandom number generators", OOPSLA 2014).
func splitMix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Hash hashes a key by multiply and fold: products of 64 by 64 bits, both
// halves XORed, with secret numbers from the seed, so that who can choose
// addresses and ports still can't choose buckets. The two addresses' products
// do not depend on each other: the latency is that of two multiplications.
// Inlined; a fifth secret number would exceed the compiler's budget.
func (t *Table) Hash(k *packet.Key) uint64 {
	sh, sl := bits.Mul64(k.Src[0]^t.seeds[0], k.Src[1]^t.seeds[1])
	dh, dl := bits.Mul64(k.Dst[0]^t.seeds[2], k.Dst[1]^t.seeds[3])
	hi, lo := bits.Mul64(sh^sl^k.Tail, dh^dl)
	return hi ^ lo
}
