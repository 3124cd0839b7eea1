package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/port/pcap"
)

// outcome is what a run of the command leaves.
type outcome struct {
	status   int
	out, err string
}

// sluice runs the command in this process, with nothing on its standard input.
func sluice(t *testing.T, args ...string) outcome {
	t.Helper()
	return sluiceWith(t, context.Background(), "", args...)
}

func sluiceWith(t *testing.T, ctx context.Context, stdin string, args ...string) outcome { //nolint:revive // t goes first in tests
	t.Helper()
	var out, errOut bytes.Buffer
	status := run(ctx, args, strings.NewReader(stdin), &out, &errOut)
	return outcome{status, out.String(), errOut.String()}
}

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// captureStart is the time of a capture's second 0: 2026-01-02 03:04:05 UTC.
const captureStart = int64(1767323045e9)

// capture writes a pcap file of frames: lines of frametext, each behind the
// second in which it was received.
func capture(t *testing.T, dir, name, lines string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	w, err := pcap.Create(path)
	require.NoError(t, err)
	for line := range strings.Lines(lines) {
		second, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if text == "" {
			continue
		}
		s, err := strconv.ParseFloat(second, 64)
		require.NoError(t, err, line)
		frame, err := frametext.Parse(text)
		require.NoError(t, err, line)
		require.NoError(t, w.Write(captureStart+int64(s*1e9), frame, len(frame)))
	}
	require.NoError(t, w.Close())
	return path
}

// site is two hosts of a segment, and another segment's host.
const site = `apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: web}
spec: {subnets: [{cidr: 10.0.1.0/24}]}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: db}
spec: {subnets: [{cidr: 10.0.2.0/24}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, namespace: web, labels: {app: shop}}
spec: {addresses: [{ip: 10.0.1.10}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: b, namespace: web}
spec: {addresses: [{ip: 10.0.1.11}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, namespace: db}
spec: {addresses: [{ip: 10.0.2.20}]}
`

// question and answer are a session of two frames within segment web.
const (
	question = "0 udp 10.0.1.10:4000 > 10.0.1.11:53 len 20\n"
	answer   = "0.25 udp 10.0.1.11:53 > 10.0.1.10:4000 len 60\n"
)
