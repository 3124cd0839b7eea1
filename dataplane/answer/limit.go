package answer

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
)

// Limit bounds what a node sends in answer to packets (RFC 1812 section 4.3.2.8, RFC
// 4443 section 2.4 f): in total, and for each port that causes it, so that
// one cannot use up what all have.
type Limit struct {
	total *dataplane.Limiter
	share uint32                               // of one port
	ports atomic.Pointer[[]*dataplane.Limiter] // by number; as many as there was ever need of

	sent, refused atomic.Uint64
}

// NewLimit makes a limit of so many answers per second, of which one port gets at most a
// quarter. 0 is no limit.
func NewLimit(rate uint32) *Limit {
	l := &Limit{total: dataplane.NewLimiter(rate, rate)}
	if rate != 0 {
		l.share = max(rate/4, 1)
	}
	l.ports.Store(&[]*dataplane.Limiter{})
	return l
}

// MakeRoom makes limiters for ports up to a number, while workers use those
// that there are. It is for one goroutine at a time.
func (l *Limit) MakeRoom(highest int) {
	ports := *l.ports.Load()
	if highest < len(ports) {
		return
	}
	more := slices.Grow(slices.Clone(ports), highest+1-len(ports))
	for len(more) <= highest {
		more = append(more, dataplane.NewLimiter(l.share, l.share))
	}
	l.ports.Store(&more)
}

// Take reports whether one more may be sent on account of a port, at time now in ns. A
// port that no room was made for gets none.
func (l *Limit) Take(port uint16, now int64) bool {
	if ports := *l.ports.Load(); int(port) < len(ports) && ports[port].Take(now) && l.total.Take(now) {
		l.sent.Add(1)
		return true
	}
	l.refused.Add(1)
	return false
}

// Counts returns how many could be sent, and how many not for want of a token.
func (l *Limit) Counts() (sent, refused uint64) { return l.sent.Load(), l.refused.Load() }
