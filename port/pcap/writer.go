package pcap

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"os"
)

// Writer writes Ethernet frames to a pcap file with time stamps in nanoseconds.
// The same frames give the same bytes. It is for one goroutine at a time.
type Writer struct {
	dst    *bufio.Writer
	closer io.Closer // nil if the caller closes
	record [16]byte
}

// Create makes or empties a file and writes the file header. The caller closes
// the Writer.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := NewWriter(f)
	w.closer = f
	return w, nil
}

// NewWriter writes to dst, through a buffer that Flush empties. An error of dst
// is returned by every later call.
func NewWriter(dst io.Writer) *Writer {
	w := &Writer{dst: bufio.NewWriterSize(dst, 1<<16)}
	h := make([]byte, 0, 24)
	h = binary.LittleEndian.AppendUint32(h, magicNano)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...) // reserved
	h = binary.LittleEndian.AppendUint32(h, MaxCapture)
	h = binary.LittleEndian.AppendUint32(h, uint32(LinkEthernet))
	w.dst.Write(h) //nolint:errcheck // it fits the buffer
	return w
}

// Write adds a frame that was origLen bytes long when it was sent or received at
// time t, in nanoseconds since 1970. The format ends in the year 2106 and begins
// in 1970: times outside become the nearest inside. Data beyond MaxCapture is cut.
func (w *Writer) Write(t int64, data []byte, origLen int) error {
	origLen = max(origLen, len(data))
	data = data[:min(len(data), MaxCapture)]
	t = min(max(t, 0), math.MaxUint32*1e9+999_999_999)
	h := w.record[:]
	binary.LittleEndian.PutUint32(h, uint32(t/1e9))
	binary.LittleEndian.PutUint32(h[4:], uint32(t%1e9))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(data)))
	binary.LittleEndian.PutUint32(h[12:], uint32(origLen))
	if _, err := w.dst.Write(h); err != nil {
		return err
	}
	_, err := w.dst.Write(data)
	return err
}

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.dst.Flush() }

// Close flushes, and closes the file if Create opened it. It is called once.
func (w *Writer) Close() error {
	err := w.dst.Flush()
	if w.closer != nil {
		if e := w.closer.Close(); err == nil {
			err = e
		}
	}
	return err
}
