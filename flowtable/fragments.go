package flowtable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// MaxHeldPerDatagram is the most fragments that may wait for one first
// fragment: enough for the largest datagram in reverse order on a link with an
// MTU of 1280 (RFC 8200 section 5).
const MaxHeldPerDatagram = 64

// FragmentConfig sizes a Fragments. Zero values are defaults.
type FragmentConfig struct {
	Datagrams       int    // datagrams remembered at a time; default 8192
	HeldPerDatagram int    // fragments that wait for one first fragment; default and at most MaxHeldPerDatagram
	Held            int    // fragments that wait altogether, each in a buffer; default 1024
	PerSource       int    // of these, from one source address in a zone; default a quarter of Held
	TimeoutNs       int64  // how long a datagram is remembered; default 15 s (RFC 791 section 3.2)
	HoldTimeoutNs   int64  // how long a fragment waits for the first; default 1 s
	Seed            uint64 // makes hashes unpredictable
}

// FragmentVerdict is what becomes of a fragment.
type FragmentVerdict uint8

const (
	FragmentPass FragmentVerdict = iota // go on; Info.Key has the ports of the datagram
	FragmentHeld                        // kept until the first fragment comes; the buffer is the tracker's
	FragmentDrop                        // drop for the Reason
)

// Fragments gives later fragments, which have no ports, those of their
// datagram's first one, so that all fragments find the flow entry that judges
// the datagram, in whatever order they come. It reassembles nothing: fragments
// go on one by one. But what goes on has no two meanings (RFC 5722): of
// fragments that overlap the first one seen counts, and the others are dropped;
// exact repetitions pass.
//
// A datagram is identified by zone, addresses, identification and for IPv4 the
// protocol, and is in one of three states, each a list in order of age:
//
//	waiting   the first fragment has not come; others are held    HoldTimeoutNs
//	open      the first fragment has come; others go on           TimeoutNs
//	complete  all of it has come; repetitions go on               HoldTimeoutNs
//
// When no more datagrams can be remembered, room is made: the oldest complete
// one is forgotten, or else the oldest open one; those waiting never, since
// each of them holds buffers, whose number is limited by itself. A forgotten
// datagram's later fragments wait, in vain.
//
// All memory is allocated by NewFragments and holds no pointers. Fragments is
// safe for use by all workers: it is cut into stripes, each with a lock, for
// fragments are rare and the parts of a datagram may arrive on several ports.
type Fragments struct {
	stripes []stripe
	sources []atomic.Uint32 // fragments held, by hash of zone and source; a collision counts both
	seeds   [4]uint64
	cfg     FragmentConfig
	held    atomic.Int64
	turn    atomic.Uint32 // stripe that Expire looks at first
}

const maxStripes = 16

// NewFragments returns a Fragments, or all faults of cfg at once.
func NewFragments(cfg FragmentConfig) (*Fragments, error) {
	setDefault(&cfg.Datagrams, 8192)
	setDefault(&cfg.HeldPerDatagram, MaxHeldPerDatagram)
	setDefault(&cfg.Held, 1024)
	setDefault(&cfg.PerSource, max(cfg.Held/4, 1))
	setDefault(&cfg.TimeoutNs, 15e9)
	setDefault(&cfg.HoldTimeoutNs, 1e9)
	var faults []error
	check := func(name string, v, most int64) {
		if v < 1 || v > most {
			faults = append(faults, fmt.Errorf("fragments: %s is %d, not in 1 to %d", name, v, most))
		}
	}
	check("Datagrams", int64(cfg.Datagrams), 1<<24)
	check("HeldPerDatagram", int64(cfg.HeldPerDatagram), MaxHeldPerDatagram)
	check("Held", int64(cfg.Held), 1<<24)
	check("PerSource", int64(cfg.PerSource), 1<<24)
	check("TimeoutNs", cfg.TimeoutNs, math.MaxInt64/2)
	check("HoldTimeoutNs", cfg.HoldTimeoutNs, math.MaxInt64/2)
	if faults != nil {
		return nil, errors.Join(faults...)
	}

	// A stripe's share must not be so small that chance fills one while the others are empty.
	n := 1
	for n < maxStripes && min(cfg.Datagrams, cfg.Held)/(2*n) >= 64 {
		n *= 2
	}
	f := &Fragments{cfg: cfg, stripes: make([]stripe, n)}
	for i := range f.seeds {
		f.seeds[i] = splitMix(&cfg.Seed)
	}
	f.sources = make([]atomic.Uint32, 1<<bits.Len(uint(2*cfg.Held-1)))
	for i := range f.stripes {
		f.stripes[i].init(share(cfg.Datagrams, i, n), share(cfg.Held, i, n))
	}
	return f, nil
}

func setDefault[T int | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// share is the i-th of n parts of total.
func share(total, i, n int) int { return total*(i+1)/n - total*i/n }

// Held returns the number of fragments that wait now: buffers that are the
// tracker's.
func (f *Fragments) Held() int { return int(f.held.Load()) }

// Offer decides about a fragment: in has IsFragment and the zone, i is its
// buffer and frame its bytes. If the verdict is FragmentPass and the fragment
// is a later one, its Key.Tail and Proto are those of the first from now on. If
// it is the first, n buffers that waited for it are handed back in release: the
// caller owns them, and is to process them after the first, from Parse on; Offer
// will let them pass then. The Reason is None unless the verdict is
// FragmentDrop.
func (f *Fragments) Offer(i packet.Index, in *packet.Info, frame []byte, now int64, release *[MaxHeldPerDatagram]packet.Index) (v FragmentVerdict, n int, r packet.Reason) {
	if in.Has(packet.ICMPError) {
		// Its key is the quoted packet's. Errors are never so long (RFC 792, RFC
		// 4443: at most 1280 octets), so there is no first one to wait for.
		return FragmentPass, 0, packet.None
	}
	from, to, last, ok := fragmentRange(in, frame)
	if !ok {
		return FragmentDrop, 0, packet.InvalidHeader
	}
	id := datagramID{src: in.Key.Src, dst: in.Key.Dst, tag: uint64(in.FragID)<<32 | uint64(in.Key.Zone())<<8}
	if in.Has(packet.IsIPv4) {
		id.tag |= uint64(in.Proto) // RFC 791; for IPv6 a later fragment does not tell the protocol (RFC 8200 section 4.5)
	}
	h, source := f.hash(&id)
	s := &f.stripes[h>>32&uint64(len(f.stripes)-1)]
	s.mu.Lock()
	defer s.mu.Unlock()

	d := s.find(&id, uint32(h))
	if d != 0 && s.datagrams[d].deadline <= now && s.datagrams[d].state != waiting {
		s.forget(d)
		d = 0
	}
	if from != 0 {
		return f.offerLater(s, d, &id, uint32(h), source, i, in, now, from, to, last)
	}
	if d != 0 && s.datagrams[d].state == complete {
		s.forget(d) // the identification is used again, or everything is repeated
		d = 0
	}
	if d == 0 {
		if d = s.remember(&id, uint32(h), open, now+f.cfg.TimeoutNs); d == 0 {
			return FragmentDrop, 0, packet.FragmentLimit
		}
	}
	g := &s.datagrams[d]
	if g.state == open && g.nRuns > 0 && g.tail != in.Key.Tail {
		return FragmentDrop, 0, packet.FragmentOverlap
	}
	if r = g.insert(from, to, last); r != packet.None {
		return FragmentDrop, 0, r
	}
	g.tail = in.Key.Tail
	if g.state == waiting {
		n = f.release(s, g, source, release[:])
		s.move(d, open, now+f.cfg.TimeoutNs)
	}
	f.settle(s, d, now)
	return FragmentPass, n, packet.None
}

// offerLater is Offer for a later fragment; d is its datagram, 0 if unknown.
func (f *Fragments) offerLater(s *stripe, d uint32, id *datagramID, h, source uint32, i packet.Index, in *packet.Info, now int64, from, to uint16, last bool) (FragmentVerdict, int, packet.Reason) {
	if d != 0 && s.datagrams[d].state != waiting {
		g := &s.datagrams[d]
		if r := g.insert(from, to, last); r != packet.None {
			return FragmentDrop, 0, r
		}
		in.Key.Tail, in.Proto = g.tail, uint8(g.tail>>56)
		f.settle(s, d, now)
		return FragmentPass, 0, packet.None
	}
	if s.freeSlot == 0 || f.sources[source].Load() >= uint32(f.cfg.PerSource) {
		return FragmentDrop, 0, packet.FragmentLimit
	}
	if d == 0 {
		if d = s.remember(id, h, waiting, now+f.cfg.HoldTimeoutNs); d == 0 {
			return FragmentDrop, 0, packet.FragmentLimit
		}
	}
	g := &s.datagrams[d]
	if int(g.nHeld) >= f.cfg.HeldPerDatagram {
		return FragmentDrop, 0, packet.FragmentLimit
	}
	if r := g.insert(from, to, last); r != packet.None {
		return FragmentDrop, 0, r
	}
	s.hold(g, i)
	f.sources[source].Add(1)
	f.held.Add(1)
	return FragmentHeld, 0, packet.None
}

// settle marks a datagram of which everything has come.
func (f *Fragments) settle(s *stripe, d uint32, now int64) {
	if g := &s.datagrams[d]; g.state == open && g.total != 0 && g.bytes == g.total {
		s.move(d, complete, now+f.cfg.HoldTimeoutNs)
	}
}

// release hands out what is held of g, as far as there is room.
func (f *Fragments) release(s *stripe, g *datagram, source uint32, out []packet.Index) int {
	n := s.unhold(g, out)
	f.sources[source].Add(-uint32(n))
	f.held.Add(-int64(n))
	return n
}

// maxForgotten bounds what a call of Expire forgets in a stripe, beside the
// fragments it hands out.
const maxForgotten = 64

// Expire forgets datagrams whose time is over. Fragments that waited in vain
// are stored in out, whose owner the caller becomes, to drop them for
// FragmentNoFirst; it returns their number. One call does a bounded amount of
// work; what remains is for the next. With now = math.MaxInt64 and called until
// it returns 0, it gives back all that is held.
func (f *Fragments) Expire(now int64, out []packet.Index) (n int) {
	turn := f.turn.Add(1)
	for i := range f.stripes {
		s := &f.stripes[(turn+uint32(i))&uint32(len(f.stripes)-1)]
		if s.due.Load() > now {
			continue
		}
		n += f.expireStripe(s, now, out[n:])
	}
	return n
}

func (f *Fragments) expireStripe(s *stripe, now int64, out []packet.Index) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.lists {
		for range maxForgotten {
			d := s.lists[st].oldest
			if d == 0 || s.datagrams[d].deadline > now {
				break
			}
			g := &s.datagrams[d]
			if g.nHeld > 0 {
				_, source := f.hash(&g.id)
				n += f.release(s, g, source, out[n:])
			}
			if g.nHeld > 0 {
				break // out is full
			}
			s.forget(d)
		}
	}
	s.setDue()
	return n
}

// hash returns the hash of a datagram, and where its source is counted.
func (f *Fragments) hash(id *datagramID) (h uint64, source uint32) {
	sh, sl := bits.Mul64(id.src[0]^f.seeds[0], id.src[1]^f.seeds[1]^id.tag<<32>>40)
	dh, dl := bits.Mul64(id.dst[0]^f.seeds[2], id.dst[1]^f.seeds[3])
	hi, lo := bits.Mul64(sh^sl^id.tag, dh^dl^f.seeds[0])
	return hi ^ lo, uint32((sh^sl)>>32) & uint32(len(f.sources)-1)
}

// fragmentRange returns which octets of the datagram's payload a fragment is,
// from inclusive, to exclusive, and whether it is the last; false if it is no
// legal fragment: empty, or with others to come and no multiple of eight octets
// (RFC 791 section 3.2, RFC 8200 section 4.5).
func fragmentRange(in *packet.Info, frame []byte) (from, to uint16, last, ok bool) {
	first := int(in.L4) // where the fragmented part begins
	var more bool
	switch {
	case in.Has(packet.IsIPv4):
		const flags, moreFragments = 6, 0x20
		if len(frame) <= int(in.L3)+flags {
			return 0, 0, false, false
		}
		more = frame[in.L3+flags]&moreFragments != 0
	case in.Has(packet.IsLaterFragment):
		// The fragment header ends where the payload begins.
		if first < packet.IPv6FragmentSize || len(frame) < first {
			return 0, 0, false, false
		}
		more = binary.BigEndian.Uint16(frame[first-packet.IPv6FragmentSize+2:])&1 != 0
	default:
		if len(frame) < int(in.L3)+packet.IPv6Size {
			return 0, 0, false, false
		}
		more = true
		// Destination options may follow the fragment header; they are in the fragmented part.
		it := packet.IPv6(frame[in.L3:]).Extensions()
		for h, found := it.Next(); found; h, found = it.Next() {
			if h.Type == packet.ProtoFragment {
				first = int(in.L3) + it.Offset()
			}
		}
	}
	size := int(in.L3) + int(in.IPLen) - first
	end := int(in.FragOff) + size
	if size <= 0 || end > math.MaxUint16 || more && size%8 != 0 {
		return 0, 0, false, false
	}
	return in.FragOff, uint16(end), !more, true
}
