package replay_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/sharedtest"
	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/port/faults"
	"github.com/sluice-net/sluice/port/pcap"
)

// site is a switch that captures from anywhere make sense on: two segments, a router,
// an uplink, and nothing bound, so that everything is learned.
const site = `
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: left}
spec: {subnets: [{cidr: 10.0.0.0/8}, {cidr: fd00:1::/64}]}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: right}
spec: {subnets: [{cidr: 192.168.0.0/16}, {cidr: fd00:2::/64}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, namespace: left}
spec: {segment: left}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: b, namespace: left}
spec: {segment: left}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, namespace: right}
spec: {vlan: {mode: trunk, trunks: [{vlan: 10, segment: right}, {vlan: 20, segment: left}]}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: uplink}
---
apiVersion: sluice.dev/v1
kind: Router
metadata: {name: default}
spec:
  uplinks: [{port: uplink, addresses: [203.0.113.1/24, 'fd00:9::1/64'], gateway: 203.0.113.254}]
`

// rules are such that captures from anywhere meet all that rules do.
const rules = `
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: frames}
spec:
  category: Ethernet
  rules: [{name: loop, action: DROP, serviceEntries: [{etherType: 0x9000}], logged: true}]
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: first}
spec:
  category: Infrastructure
  rules:
    - {name: on, action: JUMP_TO_APPLICATION, serviceEntries: [{l4Protocol: TCP, destinationPorts: ["80", "443"]}]}
    - {name: names, action: REJECT, serviceEntries: [{l4Protocol: UDP, destinationPorts: ["53"]}], sourceGroups: [10.0.0.0/8], logged: true, tag: dns}
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: second}
spec:
  sequenceNumber: 10
  stateful: false
  rules:
    - {name: pings, serviceEntries: [{protocol: ICMPv4, icmpType: 8}, {protocol: ICMPv6, icmpType: 128}]}
    - {name: low, action: DROP, serviceEntries: [{l4Protocol: TCP, destinationPorts: ["1-79"]}], logged: true}
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: third}
spec:
  sequenceNumber: 20
  tcpStrict: true
  rules:
    - {name: web, serviceEntries: [{l4Protocol: TCP, destinationPorts: ["80", "443"]}], logged: true, sessionLimits: {perRule: 50, perSource: 5}}
    - {name: elsewhere, action: REJECT, destinationGroups: [192.168.0.0/16], destinationsExcluded: true, direction: OUT, logged: true}
`

func model(t testing.TB, text string) *control.Model {
	objects, f := control.Decode("site.yaml", []byte(text), control.Options{})
	require.Empty(t, f)
	m, f := control.Compile(control.Input{Objects: objects, Revision: 1})
	require.Empty(t, f)
	return m
}

// digest returns a hash of all files of a folder.
func digest(t *testing.T, dir string) string {
	h := sha256.New()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		fmt.Fprintln(h, e.Name(), len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Whatever a capture holds: nothing crashes, the books balance, and the results
// are the same bytes for every number of workers, and with faults of one seed and a firewall's rules.
func TestEveryCapture(t *testing.T) {
	dir := sharedtest.Path(t, "captures")
	plain, filtered := model(t, site), model(t, site+rules)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Ext(path), ".pcap") {
			files = append(files, path)
		}
		return err
	}))
	require.Greater(t, len(files), 100)
	replayed, frames := 0, int64(0)
	turns := []int{1, 2, 4, 1}
	if testing.Short() {
		turns = []int{1, 4} // under the race detector all of them take minutes
	}
	for _, file := range files {
		// The captures' own folder keeps names apart.
		name, _ := filepath.Rel(dir, file)
		for _, damage := range []faults.Config{{}, {Seed: 7, Loss: .02, Duplicate: .02, Reorder: .05, Corrupt: .05, Truncate: .02}} {
			first, m := "", plain
			if damage.Seed != 0 {
				m = filtered
			}
			for _, workers := range turns {
				out := t.TempDir()
				port := "left/a"
				if strings.Contains(name, "/") {
					port = replay.AnyPort
				}
				report, err := replay.Run(context.Background(), replay.Config{
					Model: m, Inputs: []replay.Input{{Port: port, File: file}}, Out: out, Workers: workers, Seed: 1, Faults: damage,
				})
				if report == nil {
					require.ErrorIs(t, err, replay.ErrInput, name)
					break // no capture, or of a link layer that is not carried: told when it is opened
				}
				if err != nil {
					require.ErrorIs(t, err, replay.ErrInput, name)
				}
				require.Zero(t, report.Ledger.Unexplained, "%s: %+v", name, report.Ledger)
				require.Zero(t, report.Ledger.Queued, "%s: %+v", name, report.Ledger)
				require.Zero(t, report.Crashes, name)
				for port, p := range report.Ports {
					require.Zero(t, p.Ledger.Unexplained, "%s: port %s: %+v", name, port, p.Ledger)
				}
				d := digest(t, out)
				if first == "" {
					first = d
					replayed++
					frames += report.Frames
				}
				require.Equal(t, first, d, "%s with %d workers", name, workers)
			}
		}
	}
	t.Logf("%d replays of %d files, %d frames", replayed, len(files), frames)
}

// Several captures at once, on ports of several workers, each damaged in its
// own way: still the same bytes.
func TestManyInputs(t *testing.T) {
	m := model(t, site+rules)
	mix := sharedtest.Path(t, "captures", "mix.pcap")
	fuzz := sharedtest.Path(t, "captures", "real", "malformed", "ndpi-fuzz-2006-06-26-2594.pcap")
	first := ""
	for _, workers := range []int{1, 3, 7} {
		out := t.TempDir()
		report, err := replay.Run(context.Background(), replay.Config{
			Model: m, Out: out, Workers: workers, Seed: 9,
			Inputs: []replay.Input{{Port: "left/a", File: mix}, {Port: "right/a", File: mix}, {Port: "left/b", File: fuzz}, {Port: "uplink", File: mix}},
			Faults: faults.Config{Seed: 9, Reorder: .1, Loss: .05, Duplicate: .05, Corrupt: .02, Truncate: .02},
		})
		require.NoError(t, err)
		require.Zero(t, report.Ledger.Unexplained)
		d := digest(t, out)
		if first == "" {
			first = d
		}
		require.Equal(t, first, d, "%d workers", workers)
	}
}

// The books of the report agree with the captures written and with drops.jsonl.
func TestResultsAgree(t *testing.T) {
	dir := sharedtest.Path(t, "captures")
	out := t.TempDir()
	report, err := replay.Run(context.Background(), replay.Config{
		Model: model(t, site), Inputs: []replay.Input{{Port: replay.AnyPort, File: filepath.Join(dir, "mix.pcap")}},
		Out: out, Workers: 2, Seed: 1,
	})
	require.NoError(t, err)
	require.Positive(t, report.Ledger.Received)
	for name, p := range report.Ports {
		r, err := pcap.Open(filepath.Join(out, strings.ReplaceAll(name, "/", ".")+".pcap"))
		require.NoError(t, err)
		n, bytes := uint64(0), uint64(0)
		var f pcap.Frame
		for r.Next(&f) == nil {
			n++
			bytes += uint64(len(f.Data))
		}
		require.NoError(t, r.Close())
		require.Equal(t, p.Tx, replay.Count{Packets: n, Bytes: bytes}, name)
	}
	text, err := os.ReadFile(filepath.Join(out, "drops.jsonl"))
	require.NoError(t, err)
	drops := map[string]uint64{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var d replay.Drop
		require.NoError(t, json.Unmarshal([]byte(line), &d), line)
		drops[d.Reason]++
	}
	require.Equal(t, report.Drops(), drops)
	text, err = os.ReadFile(filepath.Join(out, "flows.jsonl"))
	require.NoError(t, err)
	require.Equal(t, report.Sessions, strings.Count(string(text), "\n"))
}

func TestInputErrors(t *testing.T) {
	m := model(t, site)
	tmp := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(tmp, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, row := range []struct {
		why    string
		inputs []replay.Input
		want   []string
	}{
		{"a file that is not there", []replay.Input{{Port: "left/a", File: tmp + "/no.pcap"}}, []string{"no.pcap", "no such file"}},
		{"a file that is no capture", []replay.Input{{Port: "left/a", File: write("text.pcap", "hello, world")}}, []string{"text.pcap", "not a pcap"}},
		{"an empty file", []replay.Input{{Port: "left/a", File: write("empty.pcap", "")}}, []string{"empty.pcap", "not a pcap"}},
		{"a port that the configuration does not have", []replay.Input{{Port: "nowhere", File: write("e.pcap", emptyPcap)}}, []string{`no port "nowhere"`}},
		{"all faults are told at once", []replay.Input{{Port: "left/a", File: tmp + "/x"}, {Port: "left/a", File: tmp + "/y"}}, []string{"/x", "/y"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := replay.Run(context.Background(), replay.Config{Model: m, Inputs: row.inputs, Workers: 1})
			require.ErrorIs(t, err, replay.ErrInput)
			for _, w := range row.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

// emptyPcap is a little-endian capture of Ethernet without frames.
const emptyPcap = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00"

func TestInterruptedReplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.pcap")
	w, err := pcap.Create(path)
	require.NoError(t, err)
	require.NoError(t, w.Write(1, make([]byte, 60), 60))
	require.NoError(t, w.Close())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = replay.Run(ctx, replay.Config{Model: model(t, site), Inputs: []replay.Input{{Port: "left/a", File: path}}, Workers: 1})
	require.True(t, errors.Is(err, context.Canceled))
}

func TestTruncatedCaptureIsReplayedAsFarAsItGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cut.pcap")
	w, err := pcap.Create(path)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, w.Write(1e9, make([]byte, 60), 60))
	}
	require.NoError(t, w.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-10], 0o600))
	report, err := replay.Run(context.Background(), replay.Config{Model: model(t, site), Inputs: []replay.Input{{Port: "left/a", File: path}}, Workers: 1})
	require.ErrorIs(t, err, replay.ErrInput)
	require.ErrorContains(t, err, "cut.pcap: frame 2")
	require.Equal(t, int64(2), report.Frames)
	require.Equal(t, map[string]uint64{"INVALID_SOURCE_MAC": 2}, report.Drops())
}

// A frame that no buffer takes is received and dropped like any other, and one
// without a byte too.
func TestFramesOfAnyLength(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "odd.pcap")
	w, err := pcap.Create(path)
	require.NoError(t, err)
	for _, n := range []int{0, 1, 13, 70000, 60} {
		require.NoError(t, w.Write(1e9, make([]byte, n), n))
	}
	require.NoError(t, w.Close())
	out := filepath.Join(dir, "out")
	report, err := replay.Run(context.Background(), replay.Config{Model: model(t, site), Inputs: []replay.Input{{Port: "left/a", File: path}}, Out: out, Workers: 1})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"FRAME_TOO_SHORT": 3, "FRAME_TOO_LONG": 1, "INVALID_SOURCE_MAC": 1}, report.Drops())
	require.Equal(t, replay.Count{Packets: 5, Bytes: 70074}, report.Ports["left/a"].Rx)
	require.Zero(t, report.Ledger.Unexplained)
	text, err := os.ReadFile(filepath.Join(out, "drops.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 5, strings.Count(string(text), "\n"))
	require.Contains(t, string(text), `"frame":3,"reason":"FRAME_TOO_LONG"`)
}

func TestPortNamesThatShareAFileAreRefused(t *testing.T) {
	m := model(t, site+`---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: left.a}
spec: {segment: left}
`)
	path := filepath.Join(t.TempDir(), "e.pcap")
	require.NoError(t, os.WriteFile(path, []byte(emptyPcap), 0o600))
	_, err := replay.Run(context.Background(), replay.Config{Model: m, Inputs: []replay.Input{{Port: "left/a", File: path}}, Out: t.TempDir(), Workers: 1})
	require.ErrorContains(t, err, `"left.a" and "left/a" would both write left.a.pcap`)
}
