package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

func TestLogFirewall(t *testing.T) {
	l := &servertest.FirewallLog{}
	l.Add(
		api.FirewallLogLine{Port: "demo/a", Rule: 1000, Line: "first"},
		api.FirewallLogLine{Port: "demo/b", Rule: 1001, Line: "second"},
		api.FirewallLogLine{Port: "demo/a", Rule: 1001, Line: "third"},
	)
	path := servertest.Socket(t)
	servertest.StartAt(t, servertest.Small(), server.Options{Socket: path, Firewall: l})
	address := "unix:" + path
	for _, row := range []struct {
		why  string
		args []string
		want outcome
	}{
		{"all, oldest first", nil, outcome{0, "first\nsecond\nthird\n", ""}},
		{"the newest", []string{"-n", "2"}, outcome{0, "second\nthird\n", ""}},
		{"of a port", []string{"--port", "demo/a"}, outcome{0, "first\nthird\n", ""}},
		{"of a rule", []string{"--rule", "1001", "-n", "1"}, outcome{0, "third\n", ""}},
		{"of nobody", []string{"--port", "demo/c"}, outcome{0, "", ""}},
		{"no lines are no question", []string{"-n", "0"}, outcome{2, "", "sluice: --lines 0: want 1 at least\n"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			require.Equal(t, row.want, sluice(t, append([]string{"log", "firewall", "--api", address}, row.args...)...))
		})
	}
	got := sluice(t, "log", "firewall", "--api", servertest.Start(t, servertest.Small()))
	require.Equal(t, outcome{1, "", "sluice: this daemon does not serve the firewall's log\n"}, got)
}

// locked is a buffer that is read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Lines come once each, as long as somebody looks.
func TestLogFirewallFollows(t *testing.T) {
	l := &servertest.FirewallLog{}
	l.Add(api.FirewallLogLine{Rule: 1000, Line: "first"})
	path := servertest.Socket(t)
	servertest.StartAt(t, servertest.Small(), server.Options{Socket: path, Firewall: l})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out locked
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"log", "firewall", "-f", "--api", "unix:" + path}, strings.NewReader(""), &out, &out)
	}()
	require.Eventually(t, func() bool { return out.String() == "first\n" }, time.Minute, time.Millisecond)
	l.Add(api.FirewallLogLine{Rule: 1000, Line: "second"}, api.FirewallLogLine{Rule: 1001, Line: "third"})
	require.Eventually(t, func() bool { return out.String() == "first\nsecond\nthird\n" }, time.Minute, time.Millisecond)
	stop()
	require.Equal(t, exitInterrupted, <-ended)
}
