package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node/replay"
)

const config = "../../examples/demo.yaml"

// replayInto replays the scenes and writes the results to dir.
func replayInto(t *testing.T, dir string, play []scene, workers int) *control.Model {
	t.Helper()
	capture := filepath.Join(t.TempDir(), "demo.pcap")
	require.NoError(t, writeCapture(capture, play))
	model, err := load(config)
	require.NoError(t, err)
	_, err = replay.Run(context.Background(), replay.Config{
		Model: model, Inputs: []replay.Input{{Port: replay.AnyPort, File: capture}},
		Out: dir, Workers: workers, Seed: 1,
	})
	require.NoError(t, err)
	return model
}

// replayed replays the scenes.
func replayed(t *testing.T, play []scene, workers int) *results {
	t.Helper()
	dir := t.TempDir()
	r, err := readResults(dir, replayInto(t, dir, play, workers))
	require.NoError(t, err)
	return r
}

func account(t *testing.T, r *results) string {
	t.Helper()
	var b strings.Builder
	p := &page{w: &b}
	drawTopology(p, r.model)
	require.NoError(t, tellScenes(p, r, scenes()), "\n%s", &b)
	return b.String()
}

// TestAccount holds the whole demo to a text that a person has read. If a
// change of the switch is meant to change it: SLUICE_UPDATE=1 go test ./internal/demo
func TestAccount(t *testing.T) {
	const golden = "testdata/account.txt"
	got := account(t, replayed(t, scenes(), 1))
	if os.Getenv("SLUICE_UPDATE") != "" {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
	require.Equal(t, got, account(t, replayed(t, scenes(), 3)), "the number of workers does not matter")
	for _, line := range strings.Split(got, "\n") {
		require.LessOrEqual(t, width(line), pageWidth, line)
	}
}

// TestCaptureIsTheSame: no clock, no dice.
func TestCaptureIsTheSame(t *testing.T) {
	var files [2]string
	for i := range files {
		path := filepath.Join(t.TempDir(), "demo.pcap")
		require.NoError(t, writeCapture(path, scenes()))
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		files[i] = string(data)
	}
	require.True(t, files[0] == files[1])
}

// TestFaultsAreSeen: an account that can't tell wrong from right would be of no use.
func TestFaultsAreSeen(t *testing.T) {
	r := replayed(t, scenes(), 1)
	for _, row := range []struct {
		why   string
		spoil func(s *scene)
		says  string
	}{
		{"a frame that should have left did not", func(s *scene) { s.sent = map[string]int{"db/a": 99} }, "should be map[db/a:99]"},
		{"a frame was dropped that should not have been", func(s *scene) { s.drops = nil }, "should be []"},
	} {
		t.Run(row.why, func(t *testing.T) {
			play := scenes()
			row.spoil(&play[5])
			var b strings.Builder
			err := tellScenes(&page{w: &b}, r, play)
			require.ErrorContains(t, err, play[5].title)
			require.Contains(t, strings.Join(strings.Fields(b.String()), " "), row.says)
		})
	}
}

// TestSummary tells of a replay without knowing its frames.
func TestSummary(t *testing.T) {
	var b strings.Builder
	require.NoError(t, run(&page{w: &b}, []string{"topology", config}))
	r := replayed(t, scenes(), 1)
	tellSummary(&page{w: &b}, r)
	for _, want := range []string{"uplink", "SPOOF_GUARD", "10.244.1.10:51000", "Every frame is accounted for."} {
		require.Contains(t, b.String(), want)
	}
	r.report.Ledger.Unexplained = 1
	tellLedger(&page{w: &b}, r)
	require.Contains(t, b.String(), "1 frames are unaccounted for")
}

// TestConfigure replays a capture on the switch that is made for it.
func TestConfigure(t *testing.T) {
	dir := t.TempDir()
	capture, path := filepath.Join(dir, "demo.pcap"), filepath.Join(dir, "made.yaml")
	require.NoError(t, writeCapture(capture, scenes()))
	var b strings.Builder
	require.NoError(t, run(&page{w: &b}, []string{"configure", capture}))
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	model, err := load(path)
	require.NoError(t, err, b.String())
	report, err := replay.Run(context.Background(), replay.Config{
		Model: model, Inputs: []replay.Input{{Port: replay.AnyPort, File: capture}}, Workers: 1,
	})
	require.NoError(t, err)
	require.Zero(t, report.Unowned)
	require.NotZero(t, report.Ports["host-01"].Rx.Packets)
	require.Zero(t, report.Drops()["VLAN_FILTERED"], "the VLAN of the capture has a segment")
	require.ErrorContains(t, run(&page{w: &b}, []string{"configure", filepath.Join(dir, "none")}), "none")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"capture"}, {"sing", config}, {"scenes", config}, {"sing", config, "x", "y"}} {
		require.ErrorIs(t, run(&page{w: &strings.Builder{}}, args), errUsage, args)
	}
	require.Error(t, run(&page{}, []string{"scenes", config, t.TempDir()}), "no results there")
}

func TestChange(t *testing.T) {
	tl := &teller{owners: map[string]string{"02:50:56:56:44:52": "router"}}
	for _, row := range []struct {
		why, before, after string
		same               bool
		what               string
	}{
		{"a bridged frame is the same", "udp 10.0.0.1:9 > 10.0.0.2:53", "udp 10.0.0.1:9 > 10.0.0.2:53", true, ""},
		{
			"a routed one has other MAC addresses and a lower TTL",
			"udp 10.0.0.1:9 > 10.0.1.2:53", "udp 10.0.0.1:9 > 10.0.1.2:53 eth 02:50:56:56:44:52 > 0a:58:0a:00:01:02 ttl 63", true,
			"eth router > 0a:58:0a:00:01:02 ttl 63",
		},
		{"another port is another packet", "udp 10.0.0.1:9 > 10.0.1.2:53", "udp 10.0.0.1:9 > 10.0.1.2:54 ttl 63", false, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			before, err := frametext.Parse(row.before)
			require.NoError(t, err)
			after, err := frametext.Parse(row.after)
			require.NoError(t, err)
			what, same := tl.change(before, after)
			require.Equal(t, row.same, same)
			require.Equal(t, row.what, what)
		})
	}
}

func TestText(t *testing.T) {
	require.Equal(t, []string{"a bb", "ccccccc", "d"}, wrap("a  bb ccccccc\nd", 5), "a long word stands alone")
	require.Equal(t, "1,234,567", number(1234567))
	require.Equal(t, "-123", number(-123))
	require.Equal(t, "-1,234", number(-1234))
	require.Equal(t, " ab  ", centre("ab", 5))
	require.Equal(t, "ab", (&page{}).paint(red, "ab"))
	require.Equal(t, "\x1b[31mab\x1b[0m", (&page{colours: true}).paint(red, "ab"))
}
