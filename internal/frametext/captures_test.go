package frametext

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// TestCaptures writes and reads back what networks and fuzzers really send.
// Nothing is lost, and ordinary traffic reads as such.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(sharedtest.Path(t, "captures", "hostile") + "/*.pcap")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, sharedtest.Path(t, "captures", "mix.pcap")) {
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
