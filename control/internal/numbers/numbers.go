// Package numbers gives things numbers that they keep: as long as they are there, and over restarts.
package numbers

import (
	"cmp"
	"math/bits"
	"reflect"
	"slices"
)

// IDs are the numbers of what belongs to one object, sorted by name. A list that was handed out is not written to; of
// lists that follow each other, the same one is the same.
type IDs []ID

// ID is the number of a thing.
type ID struct {
	Name string `json:"rule"` // what tells it from the object's others; "rule", as rules were the first to be stored
	ID   uint32 `json:"id"`
}

// Same reports whether both are one list, without looking at it.
func (a IDs) Same(b IDs) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Equal reports whether both are the same numbers of the same things.
func (a IDs) Equal(b IDs) bool { return a.Same(b) || slices.Equal(a, b) }

// Sort puts them in order.
func (a IDs) Sort() {
	slices.SortFunc(a, func(a, b ID) int { return cmp.Compare(a.Name, b.Name) })
}

// Of returns the number of a thing, 0 if it has none.
func (a IDs) Of(name string) uint32 {
	i, found := slices.BinarySearchFunc(a, name, func(x ID, name string) int { return cmp.Compare(x.Name, name) })
	if !found {
		return 0
	}
	return a[i].ID
}

// Space is the numbers of all things of a kind. Those that are gone are not soon another's: numbers go round.
type Space struct {
	first, most uint32

	last  map[string]IDs // as handed out
	taken []uint64       // bits, from first
	given uint32         // the number given last
}

// NewSpace returns numbers from first on, so many. There have to be more than things that are there at a time. Others, which no one
// has but by a mistake in what was stored, are given anew.
func NewSpace(first, most uint32) Space { return Space{first: first, most: most} }

// Given is the number given last.
func (x *Space) Given() uint32 { return x.given }

// Taken is how many things have numbers.
func (x *Space) Taken() (n int) {
	for _, word := range x.taken {
		n += bits.OnesCount64(word)
	}
	return n
}

// take makes a number taken, and reports whether it was free and may be given.
func (x *Space) take(id uint32) bool {
	if id < x.first || id-x.first >= x.most {
		return false
	}
	word, bit := int(id-x.first)/64, uint64(1)<<((id-x.first)%64)
	for len(x.taken) <= word {
		x.taken = append(x.taken, 0)
	}
	if x.taken[word]&bit != 0 {
		return false
	}
	x.taken[word] |= bit
	return true
}

// give makes a number free.
func (x *Space) give(id uint32) {
	word := int(id-x.first) / 64
	x.taken[word] &^= 1 << ((id - x.first) % 64)
}

// next takes the first number behind the one given last that is free.
func (x *Space) next() uint32 {
	at := int(x.given + 1 - x.first)
	if x.given < x.first || at >= int(x.most) {
		at = 0
	}
	for {
		word := at / 64
		for len(x.taken) <= word {
			x.taken = append(x.taken, 0)
		}
		if free := ^x.taken[word] >> (at % 64); free != 0 {
			if at += bits.TrailingZeros64(free); at < int(x.most) {
				break
			}
		}
		if at = (word + 1) * 64; at >= int(x.most) {
			at = 0
		}
	}
	x.taken[at/64] |= 1 << (at % 64)
	x.given = x.first + uint32(at)
	return x.given
}

// Claim is an object whose things need numbers.
type Claim struct {
	Key   string
	Names []string // in order; none twice. nil: the object is gone
	IDs   IDs      // filled in by Assign
}

// Follows reports whether numbers are those that were handed out last, so that only what has changed need be
// looked at.
func (x *Space) Follows(previous map[string]IDs) bool {
	return x.last != nil && reflect.ValueOf(previous).Pointer() == reflect.ValueOf(x.last).Pointer()
}

// Assign gives the things of claims, sorted by key, their numbers: those that they had in previous, others free ones behind
// given, in order. If previous is not what was handed out last, claims have to be of all objects. previous is not written to.
func (x *Space) Assign(claims []*Claim, previous map[string]IDs, given uint32) map[string]IDs {
	x.given = given
	all := !x.Follows(previous)
	if all {
		clear(x.taken)
	} else {
		for _, c := range claims {
			for _, r := range previous[c.Key] {
				x.give(r.ID)
			}
		}
	}
	same, n := true, 0
	for _, c := range claims {
		had := previous[c.Key]
		c.IDs = make(IDs, len(c.Names))
		missing := len(had) != len(c.Names)
		for i, name := range c.Names {
			c.IDs[i].Name = name
			if id := had.Of(name); x.take(id) {
				c.IDs[i].ID = id
			} else {
				missing = true
			}
		}
		if !missing && len(had) > 0 {
			c.IDs = had
			n++
		} else if len(had)+len(c.Names) > 0 {
			same = false
		}
	}
	same = same && (!all || len(previous) == n)
	for _, c := range claims {
		for i := range c.IDs {
			if c.IDs[i].ID == 0 {
				c.IDs[i].ID = x.next()
			}
		}
		if len(c.IDs) > 0 && !c.IDs.Same(previous[c.Key]) {
			c.IDs.Sort()
		}
	}
	if same && previous != nil {
		x.last = previous
		return previous
	}
	next := make(map[string]IDs, len(previous)+len(claims))
	if !all {
		for key, ids := range previous {
			next[key] = ids
		}
	}
	for _, c := range claims {
		if delete(next, c.Key); len(c.IDs) > 0 {
			next[c.Key] = c.IDs
		}
	}
	x.last = next
	return next
}
