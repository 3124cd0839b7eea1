package desired

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// DB is the desired state with its history, in a store. One goroutine prepares changes;
// reading takes no lock, by any goroutine.
type DB struct {
	store     store.Store
	retention Retention
	secret    salt
	now       atomic.Pointer[view]

	mu      sync.Mutex // of what follows: who changes
	pending *Pending
	stored  *control.Allocations // as the store has them, one by one
	stale   []string             // keys of records that go with the next change
	packer  packer
	owed    batch // what Undo could not write; precedes the next change
}

// view is what readers see: all of one moment.
type view struct {
	set         *Set
	digest      string
	allocations *control.Allocations
	heads       []head         // the history, oldest first, without gaps; the last is the set's revision. May be empty
	recent      []*Transaction // the last of them, in memory
	next        chan struct{}  // closed when a newer view is there

	restated []restatement // the last of them, oldest first
}

// Retention says how far the history reaches.
type Retention struct {
	Revisions int // at most; 0: DefaultRevisions
	Bytes     int // at most, as they are stored; 0: DefaultBytes
}

// The retention that is meant by 0. MinRevisions stay, however large they are and
// whatever is configured.
const (
	DefaultRevisions = 10_000
	DefaultBytes     = 64 << 20
	MinRevisions     = 10
)

// Open reads the desired state out of a store, which the caller closes after the last
// use of the DB. Nobody else writes what is under the prefixes state/, object/,
// allocation/ and history/. The error wraps store.ErrDamaged, or says which object
// this version refuses.
func Open(s store.Store) (*DB, error) { return OpenKeeping(s, Retention{}) }

// OpenKeeping is Open with another retention than the default.
func OpenKeeping(s store.Store, r Retention) (*DB, error) {
	d := &DB{store: s, owed: batch{}, retention: Retention{
		Revisions: max(MinRevisions, orDefault(r.Revisions, DefaultRevisions)), Bytes: orDefault(r.Bytes, DefaultBytes),
	}}
	_, _ = rand.Read(d.secret[:]) // it never fails (crypto/rand)
	v := &view{next: make(chan struct{})}
	for _, step := range []func(*view) error{d.loadConfiguration, d.loadObjects, d.loadHeads} {
		if err := step(v); err != nil {
			return nil, fmt.Errorf("read the desired state: %w", err)
		}
	}
	d.now.Store(v)
	return d, nil
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// loadConfiguration reads revision, digest and allocations, in today's form or in one record.
func (d *DB) loadConfiguration(v *view) error {
	state, _, err := d.store.Load("state/")
	if err != nil {
		return err
	}
	records, _, err := d.store.Load(allocationPrefix)
	if err != nil {
		return err
	}
	if d.stored, err = decodeAllocations(records); err != nil {
		return err
	}
	v.set, v.allocations = newSet(0), d.stored
	for _, r := range state {
		switch r.Key {
		case configurationKey:
			var c configurationRecord
			err = json.Unmarshal(r.Value, &c)
			v.set.revision, v.digest = c.Revision, c.Digest
		case allocationsInOneKey:
			// It is newer than single records, for a change that writes those deletes it.
			v.allocations = &control.Allocations{}
			err = json.Unmarshal(r.Value, v.allocations)
			d.stale = append(d.stale, r.Key)
		}
		if err != nil {
			return damaged(r.Key, err)
		}
	}
	return nil
}

func (d *DB) loadObjects(v *view) error {
	records, _, err := d.store.Load(objectPrefix)
	if err != nil {
		return err
	}
	kept := make([]keptObject, len(records))
	for i, r := range records {
		if kept[i], err = decodeKept(r); err != nil {
			return err
		}
	}
	// Decoding is the longest part of a start: each CPU takes its share.
	share := max(100, len(kept)/runtime.GOMAXPROCS(0)+1)
	loaded, wrong := make([][]Entry, len(kept)/share+1), make([]error, len(kept)/share+1)
	var wg sync.WaitGroup
	for i := range loaded {
		wg.Go(func() { loaded[i], wrong[i] = entries(kept[i*share : min(len(kept), (i+1)*share)]) })
	}
	wg.Wait()
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	for i, e := range slices.Concat(loaded...) {
		v.set.put(kept[i].key, e)
	}
	return nil
}

// loadHeads reads the history as far as it leads to the state without a gap. One that does not was
// written by a version that knew no history, and is of no use.
func (d *DB) loadHeads(v *view) error {
	records, _, err := d.store.Load(headPrefix)
	if err != nil {
		return err
	}
	var heads []head
	for _, r := range records {
		h, err := decodeHead(r)
		if err != nil {
			return err
		}
		heads = append(heads, h)
	}
	first := len(heads)
	for expected := v.set.revision; first > 0 && heads[first-1].View.Revision == expected; expected-- {
		first--
	}
	for i := range heads[:first] {
		d.stale = append(d.stale, keysOf(&heads[i])...)
	}
	v.heads = heads[first:]
	return nil
}

// keysOf returns the keys of a revision's records.
func keysOf(h *head) []string {
	keys := []string{headPrefix + hexadecimal(h.View.Revision)}
	for part := range partsOf(h.Size) {
		keys = append(keys, bodyKey(h.View.Revision, part))
	}
	return keys
}

// Set returns the newest objects whose change is done.
func (d *DB) Set() *Set { return d.now.Load().set }

// Digest returns that of the model which the newest change that is done was saved with; empty if
// there was none.
func (d *DB) Digest() string { return d.now.Load().digest }

// Allocations returns those that the newest change that is done was saved with. They are read only.
func (d *DB) Allocations() *control.Allocations { return d.now.Load().allocations }

// Pending is a change that is in the store and not in force yet.
type Pending struct {
	db    *DB
	after *view
	undo  batch
	was   *control.Allocations // in single records

	pruned int // revisions that went out of the history, for good
}

// errPending says that Prepare was called too early.
var errPending = errors.New("a change that was prepared is neither done nor undone")

// Prepare writes transactions, planned one on the other from the newest Set, to the store, with what
// the model that they make allocates: all in one transaction of the store. When it returns, they
// survive the machine. They are seen once they are Done. Transactions that are Empty make
// no revision; without any, digest and allocations alone are kept. One Pending at a time.
func (d *DB) Prepare(txns []*Transaction, digest string, a *control.Allocations) (*Pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != nil {
		return nil, errPending
	}
	before := d.now.Load()
	after := &view{
		set: before.set, digest: digest, allocations: a, next: make(chan struct{}),
		heads: before.heads, recent: before.recent, restated: before.restated,
	}
	p := &Pending{db: d, after: after, undo: batch{}, was: d.stored}
	b := batch{}
	for _, key := range d.stale {
		b[key] = nil
	}
	d.prune(after, b)
	p.pruned = len(before.heads) - len(after.heads)
	for _, t := range txns {
		if err := p.add(b, t); err != nil {
			return nil, err
		}
	}
	if before.set.revision != after.set.revision || before.digest != digest || before.set.revision == 0 {
		value, err := json.Marshal(configurationRecord{after.set.revision, digest})
		if err != nil {
			return nil, err
		}
		b[configurationKey] = value
		if value, err = json.Marshal(configurationRecord{before.set.revision, before.digest}); err != nil {
			return nil, err
		}
		p.undo[configurationKey] = value
	}
	b.allocations(d.stored, a)
	p.undo.allocations(a, d.stored)
	if err := d.save(b); err != nil {
		return nil, err
	}
	d.stale, d.stored, d.pending = nil, a, p
	return p, nil
}

// save writes a batch behind what is owed, if there is anything to write.
func (d *DB) save(b batch) error {
	for key, value := range d.owed {
		if _, there := b[key]; !there {
			b[key] = value
		}
	}
	if len(b) == 0 {
		return nil
	}
	if _, err := d.store.Save(b.changes()...); err != nil {
		return err
	}
	d.owed = batch{}
	return nil
}

// add makes a transaction part of what is prepared.
func (p *Pending) add(b batch, t *Transaction) error {
	before := p.after.set
	if !t.Empty() {
		if t.Revision != before.revision+1 {
			return fmt.Errorf("revision %d can't follow revision %d: plan it anew", t.Revision, before.revision)
		}
		body, err := p.db.packer.encode(t)
		if err != nil {
			return fmt.Errorf("revision %d: %w", t.Revision, err)
		}
		h := headOf(t, len(body))
		value, err := json.Marshal(h)
		if err != nil {
			return fmt.Errorf("revision %d: %w", t.Revision, err)
		}
		b[headPrefix+hexadecimal(t.Revision)] = value
		for key, part := range parts(t.Revision, body) {
			b[key] = part
		}
		for _, key := range keysOf(&h) {
			p.undo[key] = nil
		}
		p.after.heads = append(p.after.heads, h)
		p.after.recent = remember(p.after.recent, t)
	}
	for _, c := range t.Changes {
		if err := p.put(b, c.Key, c.Before, c.After); err != nil {
			return err
		}
	}
	for _, e := range t.moved {
		k := e.Object.Key()
		if was, _ := before.Get(k); was.File != e.File {
			if err := p.put(b, k, was, e); err != nil {
				return err
			}
		}
	}
	p.after.set = before.With(t)
	return nil
}

// put writes an object's record.
func (p *Pending) put(b batch, k control.Key, before, after Entry) error {
	key := objectKey(k)
	encode := func(e Entry) (value []byte, err error) {
		if e.Object != nil {
			value, err = json.Marshal(recordOf(e))
		}
		return value, err
	}
	value, err := encode(after)
	if err != nil {
		return fmt.Errorf("%v: %w", k, err)
	}
	b[key] = value
	if _, there := p.undo[key]; !there { // by the first transaction that changes it
		if p.undo[key], err = encode(before); err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
	}
	return nil
}

// prune takes revisions out of a view's history that are beyond what is to be kept.
func (d *DB) prune(v *view, b batch) {
	size := 0
	for i := range v.heads {
		size += v.heads[i].Size
	}
	heads := v.heads
	for len(heads) > d.retention.Revisions || size > d.retention.Bytes && len(heads) > MinRevisions {
		for _, key := range keysOf(&heads[0]) {
			b[key] = nil
		}
		size -= heads[0].Size
		heads = heads[1:]
	}
	v.heads = heads
}

// Done puts the change in force for all who read.
func (p *Pending) Done() {
	d := p.db
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != p {
		return // done or undone already
	}
	d.pending = nil
	before := d.now.Swap(p.after)
	close(before.next)
}

// Undo takes the change out of the store, because it could not be put in force. What it returns an
// error for is taken out by the next change that is prepared.
func (p *Pending) Undo() error {
	d := p.db
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != p {
		return nil
	}
	d.pending, d.stored = nil, p.was
	before := *d.now.Load()
	before.heads = before.heads[p.pruned:]
	d.now.Store(&before)
	if err := d.save(p.undo); err != nil {
		d.owed = p.undo
		return fmt.Errorf("take back what was prepared: %w", err)
	}
	return nil
}

// What of the history is kept in memory, for those who watch.
const (
	recentTransactions = 256
	recentChanges      = 1 << 14
)

// remember adds a transaction to those in memory. The slice that it is given stays as it is.
func remember(recent []*Transaction, t *Transaction) []*Transaction {
	recent = append(slices.Clip(recent), t)
	changes, first := 0, len(recent)
	for first > 0 && len(recent)-first < recentTransactions {
		if changes += len(recent[first-1].Changes); changes > recentChanges && first < len(recent) {
			break
		}
		first--
	}
	return recent[first:]
}
