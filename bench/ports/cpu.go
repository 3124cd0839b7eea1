package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/internal/cputime"
)

// cpu is processor time used so far.
//
// What a packet costs where it is received is in softirqs, and these run in
// whatever thread has caused them. Over a veth that is the sender: the bridge's work
// is its pods', the receiving half of what the daemon sends is the daemon's, and the first
// half of what it receives the pod's.
type cpu struct{ machine, daemon time.Duration }

func (c cpu) minus(d cpu) cpu { return cpu{c.machine - d.machine, c.daemon - d.daemon} }

// cpu reads the time that the machine has not been idle, and that of the daemon.
func (w *way) cpu() (c cpu, err error) {
	if c.machine, err = machineTime(); err != nil || w.daemon == 0 {
		return c, err
	}
	c.daemon, err = cputime.OfProcess(w.daemon)
	return c, err
}

// tick is the unit of /proc: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// machineTime is how long the processors have not been idle, by proc_stat(5).
// Where the kernel counts by ticks (CONFIG_TICK_CPU_ACCOUNTING) it is a sample,
// good to a percent over a second.
func machineTime() (busy time.Duration, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, f := range fields[1:8] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 { // user nice system idle iowait irq softirq
			busy += time.Duration(n) * tick
		}
	}
	return busy, nil
}

// quiet waits until the machine has next to nothing to do for a quarter of a
// second, but no longer than a minute: what others run would be measured too.
func quiet() error {
	const sample, enough = 250 * time.Millisecond, 30 * time.Millisecond
	for deadline := time.Now().Add(time.Minute); ; {
		before, err := machineTime()
		if err != nil {
			return err
		}
		time.Sleep(sample)
		after, err := machineTime()
		if err != nil || after-before <= enough || time.Now().After(deadline) {
			return err
		}
	}
}
