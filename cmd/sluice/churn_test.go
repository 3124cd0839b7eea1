package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/bench/churn"
)

func TestChurnFlags(t *testing.T) {
	for _, row := range []struct {
		why    string
		args   []string
		status int
		says   []string
	}{
		{"another format than there are", []string{"-o", "yaml"}, exitUsage, []string{"-o yaml: want table or json"}},
		{
			"all that is wrong is told at once",
			[]string{"--rate", "0", "--duration", "0s", "--prefix", "a/b", "--objects", "5", "--clients", "6"},
			exitUsage,
			[]string{"rate: 0 is not", "duration: 0s is not positive", `prefix: "a/b" is no name`, "objects: 5 for 6 clients"},
		},
		{"an argument where none is wanted", []string{"daemon"}, exitUsage, []string{`"daemon"`}},
		{"an address that is none", []string{"--api", "nowhere"}, exitUsage, []string{`"nowhere"`}},
		{"no daemon", []string{"--api", "unix:/nonexistent/s.sock"}, exitFailure, []string{"unix:/nonexistent/s.sock"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := sluice(t, append([]string{"bench", "churn"}, row.args...)...)
			require.Equal(t, row.status, got.status, got.err)
			require.Empty(t, got.out)
			for _, s := range row.says {
				require.Contains(t, got.err, s)
			}
		})
	}
}

func TestChurnTable(t *testing.T) {
	times := churn.Percentiles{P50: .0021, P90: .003, P99: .0041, P999: .005, Max: .0123}
	r := churn.Result{
		Rate: 1000, Objects: 10, Clients: 2, Seconds: 2, Changes: 1990, Reached: 995,
		Actions: map[string]int{"deleted": 500, "configured": 1490}, Kinds: map[string]int{"Pod": 1990},
		Errors: 2, FirstErrors: []string{"Pod a: refused\nand why"}, Unsent: 8,
		Live: times, Answer: times, Daemon: times, Publications: 199,
		Frames: 1e6, CPU: &churn.CPU{Before: .01, During: .5, PerChange: 500e-6},
	}
	var b strings.Builder
	require.NoError(t, printChurn(&b, formTable, &r))
	require.Equal(t, `changes        1990 in 2.0 s, 995/s of 1000/s asked for; 1490 configured, 500 deleted
objects        10, by 2 clients; changes: 1990 Pod
put in force   199 times, 10.0 changes at a time
due to live    p50 2.10 ms  p90 3.00 ms  p99 4.10 ms  p99.9 5.00 ms  max 12.30 ms
sent to live   p50 2.10 ms  p90 3.00 ms  p99 4.10 ms  p99.9 5.00 ms  max 12.30 ms
in the daemon  p50 2.10 ms  p90 3.00 ms  p99 4.10 ms  p99.9 5.00 ms  max 12.30 ms
daemon's CPU   500 µs per change; 50 % of a core, before 1 %
frames         1000000/s received by the daemon, before 0/s
not sent       8
errors         2
               Pod a: refused; and why
`, b.String())
	b.Reset()
	require.NoError(t, printChurn(&b, formJSON, &r))
	require.JSONEq(t, `{"p50": 0.0021, "p90": 0.003, "p99": 0.0041, "p999": 0.005, "max": 0.0123}`, jsonField(t, b.String(), "liveSeconds"))
}

// jsonField returns a field of an object.
func jsonField(t *testing.T, object, field string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &fields))
	require.Contains(t, fields, field)
	return string(fields[field])
}
