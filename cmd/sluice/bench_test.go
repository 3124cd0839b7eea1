package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/bench"
)

func TestBenchFlags(t *testing.T) {
	for _, row := range []struct {
		why  string
		args []string
		says []string
	}{
		{"a feature that is not there", []string{"--features", "l3,qos"}, []string{`"qos" can't be measured by this version`, "it knows l2,l3,dfw,lb"}},
		{"no feature", []string{"--features", ""}, []string{`features: ""`}},
		{"rules, without a firewall", []string{"--rules", "10"}, []string{"--rules belongs to the feature dfw"}},
		{"services, without a load balancer", []string{"--services", "1"}, []string{"--services belongs to the feature lb"}},
		{"a load balancer without services", []string{"--features", "l3,lb", "--services", "0"}, []string{"services: 0 is not in 1 to 50000"}},
		{"virtual servers, but nowhere to put their members", []string{"--features", "lb"}, []string{"features: want at least one of l2,l3"}},
		{"another format than there are", []string{"-o", "yaml"}, []string{"-o yaml: want json"}},
		{
			"all that is wrong is told at once",
			[]string{"--frame", "59", "--workers", "65", "--duration", "0s"},
			[]string{"frame: 59 is not in 60 to 1514", "workers: 65 is not in 1 to 64", "duration: 0s is not positive"},
		},
		{"fewer flows than workers", []string{"--flows", "1", "--workers", "2"}, []string{"flows: 1 for 2 workers"}},
		{"no flow", []string{"--flows", "0"}, []string{"flows: 0 is not in 1 to"}},
		{"a duration without a unit", []string{"--duration", "2"}, []string{"--duration"}},
		{"an argument where none is wanted", []string{"l2"}, []string{`"l2"`}},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := sluice(t, append([]string{"bench"}, row.args...)...)
			require.Equal(t, exitUsage, got.status, got.err)
			require.Empty(t, got.out)
			for _, s := range row.says {
				require.Contains(t, got.err, s)
			}
		})
	}
}

func TestBenchJSON(t *testing.T) {
	got := sluice(t, "bench", "--duration", "50ms", "--flows", "100", "--features", "l2, l3", "--frame", "100", "-o", "json")
	require.Zero(t, got.status, got.err)
	require.Empty(t, got.err, "no terminal, no progress")
	require.Equal(t, 1, strings.Count(got.out, "\n"), "one line, for logs")
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.out), &r))
	for _, field := range []string{
		"mpps", "nsPerPacket", "cpuNsPerPacket", "packets", "drops", "allocsPerPacket",
		"workers", "flows", "rules", "services", "features", "newSessionsPerSecond",
	} {
		require.Contains(t, r, field)
	}
	for field, want := range map[string]any{
		"workers": 1., "flows": 100., "rules": 0., "services": 0., "features": "l2,l3", "frame": 100.,
		"allocsPerPacket": 0., "drops": map[string]any{}, "flowsSetUp": 100.,
	} {
		require.Equal(t, want, r[field], field)
	}
	for _, field := range []string{"mpps", "nsPerPacket", "cpuNsPerPacket", "packets", "newSessionsPerSecond"} {
		require.Positive(t, r[field], field)
	}
	// A worker's time is at least what it computes; the clocks differ in what they count as a start.
	require.InDelta(t, 1e3/r["mpps"].(float64), r["nsPerPacket"], 1e-6*r["nsPerPacket"].(float64))
	require.Less(t, r["cpuNsPerPacket"], 1.1*r["nsPerPacket"].(float64))
	require.InDelta(t, r["nsPerPacket"].(float64)*r["packets"].(float64)/1e9, r["seconds"], 1e-3)
	require.GreaterOrEqual(t, r["seconds"], .05)
	require.Zero(t, r["ledger"].(map[string]any)["unexplained"])
}

func TestBenchTable(t *testing.T) {
	got := sluice(t, "bench", "--duration", "10ms", "--flows", "10", "--features", "l3", "--workers", "2", "--stages")
	require.Zero(t, got.status, got.err)
	require.Empty(t, got.err)
	var names []string
	columns := map[string]string{}
	for line := range strings.Lines(got.out) {
		name, value, found := strings.Cut(strings.TrimLeft(line, " "), "  ")
		require.True(t, found, line)
		names = append(names, name)
		columns[name] = strings.TrimSpace(value)
	}
	require.Equal(t, []string{"features", "flows", "frame", "workers", "throughput", "per packet", "packets", "allocations", "new sessions", "vector", "flow table"}, names[:11])
	require.Equal(t, "l3", columns["features"])
	require.Equal(t, "2", columns["workers"])
	require.Equal(t, "0 per packet", columns["allocations"])
	require.Regexp(t, `^[0-9.]+ Mpps$`, columns["throughput"])
	require.Regexp(t, `^[0-9.]+ ns of CPU, [0-9.]+ ns of time$`, columns["per packet"])
	require.Regexp(t, `^p50 \S+  p90 \S+  p99 \S+  p99.9 \S+  max \S+$`, columns["vector"])
	for _, stage := range []string{"receive, parse", "lookup", "rewrite", "transmit", "send"} {
		require.Regexp(t, `^[0-9.]+ ns$`, columns[stage], stage)
	}
}

// A capture instead of made packets: its sessions are the flows, and packets
// that a benchmark can't carry over and over are left out.
func TestBenchOfACapture(t *testing.T) {
	dir := t.TempDir()
	path := capture(t, dir, "a.pcap", question+answer+
		"1 tcp 10.9.0.1:1 > 10.9.0.2:80 A seq 1 ack 1\n"+
		"1 arp 10.9.0.1 who-has 10.9.0.2\n"+
		"1 udp [fd00::1]:1 > [fd00::2]:2 len 100\n")
	for features, sessions := range map[string]int{
		"l2": 3, "l3": 4, // all come from one side: routed, the answer is no answer
	} {
		got := sluice(t, "bench", "--duration", "10ms", "--pcap", path, "--features", features, "-o", "json")
		require.Zero(t, got.status, got.err)
		var r bench.Result
		require.NoError(t, json.Unmarshal([]byte(got.out), &r))
		require.Equal(t, sessions, r.Flows, features)
		require.Equal(t, sessions, r.FlowsSetUp, features)
		require.Positive(t, r.Packets)
		require.Empty(t, r.Drops)
		require.Zero(t, r.Ledger.Unexplained)
	}

	got := sluice(t, "bench", "--pcap", capture(t, dir, "arp.pcap", "1 arp 10.9.0.1 who-has 10.9.0.2\n"))
	require.Equal(t, exitInput, got.status)
	require.Contains(t, got.err, "arp.pcap: no IP packets")
}

func TestBenchOfFirstPackets(t *testing.T) {
	for features, more := range map[string][]string{
		"l3": nil, "l2,l3,dfw,lb": {"--services", "30", "--workers", "2"},
	} {
		got := sluice(t, append([]string{"bench", "--new", "--flows", "5000", "--duration", "0s", "--features", features, "-o", "json"}, more...)...)
		require.Zero(t, got.status, got.err)
		var r bench.Result
		require.NoError(t, json.Unmarshal([]byte(got.out), &r))
		require.Equal(t, features, r.Features)
		require.Equal(t, 5000, r.FlowsSetUp)
		require.Positive(t, r.NewSessionsPerSecond)
		require.GreaterOrEqual(t, r.Packets, uint64(5000))
		require.Empty(t, r.Drops)
		require.Zero(t, r.Ledger.Unexplained)
	}
}
