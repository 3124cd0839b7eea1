package packet

import (
	"encoding/binary"
	"math/bits"
)

// RSSKey is the secret of a Toeplitz hash, as network adapters take it for
// receive-side scaling.
type RSSKey [40]byte

// rssInputSize is the longest input: two IPv6 addresses and two ports.
const rssInputSize = 36

// DefaultRSSKey is the key of Microsoft's RSS verification suite, which most
// drivers start with.
var DefaultRSSKey = RSSKey{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

// SymmetricRSSKey repeats every 16 bits, so that swapping source and
// destination does not change the hash (Woo and Park, "Scalable TCP Session
// Monitoring with Symmetric Receive-side Scaling", 2012).
var SymmetricRSSKey = RSSKey{
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
	0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
}

// Toeplitz returns the hash of the first 36 bytes of input: for each bit that
// is set, the 32 bits of the key that start there are added modulo 2. Bit by
// bit; ToeplitzTable is for speed.
func Toeplitz(key *RSSKey, input []byte) (hash uint32) {
	input = input[:min(len(input), rssInputSize)]
	for i, b := range input {
		window := uint64(binary.BigEndian.Uint32(key[i:]))<<8 | uint64(key[i+4])
		for bit := range 8 {
			if b&(0x80>>bit) != 0 {
				hash ^= uint32(window >> (8 - bit))
			}
		}
	}
	return hash
}

// ToeplitzTable holds what each value of each input byte contributes to the
// hash: 36 KiB, one load for each byte.
type ToeplitzTable [rssInputSize][256]uint32

// NewToeplitzTable computes the table of key.
func NewToeplitzTable(key *RSSKey) *ToeplitzTable {
	t := new(ToeplitzTable)
	var input [rssInputSize]byte
	for i := range t {
		for v := range t[i] {
			input[i] = byte(v)
			t[i][v] = Toeplitz(key, input[:i+1])
		}
		input[i] = 0
	}
	return t
}

// Hash equals Toeplitz with the table's key.
func (t *ToeplitzTable) Hash(input []byte) (hash uint32) {
	for i, b := range input[:min(len(input), rssInputSize)] {
		hash ^= t[i][b]
	}
	return hash
}

// HashKey hashes addresses of k and, if ports is set, its ports, in the order
// in which adapters do: source address, destination address, source port,
// destination port.
func (t *ToeplitzTable) HashKey(k *Key, ports bool) uint32 {
	var input [rssInputSize]byte
	n := 32
	if k.Src.Is4() && k.Dst.Is4() {
		binary.LittleEndian.PutUint32(input[:], uint32(k.Src[1]>>32))
		binary.LittleEndian.PutUint32(input[4:], uint32(k.Dst[1]>>32))
		n = 8
	} else {
		for i, w := range [4]uint64{k.Src[0], k.Src[1], k.Dst[0], k.Dst[1]} {
			binary.LittleEndian.PutUint64(input[i*8:], w)
		}
	}
	if ports {
		binary.BigEndian.PutUint16(input[n:], k.SrcPort())
		binary.BigEndian.PutUint16(input[n+2:], k.DstPort())
		n += 4
	}
	return t.Hash(input[:n])
}

// Odd multipliers without structure: fractional digits of pi.
const (
	mix0 = 0x243f6a8885a308d3
	mix1 = 0x13198a2e03707344 | 1
	mix2 = 0xa4093822299f31d0 | 1
)

// SymmetricHash hashes a session the same from both its directions, so that
// software that spreads frames over queues keeps a session on one.
func SymmetricHash(k *Key, seed uint64) uint32 {
	src := endpointHash(k.Src, k.SrcPort(), seed)
	dst := endpointHash(k.Dst, k.DstPort(), seed)
	// Sum, not exclusive or: an address that talks to itself is not to hash to 0.
	h := foldMul(src+dst+mix1, k.Tail>>32^seed^mix2)
	return uint32(h ^ h>>32)
}

func endpointHash(a Addr, port uint16, seed uint64) uint64 {
	return foldMul(foldMul(a[0]^seed^mix0, a[1]^mix1)^uint64(port), seed^mix2)
}

// foldMul is the mixing step of wyhash: both halves of a 128-bit product.
func foldMul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
