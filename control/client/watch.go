package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/api"
)

// silence is for how long a daemon that is watched may say nothing: it speaks every
// 15 seconds.
const silence = 50 * time.Second

// Watch asks for what happens to the objects that a filter wants after a revision, and calls
// yield for each event as it comes, until that returns an error, which Watch returns. api.EventBookmark
// says that all up to its revision has been told. The error wraps api.ErrGone if the revision
// is too old: ask for Objects, and watch from their revision. It wraps ErrBroken once
// the daemon ends.
func (c *Client) Watch(ctx context.Context, f api.ObjectFilter, from uint64, yield func(*api.Event) error) error {
	q := f.Query()
	q.Set("from", strconv.FormatUint(from, 10))
	heard, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(errLate) })
	defer silent.Stop()
	answer, err := c.do(heard, question{path: "/v1/watch", query: q, patience: silence})
	if err != nil {
		return c.unheard(ctx, heard, err)
	}
	defer answer.Body.Close()
	d := json.NewDecoder(answer.Body)
	for {
		var line struct {
			api.Event
			api.Failure
		}
		if err := d.Decode(&line); err != nil {
			return c.unheard(ctx, heard, c.broken(ctx, err))
		}
		silent.Reset(silence)
		if line.Error != "" {
			return failed(statusOf(line.Reason), &line.Failure)
		}
		if err := yield(&line.Event); err != nil {
			return err
		}
	}
}

// unheard tells a daemon that says nothing from one that says something wrong.
func (c *Client) unheard(ctx, heard context.Context, err error) error {
	if ctx.Err() == nil && heard.Err() != nil {
		return brokenOff{c.late().Error()}
	}
	return err
}

// statusOf is the status that a reason has where it is not the last line of an answer.
func statusOf(r api.Reason) int {
	switch r {
	case api.ReasonGone:
		return http.StatusGone
	case api.ReasonForbidden:
		return http.StatusForbidden
	case api.ReasonTooMany:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// The pauses of WatchForever between attempts.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// WatchForever is Watch, which begins anew where it was when the daemon has ended or is
// busy: each event is told once. lost hears of each such error; nil if nobody wants
// to. What it returns is yield's error, ctx's, or one that trying again can't mend;
// api.ErrGone among them: ask for Objects, and watch from their revision.
func (c *Client) WatchForever(ctx context.Context, f api.ObjectFilter, from uint64, yield func(*api.Event) error, lost func(error)) error {
	pause := firstPause
	at := position{whole: from}
	for {
		again := at.events // of at.last, which come again
		err := c.Watch(ctx, f, at.whole, func(e *api.Event) error {
			pause = firstPause
			if again > 0 && e.Type != api.EventBookmark && e.Revision == at.last {
				again--
				return nil
			}
			if err := yield(e); err != nil {
				return enough{err}
			}
			at.told(e)
			return nil
		})
		if own, ok := errors.AsType[enough](err); ok {
			return own.error
		}
		if !passing(err) {
			return err
		}
		if lost != nil {
			lost(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// position is how far a watch has come. A revision may have several events, and what
// says that all have been told is a bookmark, or an event of a later one.
type position struct {
	whole  uint64 // the revision up to which all has been told
	last   uint64 // the one after that of which something was told; 0: none
	events int    // how many of its events were told
}

func (p *position) told(e *api.Event) {
	switch {
	case e.Type == api.EventBookmark:
		p.whole = max(p.whole, e.Revision)
		if p.whole >= p.last {
			p.last, p.events = 0, 0
		}
	case e.Revision == p.last:
		p.events++
	default:
		p.whole, p.last, p.events = max(p.whole, p.last), e.Revision, 1
	}
}

// enough is the error of who is told.
type enough struct{ error }

func (e enough) Unwrap() error { return e.error }

// passing reports whether an error may be mended by trying again.
func passing(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status == http.StatusServiceUnavailable
	}
	return errors.Is(err, ErrNoDaemon) || errors.Is(err, ErrBroken) || errors.Is(err, io.ErrUnexpectedEOF)
}
