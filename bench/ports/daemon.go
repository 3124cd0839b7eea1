package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/internal/netdev"
)

// idlePorts is how many ports the idle daemon has.
const idlePorts = 10

// daemonFigures are of the daemon as a process, not of the ways through it.
type daemonFigures struct {
	firstFrame []time.Duration // from its start to the first frame on the other side
	idle       []float64       // share of a core, percent
	resident   []int           // KiB, with two ports and default memory
}

// measureDaemon starts a daemon with default memory again and again while one pod sends
// to the other all the time, and then watches one with ten ports do nothing.
func (b *bed) measureDaemon(ctx context.Context, rounds int) (*daemonFigures, error) {
	w := &way{name: "start", device: "afpacket"}
	if err := b.build(ctx, w); err != nil {
		return nil, err
	}
	// The kernel would ask for the address again a second after its first question.
	const mac = "02:00:00:00:00:02"
	if err := ip(ctx, "-n "+w.pods[1]+" link set eth0 address "+mac,
		"-n "+w.pods[0]+" neigh replace "+address+" lladdr "+mac+" dev eth0 nud permanent"); err != nil {
		return nil, err
	}
	f := &daemonFigures{}
	for range rounds {
		if err := w.stop(); err != nil {
			return nil, err
		}
		took, err := b.firstFrame(ctx, w)
		if err != nil {
			return nil, err
		}
		kib, err := resident(w.daemon)
		if err != nil {
			return nil, err
		}
		f.firstFrame, f.resident = append(f.firstFrame, took), append(f.resident, kib)
	}
	idle := &way{name: "idle", device: "afpacket"}
	if err := b.buildIdle(ctx, idle); err != nil {
		return nil, err
	}
	for range rounds {
		before, err := idle.cpu()
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		time.Sleep(b.duration)
		after, err := idle.cpu()
		if err != nil {
			return nil, err
		}
		f.idle = append(f.idle, 100*float64(after.daemon-before.daemon)/float64(time.Since(begin)))
	}
	return f, nil
}

// firstFrame starts the daemon and returns after how long the second pod has
// heard from the first, which speaks every millisecond.
func (b *bed) firstFrame(ctx context.Context, w *way) (took time.Duration, err error) {
	var from, to *net.UDPConn
	err = errors.Join(
		netdev.In(w.pods[0], func() (err error) {
			from, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address+":7008")))
			return err
		}),
		netdev.In(w.pods[1], func() (err error) {
			to, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address+":7008")))
			return err
		}))
	if err != nil {
		return 0, err
	}
	defer to.Close()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	defer func() { close(stop); <-stopped; from.Close() }()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = from.Write([]byte("x")) // refused as long as nobody answers ARP
			}
		}
	}()
	begin := time.Now()
	if err := b.start(ctx, w); err != nil {
		return 0, err
	}
	if err := to.SetReadDeadline(begin.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := to.Read(make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("the first frame: %w", err)
	}
	return time.Since(begin), nil
}

// buildIdle runs a daemon with ten ports that nobody uses.
func (b *bed) buildIdle(ctx context.Context, w *way) (err error) {
	if w.node, err = b.namespace(ctx, w.name+"-n"); err != nil {
		return err
	}
	if w.pods[0], err = b.namespace(ctx, w.name+"-a"); err != nil {
		return err
	}
	for i := range idlePorts {
		if err := ip(ctx, fmt.Sprintf("link add e%d netns %s type veth peer name p%d netns %s", i, w.pods[0], i, w.node),
			fmt.Sprintf("-n %s link set e%d up", w.pods[0], i)); err != nil {
			return err
		}
	}
	w.ports = idlePorts
	if err := b.start(ctx, w); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // until the pods have said what they say at the start
	return nil
}

// resident returns the resident memory of a process in KiB.
func resident(pid int) (kib int, err error) {
	f, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(f), "VmRSS:")
	_, err = fmt.Sscan(after, &kib)
	return kib, err
}

func (f *daemonFigures) print(w io.Writer) {
	slices.Sort(f.firstFrame)
	slices.Sort(f.idle)
	slices.Sort(f.resident)
	middle := len(f.firstFrame) / 2
	fmt.Fprintf(w, "\n## The daemon by itself\n\n| default memory | median |\n|---|---|\n")
	fmt.Fprintf(w, "| first frame forwarded after its start | %d ms |\n", f.firstFrame[middle].Milliseconds())
	fmt.Fprintf(w, "| resident memory then | %d MiB |\n", f.resident[middle]>>10)
	fmt.Fprintf(w, "| idle, %d ports: share of a core | %.2f %% |\n", idlePorts, f.idle[middle])
}
