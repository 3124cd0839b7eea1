package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bed is what is built for the measurements, and taken down after them.
type bed struct {
	prefix   string
	sluice   string
	duration time.Duration
	undo     []func() error

	// perFrame is what the machine spends on a frame from the generator to the
	// sink with nothing between, ns; 0 until it is measured.
	perFrame float64
}

// Addresses of the second pod; the first has those before.
const (
	address  = "10.9.0.2"
	address6 = "fd09::2"
)

func (b *bed) close() error {
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// command runs a program and returns what it says; an error holds that too.
func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	var complaints strings.Builder
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, complaints.String(), out)
	}
	return out, nil
}

// ip runs ip(8) once for each line.
func ip(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if _, err := command(ctx, "ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// namespace makes one that goes with the bed.
func (b *bed) namespace(ctx context.Context, name string) (string, error) {
	name = b.prefix + "-" + name
	if err := ip(ctx, "netns add "+name, "-n "+name+" link set lo up"); err != nil {
		return "", err
	}
	b.undo = append(b.undo, func() error { return ip(context.Background(), "netns delete "+name) })
	return name, nil
}

// build joins two pods.
func (b *bed) build(ctx context.Context, w *way) (err error) {
	for i, side := range []string{"-a", "-b"} {
		if w.pods[i], err = b.namespace(ctx, w.name+side); err != nil {
			return err
		}
	}
	if w.node, err = b.namespace(ctx, w.name+"-n"); err != nil {
		return err
	}
	switch {
	case w.device == "" && !w.bridge:
		err = ip(ctx, fmt.Sprintf("link add eth0 netns %s type veth peer name eth0 netns %s", w.pods[0], w.pods[1]))
	case w.device != "tap":
		err = ip(ctx,
			fmt.Sprintf("link add eth0 netns %s type veth peer name p0 netns %s", w.pods[0], w.node),
			fmt.Sprintf("link add eth0 netns %s type veth peer name p1 netns %s", w.pods[1], w.node),
			"-n "+w.node+" link set p0 up", "-n "+w.node+" link set p1 up")
	}
	if err != nil {
		return err
	}
	if w.bridge {
		n := "-n " + w.node
		err = ip(ctx, n+" link add br0 type bridge", n+" link set br0 up", n+" link set p0 master br0", n+" link set p1 master br0")
	} else if w.device != "" {
		err = b.start(ctx, w)
	}
	if err != nil {
		return err
	}
	for i, pod := range w.pods {
		if err := ip(ctx, "-n "+pod+" link set eth0 up",
			fmt.Sprintf("-n %s addr add 10.9.0.%d/24 dev eth0", pod, i+1),
			fmt.Sprintf("-n %s addr add fd09::%d/64 dev eth0 nodad", pod, i+1)); err != nil {
			return err
		}
	}
	return b.reachable(ctx, w)
}

// reachable waits until the first ping is answered.
func (b *bed) reachable(ctx context.Context, w *way) (err error) {
	for range 50 {
		if _, err = command(ctx, "ip", "netns", "exec", w.pods[0], "ping", "-c1", "-W1", address); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// start runs a daemon with two ports.
func (b *bed) start(ctx context.Context, w *way) error {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	b.undo = append(b.undo, func() error { return os.RemoveAll(dir) })
	var config strings.Builder
	config.WriteString("apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: bench}\nspec: {subnets: [{cidr: 10.9.0.0/24, gateway: 10.9.0.254}, {cidr: fd09::/64, gateway: 'fd09::fe'}]}\n")
	for i := range max(w.ports, len(w.pods)) {
		device := fmt.Sprintf("{type: %s, name: p%d}", w.device, i)
		if w.device == "tap" {
			device = fmt.Sprintf("{type: tap, name: eth0, netns: %s}", w.pods[i])
		}
		fmt.Fprintf(&config, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: pod-%d}\nspec: {segment: bench, device: %s}\n", i, device)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return err
	}
	w.api = "unix:" + filepath.Join(dir, "api.sock")
	args := []string{
		"netns", "exec", w.node, b.sluice, "run", "--config", file,
		"--state", filepath.Join(dir, "state"), "--api", w.api, "--log-level", "warn",
	}
	c := exec.Command("ip", append(args, w.flags...)...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	w.daemon = c.Process.Pid // ip netns exec becomes the program
	w.stop = sync.OnceValue(func() error {
		_ = c.Process.Signal(syscall.SIGTERM)
		return c.Wait()
	})
	b.undo = append(b.undo, w.stop)
	if w.device != "tap" {
		return nil
	}
	for range 100 { // until it has made the devices
		if err = ip(ctx, "-n "+w.pods[0]+" link show eth0", "-n "+w.pods[1]+" link show eth0"); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
