package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

const (
	goodSuffix = ".good"
	newSuffix  = ".new" // what is being made; it gets its name when it is complete

	// abandoned is the age from which on what is being made is somebody's who was killed.
	abandoned = time.Hour
)

// Backup makes PATH.good a copy of the file as it is now, which takes the file's place should
// it be found damaged. The copy is read again before it is called good. If nothing has changed since
// the last time, nothing is done. Saving goes on meanwhile, but for the moment in which the pages are
// copied, if the file has to grow.
func (b *Bolt) Backup() error {
	b.backup.Lock()
	defer b.backup.Unlock()
	path := b.db.Path()
	var revision uint64
	look := func(tx *bbolt.Tx) error {
		revision = revisionOf(tx)
		return nil
	}
	err := b.db.View(look)
	if err == nil && revision != b.backedUp {
		err = writeWhole(path+goodSuffix, func(w io.Writer) error {
			return b.db.View(func(tx *bbolt.Tx) error {
				_, err := tx.WriteTo(w)
				return errors.Join(err, look(tx))
			})
		})
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", path, closedOr(err))
	}
	b.backedUp = revision
	return nil
}

// writeWhole writes a state file under a name: all of it, checked and on the disk, or none.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // half a copy is of use to nobody
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if _, err := inspect(f.Name()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// found is what inspect finds out about a state file.
type found struct {
	revision    uint64 // of the store
	transaction uint64 // bbolt's
	made        time.Time
}

// inspect checks a state file without changing it.
func inspect(path string) (found, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return found{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return found{}, err
	}
	is, err := inspectData(path, data, func(string, int, os.FileMode) (*os.File, error) { return os.Open(path) })
	is.made = info.ModTime()
	return is, err
}

// inspectData is inspect of a file's content. open opens it for bbolt.
func inspectData(name string, data []byte, open func(string, int, os.FileMode) (*os.File, error)) (is found, err error) {
	if err := checkPages(data); err != nil {
		return found{}, fmt.Errorf("%s: %w: %w", name, ErrDamaged, err)
	}
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{ReadOnly: true, OpenFile: open, NoStatistics: true, Timeout: lockPatience})
	if err != nil {
		return found{}, fmt.Errorf("open %s: %w", name, err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		revision, _, err := verify(tx)
		is = found{revision: revision, transaction: uint64(tx.ID())}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return found{}, fmt.Errorf("%s: %w", name, err)
	}
	return is, nil
}

// removeOld removes what processes that were killed were making.
func removeOld(path string) {
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return // it is but litter
	}
	for _, e := range list {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), filepath.Base(path)+newSuffix+"-") && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name())) // the next start tries again
		}
	}
}

// restoreMissing puts the good copy in the place of a file that is not there.
func restoreMissing(path string) (*Bolt, error) {
	good, err := inspect(path + goodSuffix)
	if err != nil {
		return nil, fmt.Errorf("the state file %s is missing, and its copy is of no use: %w; put a backup in its place, or remove the copy to begin anew", path, err)
	}
	if err := copyWhole(path, path+goodSuffix); err != nil {
		return nil, fmt.Errorf("put %s in the place of the state file that is missing: %w", path+goodSuffix, err)
	}
	b, err := open(path)
	if err != nil {
		return nil, err
	}
	b.recovered = &Recovery{
		Path: path, Damage: fmt.Errorf("%s: %w", path, fs.ErrNotExist), From: path + goodSuffix,
		Made: good.made, Revision: good.revision, Lost: -1,
	}
	return b, nil
}

// copyWhole copies a file that is in order.
func copyWhole(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeWhole(to, func(w io.Writer) error { return writeAll(w, data) })
}
