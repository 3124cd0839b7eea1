package nat

import (
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// class is what has ports of its own.
type class uint8

const (
	classTCP class = iota
	classUDP
	classSCTP
	classICMP // both versions: identifiers of queries
	numClasses
	classNone = numClasses // protocols without ports
)

var classNames = [numClasses + 1]string{classTCP: "tcp", classUDP: "udp", classSCTP: "sctp", classICMP: "icmp", classNone: "other"}

func classOf(proto uint8) class {
	switch proto {
	case packet.ProtoTCP:
		return classTCP
	case packet.ProtoUDP:
		return classUDP
	case packet.ProtoSCTP:
		return classSCTP
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return classICMP
	}
	return classNone
}

// place is an address in an address space.
type place struct {
	scope uint32
	addr  packet.Addr
}

// host is an address whose ports mapped sources have, of however many pools.
type host struct {
	place
	number uint32

	// held is the number of ports that are given out, plus those about to be; below 0: nothing is given
	// out any more, for good.
	held  atomic.Int64
	ports [numClasses]portSet
}

const closed = -1 << 62

// portSet is a bitmap of the ports of an address. A bit is set by compare and swap by whoever takes the port.
//
//	words   port p is bit p%64 of word p/64: 8 KiB
//	full    bit w%64 of full[parity][w/64] is set if no port of that parity is left in word w, so that to find one
//	        takes a look at 16 words, and not at 1024, when there are few
type portSet struct {
	used  atomic.Int64
	turn  atomic.Uint32 // searches so far: each begins elsewhere
	full  [2][portWords / 64]atomic.Uint64
	words [portWords]atomic.Uint64
}

const portWords = 1 << 16 / 64

// ofParity are the bits of even and odd ports in a word.
var ofParity = [2]uint64{0x5555555555555555, 0xaaaaaaaaaaaaaaaa}

// close has nothing given out any more, if nothing is now.
func (h *host) close() bool { return h.held.CompareAndSwap(0, closed) }

func (h *host) reserve() bool {
	if h.held.Add(1) > 0 {
		return true
	}
	h.held.Add(-1)
	return false
}

// take takes a port for a source that has the port want: that one if it can be. Else one of the same kind, well known or not
// (RFC 4787 REQ-3a), and of the same parity (REQ-4), or at least of the same kind, and only
// then another: a source is better served by any port than by none.
func (h *host) take(c class, want uint16, b *bands, s *seeds, k *packet.Key) (uint16, bool) {
	if !h.reserve() {
		return 0, false
	}
	p := &h.ports[c]
	order := b.prefer(want)
	if order[0].has(want) && p.claim(want) {
		return want, true
	}
	// No two searches begin at the same port: one that has come back is not the next one's.
	random := s.start(k, uint64(h.number)<<32|uint64(p.turn.Add(1)), want)
	for _, x := range order {
		for _, parity := range [2]uint16{want & 1, want&1 ^ 1} {
			if port, ok := p.scan(x, parity, random); ok {
				return port, true
			}
		}
	}
	h.held.Add(-1)
	return 0, false
}

// give takes a port back.
func (h *host) give(c class, port uint16) {
	h.ports[c].give(port)
	h.held.Add(-1)
}

func (h *host) has(c class, port uint16) bool {
	return h.ports[c].words[port/64].Load()>>(port%64)&1 != 0
}

// claim takes a port if it is free.
func (p *portSet) claim(port uint16) bool {
	w, bit := &p.words[port/64], uint64(1)<<(port%64)
	for old := w.Load(); old&bit == 0; old = w.Load() {
		if w.CompareAndSwap(old, old|bit) {
			p.taken(uint32(port/64), uint16(port&1))
			return true
		}
	}
	return false
}

// taken counts a port of a word, and notes it if it was the last one.
func (p *portSet) taken(word uint32, parity uint16) {
	p.used.Add(1)
	mask := ofParity[parity]
	if ^p.words[word].Load()&mask != 0 {
		return
	}
	full, bit := &p.full[parity][word/64], uint64(1)<<(word%64)
	full.Or(bit)
	// One may have come back before the note was made. What comes back from now on unmakes it.
	if ^p.words[word].Load()&mask != 0 {
		full.And(^bit)
	}
}

func (p *portSet) give(port uint16) {
	word := uint32(port / 64)
	p.words[word].And(^(uint64(1) << (port % 64)))
	p.full[port&1][word/64].And(^(uint64(1) << (word % 64)))
	p.used.Add(-1)
}

// scan takes the first free port of a band and a parity from a start on, which follows from random, around to it again.
func (p *portSet) scan(x band, parity uint16, random uint64) (uint16, bool) {
	if x.size() == 0 {
		return 0, false
	}
	start := x.at(random)
	if port, ok := p.run(start, x.last, parity); ok || start == x.first {
		return port, ok
	}
	return p.run(x.first, start-1, parity)
}

// run takes the first free port of a parity from first to last.
func (p *portSet) run(first, last, parity uint16) (uint16, bool) {
	end := uint32(last / 64)
	for w := p.open(parity, uint32(first/64), end); w <= end; w = p.open(parity, w+1, end) {
		mask := ofParity[parity]
		if w == uint32(first/64) {
			mask &= ^uint64(0) << (first % 64)
		}
		if w == end {
			mask &= ^uint64(0) >> (63 - last%64)
		}
		word := &p.words[w]
		for old := word.Load(); ^old&mask != 0; old = word.Load() {
			bit := ^old & mask
			bit &= -bit
			if word.CompareAndSwap(old, old|bit) {
				p.taken(w, parity)
				return uint16(w*64 + uint32(bits.TrailingZeros64(bit))), true
			}
		}
	}
	return 0, false
}

// open returns the first word from w on, up to end, that has a port of the parity left, or one beyond end.
func (p *portSet) open(parity uint16, w, end uint32) uint32 {
	for w <= end {
		if free := ^p.full[parity][w/64].Load() >> (w % 64); free != 0 {
			return w + uint32(bits.TrailingZeros64(free))
		}
		w = (w/64 + 1) * 64
	}
	return w
}
