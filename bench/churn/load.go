package churn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// load is a run.
type load struct {
	config   *Config
	subjects []*subject
	total    int64 // changes
	begin    time.Time

	next atomic.Int64 // change to be taken

	// tooLate is when changes that have not been sent are given up.
	tooLate time.Time

	mu   sync.Mutex // of what follows
	errs []string   // the first different ones
}

// sample is one change, in nanoseconds.
type sample struct {
	late   int64 // from when it was due until it was sent
	answer int64 // from there until it was answered
	live   int64 // as the daemon says: from its arrival until workers used it
}

// tally is what one client has counted.
type tally struct {
	samples []sample
	actions map[api.Action]int // created, configured, deleted
	kinds   map[string]int
	failed  int
}

func newLoad(c *Config) *load {
	return &load{config: c, subjects: newSubjects(c), total: max(1, int64(c.Rate*c.Duration.Seconds()))}
}

// measureIdle is how long the daemon is watched before the load, to know what it uses anyway.
const measureIdle = time.Second

// run asks for the changes and says how it went.
func (l *load) run(ctx context.Context, cl *client.Client) (*Result, error) {
	c := l.config
	c.progress("watching the daemon without changes")
	before, err := l.usage(ctx, cl)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(measureIdle):
	}
	start, err := l.usage(ctx, cl)
	if err != nil {
		return nil, err
	}
	tallies := make([]tally, c.Clients)
	clients := make([]*client.Client, c.Clients)
	for i := range clients {
		if clients[i], err = c.Dial(); err != nil {
			return nil, err
		}
		defer clients[i].Close()
	}
	// Changes that are on their way when the run is interrupted are waited for: what
	// the daemon does later would be left behind.
	changing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(removeTimeout, cancel) })()
	l.begin = time.Now()
	l.tooLate = l.begin.Add(c.Duration + c.Patience)
	var asking sync.WaitGroup
	for i := range clients {
		asking.Go(func() { tallies[i] = l.ask(ctx, changing, clients[i], i) })
	}
	l.report(&asking)
	took := time.Since(l.begin)
	end, err := l.usage(changing, cl)
	if err != nil {
		return nil, err
	}
	return l.result(took, tallies, before, start, end), nil
}

// report says every now and then how far it is, until all have ended.
func (l *load) report(asking *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { asking.Wait(); close(done) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			l.config.progress("%d of %d changes", min(l.next.Load(), l.total), l.total)
		}
	}
}

// due returns when a change is due.
func (l *load) due(i int64) time.Time {
	return l.begin.Add(time.Duration(float64(i) / l.config.Rate * float64(time.Second)))
}

// ask is one client: it takes the next change that nobody has taken, until there is none or ctx
// is done. It changes objects until changing is.
func (l *load) ask(ctx, changing context.Context, cl *client.Client, number int) tally {
	c := l.config
	t := tally{actions: map[api.Action]int{}, kinds: map[string]int{}}
	var own []*subject
	for i := number; i < len(l.subjects); i += c.Clients {
		own = append(own, l.subjects[i])
	}
	for turn := 0; ; turn++ {
		i := l.next.Add(1) - 1
		if i >= l.total {
			return t
		}
		due := l.due(i)
		select {
		case <-ctx.Done():
			return t
		case <-time.After(time.Until(due)):
		}
		s := own[turn%len(own)]
		sent := time.Now()
		if sent.After(l.tooLate) {
			return t
		}
		result, err := s.live(changing, cl)
		answered := time.Now()
		if err != nil {
			t.failed++
			l.fault(fmt.Errorf("%s %s: %w", s.kind, s.name, err))
			continue
		}
		t.samples = append(t.samples, sample{
			int64(sent.Sub(due)), int64(answered.Sub(sent)), int64(result.LiveAfter * float64(time.Second)),
		})
		t.kinds[s.kind]++
		for _, ch := range result.Changes {
			t.actions[ch.Action]++
		}
	}
}

// live has a subject take the next step of its life.
func (s *subject) live(ctx context.Context, cl *client.Client) (r *api.ChangeResult, err error) {
	s.turn++
	if s.next == remain {
		r, err = cl.Delete(ctx, []api.ObjectRef{s.ref()}, client.ChangeOptions{})
	} else {
		r, err = cl.Apply(ctx, []control.File{{Name: "churn.yaml", Data: s.document()}}, client.ChangeOptions{})
	}
	if err == nil || errors.Is(err, api.ErrNotFound) { // what was not answered may have been done all the same
		s.next = (s.next + 1) % steps
	}
	return r, err
}

// maxErrors is how many different errors are kept.
const maxErrors = 5

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := err.Error(); len(l.errs) < maxErrors && !slices.Contains(l.errs, text) {
		l.errs = append(l.errs, text)
	}
}
