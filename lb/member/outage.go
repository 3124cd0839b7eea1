package member

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/service"
)

// outage is what connections to a member have told, which takes it out of service for a time (service.Passive). Any
// worker may write it at any time.
//
//	in service ── MaxFails failures, none of them later than TimeoutNs after the first, no success between ──▶ out
//	    ▲                                                                                                      │
//	    └────────────────────────────── TimeoutNs later: the next failure counts as the last ◀─────────────────┘
//
// So a member that comes back and still fails is out again with its first connection, until one succeeds or
// none fails for TimeoutNs.
type outage struct {
	count atomic.Uint64 // ns of the first failure >> 20 (about a millisecond) 63..24 | failures 23..0
	since atomic.Int64  // ns, when the member was taken out last
	until atomic.Int64  // ns; 0: in service
}

const failureBits = 24

func packFailures(first int64, n uint64) uint64 { return uint64(first>>20)<<failureBits | n }

func unpackFailures(v uint64) (first int64, n uint64) {
	return int64(v>>failureBits) << 20, v & (1<<failureBits - 1)
}

// Failed takes a connection into account that the member has refused, or has not answered, at now. It reports true
// to the one that takes the member out of service by that; p is the pool's, and may be nil.
func (m *Member) Failed(p *service.Passive, now int64) (out bool) {
	o := &m.outage
	if p == nil || o.until.Load() != 0 {
		return false
	}
	for {
		old := o.count.Load()
		first, n := unpackFailures(old)
		if n == 0 || now-first > p.TimeoutNs {
			first, n = now, 0
		}
		if n++; n < uint64(max(p.MaxFails, 1)) && n < 1<<failureBits-1 {
			if o.count.CompareAndSwap(old, packFailures(first, n)) {
				return false
			}
			continue
		}
		until := now + p.TimeoutNs
		if !o.count.CompareAndSwap(old, packFailures(until, n-1)) {
			continue
		}
		if !o.until.CompareAndSwap(0, max(until, 1)) {
			return false // another worker's failure was the last
		}
		o.since.Store(now)
		return true
	}
}

// Succeeded takes a connection into account that the member has taken: what failed before does not count any more.
func (m *Member) Succeeded() {
	if m.outage.count.Load() != 0 { // mostly it is 0, and a line that all workers read is left alone
		m.outage.count.Store(0)
	}
}

// FailingUntil returns when the member comes back that failed connections have taken out, ns of the workers' clock; 0 if
// none have.
func (m *Member) FailingUntil() int64 { return m.outage.until.Load() }

// Recover takes the member back into service if its time is over at now, and reports true to the one that does.
func (m *Member) Recover(now int64) (back bool) {
	until := m.outage.until.Load()
	return until != 0 && now >= until && m.outage.until.CompareAndSwap(until, 0)
}
