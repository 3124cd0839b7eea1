package pcap

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// captureFiles lists the files under dir by paths relative to it.
func captureFiles(t testing.TB, dir string) (paths []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, ".pcap") {
			rel, _ := filepath.Rel(dir, path)
			paths = append(paths, rel)
		}
		return err
	}))
	return paths
}

// manifest reads the packet counts of the table in MANIFEST.md.
func manifest(t *testing.T, dir string) map[string]int64 {
	text, err := os.ReadFile(filepath.Join(dir, "MANIFEST.md"))
	require.NoError(t, err)
	counts := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(cells[2]), 10, 64); err == nil {
			counts[strings.TrimSpace(cells[1])] = n
		}
	}
	require.NotEmpty(t, counts)
	counts["mix.pcap"] = 57687 // stated in the text above the table
	return counts
}

// Every real and hostile capture is read to its end, or refused for a reason
// that names the file; the number of packets is tshark's.
func TestSharedCaptures(t *testing.T) {
	dir := sharedtest.Path(t, "captures")
	counts := manifest(t, dir)
	for _, path := range captureFiles(t, dir) {
		t.Run(path, func(t *testing.T) {
			want, listed := counts[path]
			delete(counts, path)
			r, err := Open(filepath.Join(dir, path))
			if err != nil {
				require.False(t, listed, "listed captures are of link types that are carried: %v", err)
				require.ErrorContains(t, err, path+": ")
				require.Regexp(t, `link type \d+( \([A-Z0-9_]+\))? is not carried$`, err.Error())
				return
			}
			defer r.Close()
			var f Frame
			read := int64(0)
			for {
				if err = r.Next(&f); err != nil {
					break
				}
				read++
				require.LessOrEqual(t, len(f.Data), f.OrigLen)
				require.LessOrEqual(t, len(f.Data), MaxCapture+etherLen)
			}
			for _, x := range r.Refusals() {
				read += x.Frames
			}
			if err != io.EOF {
				require.Regexp(t, path+`: (frame \d+ at byte \d+: |no frame is of a link type that is carried)`, err.Error())
			}
			if listed {
				require.Equal(t, io.EOF, err)
				require.Equal(t, want, read)
				require.Empty(t, r.Refusals())
			}
		})
	}
	for path := range counts {
		t.Errorf("%s is in the manifest but not among the files", path)
	}
}

// What pcapgo reads of a file, this reader reads the same.
func TestSharedCapturesAgainstPcapgo(t *testing.T) {
	dir := sharedtest.Path(t, "captures")
	compared := 0
	for _, path := range captureFiles(t, dir) {
		file, err := os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
		r, err := NewReader(bytes.NewReader(file), path)
		if err != nil || len(r.ifaces) == 1 && r.ifaces[0].link != LinkEthernet {
			continue
		}
		var theirs interface {
			next() (t int64, data []byte, size int, err error)
		}
		if p, err := pcapgo.NewReader(bytes.NewReader(file)); err == nil {
			p.SetSnaplen(MaxCapture)
			theirs = goPcap{p}
		} else if p, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions); err == nil && p.LinkType() == 1 {
			theirs = goPcapng{p}
		} else {
			continue
		}
		ours, err := readAll(r)
		if errors.Is(err, ErrTruncated) {
			err = nil
		}
		for _, f := range ours {
			at, data, size, err := theirs.next()
			if err != nil && strings.Contains(err.Error(), "exceeds original packet length") {
				break // pcapgo stops where we go on
			}
			require.NoError(t, err, "%s: frame %d", path, f.Index)
			if path != "hostile/rx_serviceid_oobr.pcap" { // its subsecond field wraps around in pcapgo
				require.Equal(t, at, f.Time, "%s: frame %d", path, f.Index)
			}
			require.Equal(t, size, f.OrigLen, "%s: frame %d", path, f.Index)
			require.True(t, bytes.Equal(data, f.Data), "%s: frame %d", path, f.Index)
			compared++
		}
	}
	require.Greater(t, compared, 50000)
}

type goPcap struct{ *pcapgo.Reader }

func (g goPcap) next() (int64, []byte, int, error) {
	data, ci, err := g.ZeroCopyReadPacketData()
	return ci.Timestamp.UnixNano(), data, ci.Length, err
}

type goPcapng struct{ *pcapgo.NgReader }

func (g goPcapng) next() (int64, []byte, int, error) {
	data, ci, err := g.ZeroCopyReadPacketData()
	return ci.Timestamp.UnixNano(), data, ci.Length, err
}

// FuzzReader: no file makes the reader panic, hang, or keep more memory than a
// bound; frames are disjoint pieces of the file, numbered in ascending order;
// the end is final.
func FuzzReader(f *testing.F) {
	for _, o := range orders {
		f.Add(pcapFile(o, magicMicro, 1, rec(1, frameA), rec(2, frameB)))
		f.Add(pcapFile(o, magicNano, 113, rec(1, make([]byte, 40))))
		f.Add(join(section(o), ifaceBlock(o, 1, 20, uint16(optResol), uint16(1), []byte{9}, uint16(optOffset), uint16(8), uint64(5), uint32(0)),
			enhanced(o, 0, 1, frameA), block(o, blockSimple, uint32(15), frameA), block(o, blockPacket, uint16(0), uint16(0), uint64(0), uint32(15), uint32(15), frameA),
			section(le), ifaceBlock(le, 101, 0), enhanced(le, 0, 1, []byte{0x45})))
	}
	f.Add(pcapFile(le, magicMicro, 1, record{1, 0, 1 << 31, 15, frameA}))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file), "fuzz")
		if err != nil {
			require.Nil(t, r)
			require.ErrorContains(t, err, "fuzz: ")
			return
		}
		var frame Frame
		last, total := int64(-1), 0
		for err = r.Next(&frame); err == nil; err = r.Next(&frame) {
			require.Greater(t, frame.Index, last)
			require.LessOrEqual(t, len(frame.Data), frame.OrigLen)
			require.True(t, frame.LinkType.Carried())
			last = frame.Index
			payload := frame.Data
			if frame.LinkType != LinkEthernet {
				payload = payload[etherLen:]
			}
			require.True(t, bytes.Contains(file, payload))
			total += len(payload)
		}
		require.LessOrEqual(t, total, len(file))
		require.LessOrEqual(t, len(r.buf), etherLen+MaxCapture)
		require.LessOrEqual(t, len(r.ifaces), len(file)/20+1)
		require.Equal(t, err, r.Next(&frame))
		require.LessOrEqual(t, r.off, int64(len(file)))
		if err == io.EOF {
			require.EqualValues(t, len(file), r.off)
		}
	})
}
