package firewall

import (
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// LogConfig sizes a Log. Zero values are defaults.
type LogConfig struct {
	Workers int // of the engine
	Records int // that each worker's ring holds, a power of two is made of it; default 4096

	// PerRule is how many lines a worker writes for one rule, port and direction in a
	// second; the packets beyond are summed up in one. Default 100.
	PerRule int
}

func (c LogConfig) withDefaults() LogConfig {
	for _, d := range []struct {
		n     *int
		value int
	}{{&c.Workers, 1}, {&c.Records, 4096}, {&c.PerRule, 100}} {
		if *d.n <= 0 {
			*d.n = d.value
		}
	}
	return c
}

// Log carries what rules that are logged have done from the workers to whoever writes it down. Each worker
// has a ring of its own and never waits: a record that finds it full is lost, and counted.
type Log struct {
	perRule uint32
	workers []workerLog
}

// workerLog is one worker's ring, and what it keeps to bound it.
//
//	worker ──▶ bounds ──▶ ring[tail] ··· ring[head] ──▶ reader
type workerLog struct {
	_    [64]byte
	tail atomic.Uint64 // next to be written, by the worker
	lost atomic.Uint64

	second int64  // in which the bounds count
	used   bool   // some bounds are in use
	more   uint32 // bounds that hold packets back

	_    [64]byte
	head atomic.Uint64 // next to be read, by the reader
	_    [56]byte

	ring   []LogRecord
	mask   uint64
	bounds [logBounds]logBound
}

// logBounds is how many rules at a time a worker bounds one by one.
const (
	logBounds = 512
	logWays   = 4 // places where a rule may be
)

// logBound counts the packets of one rule at one port and direction, in this second. Rules that find no place
// share one.
type logBound struct {
	last LogRecord // the latest that was held back, valid iff more > 0
	rule uint32    // 0: not in use
	port uint16
	dir  policy.Direction

	lines uint32 // written
	more  uint32 // held back
	size  uint64 // their bytes
}

// LogRecord is what one line of the log says.
type LogRecord struct {
	Time int64 // ns, the engine's

	Section *policy.Section
	Rule    *policy.Rule
	Port    uint16 // whose rules were asked
	// Direction is seen from the port: In or Out.
	Direction policy.Direction

	// Reason is None for a packet, or the first one of a session, that a rule let pass; PolicyDenied
	// and PolicyRejected for what it refused; else why it was dropped although it was let
	// pass. A record of an end has None.
	Reason packet.Reason

	Key       packet.Key // of the packet, or of the session's original direction; zero if it is no IP packet
	EtherType uint16
	Src, Dst  packet.MAC // valid iff it is no IP packet

	Length   uint32 // of the IP packet, or of the frame if it is none, bytes
	TCPFlags uint8  // valid iff it is TCP

	// More is how many packets this record stands for, of which Key's was the latest and Length
	// is the sum, up to 4 GiB; 0 if it stands for one.
	More uint32

	// End is why the session ended; 0 if this is about a packet. Packets and Bytes are
	// from the port's workload and to it: [0] in, [1] out.
	End     flowtable.EndReason
	Packets [2]uint64
	Bytes   [2]uint64
}

// Indices of LogRecord.Packets and Bytes.
const (
	LogIn  = 0
	LogOut = 1
)

// NewLog makes a Log in which nothing is.
func NewLog(c LogConfig) *Log {
	c = c.withDefaults()
	l := &Log{perRule: uint32(c.PerRule), workers: make([]workerLog, c.Workers)}
	n := 1 << bits.Len(uint(c.Records-1))
	for i := range l.workers {
		l.workers[i].ring, l.workers[i].mask = make([]LogRecord, n), uint64(n-1)
	}
	return l
}

// Packet notes what a rule, if it is logged, did to a packet; reason is that of the drop, or None. It is for
// worker number w, and for first packets of sessions and those of none.
func (l *Log) Packet(w int, s *policy.Section, r *policy.Rule, port uint16, dir policy.Direction, reason packet.Reason, in *packet.Info, frame []byte, now int64) {
	if !r.Logged {
		return
	}
	x := &l.workers[w]
	x.turn(now)
	b := x.boundOf(r.ID, port, dir)
	if b.lines < l.perRule {
		b.lines++
		if slot := x.claim(); slot != nil {
			slot.packet(s, r, port, dir, reason, in, frame, now)
			x.publish()
		}
		return
	}
	if b.more == 0 {
		x.more++
	}
	b.last.packet(s, r, port, dir, reason, in, frame, now)
	b.more++
	b.size += uint64(b.last.Length)
}

// packet fills a record about a packet.
func (x *LogRecord) packet(s *policy.Section, r *policy.Rule, port uint16, dir policy.Direction, reason packet.Reason, in *packet.Info, frame []byte, now int64) {
	*x = LogRecord{
		Time: now, Section: s, Rule: r, Port: port, Direction: dir, Reason: reason,
		EtherType: in.EtherType, Length: uint32(len(frame)),
	}
	if !in.Has(packet.IsIP) {
		if eth, ok := packet.AsEthernet(frame); ok {
			x.Src, x.Dst = eth.Src(), eth.Dst()
		}
		return
	}
	x.Key, x.Length, x.TCPFlags = in.Key, in.IPLen, in.TCPFlags
	if in.Has(packet.ICMPError) {
		// Its key is that of what it quotes.
		x.Key = packet.Key{Tail: packet.MakeTail(in.Key.Zone(), in.Proto, 0, 0)}
		x.Key.Src, x.Key.Dst = packet.Addresses(frame, in)
	}
}

// Ended notes the end of a session that a logged rule had let begin at a port: Out if the session's first
// packet had left it. It is for worker number w.
func (l *Log) Ended(w int, s *policy.Section, r *policy.Rule, port uint16, dir policy.Direction, session *flowtable.Record) {
	if !r.Logged {
		return
	}
	x := &l.workers[w]
	slot := x.claim()
	if slot == nil {
		return
	}
	in, out := flowtable.Original, flowtable.Reply
	if dir == policy.Out {
		in, out = out, in
	}
	*slot = LogRecord{
		Time: session.End, Section: s, Rule: r, Port: port, Direction: dir,
		Key: session.Keys[flowtable.Original], End: session.Reason,
		Packets: [2]uint64{LogIn: session.Packets[in], LogOut: session.Packets[out]},
		Bytes:   [2]uint64{LogIn: session.Bytes[in], LogOut: session.Bytes[out]},
	}
	x.publish()
}

// Tick writes what was held back in the second before, by worker number w; it is for the end of each of its turns.
func (l *Log) Tick(w int, now int64) { l.workers[w].turn(now) }

// turn begins a new second, if one has begun.
func (x *workerLog) turn(now int64) {
	const second = 1e9
	if s := now / second; s != x.second {
		x.second = s
		if x.more != 0 {
			x.sumUp()
		}
		if x.used {
			for i := range x.bounds {
				x.bounds[i].rule = 0
			}
			x.used = false
		}
	}
}

// sumUp writes a record for each rule whose packets were held back.
func (x *workerLog) sumUp() {
	x.more = 0
	for i := range x.bounds {
		b := &x.bounds[i]
		if b.rule == 0 || b.more == 0 {
			continue
		}
		slot := x.claim()
		if slot == nil {
			x.lost.Add(uint64(b.more) - 1) // claim has counted one
			continue
		}
		*slot = b.last
		slot.More, slot.Length = b.more, uint32(min(b.size, 1<<32-1))
		x.publish()
	}
}

// boundOf returns the bound of a rule.
func (x *workerLog) boundOf(rule uint32, port uint16, dir policy.Direction) *logBound {
	h := (uint64(rule)<<18 | uint64(port)<<2 | uint64(dir)) * 0x9e3779b97f4a7c15
	set := x.bounds[h>>32%(logBounds/logWays)*logWays:][:logWays]
	for i := range set {
		b := &set[i]
		if b.rule == 0 {
			x.used = true
			b.rule, b.port, b.dir, b.lines, b.more, b.size = rule, port, dir, 0, 0, 0
			return b
		}
		if b.rule == rule && b.port == port && b.dir == dir {
			return b
		}
	}
	return &set[0]
}

// claim returns the record to be written next, or nil and counts it as lost.
func (x *workerLog) claim() *LogRecord {
	tail := x.tail.Load()
	if tail-x.head.Load() == uint64(len(x.ring)) {
		x.lost.Add(1)
		return nil
	}
	return &x.ring[tail&x.mask]
}

// publish shows the record that was claimed to the reader.
func (x *workerLog) publish() { x.tail.Store(x.tail.Load() + 1) }

// Pop copies the oldest record of worker number w to r, or reports false if there is none. It is for one
// goroutine at a time.
func (l *Log) Pop(w int, r *LogRecord) bool {
	x := &l.workers[w]
	head := x.head.Load()
	if head == x.tail.Load() {
		return false
	}
	*r = x.ring[head&x.mask]
	x.head.Store(head + 1)
	return true
}

// Workers returns the number of rings.
func (l *Log) Workers() int { return len(l.workers) }

// Lost returns how many records found no room.
func (l *Log) Lost() (n uint64) {
	for i := range l.workers {
		n += l.workers[i].lost.Load()
	}
	return n
}
