package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// measureStreams sends one TCP stream after the other, by IPv4 and IPv6, and datagrams.
func (b *bed) measureStreams(ctx context.Context, w *way, r *results) error {
	vectors, err := w.vectors(ctx)
	if err != nil {
		return err
	}
	var stream transfer
	used, err := w.during(func() (err error) {
		stream, err = b.stream(ctx, w, address)
		return err
	})
	if err != nil {
		return err
	}
	r.add(w, figGbps, stream.gbps())
	r.add(w, figCPUPerGB, used.machine.Seconds()/(stream.bytes/1e9))
	if w.daemon != 0 {
		after, err := w.vectors(ctx)
		if err != nil {
			return err
		}
		frames := float64(after.frames - vectors.frames)
		r.add(w, figDaemonPerGB, used.daemon.Seconds()/(stream.bytes/1e9))
		r.add(w, figFrame, stream.bytes/1e3/frames)
		r.add(w, figPerVector, frames/float64(after.vectors-vectors.vectors))
	}
	if stream, err = b.stream(ctx, w, address6); err != nil {
		return err
	}
	r.add(w, figGbps6, stream.gbps())
	if stream, err = b.datagrams(ctx, w); err != nil {
		return err
	}
	r.add(w, figUSO, stream.gbps())
	return nil
}

// transfer is what has come through.
type transfer struct{ bytes, seconds float64 }

func (t transfer) gbps() float64 { return t.bytes * 8 / t.seconds / 1e9 }

// stream sends one TCP stream from the first pod to an address of the second.
func (b *bed) stream(ctx context.Context, w *way, to string) (t transfer, err error) {
	server := inPod(ctx, w.pods[1], "iperf3", "-s", "-1")
	if err := server.Start(); err != nil {
		return t, err
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
		out, failed := inPod(ctx, w.pods[0], "iperf3", "-c", to, "-J", "-t", strconv.Itoa(int(b.duration.Seconds()))).Output()
		report.Error = ""
		if err = json.Unmarshal(out, &report); err == nil && report.Error == "" {
			break
		}
		err = errors.Join(err, failed)
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || report.Error != "" {
		return t, fmt.Errorf("iperf3 to %s: %w %s", to, err, report.Error)
	}
	if report.End.Received.Bytes == 0 {
		return t, fmt.Errorf("iperf3: nothing came through to %s", to)
	}
	return transfer{report.End.Received.Bytes, report.End.Received.Seconds}, nil
}

// work is what the daemon's workers have received.
type work struct{ vectors, frames uint64 }

// vectors asks the daemon, if there is one.
func (w *way) vectors(ctx context.Context) (sum work, err error) {
	if w.daemon == 0 {
		return sum, nil
	}
	c, err := client.New(w.api)
	if err != nil {
		return sum, err
	}
	defer c.Close()
	workers, _, err := client.List[api.WorkerView](ctx, c, "workers", api.Filter{})
	for i := range workers {
		sum.vectors += workers[i].Vectors
		sum.frames += workers[i].Frames
	}
	return sum, err
}
