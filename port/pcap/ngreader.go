package pcap

import (
	"errors"
	"fmt"
	"io"
)

// Block types of pcapng.
const (
	blockSection   = 0x0a0d0d0a // the same in both byte orders
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

const byteOrderMagic = 0x1a2b3c4d

// Options, by the block they stand in.
const (
	optEnd     = 0 // any block
	optComment = 1

	optApplication = 4 // section header

	optName        = 2 // interface description
	optDescription = 3
	optResol       = 9
	optFCSLen      = 13
	optOffset      = 14

	optFlags = 2 // enhanced packet
)

// padded is n rounded up to the 32 bits that everything in pcapng is aligned to.
func padded(n uint32) uint32 { return (n + 3) &^ 3 }

// errBlockEnd says that a block is too short for what it must hold.
var errBlockEnd = errors.New("block ends before its content does")

// firstSection reads the section header that a pcapng file starts with.
func (r *Reader) firstSection() error {
	_, err := r.openBlock()
	if err == nil {
		err = r.closeBlock()
	}
	if err != nil {
		return fmt.Errorf("%s: section header: %w", r.name, err)
	}
	return nil
}

// nextBlock reads one block of a pcapng file: a frame, or something else, with
// carried false.
func (r *Reader) nextBlock(f *Frame) (carried bool, err error) {
	at := r.off
	kind, err := r.openBlock()
	if err == nil {
		switch kind {
		case blockInterface:
			err = r.readInterface()
		case blockPacket, blockSimple, blockEnhanced:
			var p packetHeader
			if p, err = r.readPacketHeader(kind); err == nil {
				return r.readPacket(f, &p, at)
			}
			return false, r.frameError(at, err)
		}
	}
	if err == nil {
		err = r.closeBlock()
	}
	switch {
	case err == nil:
		return false, nil
	case r.off == at && errors.Is(err, ErrTruncated):
		return false, io.EOF
	}
	return false, fmt.Errorf("%s: block of type %#x at byte %d, before frame %d: %w", r.name, kind, at, r.index, err)
}

// openBlock reads the header of a block and sets body. A section header sets
// the byte order and forgets the interfaces; its fixed part is read.
//
//	0 type, 4 total length, 8 body, then total length again
func (r *Reader) openBlock() (kind uint32, err error) {
	h := r.scratch[:8]
	if err := r.read(h); err != nil {
		return 0, err
	}
	kind = r.u32(h)
	if kind != blockSection {
		return kind, r.setBody(r.u32(h[4:]))
	}

	//  0 byte-order magic, 4 major, 6 minor, 8 section length[8]
	s := r.scratch[8:24]
	if err := r.read(s); err != nil {
		return kind, err
	}
	r.big = false
	if r.u32(s) != byteOrderMagic {
		r.big = true
		if r.u32(s) != byteOrderMagic {
			return kind, fmt.Errorf("%w: byte-order magic is % x", ErrNotCapture, s[:4])
		}
	}
	// Minor version 2 is what some tools wrote in error; it is 1.0.
	if major, minor := r.u16(s[4:]), r.u16(s[6:]); major != 1 || minor != 0 && minor != 2 {
		return kind, fmt.Errorf("%w: pcapng version %d.%d is not read, only 1.0", ErrNotCapture, major, minor)
	}
	r.ifaces = r.ifaces[:0]
	if err := r.setBody(r.u32(h[4:])); err != nil {
		return kind, err
	}
	return kind, r.take(uint32(len(s)))
}

// setBody takes the total length of a block.
func (r *Reader) setBody(total uint32) error {
	if total < 12 || total%4 != 0 {
		return fmt.Errorf("block length %d is impossible", total)
	}
	r.total, r.body = total, total-12
	return nil
}

// take accounts for n bytes of the block's body.
func (r *Reader) take(n uint32) error {
	if n > r.body {
		return errBlockEnd
	}
	r.body -= n
	return nil
}

// readBody reads len(p) bytes of the block's body.
func (r *Reader) readBody(p []byte) error {
	if err := r.take(uint32(len(p))); err != nil {
		return err
	}
	return r.read(p)
}

// closeBlock passes over the rest of the block and checks its second length.
func (r *Reader) closeBlock() error {
	if err := r.skip(r.body); err != nil {
		return err
	}
	r.body = 0
	t := r.scratch[:4]
	if err := r.read(t); err != nil {
		return err
	}
	if again := r.u32(t); again != r.total {
		return fmt.Errorf("block length is %d at its start and %d at its end", r.total, again)
	}
	return nil
}

// readInterface reads an interface description block:
//
//	0 link type, 2 reserved, 4 snapshot length, 8 options
func (r *Reader) readInterface() error {
	if len(r.ifaces) == maxInterfaces {
		return fmt.Errorf("section has more than %d interfaces", maxInterfaces)
	}
	h := r.scratch[:8]
	if err := r.readBody(h); err != nil {
		return err
	}
	in := iface{link: LinkType(r.u16(h)), snapLen: r.u32(h[4:])}
	resol, offset := byte(6), int64(0)
	for r.body >= 4 {
		if err := r.readBody(h[:4]); err != nil {
			return err
		}
		code, size := r.u16(h), uint32(r.u16(h[2:]))
		if code == optEnd {
			break
		}
		room := padded(size)
		if err := r.take(room); err != nil {
			return fmt.Errorf("option %d of %d bytes: %w", code, size, err)
		}
		if want, known := ifaceOptionLen[code]; !known || size != want {
			if known {
				return fmt.Errorf("option %d has %d bytes, not %d", code, size, want)
			}
			if err := r.skip(room); err != nil {
				return err
			}
			continue
		}
		if err := r.read(h[:room]); err != nil {
			return err
		}
		switch code {
		case optResol:
			resol = h[0]
		case optFCSLen:
			in.fcsLen = uint32(h[0]) / 8 // given in bits
		case optOffset:
			offset = int64(r.u64(h))
		}
	}
	in.clock = newClock(resol, offset)
	r.ifaces = append(r.ifaces, in)
	return nil
}

// ifaceOptionLen has the lengths of the options that readInterface reads.
var ifaceOptionLen = map[uint16]uint32{optResol: 1, optFCSLen: 1, optOffset: 8}

// packetHeader is the common content of the three kinds of packet block.
type packetHeader struct {
	in      *iface
	time    int64
	capLen  uint32
	origLen uint32
}

// readPacketHeader reads what stands before the frame in a packet block:
//
//	enhanced  0 interface, 4 stamp high, 8 stamp low, 12 captured length, 16 original length
//	obsolete  0 interface (16 bits), 2 drops, then the same
//	simple    0 original length
func (r *Reader) readPacketHeader(kind uint32) (p packetHeader, err error) {
	h := r.scratch[:20]
	if kind == blockSimple {
		if err := r.readBody(h[:4]); err != nil {
			return p, err
		}
		if p.in, err = r.iface(0); err != nil {
			return p, err
		}
		p.origLen = r.u32(h)
		p.capLen = p.origLen
		if p.in.snapLen != 0 {
			p.capLen = min(p.capLen, p.in.snapLen)
		}
		// It has no time; that of the frame before keeps the clock from jumping.
		p.time = r.last
	} else {
		if err := r.readBody(h); err != nil {
			return p, err
		}
		id := r.u32(h)
		if kind == blockPacket {
			id = uint32(r.u16(h))
		}
		if p.in, err = r.iface(id); err != nil {
			return p, err
		}
		p.time = p.in.clock.nanos(uint64(r.u32(h[4:]))<<32 | uint64(r.u32(h[8:])))
		p.capLen, p.origLen = r.u32(h[12:]), r.u32(h[16:])
	}
	if p.capLen > r.body {
		return p, fmt.Errorf("captured length %d: %w", p.capLen, errBlockEnd)
	}
	return p, nil
}

// iface returns the interface with the given number in the section.
func (r *Reader) iface(id uint32) (*iface, error) {
	if uint64(id) >= uint64(len(r.ifaces)) {
		return nil, fmt.Errorf("interface %d is not described; the section has %d so far", id, len(r.ifaces))
	}
	return &r.ifaces[id], nil
}

// readPacket reads the frame and the rest of a packet block. Frames of a link
// type that is not carried are passed over, whatever their length.
func (r *Reader) readPacket(f *Frame, p *packetHeader, at int64) (carried bool, err error) {
	wanted := p.in.link.Carried()
	switch {
	case wanted && p.capLen > MaxCapture:
		err = fmt.Errorf("captured length %d exceeds %d", p.capLen, MaxCapture)
	case wanted:
		if err = r.take(p.capLen); err == nil {
			err = r.frameData(p.capLen)
		}
	}
	if err == nil {
		err = r.closeBlock()
	}
	if err != nil {
		return false, r.frameError(at, err)
	}
	if !wanted {
		r.index++
		r.refuse(p.in.link)
		return false, nil
	}
	return r.finish(f, p.in, p.time, p.capLen, p.origLen), nil
}

func (r *Reader) u64(b []byte) uint64 {
	if r.big {
		return uint64(r.u32(b))<<32 | uint64(r.u32(b[4:]))
	}
	return uint64(r.u32(b[4:]))<<32 | uint64(r.u32(b))
}
