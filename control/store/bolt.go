package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// Bolt is a Store in a file of go.etcd.io/bbolt. A transaction is on the disk
// before Save returns; a process that is killed at any point leaves the file as it
// was before or after a transaction. One process has the file open at a time.
//
//	bucket meta:     schema   -> 4 bytes, big endian: schemaVersion
//	                 revision -> 8 bytes, big endian: of the last transaction
//	bucket records:  KEY      -> | revision 8 | CRC-32C of key, revision, value 4 | value |
//
// bbolt has checksums of its two meta pages only, so each record has one: a
// disk that lies is found out when the record is read.
type Bolt struct {
	db   *bbolt.DB
	save sync.Mutex // a transaction and its event are one
	feed feed
}

const (
	schemaVersion = 1
	frameSize     = 8 + 4 // before each value

	// lockPatience is how long another process may take to let go of the file,
	// such as a daemon that is about to end.
	lockPatience = 500 * time.Millisecond
)

// names of buckets and keys.
const (
	metaBucket    = "meta"
	recordsBucket = "records"
	schemaKey     = "schema"
	revisionKey   = "revision"
)

// OpenBolt opens the store in a file, which is made if there is none, readable
// by its owner only. The error wraps ErrLocked, ErrDamaged or ErrSchema where it is
// about that, and says what to do. The caller closes the Bolt.
func OpenBolt(path string) (*Bolt, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make the state file %s: %w", path, err)
		}
	}
	b, err := open(path)
	if errors.Is(err, ErrDamaged) {
		err = keepCopy(path, err)
	}
	return b, err
}

// open opens a file that exists.
func open(path string) (b *Bolt, err error) {
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // bbolt may have done it
		}
	}()
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	if err := checkPages(data); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	// The lock belongs to f, and so does bbolt's.
	handOver := func(string, int, os.FileMode) (*os.File, error) { return f, nil }
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{OpenFile: handOver, NoStatistics: true, NoFreelistSync: true})
	if err != nil {
		return nil, fmt.Errorf("open the state file %s: %w", path, err)
	}
	b = &Bolt{db: db}
	err = db.View(func(tx *bbolt.Tx) error {
		revision, err := verify(tx)
		b.feed.start(revision)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return b, nil
}

// openLocked opens a file for this process alone. The kernel lets go of the lock
// when the process ends, however it does.
func openLocked(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("open the state file: %w: run as its owner, or choose another state folder (--state DIR)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the state file: %w", err)
	}
	for begin := time.Now(); ; time.Sleep(lockPatience / 20) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the state file %s: %w", path, err), f.Close())
		}
		if time.Since(begin) > lockPatience {
			err := fmt.Errorf("%s: %w by another process (fuser -v %s names it): stop that, or choose another state folder (--state DIR)", path, ErrLocked, path)
			return nil, errors.Join(err, f.Close())
		}
	}
}

// create makes an empty store under the path, complete or not at all: bbolt
// would make the file first and write its pages then, and who is killed in
// between leaves what can't be opened.
func create(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return explainDir(err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // its name only; the file has another by then
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{NoStatistics: true})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte(metaBucket))
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(recordsBucket)); err != nil {
			return err
		}
		if err := meta.Put([]byte(schemaKey), binary.BigEndian.AppendUint32(nil, schemaVersion)); err != nil {
			return err
		}
		return meta.Put([]byte(revisionKey), binary.BigEndian.AppendUint64(nil, 0))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Not a rename: it would take the place of a file that somebody else made meanwhile.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes names in a directory survive the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func explainDir(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run as the folder's owner, or choose another (--state DIR)", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: make the folder first", err)
	}
	return err
}

// Load implements Store.
func (b *Bolt) Load(prefix string) (records []Record, revision uint64, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		revision = binary.BigEndian.Uint64(tx.Bucket([]byte(metaBucket)).Get([]byte(revisionKey)))
		c := tx.Bucket([]byte(recordsBucket)).Cursor()
		for k, v := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			r, err := decode(k, v)
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("load %s: %w", prefix, closedOr(err))
	}
	return records, revision, nil
}

// Save implements Store.
func (b *Bolt) Save(changes ...Change) (revision uint64, err error) {
	if err := validate(changes); err != nil {
		return 0, err
	}
	b.save.Lock()
	defer b.save.Unlock()
	err = b.db.Update(func(tx *bbolt.Tx) error {
		meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
		revision = binary.BigEndian.Uint64(meta.Get([]byte(revisionKey))) + 1
		for i := range changes {
			if err := put(records, &changes[i], revision); err != nil {
				return err
			}
		}
		return meta.Put([]byte(revisionKey), binary.BigEndian.AppendUint64(nil, revision))
	})
	if errors.Is(err, ErrConflict) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("save to %s: %w", b.db.Path(), closedOr(err))
	}
	b.feed.publish(revision, changes)
	return revision, nil
}

// put makes one change.
func put(records *bbolt.Bucket, c *Change, revision uint64) error {
	key := []byte(c.Key)
	var was uint64
	if v := records.Get(key); v != nil {
		old, err := decode(key, v)
		if err != nil {
			return err
		}
		was = old.Revision
	}
	if err := c.check(was); err != nil {
		return err
	}
	if c.Value == nil {
		return records.Delete(key)
	}
	return records.Put(key, encode(key, c.Value, revision))
}

// Watch implements Store.
func (b *Bolt) Watch(ctx context.Context, prefix string, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		// Not while a transaction, which Load may have seen, has no event yet.
		b.save.Lock()
		_, _, err := b.feed.after(after)
		b.save.Unlock()
		if err != nil {
			yield(Event{}, err)
			return
		}
		b.feed.watch(ctx, prefix, after)(yield)
	}
}

// Close ends all watching and lets go of the file.
func (b *Bolt) Close() error {
	b.feed.close()
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close the state file: %w", err)
	}
	return nil
}

func closedOr(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// encode frames a value.
func encode(key, value []byte, revision uint64) []byte {
	framed := binary.BigEndian.AppendUint64(make([]byte, 0, frameSize+len(value)), revision)
	framed = binary.BigEndian.AppendUint32(framed, checksum(key, framed, value))
	return append(framed, value...)
}

// decode returns the record of a framed value, which it copies.
func decode(key, framed []byte) (Record, error) {
	if len(framed) < frameSize {
		return Record{}, fmt.Errorf("record %q: %w: it has %d bytes", key, ErrDamaged, len(framed))
	}
	revision, sum, value := framed[:8], framed[8:frameSize], framed[frameSize:]
	if checksum(key, revision, value) != binary.BigEndian.Uint32(sum) {
		return Record{}, fmt.Errorf("record %q: %w: its checksum is wrong", key, ErrDamaged)
	}
	return Record{string(key), append([]byte{}, value...), binary.BigEndian.Uint64(revision)}, nil
}

func checksum(parts ...[]byte) uint32 {
	return crc32.Checksum(slices.Concat(parts...), crc32.MakeTable(crc32.Castagnoli))
}
