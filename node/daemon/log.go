package daemon

import (
	"log/slog"
	"time"
)

// phases tells how long the parts of the start take.
type phases struct {
	log  *slog.Logger
	last time.Time
}

func newPhases(log *slog.Logger, start time.Time) *phases { return &phases{log, start} }

func (p *phases) done(what string) {
	now := time.Now()
	p.log.Debug("start: "+what, "took", now.Sub(p.last).Round(10*time.Microsecond))
	p.last = now
}

// limiter warns of what may come again and again: once in an interval, and then
// how often it was left out. For one goroutine.
type limiter struct {
	log      *slog.Logger
	interval time.Duration
	last     map[string]time.Time // by message
	omitted  map[string]int
}

func newLimiter(log *slog.Logger, interval time.Duration) *limiter {
	return &limiter{log, interval, map[string]time.Time{}, map[string]int{}}
}

// warn logs the error. Messages are constants: the limiter remembers each.
func (l *limiter) warn(message string, err error) {
	now := time.Now()
	if last, found := l.last[message]; found && now.Sub(last) < l.interval {
		l.omitted[message]++
		return
	}
	args := []any{"error", err}
	if n := l.omitted[message]; n > 0 {
		args = append(args, "omitted", n)
	}
	l.log.Warn(message, args...)
	l.last[message], l.omitted[message] = now, 0
}
