// Package logging takes what a daemon says of itself to a writer that may be
// slow, block or break, without ever waiting for it: lines of text or JSON, of levels
// that can be changed for each component while it runs.
//
//	slog.Logger ─▶ handler: is the component's level on? ─▶ limits: how often was that said? ─▶ a line
//	                                                                                              │
//	                                       Lines: the last of them, for who asks ◀─ tail ◀───────┤
//	                                       Writer ◀─ one goroutine ◀─ queue, bounded ◀────────────┘
//
// Two attributes are first-class: "component" is a part of the daemon
// (Logging.Logger), "object" is what a line is about (Object).
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Keys of attributes that lines are searched by.
const (
	KeyComponent = "component" // a part of the daemon: "store", "port"
	KeyObject    = "object"    // "Port web/a": kind, namespace and name, as control.Key has it
	// KeySuppressed counts lines of the same component, level and message that were left
	// out before this one.
	KeySuppressed = "suppressed"
)

// Format is how a record becomes a line.
type Format string

// The formats.
const (
	Text Format = "text" // key=value, as slog.TextHandler
	JSON Format = "json" // an object a line, as slog.JSONHandler; durations are strings
)

// Values lists the formats.
func (Format) Values() []string { return []string{string(Text), string(JSON)} }

// Options are what a Logging is made of. Zero fields take the defaults.
type Options struct {
	// Writer gets each line with one Write, or several at once; from one goroutine, which alone
	// waits for it. Nil: the lines are kept for Lines only.
	Writer io.Writer
	Format Format // Text
	// Levels of components, "" for the others; INFO.
	Levels map[string]slog.Level

	// Burst is how many lines of the same component, level and message may come at
	// once, and PerSecond how many in the long run; 200 and 5.
	Burst     int
	PerSecond float64

	KeepLines int // for Lines; 2000
	KeepBytes int // of them together; 1 MiB
	// QueueBytes is how much may wait for the writer; what comes on top of it is lost, and
	// counted. 4 MiB.
	QueueBytes int
	// FlushTimeout is how long Close waits for the writer. 2 s.
	FlushTimeout time.Duration
}

func (o Options) withDefaults() Options {
	setDefault(&o.Format, Text)
	setDefault(&o.Burst, 200)
	setDefault(&o.PerSecond, 5)
	setDefault(&o.KeepLines, 2000)
	setDefault(&o.KeepBytes, 1<<20)
	setDefault(&o.QueueBytes, 4<<20)
	setDefault(&o.FlushTimeout, 2*time.Second)
	return o
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Logging is where the loggers of a daemon lead to. It is safe for use by
// several goroutines.
type Logging struct {
	levels *Levels
	limits *limits
	tail   *tail
	out    *outlet // nil without a Writer
	base   slog.Handler

	stop func() // the goroutine that reports what was suppressed
}

// New returns a Logging, whose owner closes it. It is an error if the format is
// unknown, or a name of Levels can't be a component's.
func New(o Options) (*Logging, error) {
	o = o.withDefaults()
	l := &Logging{
		levels: newLevels(),
		limits: newLimits(o.Burst, o.PerSecond),
		tail:   newTail(o.KeepLines, o.KeepBytes),
	}
	// Levels are asked about by the handler above; this one takes all it gets.
	ho := &slog.HandlerOptions{Level: slog.Level(-1 << 16), ReplaceAttr: plain}
	switch o.Format {
	case Text:
		l.base = slog.NewTextHandler(sink{l}, ho)
	case JSON:
		l.base = slog.NewJSONHandler(sink{l}, ho)
	default:
		return nil, fmt.Errorf("the format of the log %q: want %s", string(o.Format), strings.Join(o.Format.Values(), " or "))
	}
	if err := l.levels.Set(o.Levels); err != nil {
		return nil, err
	}
	if o.Writer != nil {
		l.out = newOutlet(o.Writer, o.QueueBytes, o.FlushTimeout, l.tellLost)
	}
	l.stop = l.reportSuppressed()
	return l, nil
}

// Logger returns the logger of a component; "" has no name. Whatever is below
// logger.With("component", name) is a component's as well.
func (l *Logging) Logger(component string) *slog.Logger { return slog.New(l.Handler(component)) }

// Handler returns what Logger's logger is made of.
func (l *Logging) Handler(component string) slog.Handler {
	return newHandler(l, component, nil)
}

// Levels returns the levels, which may be changed.
func (l *Logging) Levels() *Levels { return l.levels }

// LogLevels returns the level of each component, "" for the others, by its name.
func (l *Logging) LogLevels() map[string]string {
	names := map[string]string{}
	for component, level := range l.levels.Get() {
		names[component] = level.String()
	}
	return names
}

// SetLevels changes the levels that are given, by their names in any case, or none
// if one of them is faulty; the error wraps ErrLevel. "default" gives a component
// the level of "" again.
func (l *Logging) SetLevels(names map[string]string) error { return l.levels.setNames(names) }

// Lines returns the last lines, n at most, oldest first, without their line ends.
func (l *Logging) Lines(n int) []string { return l.tail.last(n) }

// Lost returns how many lines the writer did not get: it was too slow, or failed.
func (l *Logging) Lost() uint64 {
	if l.out == nil {
		return 0
	}
	return l.out.lost.Load()
}

// Flush waits until the writer has what was logged before, or for FlushTimeout.
func (l *Logging) Flush() { l.flush(); l.out.wait() }

// Close reports what is still suppressed and flushes. What is logged later goes to
// Lines only. It is an error if lines were lost at the end.
func (l *Logging) Close() error {
	l.stop()
	l.flush()
	return l.out.close()
}

// flush reports what is suppressed.
func (l *Logging) flush() { l.report(time.Time{}) }

// reportEvery is how late a count of suppressed lines may come if no line of the
// kind follows that could carry it.
const reportEvery = 10 * time.Second

// reportSuppressed starts what reports suppressed lines, and returns its end.
func (l *Logging) reportSuppressed() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		every := time.NewTicker(reportEvery)
		defer every.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-every.C:
				l.report(now.Add(-reportEvery))
			}
		}
	})
	return sync.OnceFunc(func() { close(done); running.Wait() })
}

// report writes a line for each kind of line that was suppressed since before a
// time; zero: at all.
func (l *Logging) report(before time.Time) {
	for _, s := range l.limits.take(before) {
		l.reportOne(s)
	}
}

func (l *Logging) reportOne(s suppressed) {
	r := slog.NewRecord(time.Now(), s.level, s.message, 0)
	_ = newHandler(l, s.component, nil).write(context.Background(), r, s.n)
}

// tellLost is called by the outlet's goroutine once there is room again.
func (l *Logging) tellLost(n uint64) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log were lost: what reads it is too slow, or failed", 0)
	r.AddAttrs(slog.Uint64("lost", n), slog.Uint64("lostInAll", l.Lost()))
	_ = newHandler(l, "log", nil).write(context.Background(), r, 0)
}

// sink takes the lines of slog's handlers, each by one Write, under their lock.
type sink struct{ l *Logging }

func (s sink) Write(line []byte) (int, error) {
	kept := slices.Clone(line) // it is the handler's buffer; from here on nobody changes it
	s.l.tail.add(kept)
	s.l.out.add(kept)
	return len(line), nil
}

// timeForm is RFC 3339 with milliseconds, always three digits.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// plain gives times the one form, and JSON's durations a unit.
func plain(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindTime:
		a.Value = slog.StringValue(a.Value.Time().Format(timeForm))
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
