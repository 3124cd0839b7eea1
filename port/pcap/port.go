package pcap

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Sink is where frames go: a Writer, or a Stream of an NgWriter. An error is
// final.
type Sink interface {
	Write(t int64, data []byte, origLen int) error
}

// Config makes a Port. The caller closes sources and sink.
type Config struct {
	In  []Source // may be empty: the port only sends
	Out Sink     // nil: frames sent are discarded
}

// Port receives the frames of captures under a virtual clock and writes what is
// sent to another. It has one receive queue. Whoever polls it also calls Next,
// Advance and the methods that start with Last; Tx, Caps and Err are for
// everybody.
//
//	for t, found := p.Next(); found; t, found = p.Next() {
//		p.Advance(t)
//		// poll p until Rx gives nothing, at time t
//	}
type Port struct {
	sources []sourceHead
	now     atomic.Int64 // written by Advance

	last      int // of sources
	lastIndex int64
	received  uint64
	refused   uint64

	broken atomic.Bool // writing has failed

	mu  sync.Mutex // of out and err: any worker may send
	out Sink       // nil to discard
	err error
}

// sourceHead is a source and its next frame.
type sourceHead struct {
	source Source
	frame  Frame
	full   bool // frame is valid
	failed bool
}

// New makes a port; its clock stands before all time, so Rx gives nothing
// until Advance.
func New(cfg Config) *Port {
	p := &Port{out: cfg.Out, last: -1, lastIndex: -1, sources: make([]sourceHead, len(cfg.In))}
	for i, s := range cfg.In {
		p.sources[i].source = s
	}
	p.now.Store(math.MinInt64)
	return p
}

// head returns the source whose frame comes next: the earliest, and the first
// in the order of Config.In among equals. It is nil if no source has one.
func (p *Port) head() (best *sourceHead, number int) {
	for i := range p.sources {
		s := &p.sources[i]
		if !s.full && !s.failed {
			switch err := s.source.Next(&s.frame); {
			case err == nil:
				s.full = true
			case err != io.EOF:
				// What other sources hold is delivered all the same.
				s.failed = true
				p.fail(err)
			}
		}
		if s.full && (best == nil || s.frame.Time < best.frame.Time) {
			best, number = s, i
		}
	}
	return best, number
}

func (p *Port) fail(err error) {
	p.mu.Lock()
	p.err = errors.Join(p.err, err)
	p.mu.Unlock()
}

// Next returns the time at which the next frame is due, in nanoseconds since
// 1970; found is false if there is none. Captures are not always in order: a
// frame whose time has passed is due now, so the clock never goes back.
func (p *Port) Next() (t int64, found bool) {
	s, _ := p.head()
	if s == nil {
		return 0, false
	}
	return max(s.frame.Time, p.now.Load()), true
}

// Advance sets the clock to t, unless that is in the past: Rx gives frames up
// to this time, and frames sent carry it.
func (p *Port) Advance(t int64) {
	if t > p.now.Load() {
		p.now.Store(t)
	}
}

// Rx gives the frames that are due, in the order of their times. A frame longer
// than any buffer is refused and counted.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if q != 0 {
		return 0
	}
	now := p.now.Load()
	n := 0
	for n < len(bufs) {
		s, number := p.head()
		if s == nil || s.frame.Time > now {
			break
		}
		a, size := c.Arena(), len(s.frame.Data)
		if size > a.LongestFrame() {
			p.refused++
			s.full = false
			continue
		}
		b := c.AllocFor(size)
		if b == 0 {
			break // it stays
		}
		m := a.Meta(b)
		m.Len, m.Mark = uint32(size), uint32(s.frame.Index)+1
		copy(a.Frame(b), s.frame.Data)
		bufs[n] = b
		n++
		p.last, p.lastIndex = number, s.frame.Index
		s.full = false
	}
	p.received += uint64(n)
	return n
}

// LastIndex returns the number in its capture of the frame that Rx gave last,
// from 0, or -1 before the first. To have it for every frame, receive them one
// by one.
func (p *Port) LastIndex() int64 { return p.lastIndex }

// LastSource returns the number in Config.In of the source of the frame that Rx
// gave last, or -1 before the first.
func (p *Port) LastSource() int { return p.last }

// Received returns how many frames Rx has given.
func (p *Port) Received() uint64 { return p.received }

// Refused returns how many frames were longer than any buffer. Those that a
// Reader refuses it counts itself.
func (p *Port) Refused() uint64 { return p.refused }

// Tx writes the frames with the time of the clock. Once writing has failed it
// takes none: what counts as sent is in the file.
func (p *Port) Tx(_ int, c *packet.Cache, bufs []packet.Index) int {
	n := len(bufs)
	if p.out != nil {
		n = p.write(c.Arena(), bufs)
	}
	c.FreeN(bufs[:n])
	return n
}

func (p *Port) write(a *packet.Arena, bufs []packet.Index) int {
	now := p.now.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken.Load() {
		return 0
	}
	for i, b := range bufs {
		frame := a.Frame(b)
		if err := p.out.Write(now, frame, len(frame)); err != nil {
			p.err = errors.Join(p.err, err)
			p.broken.Store(true)
			return i
		}
	}
	return len(bufs)
}

// Caps returns one queue and no offloads. The port is down once writing has failed.
func (p *Port) Caps() dataplane.Caps {
	return dataplane.Caps{Queues: 1, Up: !p.broken.Load()}
}

// Err returns what went wrong with sources and sink, or nil.
func (p *Port) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
