package packet

import "encoding/binary"

// GREMinSize and GREMaxSize bound a GRE header, in bytes.
const (
	GREMinSize = 4
	GREMaxSize = 16
)

const (
	greFlags = 0
	greProto = 2

	greHasChecksum = 0x8000
	greHasRouting  = 0x4000 // RFC 1701 only
	greHasKey      = 0x2000
	greHasSeq      = 0x1000
	greVersion     = 0x0007
)

// GRE is a GRE packet from its header on (RFC 2784, RFC 2890). The three words
// after the first four bytes are optional, in this order.
//
//	 0                         2       4
//	| C, K, S, reserved, ver. | proto | checksum, reserved | key | sequence number | payload
type GRE []byte

// AsGRE views b as a GRE packet; ok iff it is version 0 without RFC 1701's
// routing and the header is whole. The accessors then cannot fail.
func AsGRE(b []byte) (g GRE, ok bool) {
	if len(b) < GREMinSize {
		return nil, false
	}
	g = GRE(b)
	return g, g.flags()&(greVersion|greHasRouting) == 0 && g.HeaderLen() <= len(b)
}

func (g GRE) flags() uint16 { return binary.BigEndian.Uint16(g[greFlags:]) }

// HeaderLen returns the size of the header with its optional words, in bytes.
func (g GRE) HeaderLen() int { return g.offset(0) }

// offset returns where the word after those in flags f and before begins.
func (g GRE) offset(f uint16) int {
	n := GREMinSize
	for _, bit := range [...]uint16{greHasChecksum, greHasKey, greHasSeq} {
		if bit == f {
			break
		}
		if g.flags()&bit != 0 {
			n += 4
		}
	}
	return n
}

// Proto returns the EtherType of the payload.
func (g GRE) Proto() uint16 { return binary.BigEndian.Uint16(g[greProto:]) }

// Checksum returns the checksum of header and payload, if there is one.
func (g GRE) Checksum() (c uint16, found bool) {
	if g.flags()&greHasChecksum == 0 {
		return 0, false
	}
	return binary.BigEndian.Uint16(g[GREMinSize:]), true
}

// Key returns the key, if there is one.
func (g GRE) Key() (k uint32, found bool) { return g.word(greHasKey) }

// Seq returns the sequence number, if there is one.
func (g GRE) Seq() (n uint32, found bool) { return g.word(greHasSeq) }

func (g GRE) word(f uint16) (v uint32, found bool) {
	if g.flags()&f == 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(g[g.offset(f):]), true
}

// Payload returns what follows the header, to the end of g.
func (g GRE) Payload() []byte { return g[g.HeaderLen():] }

// GREFields are the fields of a GRE header.
type GREFields struct {
	Proto                       uint16 // EtherType of the payload
	HasChecksum, HasKey, HasSeq bool
	Checksum                    uint16 // valid iff HasChecksum
	Key                         uint32 // valid iff HasKey
	Seq                         uint32 // valid iff HasSeq
}

// Fields returns the header's fields.
func (g GRE) Fields() (f GREFields) {
	f.Proto = g.Proto()
	f.Checksum, f.HasChecksum = g.Checksum()
	f.Key, f.HasKey = g.Key()
	f.Seq, f.HasSeq = g.Seq()
	return f
}

// Put writes the header to b, which has at least GREMaxSize bytes or as many
// as the fields need, and returns its size.
func (f *GREFields) Put(b []byte) int {
	flags, n := uint16(0), GREMinSize
	for _, w := range [...]struct {
		present bool
		flag    uint16
		word    uint32
	}{
		{f.HasChecksum, greHasChecksum, uint32(f.Checksum) << 16},
		{f.HasKey, greHasKey, f.Key},
		{f.HasSeq, greHasSeq, f.Seq},
	} {
		if w.present {
			flags |= w.flag
			binary.BigEndian.PutUint32(b[n:], w.word)
			n += 4
		}
	}
	binary.BigEndian.PutUint16(b[greFlags:], flags)
	binary.BigEndian.PutUint16(b[greProto:], f.Proto)
	return n
}
