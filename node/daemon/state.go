package daemon

import (
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/store"
)

// closingStore is a store that is the daemon's own.
type closingStore interface {
	store.Store
	io.Closer
}

// openState locks the state folder and reads what is in it.
func (d *Daemon) openState() (err error) {
	if err := d.openStore(); err != nil {
		return err
	}
	if d.db, err = desired.Open(d.store); err != nil {
		return err
	}
	if d.file != nil && d.file.Recovered() != nil && d.file.Recovered().Lost != 0 {
		if err := d.db.Bump(lostRevisions); err != nil {
			return err
		}
	}
	d.trials, err = newTakeovers(d.config.Takeover, d.config.TakeoverTimeout, d.store, component(d.config.Log, "takeover"))
	return err
}

// openStore opens what the state is in. A file that was damaged has been replaced by a copy
// then, which nobody may overlook.
func (d *Daemon) openStore() (err error) {
	if d.config.State == "" {
		d.store = store.NewMemory()
		return nil
	}
	if d.lock, err = lockState(d.config.State); err != nil {
		return err
	}
	if d.file, err = store.OpenBolt(filepath.Join(d.config.State, "state.db")); err != nil {
		return err
	}
	d.store = d.file
	if r := d.file.Recovered(); r != nil {
		d.changeLog.Error("THE STATE WAS DAMAGED, and what took its place may be older than what was in force", "what", r.String())
		d.setLastError(errors.New(r.String()))
	}
	return nil
}

// lostRevisions is more than how many a state may be older than what was in force: those
// between two backups.
const lostRevisions = 1_000_000

// backups are made that often, if anything has changed.
const backups = time.Minute

// backUp keeps the last good copy of the state new.
func (d *Daemon) backUp(done <-chan struct{}) {
	limited := newLimiter(d.changeLog, time.Hour)
	round := time.NewTicker(backups)
	defer round.Stop()
	for {
		if err := d.file.Backup(); err != nil {
			limited.warn("the state is not backed up", err)
		}
		select {
		case <-round.C:
		case <-done:
			return
		}
	}
}

// closeState makes a last copy, and closes what the state is in.
func (d *Daemon) closeState() error {
	if d.store == nil {
		return nil
	}
	if d.file != nil {
		if err := d.file.Backup(); err != nil {
			d.changeLog.Warn("the state is not backed up", "error", err)
		}
	}
	return d.store.Close()
}
