package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

var le, be order = binary.LittleEndian, binary.BigEndian

func TestReader(t *testing.T) {
	a := Frame{Time: 7e9, Data: frameA, OrigLen: len(frameA), LinkType: LinkEthernet}
	with := func(f Frame, change func(*Frame)) Frame { change(&f); return f }
	oneA := []Frame{a}

	tests := []struct {
		why  string
		file []byte
		want []Frame
	}{
		{
			"pcap, little endian, microseconds", pcapFile(le, magicMicro, 1, record{7, 3, 15, 15, frameA}),
			[]Frame{with(a, func(f *Frame) { f.Time += 3000 })},
		},
		{
			"pcap, big endian, microseconds", pcapFile(be, magicMicro, 1, record{7, 3, 15, 15, frameA}),
			[]Frame{with(a, func(f *Frame) { f.Time += 3000 })},
		},
		{
			"pcap, little endian, nanoseconds", pcapFile(le, magicNano, 1, record{7, 3, 15, 15, frameA}),
			[]Frame{with(a, func(f *Frame) { f.Time += 3 })},
		},
		{
			"pcap, big endian, nanoseconds", pcapFile(be, magicNano, 1, record{7, 3, 15, 15, frameA}),
			[]Frame{with(a, func(f *Frame) { f.Time += 3 })},
		},
		{"a file header alone is a capture of nothing", pcapFile(le, magicMicro, 1), nil},
		{
			"an empty frame is a frame, also as the first one", pcapFile(le, magicMicro, 1, record{sec: 7, origLen: 60}),
			[]Frame{with(a, func(f *Frame) { f.Data, f.OrigLen = []byte{}, 60 })},
		},
		{"an original length below the captured one is raised to it", pcapFile(le, magicMicro, 1, record{7, 0, 15, 3, frameA}), oneA},
		{
			"a subsecond field of more than a second carries over instead of wrapping around",
			pcapFile(le, magicMicro, 1, record{7, math.MaxUint32, 15, 15, frameA}),
			[]Frame{with(a, func(f *Frame) { f.Time += math.MaxUint32 * 1000 })},
		},
		{
			"the last second that fits is in 2106, not before 1970", pcapFile(le, magicMicro, 1, rec(math.MaxUint32, frameA)),
			[]Frame{with(a, func(f *Frame) { f.Time = math.MaxUint32 * 1e9 })},
		},
		{"bits above the link type that are not marked valid mean nothing", pcapFile(le, magicMicro, 0x30000001, rec(7, frameA)), oneA},
		{"a valid FCS length is cut off", pcapFile(le, magicMicro, 2<<28|1<<26|1, rec(7, append(frameA[:15:15], 1, 2, 3, 4))), oneA},
		{
			"an FCS that the snapshot has cut already is not cut again",
			pcapFile(le, magicMicro, 2<<28|1<<26|1, record{7, 0, 15, 100, frameA}),
			[]Frame{with(a, func(f *Frame) { f.OrigLen = 96 })},
		},
		{
			"frames longer than the header's snapshot length are kept (dpkt writes such files)",
			pcapFile(le, magicMicro, 1, rec(7, make([]byte, 70000))),
			[]Frame{with(a, func(f *Frame) { f.Data, f.OrigLen = make([]byte, 70000), 70000 })},
		},

		{"pcapng without interfaces is a capture of nothing", section(le), nil},
		{"pcapng, little endian, microseconds by default", join(section(le), ifaceBlock(le, 1, 0), enhanced(le, 0, 7e6, frameA)), oneA},
		{"pcapng, big endian", join(section(be), ifaceBlock(be, 1, 0), enhanced(be, 0, 7e6, frameA)), oneA},
		{
			"each interface has a resolution of its own",
			join(section(le), ifaceBlock(le, 1, 0, uint16(optResol), uint16(1), []byte{9}), ifaceBlock(le, 1, 0, uint16(optResol), uint16(1), []byte{0x80 | 10}),
				enhanced(le, 0, 7e9, frameA), enhanced(le, 1, 7<<10|512, frameA)),
			[]Frame{a, with(a, func(f *Frame) { f.Index, f.Time = 1, 75e8 })},
		},
		{
			"a time offset may reach before 1970",
			join(section(be), ifaceBlock(be, 1, 0, uint16(optOffset), uint16(8), ^uint64(0)-9), enhanced(be, 0, 7e6, frameA)),
			[]Frame{with(a, func(f *Frame) { f.Time = -3e9 })},
		},
		{
			"a new section may change the byte order and starts counting interfaces again",
			join(section(le), ifaceBlock(le, 105, 0), ifaceBlock(le, 1, 0), enhanced(le, 1, 7e6, frameA),
				section(be), ifaceBlock(be, 1, 0), enhanced(be, 0, 7e6, frameA)),
			[]Frame{a, with(a, func(f *Frame) { f.Index = 1 })},
		},
		{
			"blocks that are not known, name resolution and statistics are passed over",
			join(section(le), ifaceBlock(le, 1, 0), block(le, 4, []byte("names")), block(le, 5, uint32(0), uint64(0)), block(le, 0xbad, []byte("custom")),
				enhanced(le, 0, 7e6, frameA)), oneA,
		},
		{
			"options after a frame are passed over",
			join(section(le), ifaceBlock(le, 1, 0), block(le, blockEnhanced, uint32(0), uint32(0), uint32(7e6), uint32(15), uint32(15), frameA,
				uint16(optComment), uint16(2), []byte("hi"), uint32(0))), oneA,
		},
		{
			"an obsolete packet block has an interface of 16 bits",
			join(section(le), ifaceBlock(le, 1, 0), block(le, blockPacket, uint16(0), uint16(9), uint32(0), uint32(7e6), uint32(15), uint32(15), frameA)), oneA,
		},
		{
			"a simple packet block has the time of the frame before",
			join(section(le), ifaceBlock(le, 1, 0), enhanced(le, 0, 7e6, frameA), block(le, blockSimple, uint32(15), frameA)),
			[]Frame{a, with(a, func(f *Frame) { f.Index = 1 })},
		},
		{
			"a simple packet block is cut to the snapshot length",
			join(section(le), ifaceBlock(le, 1, 15), block(le, blockSimple, uint32(100), frameA)),
			[]Frame{with(a, func(f *Frame) { f.Time, f.OrigLen = 0, 100 })},
		},
		{
			"an FCS length is given in bits",
			join(section(le), ifaceBlock(le, 1, 0, uint16(optFCSLen), uint16(1), []byte{32}), enhanced(le, 0, 7e6, append(frameA[:15:15], 1, 2, 3, 4))), oneA,
		},
		{
			"frames of a link type that is not carried count in the numbering, whatever their length",
			join(section(le), ifaceBlock(le, 105, 0), ifaceBlock(le, 1, 0), enhanced(le, 0, 1e6, make([]byte, MaxCapture+1)), enhanced(le, 1, 7e6, frameA)),
			[]Frame{with(a, func(f *Frame) { f.Index = 1 })},
		},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			got, r, err := open(tt.file)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
			require.EqualValues(t, len(tt.want), r.Frames())
		})
	}
}

func TestReaderErrors(t *testing.T) {
	sec := section(le)
	eth := ifaceBlock(le, 1, 0)
	good := enhanced(le, 0, 7e6, frameA)
	head := len(sec) + len(eth) + len(good)
	badEnd := bytes.Clone(good)
	badEnd[len(badEnd)-4]++
	tests := []struct {
		why    string
		file   []byte
		frames int
		want   string
		is     error
	}{
		{"an empty file", nil, 0, "test.cap: not a pcap or pcapng file: it has 0 bytes", ErrNotCapture},
		{"a text", []byte("# Captures"), 0, "starts with 23 20 43 61", ErrNotCapture},
		{"a compressed capture says so", []byte{0x1f, 0x8b, 8, 0, 0}, 0, "gzip; decompress it first", ErrNotCapture},
		{"modified pcap has other record headers", pcapFile(le, magicModified, 1), 0, `"modified" pcap`, ErrNotCapture},
		{"modified pcap, big endian", pcapFile(be, magicModified, 1), 0, `"modified" pcap`, ErrNotCapture},
		{"pcap of another version has swapped lengths", append([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 2, 0}, make([]byte, 16)...), 0, "pcap version 2.2 is not read", ErrNotCapture},
		{"a file header cut short", pcapFile(le, magicMicro, 1)[:23], 0, "test.cap: file header: file is truncated", ErrTruncated},
		{"a link type by its name", pcapFile(le, magicMicro, 105), 0, "test.cap: link type 105 (IEEE802_11) is not carried", nil},
		{"a link type without a name", pcapFile(le, magicMicro, 65000), 0, "link type 65000 is not carried", nil},
		{"a link type of private use", pcapFile(le, magicMicro, 149), 0, "link type 149 (USER2) is not carried", nil},
		{
			"a record that ends early is named with its place",
			pcapFile(le, magicMicro, 1, rec(1, frameA), record{1, 0, 15, 15, frameA[:14]}), 1, "test.cap: frame 1 at byte 55: file is truncated", ErrTruncated,
		},
		{
			"a captured length that cannot be is not allocated",
			pcapFile(le, magicMicro, 1, rec(1, frameA), record{1, 0, math.MaxUint32, 15, frameA}), 1, "frame 1 at byte 55: captured length 4294967295 exceeds 262144", nil,
		},

		{"pcapng of another version", block(le, blockSection, uint32(byteOrderMagic), uint16(2), uint16(0), uint64(0)), 0, "pcapng version 2.0", ErrNotCapture},
		{"pcapng with a byte-order magic that is none", block(le, blockSection, uint32(1), uint16(1), uint16(0), uint64(0)), 0, "byte-order magic is 01 00 00 00", ErrNotCapture},
		{"a section header too short for itself", append([]byte{0x0a, 0x0d, 0x0d, 0x0a, 12, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a}, make([]byte, 20)...), 0, "section header: ", nil},
		{"a block length below a block's own fields would wrap around", join(sec, eth, good, []byte{6, 0, 0, 0, 8, 0, 0, 0}), 1, "block length 8 is impossible", nil},
		{"a block length that is not a multiple of four", join(sec, eth, good, []byte{6, 0, 0, 0, 33, 0, 0, 0}), 1, "block length 33 is impossible", nil},
		{"lengths at both ends of a block must agree", join(sec, eth, badEnd), 0, "block length is 48 at its start and 49 at its end", nil},
		{
			"an interface that is not described", join(sec, eth, good, enhanced(le, 1, 0, frameA)), 1,
			"interface 1 is not described; the section has 1 so far", nil,
		},
		{"a simple packet before any interface", join(sec, block(le, blockSimple, uint32(15), frameA)), 0, "frame 0 at byte 28: interface 0 is not described", nil},
		{
			"a captured length beyond the block", join(sec, eth, good, block(le, blockEnhanced, uint32(0), uint64(0), uint32(16), uint32(16), frameA[:12])), 1,
			"captured length 16: block ends before its content does", errBlockEnd,
		},
		{"a packet block without room for its fields", join(sec, eth, good, block(le, blockEnhanced, uint32(0))), 1, "frame 1 at byte 96: block ends before", errBlockEnd},
		{"an option beyond the block", join(sec, ifaceBlock(le, 1, 0, uint16(optResol), uint16(5), []byte{9})), 0, "option 9 of 5 bytes: block ends", errBlockEnd},
		{"a resolution of four bytes", join(sec, ifaceBlock(le, 1, 0, uint16(optResol), uint16(4), []byte{9, 9, 9, 9})), 0, "option 9 has 4 bytes, not 1", nil},
		{
			"a frame of a carried link type may not be endless",
			join(sec, eth, good, enhanced(le, 0, 0, make([]byte, MaxCapture+1))), 1, "captured length 262145 exceeds 262144", nil,
		},
		{
			"an unknown block cut short is not the end of a whole file", join(sec, eth, good, block(le, 0xbad, make([]byte, 40))[:30]), 1,
			"block of type 0xbad at byte 96, before frame 1: file is truncated", ErrTruncated,
		},
		{
			"nothing in the file is carried", join(sec, ifaceBlock(le, 105, 0), enhanced(le, 0, 0, frameA), section(le), ifaceBlock(le, 9, 0), enhanced(le, 0, 0, frameA)), 0,
			"no frame is of a link type that is carried, but 9 (PPP), 105 (IEEE802_11)", nil,
		},
	}
	require.Equal(t, 96, head, "offsets in the rows")
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			frames, r, err := open(tt.file)
			require.ErrorContains(t, err, tt.want)
			require.Len(t, frames, tt.frames)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			if r != nil {
				require.Equal(t, err, r.Next(new(Frame)), "errors are final")
			}
		})
	}
}

// A file cut anywhere yields exactly the frames that are whole, and an error
// unless the cut is between records or blocks.
func TestReaderTruncatedAnywhere(t *testing.T) {
	for name, o := range orders {
		p := [][]byte{pcapFile(o, magicNano, 1, rec(1, frameA)), pcapFile(o, magicNano, 1, rec(2, frameB))[24:]}
		ng := [][]byte{
			section(o), ifaceBlock(o, 1, 0, uint16(optResol), uint16(1), []byte{9}), enhanced(o, 0, 1, frameA),
			block(o, 0xbad, []byte("custom")), enhanced(o, 0, 2, frameB),
		}
		tests := []struct {
			why    string
			parts  [][]byte
			starts int           // bytes below which there is no Reader
			frames map[int]int64 // whole frames, by number of whole parts
		}{
			{"pcap", p, 24, map[int]int64{1: 1, 2: 2}},
			{"pcapng", ng, len(ng[0]), map[int]int64{3: 1, 4: 1, 5: 2}},
		}
		for _, tt := range tests {
			t.Run(tt.why+" "+name, func(t *testing.T) {
				file := join(tt.parts...)
				whole := map[int]int64{tt.starts: 0} // frames, by length of a file that is whole
				size := 0
				for i, part := range tt.parts {
					size += len(part)
					if size >= tt.starts {
						whole[size] = tt.frames[i+1]
					}
				}
				want := int64(0)
				for cut := range len(file) + 1 {
					frames, isWhole := whole[cut]
					if isWhole {
						want = frames
					}
					got, r, err := open(file[:cut])
					require.Equal(t, isWhole, err == nil, "cut at %d: %v", cut, err)
					if !isWhole {
						require.True(t, errors.Is(err, ErrTruncated) || errors.Is(err, ErrNotCapture) && cut < 4, "cut at %d: %v", cut, err)
					}
					require.Equal(t, cut < tt.starts, r == nil, "cut at %d", cut)
					require.EqualValues(t, want, len(got), "cut at %d", cut)
				}
			})
		}
	}
}

func TestReaderRefusals(t *testing.T) {
	file := join(section(le), ifaceBlock(le, 105, 0), ifaceBlock(le, 1, 0), ifaceBlock(le, 101, 0),
		enhanced(le, 0, 0, frameA), enhanced(le, 2, 0, []byte{0x55}), enhanced(le, 1, 0, frameA), enhanced(le, 0, 0, frameA))
	frames, r, err := open(file)
	require.NoError(t, err)
	require.Len(t, frames, 1)
	require.EqualValues(t, 2, frames[0].Index)
	require.Equal(t, []Refusal{{LinkRaw, 1}, {105, 2}}, r.Refusals())
}

// failingReader gives an error that is not the end of the file.
type failingReader struct{ left io.Reader }

var errDisk = errors.New("disk on fire")

func (f failingReader) Read(p []byte) (int, error) {
	n, err := f.left.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

func TestReaderPassesReadErrorsOn(t *testing.T) {
	file := pcapFile(le, magicMicro, 1, rec(1, frameA), rec(2, frameB))
	r, err := NewReader(failingReader{bytes.NewReader(file)}, "test.cap")
	require.NoError(t, err)
	frames, err := readAll(r)
	require.Len(t, frames, 2)
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, ErrTruncated)

	_, err = NewReader(failingReader{bytes.NewReader(nil)}, "test.cap")
	require.ErrorIs(t, err, errDisk)
}

func TestReaderDoesNotAllocate(t *testing.T) {
	records := make([]record, 300)
	for i := range records {
		records[i] = rec(uint32(i), frameB)
	}
	r, err := NewReader(bytes.NewReader(pcapFile(le, magicMicro, 113, records...)), "test.cap")
	require.NoError(t, err)
	r.ifaces[0].link = LinkEthernet
	var f Frame
	require.NoError(t, r.Next(&f))
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
	}))
}

func TestClock(t *testing.T) {
	tests := []struct {
		why    string
		resol  byte
		offset int64
		stamp  uint64
		want   int64
	}{
		{"seconds", 0, 0, 5, 5e9},
		{"microseconds", 6, 0, 5, 5000},
		{"nanoseconds", 9, 0, 5, 5},
		{"picoseconds are rounded down", 12, 0, 5999, 5},
		{"10^-28 s still moves the clock", 28, 0, math.MaxUint64, 1},
		{"10^-29 s and finer never reach a nanosecond", 29, 0, math.MaxUint64, 0},
		{"the finest power of ten", 127, 0, math.MaxUint64, 0},
		{"2^-10 s is not 976562 ns: three of them are 2929687", 0x8a, 0, 3, 2929687},
		{"2^-32 s (NTP)", 0x80 | 32, 0, 1<<32 + 1<<31, 15e8},
		{"2^-64 s", 0x80 | 64, 0, 1 << 63, 5e8},
		{"the finest power of two", 0xff, 0, math.MaxUint64, 0},
		{"the far end saturates", 0, 0, math.MaxUint64, math.MaxInt64},
		{"a stamp that overflows 64 bits saturates", 9, 0, math.MaxUint64, math.MaxInt64},
		{"an offset is in seconds", 9, -2, 5, -2e9 + 5},
		{"an offset beyond int64 saturates", 9, math.MaxInt64, 5, math.MaxInt64},
		{"an offset below int64 saturates", 9, math.MinInt64, 0, math.MinInt64},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			c := newClock(tt.resol, tt.offset)
			require.Equal(t, tt.want, c.nanos(tt.stamp))
		})
	}
}

// One operation is a file of 10,000 frames of 500 bytes, 5 MB.
func BenchmarkReader(b *testing.B) {
	records := make([]record, 10000)
	for i := range records {
		records[i] = rec(uint32(i), make([]byte, 500))
	}
	file := pcapFile(le, magicMicro, 1, records...)
	frames := int64(0)
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(file), "bench")
		require.NoError(b, err)
		var f Frame
		for err = r.Next(&f); err == nil; err = r.Next(&f) {
		}
		frames += r.Frames()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
}
