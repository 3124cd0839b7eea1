package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/replay"
)

// tshark, which shares no code with us, finds nothing wrong with what the
// switch sends: no malformed packet, no bad checksum, no address used twice.
func TestTsharkFindsNothingWrong(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed: no second opinion on the captures (make setup installs it)")
	}
	dir := t.TempDir()
	model := replayInto(t, dir, scenes(), 1)
	packets := 0
	for i := range model.Ports {
		file := filepath.Join(dir, replay.FileName(model.Ports[i].Name))
		run := func(filter string) []string {
			out, err := exec.Command("tshark", "-r", file, "-Y", filter,
				"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
				"-o", "ip.defragment:TRUE").Output()
			require.NoError(t, err)
			return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		}
		packets += len(run("frame"))
		require.Equal(t, []string{""}, run(`_ws.malformed || _ws.short || ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" || `+
			`udp.checksum.status == "Bad" || icmp.checksum.status == "Bad" || icmpv6.checksum.status == "Bad" || arp.duplicate-address-detected`), file)
	}
	require.Greater(t, packets, 30)
}
