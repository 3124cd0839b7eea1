package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// figure names a column of the results.
type figure string

const (
	figGbps        figure = "TCP, Gbit/s"
	figCPUPerGB    figure = "CPU s per GB"
	figDaemonPerGB figure = "of it the daemon"
	figFrame       figure = "kB per frame"
	figPerVector   figure = "frames per vector"
	figGbps6       figure = "TCP over IPv6, Gbit/s"
	figUSO         figure = "UDP with GSO, Gbit/s"

	figP50       figure = "p50, µs"
	figP99       figure = "p99, µs"
	figCPUPerReq figure = "CPU µs per request"
	figP50Apart  figure = "p50 on a CPU each, µs"
	figP99Apart  figure = "p99 on a CPU each, µs"

	figOffered        figure = "offered, kpps"
	figKpps           figure = "received, kpps"
	figDaemonPerFrame figure = "daemon, CPU µs per packet"
	figBetween        figure = "machine less generator and sink, CPU µs per packet"
)

// measurements are what can be taken of a way, in this order.
var measurements = []struct {
	name string
	take func(b *bed, ctx context.Context, w *way, r *results) error
}{
	{"streams", (*bed).measureStreams},
	{"requests", (*bed).measureRequests},
	{"frames", (*bed).measureFrames},
}

// measure takes the figures of a way once; all if none is named.
func (b *bed) measure(ctx context.Context, w *way, names []string, r *results) error {
	for _, m := range measurements {
		if len(names) != 0 && !slices.Contains(names, m.name) {
			continue
		}
		if err := quiet(); err != nil {
			return err
		}
		if err := m.take(b, ctx, w, r); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// during returns the processor time that passes while f runs.
func (w *way) during(f func() error) (used cpu, err error) {
	before, err := w.cpu()
	if err != nil {
		return used, err
	}
	if err := f(); err != nil {
		return used, err
	}
	after, err := w.cpu()
	return after.minus(before), err
}

// inPod prepares a program in a pod's namespace.
func inPod(ctx context.Context, pod string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", pod}, args...)...)
}

// endpoints are the arguments of this program as the two ends of a measurement:
// the server says "ready" in a line of its own when the client may begin.
type endpoints struct{ server, client []string }

const ready = "ready\n"

// between runs the client in the first pod and the server in the second, and hands
// what they have printed to f, the server's without the line.
func (b *bed) between(ctx context.Context, w *way, e endpoints, f func(client, server []byte) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := inPod(ctx, w.pods[1], slices.Concat([]string{self}, e.server)...)
	server.Stderr = os.Stderr
	pipe, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	reaped := false
	defer func() {
		if !reaped {
			_ = server.Process.Kill()
			_ = server.Wait()
		}
	}()
	line := make([]byte, len(ready))
	if _, err := io.ReadFull(pipe, line); err != nil {
		return fmt.Errorf("%s is not ready: %w", e.server[0], err)
	}
	client := inPod(ctx, w.pods[0], slices.Concat([]string{self}, e.client)...)
	client.Stderr = os.Stderr
	asked, err := client.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", e.client[0], err)
	}
	served, err := io.ReadAll(pipe)
	reaped = true
	if err := errors.Join(err, server.Wait()); err != nil {
		return fmt.Errorf("%s: %w", e.server[0], err)
	}
	return f(asked, served)
}
