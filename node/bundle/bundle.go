// Package bundle collects, into one archive, what somebody needs who has to find out
// from afar why a node does what it does, and nothing that is secret.
//
// Each part is collected by itself: one that fails, or takes too long, leaves its
// error in the archive. So there is a bundle also of a daemon that is dead.
package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/node/doctor"
)

// Options say what goes into a bundle.
type Options struct {
	// Client asks the daemon; nil if there is nobody to ask.
	Client *client.Client
	API    string // its address, unix:PATH

	Version any      // of the program that makes the bundle; it becomes JSON
	Config  []string // files and folders of the configuration, for a daemon that can't be asked
	State   string   // the daemon's state folder; of its files, names and sizes only

	// Sessions has all live sessions in the bundle, not just a summary: with the
	// addresses of everybody who talks to anybody.
	Sessions bool

	// Progress hears of each part before it is collected. May be nil.
	Progress func(what string)

	// Root is where /proc, /sys and /etc are read; nil is the machine's.
	Root fs.FS
	// Machine is examined by doctor; nil is the one that this runs on.
	Machine *doctor.System
	// Now is the time in the archive; zero is the present.
	Now time.Time

	PartTimeout time.Duration // for each part; 0 is 15 s
	Timeout     time.Duration // for all; 0 is 2 minutes
	MostBytes   int           // of each part; what is longer is cut; 0 is 16 MiB
}

// Report says what became of a bundle.
type Report struct {
	Parts []Part // in the order of the archive
	// Daemon is why the daemon's parts are not there; nil if it answered.
	Daemon error
}

// Part is a file of a bundle.
type Part struct {
	File string // in the archive
	What string // it is
	Size int    // bytes; 0 if there is none
	Cut  bool   // it was longer
	Err  error  // why it is not there, or not whole
}

// unasked says whether a part is not there only because the daemon is not.
func (r *Report) unasked(p Part) bool { return r.Daemon != nil && errors.Is(p.Err, r.Daemon) }

// Failed returns the parts that are not there, or not whole, but for those that
// a daemon was not asked for.
func (r *Report) Failed() (failed []Part) {
	for _, p := range r.Parts {
		if p.Err != nil && !r.unasked(p) {
			failed = append(failed, p)
		}
	}
	return failed
}

// cleanError is an error whose text is without secrets.
type cleanError struct {
	error
	text string
}

func (e cleanError) Error() string { return e.text }
func (e cleanError) Unwrap() error { return e.error }

// source is how a part is collected.
type source struct {
	file, what string
	// ask is whether it is the daemon who is asked.
	ask bool
	// collect returns text (string, []byte), nil, or a value for JSON; also with an error, if
	// there is a part of it.
	collect func(context.Context) (any, error)
}

// collector collects parts.
type collector struct {
	Options
	scrub *scrubber
	late  int   // how many questions the daemon has not answered in time
	pid   int   // the daemon's; 0: not known
	dead  error // why the daemon is not asked
}

// Write writes a bundle, gzipped tar, to w. An error is about the writing, or ctx's;
// what could not be collected is in the report.
func Write(ctx context.Context, w io.Writer, o Options) (Report, error) {
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	if o.Machine == nil {
		o.Machine = doctor.Host()
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.PartTimeout = cmp.Or(o.PartTimeout, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	o.MostBytes = cmp.Or(o.MostBytes, 16<<20)
	c := &collector{Options: o, scrub: newScrubber()}
	return c.write(ctx, w)
}

func (c *collector) write(ctx context.Context, w io.Writer) (r Report, err error) {
	all, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the time for the bundle, %v, is over", c.Timeout))
	defer cancel()
	c.findDaemon(all)
	sources := c.sources()
	contents := make([]any, len(sources))
	for i, s := range sources {
		c.Progress(s.what)
		p := Part{File: s.file, What: s.what}
		contents[i], p.Err = c.collect(all, s)
		if err := ctx.Err(); err != nil {
			return r, err
		}
		r.Parts = append(r.Parts, p)
	}
	r.Daemon = c.dead
	// Not before all is collected it is known what is secret.
	for i := range contents {
		var err error
		if contents[i], err = c.scrub.learn(contents[i]); err != nil {
			r.Parts[i].Err = errors.Join(r.Parts[i].Err, err)
		}
	}
	files := make([][]byte, len(contents))
	for i := range contents {
		p := &r.Parts[i]
		files[i], contents[i] = c.scrub.clean(contents[i]), nil
		if p.Cut = len(files[i]) > c.MostBytes; p.Cut {
			files[i] = files[i][:c.MostBytes]
		}
		if p.Size = len(files[i]); p.Err != nil {
			p.Err = cleanError{p.Err, c.scrub.text(p.Err.Error())}
		}
	}
	return r, c.archive(w, &r, files)
}

// maxLate is after how many questions without an answer a daemon is asked no more.
const maxLate = 2

// collect collects a part within its time, and contains whatever goes wrong.
func (c *collector) collect(ctx context.Context, s source) (content any, err error) {
	if s.ask && c.dead != nil {
		return nil, fmt.Errorf("not asked: %w", c.dead)
	}
	late := fmt.Errorf("not there after %v", c.PartTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, c.PartTimeout, late)
	defer cancel()
	type result struct {
		content any
		err     error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{nil, fmt.Errorf("a defect, please report it: %v", p)}
			}
		}()
		content, err := s.collect(ctx)
		done <- result{content, err}
	}()
	// What heeds ctx has something to say when it is over; what does not is left behind.
	const grace = 500 * time.Millisecond
	var got result
	select {
	case got = <-done:
	case <-ctx.Done():
		select {
		case got = <-done:
		case <-time.After(grace):
			got.err = context.Cause(ctx)
		}
	}
	if got.err != nil && ctx.Err() != nil {
		got.err = context.Cause(ctx)
		if s.ask {
			if c.late++; c.late >= maxLate {
				c.dead = fmt.Errorf("the daemon on %s does not answer in time", c.API)
			}
		}
	}
	return got.content, got.err
}

// findDaemon finds out whether there is somebody to ask.
func (c *collector) findDaemon(ctx context.Context) {
	if c.Client == nil {
		c.dead = errors.New("there is no daemon to ask")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.PartTimeout)
	defer cancel()
	if _, err := c.Client.Status(ctx); errors.Is(err, client.ErrNoDaemon) {
		c.dead = err
		return
	}
	c.pid = peer(ctx, c.API)
}

// sources are the parts of a bundle, in its order.
func (c *collector) sources() []source {
	var list []source
	list = append(list, source{"version.json", "what made the bundle, and what the daemon is", false, c.version})
	list = append(list, c.daemonSources()...)
	list = append(list, c.machineSources()...)
	list = append(list, c.processSources()...)
	return append(list, c.serviceSources()...)
}
