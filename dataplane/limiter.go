package dataplane

import "sync/atomic"

// Limiter is a packet-rate limit shared by all workers: a token bucket in its
// virtual-scheduling form (GCRA, ITU-T I.371 annex A). Its whole state is the
// time at which the bucket would be full again, so one CAS takes a token and an
// idle limiter costs nothing.
//
// The zero Limiter lets everything pass. It must not be copied after use.
type Limiter struct {
	interval int64 // ns between tokens; 0 is unlimited
	depth    int64 // ns of credit: (burst-1) intervals
	full     atomic.Int64
}

// NewLimiter makes a limit of rate packets per second with a burst of packets
// that may pass back to back, at least 1. Rate 0 is unlimited.
func NewLimiter(rate, burst uint32) *Limiter {
	if rate == 0 {
		return &Limiter{}
	}
	interval := int64(1e9) / int64(rate)
	if interval == 0 {
		interval = 1
	}
	return &Limiter{interval: interval, depth: int64(max(burst, 1)-1) * interval}
}

// Take takes a token at time now, in ns, and reports whether there was one.
// Times may go backwards a little between workers.
func (l *Limiter) Take(now int64) bool {
	if l.interval == 0 {
		return true
	}
	for {
		full := l.full.Load()
		t := max(full, now)
		if t-now > l.depth {
			return false
		}
		if l.full.CompareAndSwap(full, t+l.interval) {
			return true
		}
	}
}
