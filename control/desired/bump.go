package desired

import (
	"encoding/json"
	"fmt"
)

// Bump makes the number of the newest revision larger by n and forgets the history, at once and
// for good. It is for a state that is older than what was in force: numbers that were
// given before would be given again, and who watches on from one would miss what is
// different. So they are told that theirs is gone, as after etcd's restore with --bump-revision
// and --mark-compacted. Nothing may be pending.
func (d *DB) Bump(n uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != nil {
		return errPending
	}
	before := d.now.Load()
	after := &view{
		set: before.set.clone(before.set.revision + n), digest: before.digest, allocations: before.allocations,
		next: make(chan struct{}),
	}
	value, err := json.Marshal(configurationRecord{after.set.revision, after.digest})
	if err != nil {
		return err
	}
	b := batch{configurationKey: value}
	for i := range before.heads {
		for _, key := range keysOf(&before.heads[i]) {
			b[key] = nil
		}
	}
	if err := d.save(b); err != nil {
		return fmt.Errorf("skip revisions: %w", err)
	}
	d.now.Store(after)
	close(before.next)
	return nil
}
