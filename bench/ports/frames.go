package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/framegen"
)

// settle is how long frames flow before they are counted: until bursts are long.
const settle = time.Second

// measureFrames sends frames of 64 bytes (60 without the check sequence) from the
// first pod as fast as a CPU can make them, which is more than any way carries, and
// counts those that come to the second pod's stack.
func (b *bed) measureFrames(ctx context.Context, w *way, r *results) (err error) {
	frame, err := w.frame()
	if err != nil {
		return err
	}
	if d, needed := w.needsNAPI(); needed {
		if err := netdev.SetFeatures(d.netNS, d.name, map[string]bool{"gro": true}); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, netdev.SetFeatures(d.netNS, d.name, map[string]bool{"gro": false}))
		}()
	}
	sink, err := framegen.NewSink(w.pods[1], "eth0", framegen.InStack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	g, err := framegen.NewGenerator(w.pods[0], "eth0", frame, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	g.Start()
	time.Sleep(settle)
	offered, came, took := uint64(0), uint64(0), time.Duration(0)
	used, err := w.during(func() (err error) {
		offered, came, took, err = b.count(ctx, g, sink)
		return err
	})
	if err != nil {
		return err
	}
	made, n := float64(offered), float64(came)
	if came == 0 {
		return fmt.Errorf("of %d frames of 64 bytes none came through", offered)
	}
	r.add(w, figKpps, n/took.Seconds()/1e3)
	r.add(w, figOffered, made/took.Seconds()/1e3)
	if w.device == "" && !w.bridge {
		b.perFrame = float64(used.machine) / made
	} else if b.perFrame != 0 && n > almostAll*made {
		r.add(w, figBetween, micros(used.machine-time.Duration(made*b.perFrame))/n)
	}
	if w.daemon != 0 {
		r.add(w, figDaemonPerFrame, micros(used.daemon)/n)
	}
	return nil
}

// almostAll is the share of frames that has to arrive for what the machine spends
// to be the way's: of frames that are lost on the way it says nothing.
const almostAll = 0.95

// count returns how many frames are sent and received while the generator makes
// whole bursts for at least the time of a measurement: it counts by these.
func (b *bed) count(ctx context.Context, g *framegen.Generator, s *framegen.Sink) (sent, received uint64, took time.Duration, err error) {
	if err := nextBurst(ctx, g); err != nil {
		return 0, 0, 0, err
	}
	begin, sentBefore := time.Now(), g.Sent()
	before, err := s.Count()
	if err != nil {
		return 0, 0, 0, err
	}
	time.Sleep(b.duration)
	if err := nextBurst(ctx, g); err != nil {
		return 0, 0, 0, err
	}
	took, sent = time.Since(begin), g.Sent()-sentBefore
	after, err := s.Count()
	return sent, after - before, took, err
}

// nextBurst waits until the generator has ended a burst, which takes up to a second.
func nextBurst(ctx context.Context, g *framegen.Generator) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for last := g.Sent(); g.Sent() == last; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the generator: %w", errors.Join(ctx.Err(), g.Stop()))
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// device is a network device in a namespace.
type device struct{ netNS, name string }

// needsNAPI returns the other end of the first pod's veth, unless that receives
// live frames as it is: a TAP does, and so does what AF_XDP is on.
func (w *way) needsNAPI() (d device, needed bool) {
	switch {
	case w.bridge || w.device == "afpacket":
		return device{w.node, "p0"}, true
	case w.device == "":
		return device{w.pods[1], "eth0"}, true
	default:
		return d, false
	}
}

// frame is a datagram from the first pod to the second, at a port where nobody listens.
func (w *way) frame() ([]byte, error) {
	var mac [len(w.pods)]string
	for i, pod := range w.pods {
		info, err := netdev.Link(pod, "eth0")
		if err != nil {
			return nil, err
		}
		mac[i] = info.MAC.String()
	}
	return frametext.Parse(fmt.Sprintf("udp 10.9.0.1:9 > %s:9 len 18 eth %s > %s", address, mac[0], mac[1]))
}
