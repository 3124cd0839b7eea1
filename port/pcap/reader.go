package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"
)

// Reader reads the frames of one pcap or pcapng file, whichever it is. It holds
// one frame at a time, in memory of its own that never exceeds MaxCapture and a
// few KiB whatever the file says.
type Reader struct {
	src    *bufio.Reader
	closer io.Closer // nil if the caller closes
	name   string

	ng     bool
	big    bool    // byte order of the file, or of the current pcapng section
	ifaces []iface // a pcap file has one
	total  uint32  // length of the current pcapng block
	body   uint32  // bytes of its body that are not read yet
	buf    []byte  // room for an Ethernet header, then the frame

	scratch [24]byte // headers; a local array would be an allocation per frame

	subsecond int64 // nanoseconds in a unit of a pcap file's second field of time

	off      int64 // bytes read
	index    int64 // number of the next frame
	last     int64 // time of the last frame
	frames   int64 // returned by Next
	refusals []Refusal
	err      error // sticky
}

// Magic numbers of pcap files, in the byte order of the file.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's, with longer record headers; several kinds share it
)

// iface is an interface that frames were captured on.
type iface struct {
	link    LinkType
	snapLen uint32 // 0 is no limit
	fcsLen  uint32 // bytes at the end of each frame that are checksum
	clock   clock  // of a pcapng interface
}

// Refusal counts frames of one link type that are not carried.
type Refusal struct {
	LinkType LinkType
	Frames   int64
}

// Open opens a file. The caller closes the Reader.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	return r, nil
}

// NewReader reads the header of the capture in src. The name stands in errors.
func NewReader(src io.Reader, name string) (*Reader, error) {
	r := &Reader{src: bufio.NewReaderSize(src, 1<<16), name: name}
	magic, err := r.src.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(magic) < 4 {
		return nil, fmt.Errorf("%s: %w: it has %d bytes", name, ErrNotCapture, len(magic))
	}
	switch binary.LittleEndian.Uint32(magic) {
	case magicMicro, magicNano:
		err = r.fileHeader()
	case bits.ReverseBytes32(magicMicro), bits.ReverseBytes32(magicNano):
		r.big = true
		err = r.fileHeader()
	case blockSection:
		r.ng = true
		err = r.firstSection()
	case magicModified, bits.ReverseBytes32(magicModified):
		err = fmt.Errorf("%s: %w: it is \"modified\" pcap (magic a1b2cd34); convert it with editcap or tcpdump -w", name, ErrNotCapture)
	default:
		err = fmt.Errorf("%s: %w: it starts with % x%s", name, ErrNotCapture, magic, foreign(magic))
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// foreign names formats that are given by mistake.
func foreign(magic []byte) string {
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return " (gzip; decompress it first)"
	case string(magic) == "\x28\xb5\x2f\xfd":
		return " (zstd; decompress it first)"
	case string(magic) == "\xfd7zX":
		return " (xz; decompress it first)"
	case string(magic) == "snoo":
		return " (snoop; convert it with editcap)"
	}
	return ""
}

// Close closes the file of a Reader that Open returned.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Name returns the name given to NewReader, or the path given to Open.
func (r *Reader) Name() string { return r.name }

// Frames returns how many frames Next has returned.
func (r *Reader) Frames() int64 { return r.frames }

// Refusals returns how many frames were passed over, by link type in ascending
// order: those of pcapng interfaces that are not carried, and those whose
// link-layer header cannot be turned into Ethernet.
func (r *Reader) Refusals() []Refusal { return slices.Clone(r.refusals) }

// Next reads the next frame into f. At the end it returns io.EOF; if the file
// is damaged, an error that says where, after all frames before the damage. A
// pcapng file that has frames but none of a link type that is carried ends with
// an error that names the types. Errors are final: they are returned again.
func (r *Reader) Next(f *Frame) error {
	if r.err != nil {
		return r.err
	}
	for {
		var carried bool
		var err error
		if r.ng {
			carried, err = r.nextBlock(f)
		} else {
			carried, err = r.nextRecord(f)
		}
		if err != nil {
			if err == io.EOF {
				err = r.end()
			}
			r.err = err
			return err
		}
		if carried {
			r.frames++
			return nil
		}
	}
}

// end returns what Next returns at the end of a whole file.
func (r *Reader) end() error {
	if r.frames > 0 || len(r.refusals) == 0 {
		return io.EOF
	}
	var types string
	for i, x := range r.refusals {
		if x.LinkType.Carried() {
			return io.EOF // single frames were odd, not the file
		}
		if i > 0 {
			types += ", "
		}
		types += x.LinkType.String()
	}
	return fmt.Errorf("%s: no frame is of a link type that is carried, but %s", r.name, types)
}

// fileHeader reads the header of a pcap file:
//
//	0 magic, 4 major, 6 minor, 8 reserved[8], 16 snapshot length, 20 FCS and link type
func (r *Reader) fileHeader() error {
	h := r.scratch[:24]
	if err := r.read(h); err != nil {
		return fmt.Errorf("%s: file header: %w", r.name, err)
	}
	if major, minor := r.u16(h[4:]), r.u16(h[6:]); major != 2 || minor != 4 {
		return fmt.Errorf("%s: %w: pcap version %d.%d is not read, only 2.4", r.name, ErrNotCapture, major, minor)
	}
	// The top six bits: FCS length in units of 16 bits, reserved, and whether
	// it is valid. Old files have other things in them.
	word := r.u32(h[20:])
	in := iface{link: LinkType(word)}
	if word&(1<<26) != 0 {
		in.fcsLen = word >> 28 * 2
	}
	if !in.link.Carried() {
		return fmt.Errorf("%s: link type %s is not carried", r.name, in.link)
	}
	r.ifaces = []iface{in}
	r.subsecond = 1
	if r.u32(h) == magicMicro {
		r.subsecond = 1000
	}
	return nil
}

// nextRecord reads a record of a pcap file:
//
//	0 seconds, 4 subseconds, 8 captured length, 12 original length
func (r *Reader) nextRecord(f *Frame) (carried bool, err error) {
	at := r.off
	h := r.scratch[:16]
	if err := r.read(h); err != nil {
		if r.off == at && errors.Is(err, ErrTruncated) {
			return false, io.EOF
		}
		return false, r.frameError(at, err)
	}
	capLen := r.u32(h[8:])
	if capLen > MaxCapture {
		return false, r.frameError(at, fmt.Errorf("captured length %d exceeds %d", capLen, MaxCapture))
	}
	// Both are 32 bits: their sum in nanoseconds fits 63.
	t := int64(r.u32(h))*1e9 + int64(r.u32(h[4:]))*r.subsecond
	origLen := r.u32(h[12:])
	if err := r.frameData(capLen); err != nil {
		return false, r.frameError(at, err)
	}
	return r.finish(f, &r.ifaces[0], t, capLen, origLen), nil
}

// frameData reads n bytes, at most MaxCapture, behind the room for an Ethernet header.
func (r *Reader) frameData(n uint32) error {
	need := etherLen + int(n)
	if len(r.buf) < need {
		// Doubling: a file of small frames costs little, one of growing frames
		// few allocations.
		r.buf = make([]byte, min(max(2*len(r.buf), need, 2048), etherLen+MaxCapture))
	}
	return r.read(r.buf[etherLen:need])
}

// finish fills f from the capLen bytes in the buffer, or refuses the frame.
func (r *Reader) finish(f *Frame, in *iface, t int64, capLen, origLen uint32) (carried bool) {
	index := r.index
	r.index++
	r.last = t
	origLen = max(origLen, capLen)
	if in.fcsLen > 0 {
		origLen -= min(origLen, in.fcsLen)
		capLen = min(capLen, origLen)
	}
	end := etherLen + int(capLen)
	if len(r.buf) < end { // an empty frame comes first
		r.buf = make([]byte, 2048)
	}
	start, carried := in.link.toEthernet(r.buf[:end])
	if !carried {
		r.refuse(in.link)
		return false
	}
	*f = Frame{
		Time: t, Data: r.buf[start:end:end], OrigLen: int(origLen) + etherLen - start,
		Index: index, LinkType: in.link,
	}
	return true
}

// refuse counts a frame that is not carried.
func (r *Reader) refuse(l LinkType) {
	i, found := slices.BinarySearchFunc(r.refusals, l, func(x Refusal, l LinkType) int { return int(x.LinkType) - int(l) })
	if !found {
		r.refusals = slices.Insert(r.refusals, i, Refusal{LinkType: l})
	}
	r.refusals[i].Frames++
}

// read fills p. The error is ErrTruncated if the file ends before p is full.
func (r *Reader) read(p []byte) error {
	n, err := io.ReadFull(r.src, p)
	r.off += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	return err
}

// skip passes n bytes over.
func (r *Reader) skip(n uint32) error {
	d, err := r.src.Discard(int(n))
	r.off += int64(d)
	if err == io.EOF {
		return ErrTruncated
	}
	return err
}

func (r *Reader) frameError(at int64, err error) error {
	return fmt.Errorf("%s: frame %d at byte %d: %w", r.name, r.index, at, err)
}

func (r *Reader) u16(b []byte) uint16 {
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *Reader) u32(b []byte) uint32 {
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}
