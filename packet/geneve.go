package packet

import "encoding/binary"

// GenevePort is the UDP port of Geneve (RFC 8926).
const GenevePort = 6081

// GeneveMinSize and GeneveMaxSize bound a Geneve header, in bytes.
const (
	GeneveMinSize = 8
	GeneveMaxSize = GeneveMinSize + 63*4
)

const (
	geneveVersion = 0 // version << 6 | size of options in words
	geneveFlags   = 1
	geneveProto   = 2
	geneveVNI     = 4 // << 8 | reserved

	geneveControl  = 0x80
	geneveCritical = 0x40

	geneveOptionSize     = 4    // class, type, length
	geneveOptionCritical = 0x80 // of the type
)

// Geneve is a Geneve packet from its header on, after UDP (RFC 8926 section 3.4).
//
//	 0                   1               2       4     7          8
//	| ver., options len | O, C, reserved | proto | VNI | reserved | options | payload
type Geneve []byte

// AsGeneve views b as a Geneve packet; ok iff the version is 0 and the header,
// with its options, is whole. The accessors then cannot fail.
func AsGeneve(b []byte) (g Geneve, ok bool) {
	if len(b) < GeneveMinSize || b[geneveVersion]>>6 != 0 {
		return nil, false
	}
	g = Geneve(b)
	return g, g.HeaderLen() <= len(b)
}

// HeaderLen returns the size of the header with options, in bytes.
func (g Geneve) HeaderLen() int { return GeneveMinSize + int(g[geneveVersion]&0x3f)*4 }

// Control reports whether this is a control packet, not to be forwarded.
func (g Geneve) Control() bool { return g[geneveFlags]&geneveControl != 0 }

// Critical reports whether some option has to be understood by the tunnel's end.
func (g Geneve) Critical() bool { return g[geneveFlags]&geneveCritical != 0 }

// Proto returns the EtherType of the payload; EtherTypeTEB is an Ethernet frame.
func (g Geneve) Proto() uint16 { return binary.BigEndian.Uint16(g[geneveProto:]) }

// VNI returns the network identifier, at most MaxVNI.
func (g Geneve) VNI() uint32 { return binary.BigEndian.Uint32(g[geneveVNI:]) >> 8 }

// SetVNI sets the network identifier; the reserved byte after it becomes 0.
func (g Geneve) SetVNI(n uint32) { binary.BigEndian.PutUint32(g[geneveVNI:], n<<8) }

// Options returns a walk over the options.
func (g Geneve) Options() GeneveOptions { return GeneveOptions{b: g[GeneveMinSize:g.HeaderLen()]} }

// Payload returns what follows the header, to the end of g.
func (g Geneve) Payload() []byte { return g[g.HeaderLen():] }

// GeneveFields are the fields of a Geneve header.
type GeneveFields struct {
	Control  bool
	Critical bool
	Proto    uint16 // EtherType of the payload
	VNI      uint32 // at most MaxVNI
	Options  []byte // encoded (GeneveOption.Append), at most 252 bytes, a multiple of 4
}

// Fields returns the header's fields; Options is part of g.
func (g Geneve) Fields() GeneveFields {
	return GeneveFields{
		Control: g.Control(), Critical: g.Critical(), Proto: g.Proto(), VNI: g.VNI(),
		Options: g[GeneveMinSize:g.HeaderLen()],
	}
}

// Size returns the size of the header in bytes, options included.
func (f *GeneveFields) Size() int { return GeneveMinSize + len(f.Options)&^3 }

// Put writes the header to b, which has at least Size bytes, and returns its
// size.
func (f *GeneveFields) Put(b []byte) int {
	n := f.Size()
	g := Geneve(b[:n])
	g[geneveVersion] = uint8((n - GeneveMinSize) / 4)
	g[geneveFlags] = 0
	if f.Control {
		g[geneveFlags] |= geneveControl
	}
	if f.Critical {
		g[geneveFlags] |= geneveCritical
	}
	binary.BigEndian.PutUint16(g[geneveProto:], f.Proto)
	g.SetVNI(f.VNI)
	copy(g[GeneveMinSize:], f.Options)
	return n
}

// GeneveOption is one option.
type GeneveOption struct {
	Class uint16
	Type  uint8  // with the critical bit
	Data  []byte // at most 124 bytes, a multiple of 4; part of the packet
}

// Critical reports whether a receiver that does not know the option has to
// drop the packet.
func (o GeneveOption) Critical() bool { return o.Type&geneveOptionCritical != 0 }

// Append appends the encoded option to b.
func (o GeneveOption) Append(b []byte) []byte {
	n := len(o.Data) / 4
	b = binary.BigEndian.AppendUint16(b, o.Class)
	b = append(b, o.Type, uint8(n)&0x1f)
	return append(b, o.Data[:n*4]...)
}

// GeneveOptions walks the options of a header, which bounds the walk to 63.
type GeneveOptions struct {
	b         []byte
	malformed bool
}

// Next returns the next option; ok is false at the end of the header, and
// where a length is impossible: see Malformed.
func (it *GeneveOptions) Next() (o GeneveOption, ok bool) {
	if len(it.b) == 0 {
		return GeneveOption{}, false
	}
	n := geneveOptionSize
	if len(it.b) >= geneveOptionSize {
		n += int(it.b[3]&0x1f) * 4
	}
	if n > len(it.b) {
		it.malformed = true
		it.b = nil
		return GeneveOption{}, false
	}
	o = GeneveOption{Class: binary.BigEndian.Uint16(it.b), Type: it.b[2], Data: it.b[geneveOptionSize:n:n]}
	it.b = it.b[n:]
	return o, true
}

// Malformed reports whether the walk ended at an impossible length.
func (it *GeneveOptions) Malformed() bool { return it.malformed }
