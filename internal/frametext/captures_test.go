package frametext

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

// TestCaptures writes and reads back what networks and fuzzers really send.
// Nothing is lost, and ordinary traffic reads as such.
func TestCaptures(t *testing.T) {
	dir := os.Getenv("SLUICE_SHARED")
	if dir == "" {
		dir = "../../../shared"
	}
	files, err := filepath.Glob(filepath.Join(dir, "captures", "hostile", "*.pcap"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no captures: set SLUICE_SHARED")
	}
	for _, file := range append(files, filepath.Join(dir, "captures", "mix.pcap")) {
		f, err := os.Open(file)
		require.NoError(t, err)
		r, err := pcapgo.NewReader(f)
		if err != nil || r.LinkType() != layers.LinkTypeEthernet {
			require.NoError(t, f.Close())
			continue
		}
		frames, told := 0, 0
		for range 100 {
			frame, _, err := r.ReadPacketData()
			if err != nil {
				break // the end, or the capture itself is damaged
			}
			requireRoundTrip(t, frame)
			frames++
			if kind, _, _ := strings.Cut(Format(frame), " "); kind != "raw" && kind != "ether" {
				told++
			}
		}
		require.NoError(t, f.Close())
		if strings.HasSuffix(file, "mix.pcap") {
			require.Greater(t, told*100, frames*95, "%d of %d frames", told, frames)
		}
	}
}
