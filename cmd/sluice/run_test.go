package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func TestRunRefusesFlags(t *testing.T) {
	for _, tt := range []struct {
		why    string
		args   []string
		status int
		want   string
	}{
		{"a number of workers that is none", []string{"--workers", "many"}, exitUsage, "or auto"},
		{"too many workers", []string{"--workers", "257"}, exitUsage, "1 to 256"},
		{"a level that is none", []string{"--log-level", "loud"}, exitUsage, "debug, info, warn or error"},
		{"a component's level that is none", []string{"--log-level", "info,store=loud"}, exitUsage, "--log-level: the level of store"},
		{"a format that is none", []string{"--log-format", "xml"}, exitUsage, "text or json"},
		{"an address that is none", []string{"--api", "/run/x.sock", "--ephemeral"}, exitUsage, "want unix:PATH"},
		{"buffers below none", []string{"--buffers", "-1", "--ephemeral"}, exitUsage, "buffers: -1"},
		{"a trial that nobody can pass", []string{"--takeover-timeout", "1ms", "--ephemeral"}, exitUsage, "too short"},
		{"an argument", []string{"switch.yaml"}, exitUsage, "unknown command"},
		{"a configuration that is not there", []string{"--config", "/absent.yaml", "--ephemeral", "--api", ""}, exitConfig, "/absent.yaml: no such file"},
		{"a state that can't be", []string{"--state", "/dev/null/x", "--api", ""}, exitFailure, "--state DIR"},
	} {
		got := sluice(t, append([]string{"run"}, tt.args...)...)
		require.Equal(t, tt.status, got.status, "%s: %s", tt.why, got.err)
		require.Contains(t, got.err, tt.want, tt.why)
	}
}

// TestRunListsFaultsAsReplayDoes: the same file, the same lines, the same status.
func TestRunListsFaultsAsReplayDoes(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, dir, "site.yaml", strings.ReplaceAll(site, "spec: {", "spce: {"))
	capture(t, dir, "a.pcap", question)
	run := sluice(t, "run", "--config", bad, "--state", filepath.Join(dir, "state"), "--api", "")
	replay := sluice(t, "replay", "--config", bad, "--in", "web/a="+filepath.Join(dir, "a.pcap"))
	require.Equal(t, exitConfig, run.status)
	require.Equal(t, replay, run)
}

func TestRunAndAsk(t *testing.T) {
	dir := t.TempDir()
	address := "unix:" + filepath.Join(dir, "s.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan outcome, 1)
	go func() {
		ended <- sluiceWith(t, ctx, site, "run", "--config", "-", "--state", filepath.Join(dir, "state"), "--api", address, "--log-format", "json")
	}()
	c, err := client.New(address)
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool {
		st, err := c.Status(t.Context())
		return err == nil && st.Ready
	}, 30*time.Second, 5*time.Millisecond)

	got := sluice(t, "takeover", "status", "--api", address)
	require.Equal(t, exitOK, got.status, got.err)
	require.Contains(t, got.out, "No port has or wants a device that the host uses itself.")
	got = sluice(t, "takeover", "status", "--api", address, "-o", "json")
	require.Equal(t, exitOK, got.status, got.err)
	require.JSONEq(t, `{"items": []}`, got.out)
	got = sluice(t, "takeover", "status", "--api", address, "-o", "wide")
	require.Equal(t, exitUsage, got.status)
	require.Contains(t, got.err, "-o wide: want table, json or yaml")
	got = sluice(t, "takeover", "confirm", "--api", address)
	require.Equal(t, exitFailure, got.status)
	require.Contains(t, got.err, "no device is on trial")
	cancel()
	run := <-ended
	require.Equal(t, exitOK, run.status, run.err)
	require.Empty(t, run.out)
	for line := range strings.Lines(run.err) {
		require.True(t, strings.HasPrefix(line, `{"time":`), line)
	}
	require.Contains(t, run.err, `"msg":"ready"`)

	got = sluice(t, "takeover", "status", "--api", address)
	require.Equal(t, exitFailure, got.status)
	require.Contains(t, got.err, "start one (sluice run)")
}

func TestPrintTakeovers(t *testing.T) {
	now := time.Unix(1000, 0)
	list := []api.TakeoverStatus{
		{Device: "blue/eth1", State: api.TakeoverRefused, Reason: "it is part of br0"},
		{Device: "eth0", State: api.TakeoverTrial, Reason: "the host's default route leaves by it", Until: now.Add(90 * time.Second).UTC()},
	}
	printed := func(form string) string {
		var b strings.Builder
		require.NoError(t, printTakeovers(&b, list, form, now))
		return b.String()
	}
	require.Equal(t, `DEVICE      STATE     GIVEN BACK IN   IN USE
blue/eth1   refused                   it is part of br0
eth0        trial     1m30s           the host's default route leaves by it
`, printed(formTable))
	require.JSONEq(t, `{"items": [
		{"device": "blue/eth1", "state": "refused", "reason": "it is part of br0"},
		{"device": "eth0", "state": "trial", "reason": "the host's default route leaves by it", "until": "1970-01-01T00:18:10Z"}
	]}`, printed(formJSON))
	require.YAMLEq(t, printed(formJSON), printed(formYAML))
}
