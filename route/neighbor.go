package route

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// neighborTable holds the hosts next to routers that no configuration binds:
// what ARP and neighbour discovery have told of them. States are RFC 4861's
// (section 7.3.2), simplified; both IP versions go by them:
//
//	              answer                 used, not heard of for reachableNs
//	incomplete ─────────────▶  known  ──────────────────────────▶ probing
//	 │  ▲  asks all, 1/s         ▲  ◀──────────────────────────────  │  asks the one, 1/s
//	 │  │                        │            answer, traffic        │
//	 │  │ packet                 │ answer                            │ maxTries unanswered
//	 ▼  │                        │                                   ▼
//	failed ──────────────────────┘                               forgotten
//	packets are refused for failedNs, then forgotten
//
// Packets go out while a neighbour is known or probing. Looking up takes no
// lock. What changes the table does; that is for new neighbours, and what time
// demands.
type neighborTable struct {
	seed  [3]uint64
	index *flowtable.Index
	hops  *dataplane.HopTable
	byHop []atomic.Uint32 // neighbour of a hop, 0: none

	nextDue atomic.Int64 // when the head of a queue is due

	mu         sync.Mutex // everything below, and all writing of entries but confirmed and used
	entries    []neighbor // 1..capacity; 0 is none
	free       []uint32
	high       uint32 // largest number ever used
	queues     [numQueues]neighborQueue
	byMAC      []uint32 // heads of chains of neighbours with alike (zone, MAC) hashes
	unresolved int      // neighbours incomplete or failed
	held       int      // packets that wait, over all neighbours

	stats struct{ resolved, failed, forgotten, crowded atomic.Uint64 }
}

// neighbor is one of them.
type neighbor struct {
	// Read without the lock, by find.
	ip    [2]atomic.Uint64
	where atomic.Uint64 // zone 23..0 | version 63..24, which grows when the entry is used for another; 0: free
	at    atomic.Uint64 // MAC 47..0 | port 63..48; valid in known and probing
	hop   atomic.Uint64 // index | generation << 32; 0 until a packet is routed to it
	state atomic.Uint32 // neighborState | packets that wait << 8

	confirmed atomic.Int64 // ns; when it was last heard of
	used      atomic.Int64 // ns; when a packet was last sent to it, to within usedGrain; 0: never

	// Under the lock.
	due              int64 // when the queue it is in has something to do with it
	prev, next       uint32
	macPrev, macNext uint32
	queue            uint8
	tries            uint8
	asker            uint16 // port whose books its questions go to
	waiting          [maxWaiting]heldPacket
}

// heldPacket waits for its next hop.
type heldPacket struct {
	buf  packet.Index
	zone packet.Zone // where it came in
}

type neighborState uint8

const (
	neighborAbsent neighborState = iota
	neighborIncomplete
	neighborKnown
	neighborProbing
	neighborFailed
)

const (
	// Neighbours wait in queues, each with an interval of its own: so the first
	// of a queue is the first that is due.
	queueAsking  = iota // incomplete, probing
	queueFailed         // failed
	queueResting        // known
	numQueues
)

const (
	maxWaiting = 3   // packets that wait for one neighbour
	maxHeld    = 256 // and for all of them
	maxTries   = 3   // RFC 4861 section 10: MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT

	retryNs     = 1e9   // RETRANS_TIMER
	failedNs    = 3e9   // for so long it is not asked again
	reachableNs = 30e9  // REACHABLE_TIME
	restNs      = 10e9  // between two looks at a known one
	idleNs      = 600e9 // neither used nor heard of: forgotten
	freshNs     = 30e9  // used within this: never given up for a new one
)

var queueIntervals = [numQueues]int64{queueAsking: retryNs, queueFailed: failedNs, queueResting: restNs}

// neighborQueue is a list of neighbours, the one that is due first at its head.
type neighborQueue struct{ head, tail uint32 }

func newNeighborTable(c *StateConfig) (*neighborTable, error) {
	index, err := flowtable.NewIndex(c.Neighbors, c.Seed)
	if err != nil {
		return nil, err
	}
	_, hops := c.Hops.Used()
	t := &neighborTable{
		seed:  [3]uint64{c.Seed*0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d, c.Seed ^ 0xd6e8feb86659fd93, c.Seed*0xa0761d6478bd642f + 1},
		index: index, hops: c.Hops, byHop: make([]atomic.Uint32, hops+1),
		entries: make([]neighbor, c.Neighbors+1), free: make([]uint32, 0, c.Neighbors),
		byMAC: make([]uint32, 1<<bits.Len(uint(c.Neighbors))),
	}
	for i := c.Neighbors; i > 0; i-- {
		t.free = append(t.free, uint32(i))
	}
	t.nextDue.Store(never)
	return t, nil
}

const never = 1<<63 - 1

// hash spreads neighbours over the index; by the seed, so that who can choose
// addresses can't choose buckets.
func (t *neighborTable) hash(zone packet.Zone, ip packet.Addr) uint64 {
	hi, lo := bits.Mul64(ip[0]^t.seed[0], ip[1]^t.seed[1])
	hi, lo = bits.Mul64(hi^lo^uint64(zone)<<32, t.seed[2]|1)
	return hi ^ lo
}

// sighting is what the table says of an address at one moment.
type sighting struct {
	id    uint32
	state neighborState
	full  bool // no more packets may wait
	hop   hopRef
	host  host
}

// reachable reports whether packets go there.
func (s *sighting) reachable() bool { return s.state == neighborKnown || s.state == neighborProbing }

// find looks an address up; id is 0 if it is not known of.
func (t *neighborTable) find(zone packet.Zone, ip packet.Addr) (s sighting) {
	id, found := t.index.Find(t.hash(zone, ip), func(id uint32) bool {
		e := &t.entries[id]
		where := e.where.Load()
		if packet.Zone(where)&packet.MaxZone != zone || e.ip[0].Load() != ip[0] || e.ip[1].Load() != ip[1] {
			return false
		}
		hop, at, state := e.hop.Load(), e.at.Load(), e.state.Load()
		s = sighting{
			state: neighborState(state), full: state>>8 >= maxWaiting,
			hop:  hopRef{uint32(hop), uint32(hop >> 32)},
			host: host{packet.MACFromWord(at), uint16(at >> 48)},
		}
		return e.where.Load() == where
	})
	if !found {
		return sighting{}
	}
	s.id = id
	return s
}

// entryOf is find for who holds the lock.
func (t *neighborTable) entryOf(zone packet.Zone, ip packet.Addr) (id uint32, e *neighbor) {
	s := t.find(zone, ip)
	return s.id, &t.entries[s.id]
}

func (e *neighbor) addr() packet.Addr { return packet.Addr{e.ip[0].Load(), e.ip[1].Load()} }

func (e *neighbor) zone() packet.Zone { return packet.Zone(e.where.Load()) & packet.MaxZone }

func (e *neighbor) mode() neighborState { return neighborState(e.state.Load()) }

func (e *neighbor) waits() int { return int(e.state.Load() >> 8) }

func (e *neighbor) host() host {
	at := e.at.Load()
	return host{packet.MACFromWord(at), uint16(at >> 48)}
}

// use notes that a packet goes to a neighbour.
func (t *neighborTable) use(id uint32, now int64) {
	if e := &t.entries[id]; now-e.used.Load() > usedGrain {
		e.used.Store(now)
	}
}

// add makes an entry. It gives up an old one if there is no room; 0 if all are
// in use. resolved says that the neighbour is not to be asked for.
func (t *neighborTable) add(zone packet.Zone, ip packet.Addr, resolved bool, now int64) uint32 {
	// Who scans a network makes many incomplete neighbours: they may not crowd
	// out those that are there (RFC 6583 section 7.1).
	if !resolved && t.unresolved >= max(len(t.entries)/4, 1) || len(t.free) == 0 {
		if !t.makeRoom(resolved, now) {
			t.stats.crowded.Add(1)
			return 0
		}
	}
	id := t.free[len(t.free)-1]
	e := &t.entries[id]
	e.ip[0].Store(ip[0])
	e.ip[1].Store(ip[1])
	e.where.Store(e.where.Load()&^packet.MaxZone + (packet.MaxZone + 1) | uint64(zone))
	e.at.Store(0)
	e.hop.Store(0)
	e.confirmed.Store(now)
	e.used.Store(0)
	e.tries, e.asker = 0, 0
	if !t.index.Insert(t.hash(zone, ip), id) {
		e.where.Store(e.where.Load() &^ packet.MaxZone)
		t.stats.crowded.Add(1)
		return 0
	}
	t.free = t.free[:len(t.free)-1]
	t.high = max(t.high, id)
	e.state.Store(uint32(neighborIncomplete))
	t.unresolved++
	t.enqueue(id, queueAsking, now)
	return id
}

// makeRoom forgets a failed neighbour, or for a resolved one also one that has
// not been used for a while.
func (t *neighborTable) makeRoom(resolved bool, now int64) bool {
	if id := t.queues[queueFailed].head; id != 0 {
		t.remove(id)
		return true
	}
	if !resolved && len(t.free) != 0 {
		return false // there are too many unresolved ones
	}
	for range 16 {
		id := t.queues[queueResting].head
		if id == 0 {
			return false
		}
		if now-t.entries[id].used.Load() > freshNs {
			t.remove(id)
			return true
		}
		t.requeue(id, queueResting, now)
	}
	return false
}

// set moves a neighbour to another state and its queue.
func (t *neighborTable) set(id uint32, state neighborState, now int64) {
	e := &t.entries[id]
	t.unresolved -= unresolvedOne(e.mode())
	t.unresolved += unresolvedOne(state)
	e.state.Store(e.state.Load()&^0xff | uint32(state))
	queue := uint8(queueAsking)
	switch state {
	case neighborKnown:
		queue = queueResting
	case neighborFailed:
		queue = queueFailed
	}
	t.requeue(id, queue, now)
}

func unresolvedOne(s neighborState) int {
	if s == neighborIncomplete || s == neighborFailed {
		return 1
	}
	return 0
}

// hold keeps a packet for a neighbour; false if too many wait.
func (t *neighborTable) hold(e *neighbor, p heldPacket) bool {
	n := e.waits()
	if n == maxWaiting || t.held == maxHeld {
		return false
	}
	e.waiting[n] = p
	e.state.Add(1 << 8)
	t.held++
	return true
}

// takeHeld returns the packets that wait, which are the caller's then.
func (t *neighborTable) takeHeld(e *neighbor) (list [maxWaiting]heldPacket, n int) {
	n = e.waits()
	list = e.waiting
	e.state.Store(uint32(e.mode()))
	t.held -= n
	return list, n
}

// locate makes a host the place of a neighbour.
func (t *neighborTable) locate(f *Forwarder, id uint32, h host) {
	e := &t.entries[id]
	at := h.mac.Word() | uint64(h.port)<<48
	if e.at.Load() == at {
		return
	}
	t.unlinkMAC(id)
	e.at.Store(at)
	t.linkMAC(id)
	if e.hop.Load() != 0 {
		t.rehop(f, id)
	}
}

// rehop makes a neighbour's hop what it should be, anew if there is none. It
// reports false, and there is none, if the neighbour is not reachable or no hop is left.
func (t *neighborTable) rehop(f *Forwarder, id uint32) bool {
	e := &t.entries[id]
	h := e.host()
	old := uint32(e.hop.Load())
	seg := f.segmentOf(e.zone())
	if seg == nil || seg.router < 0 || seg.member(h.port) == nil {
		t.dropHop(e)
		return false
	}
	want := seg.routedHop(seg.member(h.port), h.mac)
	if old == 0 {
		index, gen, err := t.hops.New(want)
		if err != nil {
			return false
		}
		t.byHop[index].Store(id)
		e.hop.Store(uint64(index) | uint64(gen)<<32)
		return true
	}
	if !sameHop(t.hops.Lookup(old), want) {
		e.hop.Store(uint64(old) | uint64(t.hops.Set(old, want))<<32)
	}
	return true
}

// sameHop compares hops. No limit of size is written as 0 or as the largest
// number.
func sameHop(a, b dataplane.Hop) bool {
	for _, h := range [...]*dataplane.Hop{&a, &b} {
		if h.MTU == maxMTU {
			h.MTU = 0
		}
	}
	return a == b
}

func (t *neighborTable) dropHop(e *neighbor) {
	if hop := uint32(e.hop.Load()); hop != 0 {
		e.hop.Store(0)
		t.byHop[hop].Store(0)
		t.hops.Free(hop)
	}
}

// remove forgets a neighbour for which no packet waits.
func (t *neighborTable) remove(id uint32) {
	e := &t.entries[id]
	t.index.Remove(t.hash(e.zone(), e.addr()), id)
	t.unlinkMAC(id)
	t.unresolved -= unresolvedOne(e.mode())
	e.where.Store(e.where.Load() &^ packet.MaxZone)
	e.state.Store(uint32(neighborAbsent))
	e.at.Store(0)
	t.dropHop(e)
	t.dequeue(id)
	t.free = append(t.free, id)
	t.stats.forgotten.Add(1)
}

// The chains of neighbours by MAC address. An entry with at 0 is in none.

func (t *neighborTable) chain(zone packet.Zone, mac uint64) *uint32 {
	hi, lo := bits.Mul64(mac^t.seed[1], uint64(zone)^t.seed[0])
	return &t.byMAC[(hi^lo)&uint64(len(t.byMAC)-1)]
}

const macBits = 1<<48 - 1

func (t *neighborTable) linkMAC(id uint32) {
	e := &t.entries[id]
	head := t.chain(e.zone(), e.at.Load()&macBits)
	e.macPrev, e.macNext = 0, *head
	if *head != 0 {
		t.entries[*head].macPrev = id
	}
	*head = id
}

func (t *neighborTable) unlinkMAC(id uint32) {
	e := &t.entries[id]
	at := e.at.Load()
	if at == 0 {
		return
	}
	if e.macPrev != 0 {
		t.entries[e.macPrev].macNext = e.macNext
	} else {
		*t.chain(e.zone(), at&macBits) = e.macNext
	}
	if e.macNext != 0 {
		t.entries[e.macNext].macPrev = e.macPrev
	}
}

// The queues.

func (t *neighborTable) enqueue(id uint32, queue uint8, now int64) {
	e, q := &t.entries[id], &t.queues[queue]
	e.queue, e.due = queue, now+queueIntervals[queue]
	e.prev, e.next = q.tail, 0
	if q.tail != 0 {
		t.entries[q.tail].next = id
	} else {
		q.head = id
	}
	q.tail = id
	t.schedule()
}

func (t *neighborTable) dequeue(id uint32) {
	e := &t.entries[id]
	q := &t.queues[e.queue]
	if e.prev != 0 {
		t.entries[e.prev].next = e.next
	} else {
		q.head = e.next
	}
	if e.next != 0 {
		t.entries[e.next].prev = e.prev
	} else {
		q.tail = e.prev
	}
	t.schedule()
}

func (t *neighborTable) requeue(id uint32, queue uint8, now int64) {
	t.dequeue(id)
	t.enqueue(id, queue, now)
}

// schedule notes when something is due next.
func (t *neighborTable) schedule() {
	due := int64(never)
	for i := range t.queues {
		if head := t.queues[i].head; head != 0 {
			due = min(due, t.entries[head].due)
		}
	}
	t.nextDue.Store(due)
}
