// Package cputime reads how much processor time has been used, which on a
// shared machine says more than the time that has passed.
package cputime

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Process returns the CPU time of the process, user and system (getrusage(2)).
func Process() time.Duration { return usage(unix.RUSAGE_SELF) }

// Thread returns the CPU time of the calling thread; the goroutine must be
// locked to it for the difference of two readings to mean anything.
func Thread() time.Duration { return usage(unix.RUSAGE_THREAD) }

func usage(who int) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(who, &ru); err != nil {
		return 0 // no error is possible: who and the address are valid
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// OfProcess returns what all threads of another process have used, as the scheduler
// counts it: to the nanosecond, and with the softirqs that have run in them
// unless the kernel keeps these apart (CONFIG_IRQ_TIME_ACCOUNTING).
func OfProcess(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED of a whole process: MAKE_PROCESS_CPUCLOCK in linux/posix-timers.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &ts); err != nil {
		return 0, fmt.Errorf("the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}
