package pick

import "math/bits"

const (
	// tries is how many turns, or slots of a table, are tried before whoever has room is taken.
	tries = 16
	// exact is up to how many members all are looked at to find the one with the fewest
	// connections; of more, it is the best of drawn.
	exact = 128
	drawn = 64
)

// inTurn takes the next turn whose member has room. Each turn that is passed over is one, so
// that whoever has it for another doesn't have the next as well.
func (p *Pool) inTurn(s *selection, q *Query) *entry {
	var i int
	for range min(len(s.entries), tries) {
		i = s.turns.next()
		e := &s.entries[i]
		if !p.heldBack(s, e, q.Now) && e.m.Take(e.limit) {
			return e
		}
	}
	e, passed := s.anybody(i+1, q.Now)
	if s.turns.order == nil {
		s.turns.cursor.Add(uint64(passed))
	}
	return e
}

// anybody takes the first entry from index i on that has room: first of those that are at full
// speed. It also returns how many entries it went on by.
func (s *selection) anybody(i int, now int64) (e *entry, passed int) {
	n := len(s.entries)
	for _, starting := range [...]bool{false, true} {
		if starting && s.slowNs <= 0 {
			break
		}
		for k := range n {
			e := &s.entries[(i+k)%n]
			if s.starting(e, now) == starting && e.take() {
				return e, k + 1
			}
		}
	}
	return nil, 0
}

// least takes the entry with the fewest connections for its weight. Those that are equal
// have their turns.
func (p *Pool) least(s *selection, q *Query) *entry {
	first := s.turns.next()
	for range 4 { // somebody else may take the last place
		var best *entry
		if len(s.entries) <= exact {
			best = p.leastOf(s, q, first)
		} else {
			best = p.leastDrawn(s, q, first)
		}
		if best == nil {
			break
		}
		if best.take() {
			return best
		}
	}
	if e, _ := s.anybody(first, q.Now); e != nil {
		return e
	}
	if e := &s.entries[first]; e.m.Take(e.limit) {
		return e // a place has just come free
	}
	return nil
}

// leastOf looks at all, from first on.
func (p *Pool) leastOf(s *selection, q *Query, first int) *entry {
	var best contender
	for i := first; i < len(s.entries); i++ {
		p.challenge(s, &best, &s.entries[i], q.Now)
	}
	for i := range first {
		p.challenge(s, &best, &s.entries[i], q.Now)
	}
	return best.e
}

// leastDrawn looks at whose turn it is and at some who are drawn, each as likely as its weight says: so the
// number of connections for each weight comes out the same, within one or two of what it is
// if all are looked at (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001), and the cost
// doesn't grow with the pool.
func (p *Pool) leastDrawn(s *selection, q *Query, first int) *entry {
	var best contender
	p.challenge(s, &best, &s.entries[first], q.Now)
	draw := p.roll()
	for range drawn {
		draw = draw*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		turn, _ := bits.Mul64(draw, s.turns.n)
		p.challenge(s, &best, &s.entries[s.turns.at(turn)], q.Now)
	}
	return best.e
}

// contender is the best entry so far.
type contender struct {
	e              *entry
	active, weight uint64
}

// challenge makes e the best if it has room and fewer connections for its weight. In slow
// start it has less weight, and is passed over as often: with the
// weight alone, it would get all connections until it has caught up.
func (p *Pool) challenge(s *selection, best *contender, e *entry, now int64) {
	active := uint64(max(0, e.m.Active()))
	if e.limit != 0 && active >= uint64(e.limit) {
		return
	}
	weight := uint64(e.weight) * whole
	if s.starting(e, now) {
		share := s.share(e, now)
		if p.roll()>>48 >= share {
			return
		}
		weight = uint64(e.weight) * share
	}
	if best.e == nil || active*best.weight < best.active*weight {
		*best = contender{e: e, active: active, weight: weight}
	}
}

// hashed takes the entry that the hash stands for, and if that has no room those that further hashes
// stand for. In slow start, a member gets the clients whose hashes are below its share: one
// after the other comes to it and then stays.
func hashed(s *selection, q *Query, hash uint64) *entry {
	h := mix(hash)
	for k := range tries {
		e := &s.entries[s.table.Lookup(h)]
		h = mix(h + golden)
		if s.starting(e, q.Now) && h>>48 >= s.share(e, q.Now) {
			continue
		}
		if k == 0 && e.m.Take(e.limit) || k > 0 && e.take() {
			return e
		}
	}
	e, _ := s.anybody(s.table.Lookup(h), q.Now)
	return e
}

const golden = 0x9e3779b97f4a7c15

// mix makes every bit of the result depend on all of x (SplitMix64: Steele, Lea and Flood,
// Fast Splittable Pseudorandom Number Generators, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// roll returns the next of the pool's random numbers.
func (p *Pool) roll() uint64 { return mix(p.seed + golden*p.rolls.Add(1)) }
