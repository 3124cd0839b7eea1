// Package store keeps the state that has to survive the daemon.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Store holds records under keys. It is shaped so that an embedded file and a
// cluster's etcd can both be one: transactions are numbered, changes are conditional,
// and whoever wants to follow asks for all changes after the number that they
// have seen. The methods may be called by any goroutine.
//
//	records, revision, err := s.Load("objects/")
//	for event, err := range s.Watch(ctx, "objects/", revision) { ... }
//
// misses nothing and sees nothing twice.
type Store interface {
	// Load returns the records whose keys begin with prefix, in order of their
	// keys, and the revision of the store that they are of. The caller owns them.
	Load(prefix string) ([]Record, uint64, error)

	// Save makes all changes or none, in one transaction, and returns its
	// revision. What it returned for survives the process and the machine.
	// The error wraps ErrConflict if a change's condition does not hold.
	Save(changes ...Change) (revision uint64, err error)

	// Watch yields what was saved after a revision, in order, an Event for each
	// transaction that touches a key which begins with prefix. It waits for
	// more until ctx is done or the store is closed, which end it without an
	// error. An error is the last that it yields: ErrLost says that the changes since
	// that revision are not known any more; Load, and watch from there.
	Watch(ctx context.Context, prefix string, after uint64) iter.Seq2[Event, error]
}

// Record is a value under a key.
type Record struct {
	Key   string // 1 to MaxKey bytes
	Value []byte // nil in an Event: the record was deleted
	// Revision is that of the transaction which wrote it.
	Revision uint64
}

// Change is one record's part in a transaction.
type Change struct {
	Key   string
	Value []byte // nil deletes the record, if there is one

	// Was is the revision that the record must have, 0 for a record that must
	// not be there, Any for whatever there is.
	Was uint64
}

// Any in Change.Was sets no condition.
const Any = ^uint64(0)

// Event is a transaction, as far as the one who watches asked for it.
type Event struct {
	Revision uint64
	Records  []Record // in order of keys; read only
}

// MaxKey is the length of the longest key, bytes.
const MaxKey = 1024

// Errors that callers act on.
var (
	ErrConflict = errors.New("somebody else has changed the record")
	ErrLost     = errors.New("the changes since that revision are not known any more")
	ErrLocked   = errors.New("the state file is in use")
	ErrDamaged  = errors.New("the state file is damaged")
	ErrSchema   = errors.New("the state file is of a version that this program does not know")
	ErrClosed   = errors.New("the store is closed")
)

// validate refuses changes that no store takes.
func validate(changes []Change) error {
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		switch {
		case c.Key == "" || len(c.Key) > MaxKey:
			return fmt.Errorf("save %q: want a key of 1 to %d bytes", c.Key, MaxKey)
		case seen[c.Key]:
			return fmt.Errorf("save %s: it is changed twice in one transaction", c.Key)
		}
		seen[c.Key] = true
	}
	return nil
}

// check says whether a change's condition holds for a record of that revision,
// 0 if there is none.
func (c *Change) check(revision uint64) error {
	if c.Was == Any || c.Was == revision {
		return nil
	}
	return fmt.Errorf("save %s: revision %d is expected, and it has %d: %w", c.Key, c.Was, revision, ErrConflict)
}
