package pcap

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"unicode/utf8"
)

// Direction says which way a frame crossed an interface, as in the flags of an
// enhanced packet block.
type Direction uint8

const (
	DirectionUnknown Direction = iota
	Inbound                    // received by the interface
	Outbound                   // sent by it
)

// Interface describes where frames of a pcapng file were captured.
type Interface struct {
	Name        string // of the port
	Description string // may be empty
	SnapLen     int    // longest frame that is kept, bytes; 0 is no limit
}

// Packet is a frame for a pcapng file.
type Packet struct {
	Interface int    // what AddInterface returned
	Time      int64  // nanoseconds since 1970; before is written as 1970
	Data      []byte // Ethernet; cut to the interface's SnapLen
	OrigLen   int    // length on the wire; less than len(Data) counts as that
	Direction Direction
	Comment   string // shown by Wireshark with the packet; may be empty
}

// NgWriter writes Ethernet frames to a pcapng file or stream: several
// interfaces, nanoseconds, a comment per packet. The same calls give the same
// bytes. It is for one goroutine at a time.
type NgWriter struct {
	dst    *bufio.Writer
	snaps  []int  // by interface
	block  []byte // being put together
	failed error  // sticky
}

// NewNgWriter writes a section header to dst, through a buffer that Flush
// empties. The application's name may be empty.
func NewNgWriter(dst io.Writer, application string) *NgWriter {
	w := &NgWriter{dst: bufio.NewWriterSize(dst, 1<<16)}
	w.begin(blockSection)
	w.u32(byteOrderMagic)
	w.u32(1) // version 1.0
	w.u32(0xffffffff, 0xffffffff)
	w.option(optApplication, application)
	w.endOptions(application != "")
	w.end() //nolint:errcheck // sticky
	return w
}

// AddInterface describes an interface and returns its number. It may be called
// at any time before the interface's first packet.
func (w *NgWriter) AddInterface(in Interface) (int, error) {
	if in.SnapLen < 0 || in.SnapLen > math.MaxInt32 {
		return 0, fmt.Errorf("interface %s: snapshot length %d: want 0 or a positive number", in.Name, in.SnapLen)
	}
	w.begin(blockInterface)
	w.u32(uint32(LinkEthernet), uint32(in.SnapLen))
	w.option(optName, in.Name)
	w.option(optDescription, in.Description)
	w.option(optResol, "\x09")
	w.endOptions(true)
	if err := w.end(); err != nil {
		return 0, err
	}
	w.snaps = append(w.snaps, in.SnapLen)
	return len(w.snaps) - 1, nil
}

// WritePacket adds a packet. Its Interface must have been added.
func (w *NgWriter) WritePacket(p *Packet) error {
	if uint(p.Interface) >= uint(len(w.snaps)) {
		return fmt.Errorf("interface %d has not been added to the capture", p.Interface)
	}
	data := p.Data[:min(len(p.Data), MaxCapture)]
	if snap := w.snaps[p.Interface]; snap > 0 {
		data = data[:min(len(data), snap)]
	}
	t := uint64(max(p.Time, 0))
	w.begin(blockEnhanced)
	w.u32(uint32(p.Interface), uint32(t>>32), uint32(t), uint32(len(data)), uint32(max(p.OrigLen, len(p.Data))))
	w.block = append(w.block, data...)
	w.align()
	if p.Direction != DirectionUnknown {
		w.optionHeader(optFlags, 4)
		w.u32(uint32(p.Direction))
	}
	w.option(optComment, p.Comment)
	w.endOptions(p.Direction != DirectionUnknown || p.Comment != "")
	return w.end()
}

// Flush writes what is buffered: a reader of the stream sees all packets.
func (w *NgWriter) Flush() error {
	if w.failed == nil {
		w.failed = w.dst.Flush()
	}
	return w.failed
}

// Stream is one direction of one interface of an NgWriter, with the Write method
// of a Writer.
type Stream struct {
	w      *NgWriter
	packet Packet
}

// Stream returns a writer of packets of an interface in a direction.
func (w *NgWriter) Stream(iface int, d Direction) *Stream {
	return &Stream{w: w, packet: Packet{Interface: iface, Direction: d}}
}

// Write is WritePacket without a comment.
func (s *Stream) Write(t int64, data []byte, origLen int) error {
	s.packet.Time, s.packet.Data, s.packet.OrigLen = t, data, origLen
	err := s.w.WritePacket(&s.packet)
	s.packet.Data = nil // the caller's
	return err
}

// begin starts a block; its length is filled in by end.
func (w *NgWriter) begin(kind uint32) {
	w.block = w.block[:0]
	w.u32(kind, 0)
}

// end writes the block.
func (w *NgWriter) end() error {
	if w.failed != nil {
		return w.failed
	}
	size := uint32(len(w.block) + 4)
	binary.LittleEndian.PutUint32(w.block[4:], size)
	w.u32(size)
	_, w.failed = w.dst.Write(w.block)
	return w.failed
}

func (w *NgWriter) u32(values ...uint32) {
	for _, v := range values {
		w.block = binary.LittleEndian.AppendUint32(w.block, v)
	}
}

// align fills up to the next multiple of four bytes.
func (w *NgWriter) align() {
	for len(w.block)%4 != 0 {
		w.block = append(w.block, 0)
	}
}

func (w *NgWriter) optionHeader(code, size uint16) {
	w.block = binary.LittleEndian.AppendUint16(w.block, code)
	w.block = binary.LittleEndian.AppendUint16(w.block, size)
}

// option adds a text, unless it is empty. Its length has 16 bits: a longer one
// is cut, not inside a character.
func (w *NgWriter) option(code uint16, text string) {
	if text == "" {
		return
	}
	if len(text) > math.MaxUint16 {
		n := math.MaxUint16
		for n > math.MaxUint16-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	w.optionHeader(code, uint16(len(text)))
	w.block = append(w.block, text...)
	w.align()
}

// endOptions ends a list of options; a block without options has none of it.
func (w *NgWriter) endOptions(any bool) {
	if any {
		w.optionHeader(optEnd, 0)
	}
}
