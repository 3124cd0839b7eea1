package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// written is what a Writer makes of frames.
func written(t *testing.T, frames ...Frame) []byte {
	var file bytes.Buffer
	w := NewWriter(&file)
	for _, f := range frames {
		require.NoError(t, w.Write(f.Time, f.Data, f.OrigLen))
	}
	require.NoError(t, w.Close())
	return file.Bytes()
}

func TestWriterRoundTrip(t *testing.T) {
	tests := []struct {
		why      string
		in, want Frame
	}{
		{"nanoseconds survive", Frame{Time: 1700000000_123456789, Data: frameA, OrigLen: 15}, Frame{Time: 1700000000_123456789, Data: frameA, OrigLen: 15}},
		{"a cut frame keeps its length on the wire", Frame{Data: frameA, OrigLen: 1500}, Frame{Data: frameA, OrigLen: 1500}},
		{"a length on the wire below the data's is the data's", Frame{Data: frameA}, Frame{Data: frameA, OrigLen: 15}},
		{"an empty frame", Frame{Time: 1, Data: []byte{}}, Frame{Time: 1, Data: []byte{}}},
		{"before 1970 is written as 1970", Frame{Time: -1, Data: frameA, OrigLen: 15}, Frame{Data: frameA, OrigLen: 15}},
		{"the last nanosecond of the format", Frame{Time: 1<<32*1e9 - 1, Data: frameA, OrigLen: 15}, Frame{Time: 1<<32*1e9 - 1, Data: frameA, OrigLen: 15}},
		{"after it", Frame{Time: math.MaxInt64, Data: frameA, OrigLen: 15}, Frame{Time: 1<<32*1e9 - 1, Data: frameA, OrigLen: 15}},
		{"more than a capture holds is cut", Frame{Data: make([]byte, MaxCapture+9)}, Frame{Data: make([]byte, MaxCapture), OrigLen: MaxCapture + 9}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			file := written(t, tt.in, tt.in)
			require.Equal(t, file, written(t, tt.in, tt.in), "same frames, same bytes")
			got, _, err := open(file)
			require.NoError(t, err)
			want := tt.want
			want.LinkType = LinkEthernet
			again := want
			again.Index = 1
			require.Equal(t, []Frame{want, again}, got)
		})
	}
}

// Every shared Ethernet capture, read, written and read again, is the same.
func TestWriterRoundTripOfSharedCaptures(t *testing.T) {
	dir := sharedtest.Path(t, "captures")
	for _, path := range captureFiles(t, filepath.Join(dir, "real")) {
		r, err := Open(filepath.Join(dir, "real", path))
		require.NoError(t, err)
		frames, err := readAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		got, _, err := open(written(t, frames...))
		require.NoError(t, err)
		for i := range frames {
			frames[i].LinkType = LinkEthernet
		}
		require.Equal(t, frames, got, path)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.pcap")
	w, err := Create(path)
	require.NoError(t, err)
	require.NoError(t, w.Write(5, frameA, 15))
	require.NoError(t, w.Flush())
	r, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, path, r.Name())
	frames, err := readAll(r)
	require.NoError(t, err)
	require.Len(t, frames, 1)
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())

	_, err = Create(filepath.Join(path, "not", "a", "folder"))
	require.Error(t, err)
	_, err = Open(path + ".missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// fullDisk takes n bytes.
type fullDisk struct{ n int }

var errFull = errors.New("no space left")

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.n -= len(p); d.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWritersReportErrors(t *testing.T) {
	big := make([]byte, 1<<17)
	w := NewWriter(&fullDisk{1000})
	require.ErrorIs(t, w.Write(0, big, 0), errFull)
	require.ErrorIs(t, w.Write(0, frameA, 0), errFull)
	require.ErrorIs(t, w.Close(), errFull)

	ng := NewNgWriter(&fullDisk{1000}, "")
	id, err := ng.AddInterface(Interface{Name: "a"})
	require.NoError(t, err)
	require.ErrorIs(t, ng.WritePacket(&Packet{Interface: id, Data: big}), errFull)
	require.ErrorIs(t, ng.Flush(), errFull)
	_, err = ng.AddInterface(Interface{Name: "b"})
	require.ErrorIs(t, err, errFull)
}

func TestNgWriterRefusesNonsense(t *testing.T) {
	w := NewNgWriter(&fullDisk{1000}, "")
	require.ErrorContains(t, w.WritePacket(&Packet{}), "interface 0 has not been added")
	_, err := w.AddInterface(Interface{Name: "a", SnapLen: -1})
	require.ErrorContains(t, err, "interface a: snapshot length -1")
	id, err := w.AddInterface(Interface{})
	require.NoError(t, err)
	require.NoError(t, w.WritePacket(&Packet{Interface: id, Data: frameA}), "earlier faults of the caller are forgotten")
}

func TestNgWriter(t *testing.T) {
	var file bytes.Buffer
	w := NewNgWriter(&file, "sluice")
	a, err := w.AddInterface(Interface{Name: "default/web-0", Description: "pod"})
	require.NoError(t, err)
	require.NoError(t, w.WritePacket(&Packet{Interface: a, Time: 1700000000_123456789, Data: frameA, OrigLen: 15, Direction: Inbound, Comment: "rule 7"}))
	b, err := w.AddInterface(Interface{Name: "uplink", SnapLen: 4})
	require.NoError(t, err)
	require.NoError(t, w.Stream(b, Outbound).Write(1700000001_000000000, frameB, 18))
	long := strings.Repeat("é", 40000)
	require.NoError(t, w.WritePacket(&Packet{Interface: a, Time: -1, Data: frameB, Comment: long}))
	require.NoError(t, w.WritePacket(&Packet{Interface: a, Time: math.MaxInt64, Data: frameB}))
	require.NoError(t, w.Flush())

	t.Run("read by Reader", func(t *testing.T) {
		got, _, err := open(file.Bytes())
		require.NoError(t, err)
		require.Equal(t, []Frame{
			{Time: 1700000000_123456789, Data: frameA, OrigLen: 15, Index: 0, LinkType: 1},
			{Time: 1700000001_000000000, Data: frameB[:4], OrigLen: 18, Index: 1, LinkType: 1},
			{Time: 0, Data: frameB, OrigLen: 18, Index: 2, LinkType: 1},
			{Time: math.MaxInt64, Data: frameB, OrigLen: 18, Index: 3, LinkType: 1},
		}, got)
	})
	t.Run("read by pcapgo", func(t *testing.T) {
		r, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.DefaultNgReaderOptions)
		require.NoError(t, err)
		require.Equal(t, "sluice", r.SectionInfo().Application)
		data, ci, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, frameA, data)
		require.Equal(t, time.Unix(1700000000, 123456789).UTC(), ci.Timestamp)
		data, ci, err = r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, frameB[:4], data)
		require.Equal(t, 18, ci.Length)
		require.Equal(t, b, ci.InterfaceIndex)
		in, err := r.Interface(a)
		require.NoError(t, err)
		require.Equal(t, "default/web-0", in.Name)
		require.Equal(t, "pod", in.Description)
		require.Equal(t, layers.LinkTypeEthernet, in.LinkType)
		in, err = r.Interface(b)
		require.NoError(t, err)
		require.Equal(t, "uplink", in.Name)
		require.EqualValues(t, 4, in.SnapLength)
	})
	t.Run("options of packets", func(t *testing.T) {
		got := packetOptions(t, file.Bytes())
		require.Equal(t, []map[uint16]string{
			{optFlags: "\x01\x00\x00\x00", optComment: "rule 7"},
			{optFlags: "\x02\x00\x00\x00"},
			{optComment: long[:65534]},
			{},
		}, got)
	})
}

// packetOptions walks the blocks of a little-endian file and returns the options
// of its enhanced packet blocks.
func packetOptions(t *testing.T, file []byte) (all []map[uint16]string) {
	for len(file) > 0 {
		kind, size := binary.LittleEndian.Uint32(file), binary.LittleEndian.Uint32(file[4:])
		require.Zero(t, size%4)
		require.Equal(t, size, binary.LittleEndian.Uint32(file[size-4:]))
		body := file[8 : size-4]
		file = file[size:]
		if kind != blockEnhanced {
			continue
		}
		options := map[uint16]string{}
		opts := body[20+padded(binary.LittleEndian.Uint32(body[12:])):]
		for len(opts) > 0 {
			code, n := binary.LittleEndian.Uint16(opts), uint32(binary.LittleEndian.Uint16(opts[2:]))
			if code == optEnd {
				require.Len(t, opts, 4, "the end is the end")
				break
			}
			options[code] = string(opts[4 : 4+n])
			opts = opts[4+padded(n):]
		}
		all = append(all, options)
	}
	return all
}

func TestWritersDoNotAllocate(t *testing.T) {
	w := NewWriter(&fullDisk{math.MaxInt})
	ng := NewNgWriter(&fullDisk{math.MaxInt}, "")
	id, err := ng.AddInterface(Interface{Name: "a"})
	require.NoError(t, err)
	p := Packet{Interface: id, Data: frameA, Direction: Inbound, Comment: "rule 7"}
	s := ng.Stream(id, Outbound)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if w.Write(1, frameB, 18) != nil || ng.WritePacket(&p) != nil || s.Write(1, frameB, 18) != nil {
			t.Fatal("no error can be")
		}
	}))
}
