package daemon

import (
	"encoding/binary"
	"os"
	"time"

	"github.com/sluice-net/sluice/dataplane"
)

// pmQoS is where a process says how long it can wait for a processor to wake up
// (Documentation/power/pm_qos_interface.rst). What it says holds until it closes
// the file, also by dying.
const pmQoS = "/dev/cpu_dma_latency"

// Frames that pass at less than one every 10 ms are worth no processor that
// doesn't sleep.
const (
	latencyLook   = 100 * time.Millisecond
	latencyFrames = 10 // in such a time
)

// holdLatency keeps processors from deep sleep while frames pass, until done is
// closed. An answer needs two processors to wake up, the receiver's and the
// asker's; on a virtual machine that is most of its time.
func (d *Daemon) holdLatency(done <-chan struct{}) {
	limit := newLimiter(d.log, time.Minute)
	held := latencyRequest{path: pmQoS, latency: d.config.CPULatency}
	defer held.set(false)
	ticker := time.NewTicker(latencyLook)
	defer ticker.Stop()
	last := framesOf(d.node.Engine())
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now := framesOf(d.node.Engine())
		if err := held.set(now-last >= latencyFrames); err != nil {
			limit.warn("processors sleep as deeply as the kernel likes", err)
		}
		last = now
	}
}

func framesOf(e *dataplane.Engine) (n uint64) {
	for i := range e.Workers() {
		n += e.Worker(i).Stats().Frames
	}
	return n
}

// latencyRequest is made, or not, by a file that is open, or not.
type latencyRequest struct {
	path    string
	latency time.Duration
	file    *os.File // nil: no request
}

func (r *latencyRequest) set(on bool) error {
	if on == (r.file != nil) {
		return nil
	}
	if !on {
		err := r.file.Close()
		r.file = nil
		return err
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	// 32 bits, in microseconds.
	if _, err := f.Write(binary.NativeEndian.AppendUint32(nil, uint32(r.latency/time.Microsecond))); err != nil {
		_ = f.Close()
		return err
	}
	r.file = f
	return nil
}
