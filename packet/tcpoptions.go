package packet

import "encoding/binary"

// TCP option kinds (IANA, "TCP Option Kind Numbers").
const (
	TCPOptionMSS           = 2
	TCPOptionWindowScale   = 3 // RFC 7323
	TCPOptionSACKPermitted = 4 // RFC 2018
	TCPOptionSACK          = 5
	TCPOptionTimestamps    = 8 // RFC 7323
)

// MaxWindowScale is the largest shift of the window (RFC 7323 section 2.3).
const MaxWindowScale = 14

// MaxSACK is how many SACK blocks a header has room for.
const MaxSACK = 4

// SACKBlock is a range of sequence numbers that have arrived.
type SACKBlock struct {
	Left  uint32 // first number of the block
	Right uint32 // number after the last
}

// TCPOptions are the options that a stateful switch looks at. A Has field says
// whether the option is there, once and with the right length.
type TCPOptions struct {
	HasMSS         bool
	HasWindowScale bool
	HasTimestamps  bool
	SACKPermitted  bool
	Malformed      bool // the list ends at an impossible length; what came before is read

	WindowScale uint8  // shift; more than MaxWindowScale reads as that (RFC 7323 section 2.3)
	SACKs       uint8  // number of valid SACK blocks
	MSS         uint16 // bytes
	TSVal       uint32
	TSEcr       uint32
	SACK        [MaxSACK]SACKBlock
}

// TCPOptions reads the options. Of an option given twice the last counts, as
// in Linux.
func (t TCP) TCPOptions() (o TCPOptions) {
	it := t.Options()
	for opt, ok := it.Next(); ok; opt, ok = it.Next() {
		d := opt.Data
		switch {
		case opt.Kind == TCPOptionMSS && len(d) == 2:
			o.HasMSS, o.MSS = true, binary.BigEndian.Uint16(d)
		case opt.Kind == TCPOptionWindowScale && len(d) == 1:
			o.HasWindowScale, o.WindowScale = true, min(d[0], MaxWindowScale)
		case opt.Kind == TCPOptionSACKPermitted && len(d) == 0:
			o.SACKPermitted = true
		case opt.Kind == TCPOptionSACK && len(d)%8 == 0:
			o.SACKs, o.SACK = 0, [MaxSACK]SACKBlock{}
			for ; len(d) >= 8 && o.SACKs < MaxSACK; d = d[8:] {
				o.SACK[o.SACKs] = SACKBlock{binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])}
				o.SACKs++
			}
		case opt.Kind == TCPOptionTimestamps && len(d) == 8:
			o.HasTimestamps = true
			o.TSVal, o.TSEcr = binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])
		}
	}
	o.Malformed = it.Malformed()
	return o
}

// Append appends the options to b, filled up with no-operations to a multiple
// of 4 bytes. All of them with more than two SACK blocks do not fit a header.
func (o *TCPOptions) Append(b []byte) []byte {
	start := len(b)
	if o.HasMSS {
		b = append(b, TCPOptionMSS, 4)
		b = binary.BigEndian.AppendUint16(b, o.MSS)
	}
	if o.SACKPermitted {
		b = append(b, TCPOptionSACKPermitted, 2)
	}
	if o.HasTimestamps {
		b = append(b, TCPOptionTimestamps, 10)
		b = binary.BigEndian.AppendUint32(b, o.TSVal)
		b = binary.BigEndian.AppendUint32(b, o.TSEcr)
	}
	if o.HasWindowScale {
		b = append(b, TCPOptionWindowScale, 3, o.WindowScale)
	}
	if n := min(o.SACKs, MaxSACK); n > 0 {
		b = append(b, TCPOptionSACK, 2+8*n)
		for _, s := range o.SACK[:n] {
			b = binary.BigEndian.AppendUint32(b, s.Left)
			b = binary.BigEndian.AppendUint32(b, s.Right)
		}
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, OptionNop)
	}
	return b
}
