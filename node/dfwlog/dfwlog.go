// Package dfwlog writes down what logged firewall rules have done: it empties the workers' rings, names ports
// and rules, and keeps the newest lines for whoever asks.
package dfwlog

import (
	"cmp"
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Config makes a Writer. All but Out, Keep and Tell are required.
type Config struct {
	Log       *firewall.Log
	Port      func(number uint16) string // name of a port; empty if it is gone
	WallClock func(now int64) int64      // engine's time to Unix time, ns

	Out  io.Writer   // gets whole lines; nil: lines are only kept
	Keep int         // newest lines that Since knows; default 1024
	Tell func(error) // is told once when Out takes no lines, and by nil when it does again; nil: nobody is
}

// Writer is the one reader of a firewall.Log. What is slow or broken about Out is its business alone: workers
// never wait, and lines that are lost are counted, and told of in the log.
type Writer struct {
	config Config

	// Of the goroutine that calls Drain.
	batch   []firewall.LogRecord
	text    []byte // lines that are to be written
	lines   uint64 // their number
	latest  int64  // Unix time of the newest record, ns
	told    uint64 // records lost by workers that a line tells of
	missing uint64 // lines that Out did not take, which the next one that it takes tells of

	written, refused atomic.Uint64

	mu     sync.Mutex
	kept   []Line // a ring
	number uint64 // of the last line
}

// Line is a line with its number, from 1 in the order in which they were read, and the name of its port.
type Line struct {
	Number uint64
	Port   string
	export.FirewallLine
}

const (
	batchSize = 8192                   // records of a worker that are sorted at a time; more than its ring holds
	textSize  = 32 << 10               // bytes of lines that are written at a time
	interval  = 100 * time.Millisecond // of Run
)

// New makes a Writer.
func New(c Config) *Writer {
	if c.Keep <= 0 {
		c.Keep = 1024
	}
	if c.Tell == nil {
		c.Tell = func(error) {}
	}
	return &Writer{
		config: c, text: make([]byte, 0, textSize+1024),
		kept: make([]Line, c.Keep),
	}
}

// Run drains the log ten times a second, until the context ends, and once more then.
func (w *Writer) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.Drain()
			return
		case <-tick.C:
			w.Drain()
		}
	}
}

// Drain writes all that the workers have noted, in order of time as far as it is at hand, and returns the number of
// records. It is for one goroutine at a time, and not beside Run.
func (w *Writer) Drain() (n int) {
	for w.fill() {
		slices.SortStableFunc(w.batch, inOrder)
		for i := range w.batch {
			w.line(&w.batch[i])
		}
		n += len(w.batch)
	}
	if lost := w.config.Log.Lost(); lost != w.told {
		w.add(&Line{FirewallLine: export.FirewallLine{Time: w.latest, Lost: lost - w.told}})
		w.told = lost
	}
	w.flush()
	return n
}

// fill takes the records that are at hand; false if there are none.
func (w *Writer) fill() bool {
	w.batch = w.batch[:0]
	for i := range w.config.Log.Workers() {
		var r firewall.LogRecord
		for len(w.batch) < batchSize*(i+1) && w.config.Log.Pop(i, &r) {
			w.batch = append(w.batch, r)
		}
	}
	return len(w.batch) > 0
}

// inOrder is the order of time. Sessions that end at one time do so in an order that depends on the number of workers:
// theirs is that of their keys.
func inOrder(a, b firewall.LogRecord) int {
	ends := func(r *firewall.LogRecord) int { return min(int(r.End), 1) }
	if d := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(ends(&a), ends(&b))); d != 0 || a.End == 0 {
		return d
	}
	return cmp.Or(
		slices.Compare(a.Key.Src[:], b.Key.Src[:]), slices.Compare(a.Key.Dst[:], b.Key.Dst[:]), cmp.Compare(a.Key.Tail, b.Key.Tail),
		-cmp.Compare(a.Direction, b.Direction),
	)
}

func (w *Writer) line(r *firewall.LogRecord) {
	l := Line{Port: w.config.Port(r.Port), FirewallLine: lineOf(r)}
	l.Time, l.Filter = w.config.WallClock(r.Time), export.FilterHash(l.Port)
	w.latest = max(w.latest, l.Time)
	w.add(&l)
}

// add keeps a line and has it written.
func (w *Writer) add(l *Line) {
	w.mu.Lock()
	w.number++
	l.Number = w.number
	w.kept[l.Number%uint64(len(w.kept))] = *l
	w.mu.Unlock()
	if w.config.Out == nil {
		return
	}
	w.text = l.Append(w.text)
	if w.lines++; len(w.text) >= textSize {
		w.flush()
	}
}

// flush hands the lines to Out, behind one that tells of those that it did not take before.
func (w *Writer) flush() {
	if w.lines+w.missing == 0 {
		return
	}
	text := w.text
	if w.missing != 0 {
		first := export.FirewallLine{Time: w.latest, Lost: w.missing}
		text = append(first.Append(nil), text...)
	}
	_, err := w.config.Out.Write(text)
	switch {
	case err == nil:
		if w.missing != 0 {
			w.config.Tell(nil)
		}
		w.missing = 0
		w.written.Add(w.lines)
	case w.missing == 0:
		w.config.Tell(err)
		fallthrough
	default:
		w.missing += w.lines
		w.refused.Add(w.lines)
	}
	w.text, w.lines = w.text[:0], 0
}

// Stats are counts since the Writer was made.
type Stats struct {
	Written uint64 // lines that Out has taken
	Refused uint64 // lines that it has not
	Lost    uint64 // records that found a worker's ring full
}

// Stats returns the counts; any goroutine.
func (w *Writer) Stats() Stats {
	return Stats{Written: w.written.Load(), Refused: w.refused.Load(), Lost: w.config.Log.Lost()}
}

// Since returns at most n of the newest lines with numbers above after, oldest first. With the last one's number as
// after, the next call goes on from there; where numbers are missing, lines are not kept any more. Any goroutine.
func (w *Writer) Since(after uint64, n int) []Line {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = max(min(n, len(w.kept)), 0)
	if w.number > after+uint64(n) {
		after = w.number - uint64(n)
	}
	var list []Line
	for i := after + 1; i <= w.number; i++ {
		list = append(list, w.kept[i%uint64(len(w.kept))])
	}
	return list
}

// lineOf returns what a record says, but for the time and the port.
func lineOf(r *firewall.LogRecord) export.FirewallLine {
	l := export.FirewallLine{
		Set: setOf(r.Section), Rule: r.Rule.ID, Tag: r.Rule.Tag, Out: r.Direction == policy.Out,
		Length: r.Length, More: r.More, Flags: r.TCPFlags,
		EtherType: r.EtherType, SrcMAC: r.Src, DstMAC: r.Dst,
	}
	l.Reason, l.Action = export.FirewallReason(r.Reason)
	if k := &r.Key; *k != (packet.Key{}) {
		l.Src, l.Dst = netip.AddrPortFrom(k.Src.Netip(), k.SrcPort()), netip.AddrPortFrom(k.Dst.Netip(), k.DstPort())
		l.Protocol = k.Proto()
	}
	if r.End != 0 {
		l.Reason, l.End = export.FirewallTerm, export.FirewallEnd(r.End)
		l.Packets = [2]uint64{r.Packets[firewall.LogIn], r.Packets[firewall.LogOut]}
		l.Bytes = [2]uint64{r.Bytes[firewall.LogIn], r.Bytes[firewall.LogOut]}
	}
	return l
}

// setOf names what a rule is in: NAMESPACE/NAME of the object, or the title of what has none.
func setOf(s *policy.Section) string {
	switch {
	case s.Origin.Name == "" && s.Title == "":
		return "default"
	case s.Origin.Name == "":
		return s.Title
	case s.Origin.Namespace == "":
		return s.Origin.Name
	}
	return s.Origin.Namespace + "/" + s.Origin.Name
}
