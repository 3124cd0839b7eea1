// Package churn loads a daemon's API with small changes of its configuration, at a rate that
// does not depend on how soon they are answered, and measures how long each takes to be in force.
//
//	                    ┌─ client 1 ─┐
//	due 0, 1, 2 … ms ───┼─ client 2 ─┼── POST /v1/apply, /v1/delete ──▶ daemon
//	                    └─ client N ─┘      one object each
//
// A change is due at a time that was settled before: if all clients wait for answers, it is
// sent late, and the time that it waited counts. So a daemon that stands still for a
// second is charged with all changes of that second, not with one for each client.
package churn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// Config says what to load a daemon with.
type Config struct {
	// Dial returns a client of the daemon. Each of Clients has one of its own, so that
	// it has a connection of its own; Run closes them.
	Dial func() (*client.Client, error)

	Rate     float64       // changes per second
	Duration time.Duration // changes are due within it; answers may come later
	Patience time.Duration // how much later than Duration changes are sent, if the daemon is slow
	Objects  int           // that are created, changed and deleted in turns
	Clients  int           // that ask at the same time

	// Prefix is the namespace of the objects, begins the names of those that have no
	// namespace, and is the value of their label Label. Two runs at a time need two of them.
	Prefix string

	// PID is the daemon's process, if it is on this machine (LocalPID); 0: what CPU time it
	// uses is not known.
	PID int

	// Progress is told what is being done; it may be nil.
	Progress func(what string)
}

// Label is on every object that a run makes; its value is the run's prefix.
const Label = "churn.sluice.dev/run"

// Most of what a Config may ask for: the addresses of 198.18.0.0/15 (RFC 2544, appendix
// C.2.2: for benchmarks, used by nobody) have to do for the objects; and what is measured is
// kept, 24 bytes for each change.
const (
	MaxObjects = 20_000
	MaxClients = 1_000
	maxChanges = 20_000_000
)

// nameForm is what names of namespaces may be (RFC 1123), and leaves room for what follows
// the prefix.
var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// Validate returns all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	check := func(right bool, format string, args ...any) {
		if !right {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Rate > 0 && c.Rate <= 1e6, "rate: %g is not in more than 0 to 1000000 changes per second", c.Rate)
	check(c.Duration > 0, "duration: %v is not positive", c.Duration)
	check(c.Patience >= 0, "patience: %v is negative", c.Patience)
	check(c.Clients >= 1 && c.Clients <= MaxClients, "clients: %d is not in 1 to %d", c.Clients, MaxClients)
	check(c.Objects >= 1 && c.Objects <= MaxObjects, "objects: %d is not in 1 to %d", c.Objects, MaxObjects)
	check(c.Objects >= c.Clients, "objects: %d for %d clients: each needs one of its own", c.Objects, c.Clients)
	check(nameForm.MatchString(c.Prefix), "prefix: %q is no name: up to 40 of a to z, 0 to 9 and -", c.Prefix)
	if c.Rate > 0 && c.Duration > 0 {
		check(c.Rate*c.Duration.Seconds() <= maxChanges, "rate and duration: %.0f changes are more than %d", c.Rate*c.Duration.Seconds(), maxChanges)
	}
	return errors.Join(errs...)
}

func (c *Config) progress(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

// removeTimeout bounds how long it may take to remove the objects.
const removeTimeout = time.Minute

// Run loads a daemon. When ctx is done it stops, and the result is that of the part done; the
// objects are removed in any case. The error says why there is no result, or that objects
// are left; changes that fail are counted in the result.
func Run(ctx context.Context, c Config) (r *Result, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	first, err := c.Dial()
	if err != nil {
		return nil, err
	}
	defer first.Close()
	l := newLoad(&c)
	if err := l.prepare(ctx, first); err != nil {
		return nil, err
	}
	defer func() {
		c.progress("removing the objects")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		if e := remove(ctx, first, c.Prefix); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the objects: %w; a run with the same prefix begins with that", e))
		}
	}()
	return l.run(ctx, first)
}

// prepare makes the objects that there are at the beginning.
func (l *load) prepare(ctx context.Context, cl *client.Client) error {
	c := l.config
	c.progress("removing what an earlier run has left")
	if err := remove(ctx, cl, c.Prefix); err != nil {
		return err
	}
	c.progress("making objects")
	// As nothing with the label is left, whatever is there under these names is somebody else's.
	_, err := cl.Apply(ctx, l.initial(), client.ChangeOptions{Message: "churn " + c.Prefix + ": begin", IfUnchanged: true})
	if errors.Is(err, api.ErrConflict) {
		err = fmt.Errorf("%w\nthe prefix %s is in use: choose another one", err, c.Prefix)
	}
	return err
}
