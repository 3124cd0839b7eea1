package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/replay"
)

func TestReplayFlags(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "site.yaml", site)
	in := capture(t, dir, "a.pcap", question)
	both := []string{"--config", config, "--in", "web/a=" + in}
	for _, row := range []struct {
		why  string
		args []string
		says string
	}{
		{"neither of the required flags", nil, `required flag(s) "config", "in" not set`},
		{"no configuration", []string{"--in", "web/a=" + in}, `required flag(s) "config" not set`},
		{"nothing to replay", []string{"--config", config}, `required flag(s) "in" not set`},
		{"an input without a port", []string{"--config", config, "--in", in}, "--in " + in + ": want PORT=FILE"},
		{"an input with an empty port", []string{"--config", config, "--in", "=" + in}, "want PORT=FILE"},
		{"an input without a file", []string{"--config", config, "--in", "web/a="}, "--in web/a=: want PORT=FILE"},
		{"nobody to do the work", append(both, "--workers", "0"), "--workers 0 is not between 1 and 64"},
		{"a negative number of workers", append(both, "--workers", "-1"), "--workers -1 is not between 1 and 64"},
		{"more workers than the table takes", append(both, "--workers", "65"), "--workers 65 is not between 1 and 64"},
		{"a seed that is no number", append(both, "--seed", "-1"), "--seed"},
		{"a fault without a probability", append(both, "--faults", "loss"), "--faults loss: want a probability from 0 to 1"},
		{"a probability above 1", append(both, "--faults", "loss=1.01"), "--faults loss=1.01: want a probability from 0 to 1"},
		{"a probability below 0", append(both, "--faults", "loss=-0.1"), "--faults loss=-0.1: want"},
		{"not a number, which is neither above nor below", append(both, "--faults", "loss=NaN"), "--faults loss=NaN: want"},
		{"a fault that is not known", append(both, "--faults", "loss=0.1,delay=0.1"), "--faults delay=0.1: know loss, duplicate, reorder, corrupt and truncate"},
		{"a comma too many", append(both, "--faults", "loss=0.1,"), "want a probability"},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := sluice(t, append([]string{"replay"}, row.args...)...)
			require.Equal(t, exitUsage, got.status)
			require.Contains(t, got.err, row.says)
			require.Equal(t, 1, strings.Count(got.err, "\n"), got.err)
			require.Empty(t, got.out)
		})
	}
}

// What is wrong with the command line is told before the configuration is read.
func TestUsageComesFirst(t *testing.T) {
	got := sluice(t, "replay", "--config", "/nowhere.yaml", "--in", "web/a=x.pcap", "--workers", "0")
	require.Equal(t, exitUsage, got.status, got.err)
}

func TestConfigForms(t *testing.T) {
	dir := t.TempDir()
	in := "web/a=" + capture(t, dir, "a.pcap", question)
	whole := write(t, dir, "site.yaml", site)
	objects := strings.Split(site, "---\n")
	folder := filepath.Join(dir, "conf.d")
	require.NoError(t, os.Mkdir(folder, 0o755))
	for i, o := range objects {
		write(t, folder, string(rune('a'+i))+".yaml", o)
	}
	write(t, folder, "notes.txt", "not a configuration: it is passed over")
	write(t, folder, ".hidden.yaml", "nor: is this")
	half1 := write(t, dir, "half1.yaml", strings.Join(objects[:2], "---\n"))
	half2 := strings.Join(objects[2:], "---\n")

	want := sluice(t, "replay", "--config", whole, "--in", in)
	require.Zero(t, want.status, want.err)
	require.Contains(t, want.out, "1 received + 0 generated + 0 replicated = 1 sent")
	for _, row := range []struct {
		why   string
		stdin string
		args  []string
	}{
		{"a folder of files", "", []string{"--config", folder}},
		{"standard input", site, []string{"--config", "-"}},
		{"a file and standard input", half2, []string{"--config", half1, "--config", "-"}},
	} {
		got := sluiceWith(t, t.Context(), row.stdin, append([]string{"replay", "--in", in}, row.args...)...)
		require.Equal(t, want, got, row.why)
	}
	const more = `---
apiVersion: example.org/v1
kind: Ship
metadata: {name: x}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec: {defaultBackend: {service: {name: shop, port: {number: 80}}}}
`
	skipping := sluiceWith(t, t.Context(), site+more, "replay", "--in", in, "--config", "-", "--skip-unknown")
	require.Regexp(t, `^skipped: -:\d+:1: Ship x: this version does not know the kind\nskipped: Ingress default/front: this version has no load balancer for HTTP\n`, skipping.err)
	require.Equal(t, []any{want.status, want.out}, []any{skipping.status, skipping.out}, "the rest is as without them")
	refused := sluiceWith(t, t.Context(), site+strings.SplitAfter(more, "name: x}\n")[1], "replay", "--in", in, "--config", "-")
	require.Equal(t, exitConfig, refused.status)
	require.Contains(t, refused.err, "Ingress default/front is not supported by this version: this version has no load balancer for HTTP; leave it out")

	got := sluiceWith(t, t.Context(), "kind: Port\n", "replay", "--config", "-", "--in", in)
	require.Equal(t, exitConfig, got.status)
	require.True(t, strings.HasPrefix(got.err, "-:1:"), "standard input is named as it was asked for: %s", got.err)

	got = sluice(t, "replay", "--config", whole, "--config", folder, "--in", in)
	require.Equal(t, exitConfig, got.status, "every object is there twice")
	require.Equal(t, len(objects)+1, strings.Count(got.err, "\n"), got.err)
}

// '*=FILE' gives frames to the owner of the source MAC, of the source IP
// address, to the uplink, or to nobody.
func TestFramesFindTheirPorts(t *testing.T) {
	dir := t.TempDir()
	all := capture(t, dir, "all.pcap", question+answer+
		"1 udp 10.0.2.20:1 > 10.0.2.99:2 len 20 eth 02:00:00:00:00:99 > 02:50:56:56:44:52\n"+
		"2 udp 198.51.100.1:1 > 10.0.1.10:2 len 20 eth 02:00:00:00:00:99 > 02:50:56:56:44:52\n")
	rx := func(config string) (map[string]uint64, outcome) {
		out := t.TempDir()
		got := sluice(t, "replay", "--config", write(t, dir, "c.yaml", config), "--in", "*="+all, "--out", out)
		require.Zero(t, got.status, got.err)
		ports := map[string]uint64{}
		for name, p := range readReport(t, out).Ports {
			ports[name] = p.Rx.Packets
		}
		return ports, got
	}
	ports, got := rx(site)
	require.Equal(t, map[string]uint64{"web/a": 1, "web/b": 1, "db/a": 1}, ports)
	require.Contains(t, got.out, "1 frames belong to no port: nobody owns their source, and there is no port \"uplink\"\n")

	ports, got = rx(site + "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: uplink}\nspec: {segment: web}\n")
	require.Equal(t, map[string]uint64{"web/a": 1, "web/b": 1, "db/a": 1, "uplink": 1}, ports)
	require.NotContains(t, got.out, "belong to no port")
}

// Captures of several ports, and several of one, are merged by time.
func TestInputsAreMerged(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	got := sluice(t, "replay", "--config", write(t, dir, "site.yaml", site), "--out", out,
		"--in", "web/a="+capture(t, dir, "late.pcap", "9 udp 10.0.1.10:4000 > 10.0.1.11:53 len 1\n"),
		"--in", "web/b="+capture(t, dir, "b.pcap", answer),
		"--in", "web/a="+capture(t, dir, "early.pcap", question))
	require.Zero(t, got.status, got.err)
	require.Equal(t, "0 udp 10.0.1.10:4000 > 10.0.1.11:53 len 20\n9 udp 10.0.1.10:4000 > 10.0.1.11:53 len 1\n",
		string(readResult(t, filepath.Join(out, "web.b.pcap"))))
	flows := readLines(t, filepath.Join(out, "flows.jsonl"))
	require.Len(t, flows, 1)
	require.Equal(t, map[string]any{"original": 2., "reply": 1.}, flows[0]["packets"])
}

// A capture that ends early is status 4, and what was read of it is reported.
func TestTruncatedCapture(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	path := capture(t, dir, "a.pcap", question+"1 udp 10.0.1.10:4000 > 10.0.1.11:53 len 20\n")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-1], 0o600))
	got := sluice(t, "replay", "--config", write(t, dir, "site.yaml", site), "--in", "web/a="+path, "--out", out)
	require.Equal(t, exitInput, got.status)
	require.Contains(t, got.err, "a.pcap: frame 1")
	require.Contains(t, got.err, "truncated")
	require.Contains(t, got.out, "1 received + 0 generated + 0 replicated = 1 sent")
	require.Contains(t, got.out, "Results are in "+out+".\n")
	require.EqualValues(t, 1, readReport(t, out).Frames)
	require.Len(t, readLines(t, filepath.Join(out, "flows.jsonl")), 1)
	require.NotEmpty(t, readResult(t, filepath.Join(out, "web.b.pcap")))
}

func TestFaultsDamageBySeed(t *testing.T) {
	dir := t.TempDir()
	var frames strings.Builder
	for i := range 200 {
		frames.WriteString(strings.Replace(question, "0 ", string(rune('0'+i/25))+" ", 1))
	}
	config, in := write(t, dir, "site.yaml", site), "web/a="+capture(t, dir, "a.pcap", frames.String())
	replayed := func(args ...string) *replay.Report {
		out := t.TempDir()
		got := sluice(t, append([]string{"replay", "--config", config, "--in", in, "--out", out}, args...)...)
		require.Zero(t, got.status, got.err)
		return readReport(t, out)
	}
	none := replayed("--faults", "")
	require.EqualValues(t, 200, none.Ledger.Received)
	require.Zero(t, replayed("--faults", "loss=1").Ledger.Received)
	require.EqualValues(t, 400, replayed("--faults", "duplicate=1").Ledger.Received)
	require.EqualValues(t, 200, replayed("--faults", "reorder=0.5").Ledger.Received)
	require.NotEmpty(t, replayed("--faults", "truncate=1").Drops())
	require.NotEmpty(t, replayed("--faults", "corrupt=1").Drops())
	one, other := replayed("--faults", "loss=0.5", "--seed", "7"), replayed("--faults", "loss=0.5", "--seed", "8")
	require.Equal(t, one, replayed("--faults", "loss=0.5", "--seed", "7"))
	require.NotEqual(t, one.Ledger.Received, other.Ledger.Received)
	require.InDelta(t, 100, one.Ledger.Received, 40)
}

// The files' fields are a contract with those who read them.
func TestFieldNames(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	in := capture(t, dir, "a.pcap", question+
		"1 udp 10.0.1.99:4000 > 10.0.1.11:53 len 20 eth 0a:58:0a:00:01:0a > 0a:58:0a:00:01:0b\n"+
		"2 arp 10.0.1.99 who-has 10.0.1.11 eth 0a:58:0a:00:01:0a > ff:ff:ff:ff:ff:ff\n")
	got := sluice(t, "replay", "--quiet", "--config", write(t, dir, "site.yaml", site), "--in", "web/a="+in, "--out", out)
	require.Equal(t, outcome{}, got, "quiet")

	files, err := os.ReadDir(out)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	require.Equal(t, []string{"db.a.pcap", "drops.jsonl", "firewall.log", "flows.jsonl", "report.json", "web.a.pcap", "web.b.pcap"}, names)

	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	var report map[string]any
	require.NoError(t, json.Unmarshal(text, &report))
	for _, field := range []string{"revision", "ports", "rules", "ledger"} {
		require.Contains(t, report, field)
	}
	require.Equal(t, []string{"consumed", "dropped", "generated", "queued", "received", "replicated", "transmitted", "unexplained"}, keys(report["ledger"]))
	port := report["ports"].(map[string]any)["web/a"].(map[string]any)
	require.Subset(t, keys(port), []string{"rx", "tx", "drops"})
	require.Equal(t, []string{"bytes", "packets"}, keys(port["rx"]))
	require.Equal(t, []string{"bytes", "packets"}, keys(port["tx"]))
	require.Equal(t, map[string]any{"SPOOF_GUARD": 2.}, port["drops"], "a false address in IP, and one in ARP")

	drops := readLines(t, filepath.Join(out, "drops.jsonl"))
	require.Len(t, drops, 2)
	for i, d := range drops {
		require.Equal(t, []string{"component", "dport", "dst", "frame", "port", "protocol", "reason", "revision", "rule", "sport", "src", "time"}, keys(d))
		require.Equal(t, "web/a", d["port"])
		require.Equal(t, float64(i+1), d["frame"], "frames are counted from 0")
	}
	require.Equal(t, "10.0.1.99", drops[0]["src"])
	require.Nil(t, drops[1]["src"], "a frame that is not IP has no addresses")

	flows := readLines(t, filepath.Join(out, "flows.jsonl"))
	require.Len(t, flows, 1)
	require.Equal(t, map[string]any{"source": "10.0.1.10", "destination": "10.0.1.11", "ipVersion": "IPv4"}, flows[0]["IP"])
	require.Equal(t, map[string]any{"UDP": map[string]any{"source_port": 4000., "destination_port": 53.}}, flows[0]["l4"])
	require.Equal(t, map[string]any{"namespace": "web", "pod_name": "a", "labels": []any{"app=shop"}}, flows[0]["source"])
	for _, field := range []string{"time", "verdict", "destination", "Type", "event_type", "packets", "bytes", "start_time", "last_seen", "state", "end_reason", "revision"} {
		require.Contains(t, flows[0], field)
	}
}

// Without --out nothing is written anywhere.
func TestNoOutNoFiles(t *testing.T) {
	dir := t.TempDir()
	config, in := write(t, dir, "site.yaml", site), "web/a="+capture(t, dir, "a.pcap", question)
	empty := t.TempDir()
	t.Chdir(empty)
	got := sluice(t, "replay", "--config", config, "--in", in)
	require.Zero(t, got.status, got.err)
	require.NotContains(t, got.out, "Results")
	files, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, files)
}

func readReport(t *testing.T, dir string) *replay.Report {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	r := new(replay.Report)
	require.NoError(t, json.Unmarshal(b, r))
	return r
}

// readLines reads a file of JSON objects, one a line.
func readLines(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		all = append(all, one)
	}
	return all
}

// keys returns the sorted field names of a JSON object.
func keys(object any) []string { return slices.Sorted(maps.Keys(object.(map[string]any))) }
