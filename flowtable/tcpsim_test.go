package flowtable

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// The simulator is two TCP endpoints, four stretches of network that lose,
// repeat and reorder, and the tracker in the middle:
//
//	originator ──▶ net ──▶ tracker ──▶ net ──▶ responder
//	           ◀── net ◀──         ◀── net ◀──
//
// The endpoints are RFC 9293's as far as sequence numbers, windows and
// acknowledgements go; they have no congestion control, so they use windows to
// the full.

const (
	simMaxDelay = 12  // ticks in each stretch
	simRTO      = 60  // ticks
	simBurst    = 3   // segments an endpoint sends in a tick
	simEnd      = 6e4 // ticks, by when everything must have been delivered
)

// endpoint is one end of a connection. Sequence numbers are offsets from the
// initial one, so that they do not wrap: 0 is the SYN, 1 the first octet.
type endpoint struct {
	name       string
	active     bool
	iss, irs   uint32
	toSend     int  // octets of data
	fin        bool // close after them
	scale      int  // offered; -1 for none
	sack       bool
	mss, gso   int
	buffer     int // receive buffer
	readRate   int // percent of ticks in which the application reads
	abortAt    int // tick; 0: never
	keepAlive  int // percent of idle ticks
	peerScale  int
	una, nxt   int // oldest not acknowledged; next to send
	max        int // highest ever sent, exclusive
	wnd        int // offset of the right edge of the peer's window
	rcvNxt     int
	rcvRead    int      // what the application has read
	ooo        [][2]int // received out of order, disjoint
	peerFIN    int      // offset of the peer's FIN, -1 unknown
	syncRcvd   bool     // the peer's SYN has come
	aborted    bool
	lastSent   int // tick of the last octets sent
	ackPending bool
}

func (e *endpoint) scaleInUse() int {
	if e.scale < 0 || e.peerScale < 0 {
		return 0
	}
	return e.scale
}

// finAt is the offset of the FIN.
func (e *endpoint) finAt() int { return 1 + e.toSend }

// window returns the window to advertise, unscaled.
func (e *endpoint) window(syn bool) uint16 {
	free := max(e.buffer-(e.rcvNxt-e.rcvRead), 0) // a FIN may come on top
	if syn {
		return uint16(min(free, 65535))
	}
	return uint16(min(free>>e.scaleInUse(), 65535))
}

// segment builds the segment of offsets from..to; the SYN is offset 0, the FIN
// the one after the data.
func (e *endpoint) segment(from, to int) tcpFields {
	f := tcpFields{seq: e.iss + uint32(from), win: e.window(from == 0 && to > 0)}
	f.length = to - from
	if e.syncRcvd {
		f.flags |= packet.TCPAck
		f.ack = e.irs + uint32(e.rcvNxt)
	}
	if from == 0 && to > 0 {
		f.flags |= packet.TCPSyn
		f.length--
		if e.scale >= 0 && (e.active || e.peerScale >= 0) {
			f.options = append(f.options, optNop, optWindowScale, 3, byte(e.scale))
		}
		return f
	}
	if e.fin && to == e.finAt()+1 && from < to {
		f.flags |= packet.TCPFin
		f.length--
	}
	if e.sack && len(e.ooo) > 0 {
		n := min(len(e.ooo), 3)
		f.options = append(f.options, optNop, optNop, optSACK, byte(2+8*n))
		for _, r := range e.ooo[:n] {
			f.options = binary.BigEndian.AppendUint32(f.options, e.irs+uint32(r[0]))
			f.options = binary.BigEndian.AppendUint32(f.options, e.irs+uint32(r[1]))
		}
	}
	return f
}

// tick lets the endpoint send what it may.
func (e *endpoint) tick(now int, rng *rand.Rand, send func(tcpFields)) {
	out := func(from, to int) {
		send(e.segment(from, to))
		e.max = max(e.max, to)
		if from < to {
			e.lastSent = now
		}
		e.ackPending = false
	}
	switch {
	case e.aborted:
		return
	case e.abortAt != 0 && now >= e.abortAt && e.una > 0 && e.syncRcvd:
		e.aborted = true
		f := e.segment(e.nxt, e.nxt)
		f.flags |= packet.TCPRst
		send(f)
		return
	case e.una == 0: // SYN or SYN/ACK not acknowledged
		if (e.active || e.syncRcvd) && (e.nxt == 0 || now-e.lastSent > simRTO) {
			e.nxt = 1
			out(0, 1)
		}
		return
	}
	if rng.IntN(100) < e.readRate {
		e.rcvRead = min(e.rcvNxt, e.rcvRead+rng.IntN(e.buffer)+1)
		if rng.IntN(4) == 0 {
			e.ackPending = true // window update
		}
	}
	last := e.finAt()
	if e.fin {
		last++
	}
	if e.una < e.nxt && now-e.lastSent > simRTO {
		e.nxt = e.una // go back
	}
	for range simBurst {
		limit := min(last, e.wnd)
		if e.nxt >= limit {
			break
		}
		size := e.mss
		if e.gso > 0 && rng.IntN(3) == 0 {
			size = e.gso
		}
		to := min(e.nxt+1+rng.IntN(size), limit)
		out(e.nxt, to)
		e.nxt = to
	}
	switch idle := e.una == e.nxt; {
	case idle && e.nxt < last && now-e.lastSent > simRTO: // closed window: probe
		out(e.nxt, e.nxt+1)
	case e.ackPending:
		out(e.nxt, e.nxt)
	case idle && e.nxt > 1 && rng.IntN(100) < e.keepAlive:
		f := e.segment(e.nxt-1, e.nxt-1)
		if rng.IntN(2) == 0 && e.nxt <= e.toSend+1 {
			f.length = 1
		}
		send(f)
	}
}

// receive takes a segment in.
func (e *endpoint) receive(f *tcpFields, send func(tcpFields)) {
	if e.aborted {
		if f.flags&packet.TCPRst == 0 && f.flags&packet.TCPAck != 0 {
			send(tcpFields{flags: packet.TCPRst, seq: f.ack}) // RFC 9293 section 3.10.7.1
		}
		return
	}
	if f.flags&packet.TCPRst != 0 {
		if e.syncRcvd && int(int32(f.seq-e.irs)) == e.rcvNxt {
			e.aborted = true
		}
		return
	}
	if f.flags&packet.TCPSyn != 0 && !e.syncRcvd {
		e.syncRcvd, e.irs, e.rcvNxt, e.rcvRead, e.peerScale = true, f.seq, 1, 1, -1
		for kind, body, rest := option(f.options); kind != optEnd; kind, body, rest = option(rest) {
			if kind == optWindowScale {
				e.peerScale = int(body[0])
			}
		}
		e.wnd = 1 + int(f.win)
		e.ackPending = true
	}
	if !e.syncRcvd {
		return
	}
	from := int(int32(f.seq - e.irs))
	to := from + f.length
	if f.flags&packet.TCPSyn != 0 {
		to++
	}
	if f.flags&packet.TCPFin != 0 {
		e.peerFIN = to
		to++
	}
	acceptable := from <= e.rcvNxt+e.buffer && to >= e.rcvNxt
	if to > from {
		e.ackPending = true
	}
	if !acceptable {
		e.ackPending = true
		return
	}
	if f.flags&packet.TCPAck != 0 {
		ack := int(int32(f.ack - e.iss))
		if ack > e.max {
			e.ackPending = true
			return
		}
		if ack >= e.una {
			e.una = ack
			e.nxt = max(e.nxt, ack)
			win := int(f.win)
			if f.flags&packet.TCPSyn == 0 && e.scale >= 0 && e.peerScale >= 0 {
				win <<= e.peerScale
			}
			e.wnd = max(e.wnd, ack+win)
		}
	}
	to = min(to, e.rcvRead+e.buffer+1) // what fits; a FIN always does
	if from < to {
		e.ooo = append(e.ooo, [2]int{max(from, e.rcvNxt), to})
		slices.SortFunc(e.ooo, func(a, b [2]int) int { return a[0] - b[0] })
		merged := e.ooo[:0]
		for _, r := range e.ooo {
			if n := len(merged); n > 0 && r[0] <= merged[n-1][1] {
				merged[n-1][1] = max(merged[n-1][1], r[1])
			} else {
				merged = append(merged, r)
			}
		}
		if merged[0][0] <= e.rcvNxt {
			e.rcvNxt = max(e.rcvNxt, merged[0][1])
			merged = merged[1:]
		}
		e.ooo = slices.Clone(merged)
	}
}

// done reports whether everything was sent and acknowledged.
func (e *endpoint) done() bool {
	last := e.finAt()
	if e.fin {
		last++
	}
	return e.aborted || e.una == last
}

// inFlight is a segment on the way.
type inFlight struct {
	due     int
	dir     Dir
	tracked bool
	f       tcpFields
}

// simulation is a connection, with what is random about it.
type simulation struct {
	rng      *rand.Rand
	ends     [2]*endpoint
	net      []inFlight
	loss     int                 // percent
	attacker func(*conversation) // called once a tick
	aborts   bool
}

func newSimulation(seed uint64) *simulation {
	rng := rand.New(rand.NewPCG(seed, 0))
	sim := &simulation{rng: rng, loss: []int{0, 1, 5, 20}[rng.IntN(4)], aborts: rng.IntN(4) == 0}
	for d := range sim.ends {
		e := &endpoint{
			name: []string{"o", "r"}[d], active: d == int(Original), iss: rng.Uint32(), toSend: rng.IntN(300_000),
			fin: true, scale: rng.IntN(16) - 1, sack: rng.IntN(2) == 0, mss: 1 + rng.IntN(1460),
			buffer: 1 << (10 + rng.IntN(11)), readRate: 1 + rng.IntN(100), keepAlive: rng.IntN(10),
			peerScale: -1, peerFIN: -1,
		}
		switch rng.IntN(4) {
		case 0:
			e.iss = -uint32(rng.IntN(e.toSend + 2)) // wraps on the way
		case 1:
			e.toSend = rng.IntN(10)
		}
		if rng.IntN(2) == 0 {
			e.gso = 65000
		}
		// A window that the scale rounds to nothing would stay closed.
		e.scale = min(e.scale, 14)
		for e.scale > 0 && e.buffer>>e.scale < 4 {
			e.scale--
		}
		sim.ends[d] = e
	}
	if sim.aborts {
		sim.ends[rng.IntN(2)].abortAt = 1 + rng.IntN(2000)
	}
	return sim
}

func (sim *simulation) put(now int, p inFlight) {
	for copies := 1; copies > 0; copies-- {
		if sim.rng.IntN(100) < sim.loss {
			continue
		}
		if sim.rng.IntN(100) < sim.loss {
			copies++
		}
		p.due = now + 1 + sim.rng.IntN(simMaxDelay)
		sim.net = append(sim.net, p)
	}
}

// run carries the connection to its end and returns the session; every segment
// of an endpoint must be let through. RSTs are excepted: those that answer old
// segments are stale, and a receiver ignores them as well.
func (sim *simulation) run(t *testing.T) *conversation {
	c := newConversation(true)
	var p tcpPacket
	now := 0
	send := func(d Dir) func(tcpFields) {
		return func(f tcpFields) { sim.put(now, inFlight{dir: d, f: f}) }
	}
	for ; now < simEnd; now++ {
		if sim.ends[0].done() && sim.ends[1].done() && len(sim.net) == 0 {
			return c
		}
		for d := range sim.ends {
			sim.ends[d].tick(now, sim.rng, send(Dir(d)))
		}
		arriving := sim.net
		sim.net = nil
		for _, q := range arriving {
			switch {
			case q.due > now:
				sim.net = append(sim.net, q)
			case q.tracked:
				sim.ends[q.dir.peer()].receive(&q.f, send(q.dir.peer()))
			default:
				p.dir = q.dir
				p.fill(&q.f)
				verdict := sim.track(c, &p)
				if verdict == packet.None {
					q.tracked = true
					sim.put(now, q)
				} else if q.f.flags&packet.TCPRst == 0 {
					t.Fatalf("tick %d: %s's segment %+v is %s in state %s\n%+v\n%+v\n%+v\n%+v",
						now, sim.ends[q.dir].name, q.f, verdict, c.s.state(), c.s.half[q.dir].load(), c.s.half[q.dir.peer()].load(), sim.ends[0], sim.ends[1])
				}
			}
		}
		if sim.attacker != nil && c.s != nil {
			sim.attacker(c)
		}
	}
	t.Fatalf("not at an end:\n%+v\n%+v", sim.ends[0], sim.ends[1])
	return nil
}

// track is the table's part: the first segment begins the session. A late
// repetition of the SYN after a reset would begin another; here it is let pass.
func (sim *simulation) track(c *conversation, p *tcpPacket) packet.Reason {
	if c.s == nil {
		fresh := new(session)
		r := fresh.begin(c.strict, &p.in, p.frame, 1)
		if r == packet.None {
			c.s = fresh
		}
		return r
	}
	_, r := c.s.track(c.t, p.dir, &p.in, p.frame)
	return r
}

// Whatever the network does, what correct endpoints send is never invalid, and
// when both have closed the session is at its end.
func TestTCPEndpointsAreNeverInvalid(t *testing.T) {
	n := uint64(80)
	if testing.Short() {
		n = 50
	}
	ends := map[State]int{}
	for seed := range n {
		sim := newSimulation(seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := sim.run(t)
			st := c.s.state()
			ends[st]++
			if sim.aborts {
				return
			}
			// The last ACK may have been lost before the switch.
			require.Contains(t, []State{StateTCPTimeWait, StateTCPLastAck}, st)
			if sim.loss == 0 {
				require.Equal(t, StateTCPTimeWait, st)
			}
			require.Zero(t, c.s.word.Load()&(tcpLiberal|tcpResync), "windows were checked to the end")
		})
	}
	require.NotZero(t, ends[StateTCPTimeWait])
	require.NotZero(t, ends[StateTCPClosed])
}
