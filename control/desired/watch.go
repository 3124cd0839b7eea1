package desired

import (
	"context"
	"iter"
	"slices"

	"github.com/sluice-net/sluice/control"
)

// Watch yields the Transactions that were done after a revision, in order, each once, and goes on
// with those to come until ctx is done, which ends it without an error. Behind the last of
// those that had been done already it yields one that is Empty, with the newest revision: from
// there on it tells what is new. A revision may be of before the process was
// started, as far as the history reaches. An error is the last that it yields: it wraps
// api.ErrGone if the history does not reach, or not so far; list, and watch from there.
//
// What Restate says in the meantime is a Transaction that is Empty and has Restated.
//
// Who is slow keeps nobody waiting. Transactions are read only.
func (d *DB) Watch(ctx context.Context, after uint64) iter.Seq2[*Transaction, error] {
	return func(yield func(*Transaction, error) bool) {
		caughtUp := false
		told := d.now.Load().lastRestated()
		for ctx.Err() == nil {
			v := d.now.Load()
			if !v.reaches(after) {
				yield(nil, v.gone(after))
				return
			}
			if after < v.set.revision {
				t, err := d.transaction(v, after+1)
				if !yield(t, err) || err != nil {
					return
				}
				after++
				continue
			}
			if !caughtUp {
				caughtUp = true
				if !yield(&Transaction{Request: &Request{}, Revision: after}, nil) {
					return
				}
			}
			if keys := v.restatedAfter(told); len(keys) > 0 {
				told = v.lastRestated()
				if !yield(&Transaction{Request: &Request{}, Revision: after, Restated: keys}, nil) {
					return
				}
				continue
			}
			select {
			case <-v.next:
			case <-ctx.Done():
			}
		}
	}
}

// restatement is objects that are shown otherwise than before, though nobody changed them.
type restatement struct {
	number uint64
	keys   []control.Key
}

// How much of that is kept for those who watch and are slow: who is slower misses it.
const mostRestated = 64

// Restate says that objects are shown otherwise than before, though nobody changed them: one was given an address. Those who watch
// are told; the history knows nothing of it.
func (d *DB) Restate(keys []control.Key) {
	if len(keys) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.now.Load()
	after := *before
	after.next = make(chan struct{})
	after.restated = append(slices.Clip(before.restated), restatement{before.lastRestated() + 1, keys})
	if n := len(after.restated); n > mostRestated {
		after.restated = after.restated[n-mostRestated:]
	}
	if d.pending != nil {
		d.pending.after.restated = after.restated
	}
	d.now.Store(&after)
	close(before.next)
}

func (v *view) lastRestated() uint64 {
	if len(v.restated) == 0 {
		return 0
	}
	return v.restated[len(v.restated)-1].number
}

// restatedAfter returns the objects of restatements after a number, each once, in order of the keys.
func (v *view) restatedAfter(number uint64) (keys []control.Key) {
	for _, r := range v.restated {
		if r.number > number {
			keys = append(keys, r.keys...)
		}
	}
	slices.SortFunc(keys, control.Key.Compare)
	return slices.Compact(keys)
}

// transaction returns one that is in the history.
func (d *DB) transaction(v *view, revision uint64) (*Transaction, error) {
	if n := len(v.recent); n > 0 && revision >= v.recent[0].Revision {
		return v.recent[revision-v.recent[0].Revision], nil
	}
	changes, err := d.changes(v, revision)
	if err != nil {
		return nil, err
	}
	h := v.head(revision).View
	t := &Transaction{
		Request:  &Request{Verb: h.Verb, Author: h.Author, Message: h.Message, Target: h.Target, At: h.Time},
		Revision: revision, Time: h.Time, secret: d.secret, Warnings: map[control.Key][]string{},
	}
	for i := range changes {
		c := Change{Key: changes[i].key()}
		now, _ := v.set.Get(c.Key)
		if c.Before, err = changes[i].Before.like(c.Key, now); err != nil {
			return nil, err
		}
		if c.After, err = changes[i].After.like(c.Key, now); err != nil {
			return nil, err
		}
		ref := c.After.Object
		if ref == nil {
			ref = c.Before.Object
		}
		t.outcome = append(t.outcome, outcome{refOf(ref), len(t.Changes)})
		t.Changes = append(t.Changes, c)
		if len(changes[i].Warnings) > 0 {
			t.Warnings[c.Key] = changes[i].Warnings
		}
	}
	return t, nil
}
