package pcap

import (
	"bytes"
	"encoding/binary"
	"io"
)

// order is a byte order that files are built in.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var orders = map[string]order{"little": binary.LittleEndian, "big": binary.BigEndian}

// record is a record of a pcap file as it stands in the file.
type record struct {
	sec, sub, capLen, origLen uint32
	data                      []byte
}

// rec is a whole frame captured at a number of seconds.
func rec(sec uint32, data []byte) record {
	return record{sec: sec, capLen: uint32(len(data)), origLen: uint32(len(data)), data: data}
}

func pcapFile(o order, magic, link uint32, records ...record) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 65535, link} {
		b = o.AppendUint32(b, v)
	}
	for _, r := range records {
		for _, v := range []uint32{r.sec, r.sub, r.capLen, r.origLen} {
			b = o.AppendUint32(b, v)
		}
		b = append(b, r.data...)
	}
	return b
}

// block puts a pcapng block together: fields of 16, 32 and 64 bits, and bytes that
// are padded.
func block(o order, kind uint32, fields ...any) []byte {
	var body []byte
	for _, f := range fields {
		switch f := f.(type) {
		case uint16:
			body = o.AppendUint16(body, f)
		case uint32:
			body = o.AppendUint32(body, f)
		case uint64:
			body = o.AppendUint64(body, f)
		case []byte:
			body = append(body, f...)
			for len(body)%4 != 0 {
				body = append(body, 0)
			}
		}
	}
	b := o.AppendUint32(nil, kind)
	b = o.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return o.AppendUint32(b, uint32(len(body)+12))
}

func section(o order) []byte {
	return block(o, blockSection, uint32(byteOrderMagic), uint16(1), uint16(0), ^uint64(0))
}

// ifaceBlock describes an interface; options are given as fields.
func ifaceBlock(o order, link uint16, snap uint32, options ...any) []byte {
	return block(o, blockInterface, append([]any{link, uint16(0), snap}, options...)...)
}

func enhanced(o order, iface uint32, stamp uint64, data []byte) []byte {
	n := uint32(len(data))
	return block(o, blockEnhanced, iface, uint32(stamp>>32), uint32(stamp), n, n, data)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// readAll returns copies of all frames and the error that ended them; nil stands for io.EOF.
func readAll(r *Reader) (frames []Frame, err error) {
	for {
		var f Frame
		if err := r.Next(&f); err != nil {
			if err == io.EOF {
				err = nil
			}
			return frames, err
		}
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
}

// open is NewReader and readAll of a file in memory.
func open(file []byte) (frames []Frame, r *Reader, err error) {
	if r, err = NewReader(bytes.NewReader(file), "test.cap"); err != nil {
		return nil, nil, err
	}
	frames, err = readAll(r)
	return frames, r, err
}

var (
	// frameA and frameB are minimal Ethernet frames of different lengths.
	frameA = []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 0xaa}
	frameB = []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 0xbb, 0xbc, 0xbd, 0xbe}
)
