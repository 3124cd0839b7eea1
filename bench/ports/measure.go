package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// figure names a column of the results.
type figure string

const (
	figGbps      figure = "TCP, Gbit/s"
	figCPUPerGB  figure = "CPU s per GB"
	figDaemonTCP figure = "of it the daemon"
	figP50       figure = "request/response p50, µs"
	figP50Apart  figure = "p50 on a CPU each, µs"
	figP99       figure = "p99, µs"
	figCPUPerReq figure = "CPU µs per request"
)

var figures = []figure{figGbps, figCPUPerGB, figDaemonTCP, figP50, figP99, figCPUPerReq, figP50Apart}

// measure takes each figure of a way once.
func (b *bed) measure(ctx context.Context, w *way, r *results) error {
	before, err := w.cpu()
	if err != nil {
		return err
	}
	bytes, seconds, err := b.stream(ctx, w)
	if err != nil {
		return err
	}
	after, err := w.cpu()
	if err != nil {
		return err
	}
	used := after.minus(before)
	r.add(w, figGbps, bytes*8/seconds/1e9)
	r.add(w, figCPUPerGB, used.machine.Seconds()/(bytes/1e9))
	if w.daemon != 0 {
		r.add(w, figDaemonTCP, used.daemon.Seconds()/(bytes/1e9))
	}

	before = after
	answer, err := b.requests(ctx, w, anyCPU, anyCPU)
	if err != nil {
		return err
	}
	if after, err = w.cpu(); err != nil {
		return err
	}
	r.add(w, figP50, micros(answer.P50))
	r.add(w, figP99, micros(answer.P99))
	r.add(w, figCPUPerReq, micros(after.minus(before).machine)/float64(answer.Requests))
	if answer, err = b.requests(ctx, w, "0", "1"); err == nil {
		r.add(w, figP50Apart, micros(answer.P50))
	}
	return err
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// inPod prepares a program in a pod's namespace.
func inPod(ctx context.Context, pod string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", pod}, args...)...)
}

// stream sends one TCP stream from the first pod to the second.
func (b *bed) stream(ctx context.Context, w *way) (bytes, seconds float64, err error) {
	server := inPod(ctx, w.pods[1], "iperf3", "-s", "-1")
	if err := server.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { _ = server.Wait() }()
	defer func() { _ = server.Process.Kill() }()
	var report struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Bytes   float64 `json:"bytes"`
				Seconds float64 `json:"seconds"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	for range 50 { // until it listens
		out, failed := inPod(ctx, w.pods[0], "iperf3", "-c", "10.9.0.2", "-J", "-t", strconv.Itoa(int(b.duration.Seconds()))).Output()
		report.Error = ""
		if err = json.Unmarshal(out, &report); err == nil && report.Error == "" {
			break
		}
		err = errors.Join(err, failed)
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || report.Error != "" {
		return 0, 0, fmt.Errorf("iperf3: %w %s", err, report.Error)
	}
	if report.End.Received.Bytes == 0 {
		return 0, 0, errors.New("iperf3: nothing came through")
	}
	return report.End.Received.Bytes, report.End.Received.Seconds, nil
}

// requests sends requests of one byte, one after the other, and awaits each answer.
// The ends are on the CPUs that are named.
func (b *bed) requests(ctx context.Context, w *way, clientCPU, serverCPU string) (a answer, err error) {
	self, err := os.Executable()
	if err != nil {
		return a, err
	}
	server := inPod(ctx, w.pods[1], self, "rr-server", "10.9.0.2:7007", serverCPU)
	ready, err := server.StdoutPipe()
	if err != nil {
		return a, err
	}
	if err := server.Start(); err != nil {
		return a, err
	}
	defer func() { _ = server.Wait() }()
	defer func() { _ = server.Process.Kill() }()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return a, fmt.Errorf("the server is not ready: %w", err)
	}
	client := inPod(ctx, w.pods[0], self, "rr-client", "10.9.0.2:7007", clientCPU, b.duration.String())
	client.Stderr = os.Stderr
	out, err := client.Output()
	if err != nil {
		return a, fmt.Errorf("client: %w", err)
	}
	return a, json.Unmarshal(out, &a)
}

// cpu is processor time used so far.
type cpu struct{ machine, daemon time.Duration }

func (c cpu) minus(d cpu) cpu { return cpu{c.machine - d.machine, c.daemon - d.daemon} }

// tick is the unit of /proc: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// cpu reads the time that the machine has not been idle (proc_stat(5)), and that
// of the daemon.
func (w *way) cpu() (c cpu, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return c, err
		}
		// user nice system idle iowait irq softirq; the rest is others' or counted twice
		if i < 7 && i != 3 && i != 4 {
			c.machine += time.Duration(n) * tick
		}
	}
	if w.daemon == 0 {
		return c, nil
	}
	stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.daemon))
	if err != nil {
		return c, fmt.Errorf("the daemon is gone: %w", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	for _, f := range fields[11:13] { // utime, stime: proc_pid_stat(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return c, err
		}
		c.daemon += time.Duration(n) * tick
	}
	return c, nil
}
