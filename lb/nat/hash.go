package nat

import (
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// seeds make hashes unpredictable for who can choose addresses and ports.
type seeds [6]uint64

func newSeeds(seed uint64) (s seeds) {
	for i := range s {
		seed += 0x9e3779b97f4a7c15
		s[i] = mix(seed)
	}
	return s
}

// mix spreads what differs in some bits over all (Steele et al., "Fast splittable pseudorandom number
// generators", OOPSLA 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fold multiplies and folds, as flowtable's hash does.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// address hashes an address.
func (s *seeds) address(a packet.Addr) uint64 { return mix(fold(a[0]^s[0], a[1]^s[1])) }

// sourceTail is of a key what identifies its source, but for the address.
func sourceTail(k *packet.Key) uint64 { return k.Tail &^ (0xffff << 16) }

// source hashes zone, source address, protocol and source port.
func (s *seeds) source(k *packet.Key) uint64 {
	return mix(fold(k.Src[0]^s[2], k.Src[1]^s[3]) ^ fold(sourceTail(k)^s[4], s[5]))
}

// start draws the place where the search for a port begins.
func (s *seeds) start(k *packet.Key, turn uint64, port uint16) uint64 {
	return mix(fold(k.Src[0]^s[4], k.Src[1]^s[5]) ^ fold(turn^s[2], uint64(port)^s[3]))
}

// destination hashes source and destination for the offset, and otherwise for the counter, of the double-hash algorithm.
func (s *seeds) destination(k *packet.Key) (offset, counter uint64) {
	h := fold(k.Src[0]^s[0], k.Src[1]^s[2]) ^ fold(k.Dst[0]^s[1], k.Dst[1]^s[3]) ^ fold(k.Tail&^0xffff^s[4], s[5])
	return mix(h) >> 16, mix(h ^ s[5])
}
