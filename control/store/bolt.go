package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// Bolt is a Store in a file of go.etcd.io/bbolt. A transaction is on the disk
// before Save returns; a process that is killed at any point leaves the file as it
// was before or after a transaction. One process has the file open at a time.
//
//	bucket meta:     schema      -> 4 bytes, big endian: schemaVersion
//	                 revision    -> 8 bytes, big endian: of the last transaction
//	                 transaction -> 8 bytes, big endian: bbolt's number of it
//	                 sum         -> 8 bytes, big endian: of all records, see seal
//	bucket records:  KEY         -> | revision 8 | CRC-32C of key, revision, value 4 | value |
//
// bbolt has checksums of its two meta pages only, so each record has one. A page
// that the disk said it had written and had not is an older page of the same
// file, often in perfect order: transaction and sum find that out. Schema 1 had neither.
//
// Beside the file are PATH.good, the last copy that Backup made, and PATH.damaged-…, what
// copies have taken the place of.
type Bolt struct {
	db        *bbolt.DB
	save      sync.Mutex // a transaction and its event are one
	sum       uint64     // of all records; guarded by save
	feed      feed
	recovered *Recovery

	backup   sync.Mutex
	backedUp uint64 // the revision that PATH.good is of, if this process made it; guarded by backup
}

const (
	schemaVersion  = 2
	schemaUnsealed = 1
	frameSize      = 8 + 4 // before each value

	// lockPatience is how long another process may take to let go of the file,
	// such as a daemon that is about to end.
	lockPatience = 500 * time.Millisecond
)

// names of buckets and keys.
const (
	metaBucket     = "meta"
	recordsBucket  = "records"
	schemaKey      = "schema"
	revisionKey    = "revision"
	transactionKey = "transaction"
	sumKey         = "sum"
)

// OpenBolt opens the store in a file, which is made if there is none, readable
// by its owner only. The caller closes the Bolt.
//
// The last good copy takes the place of a file that is damaged or missing; Recovered tells of it.
// The error wraps ErrLocked, ErrSchema, or ErrDamaged if there is no good copy, and says
// what to do.
func OpenBolt(path string) (*Bolt, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path + goodSuffix); err == nil {
			return restoreMissing(path)
		}
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make the state file %s: %w", path, err)
		}
	}
	b, err := open(path)
	if errors.Is(err, ErrDamaged) {
		b, err = repair(path)
	}
	return b, err
}

// open opens a file that exists.
func open(path string) (*Bolt, error) {
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	b, err := openFile(f)
	if err != nil {
		_ = f.Close() // bbolt may have done it
		return nil, err
	}
	removeOld(path)
	return b, nil
}

// mapped is how much of the file's address space is there from the start: a file that grows within it is not mapped anew, for
// which bbolt copies what a transaction has in hand. It takes no memory.
const mapped = 1 << 30

// grown is what a file grows by beyond what is needed, bytes. bbolt would take 16 MiB where so much is mapped.
const grown = 64 << 10

// openFile opens a locked file, which belongs to the Bolt if there is no error.
func openFile(f *os.File) (*Bolt, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, info.Size()), data); errors.Is(err, unix.EIO) {
		return nil, fmt.Errorf("%s: %w: the disk can't read it: %w", f.Name(), ErrDamaged, err)
	} else if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	if err := checkPages(data); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.Name(), ErrDamaged, err)
	}
	// The lock belongs to f, and so does bbolt's.
	handOver := func(string, int, os.FileMode) (*os.File, error) { return f, nil }
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		OpenFile: handOver, NoStatistics: true, NoFreelistSync: true, InitialMmapSize: mapped,
	})
	if err != nil {
		return nil, fmt.Errorf("open the state file %s: %w", f.Name(), err)
	}
	db.AllocSize = grown
	b := &Bolt{db: db}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		var revision uint64
		revision, b.sum, err = verify(tx)
		b.feed.start(revision)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), err), db.Close())
	}
	return b, nil
}

// openLocked opens a file for this process alone. The kernel lets go of the lock
// when the process ends, however it does.
func openLocked(path string) (*os.File, error) {
	for begin := time.Now(); ; time.Sleep(lockPatience / 20) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("open the state file: %w: run as its owner, or choose another state folder (--state DIR)", err)
		}
		if err != nil {
			return nil, fmt.Errorf("open the state file: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && isAt(f, path) {
			return f, nil
		}
		_ = f.Close() // nothing was written
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the state file %s: %w", path, err)
		}
		if time.Since(begin) > lockPatience {
			return nil, fmt.Errorf("%s: %w by another process (fuser -v %s names it): stop that, or choose another state folder (--state DIR)", path, ErrLocked, path)
		}
	}
}

// isAt reports whether an open file is the one of that name: whoever had it locked
// may have put another in its place.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
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
		return seal(tx, meta, 0, 0)
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
		revision = revisionOf(tx)
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
	sum := b.sum
	err = b.db.Update(func(tx *bbolt.Tx) error {
		meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
		revision = binary.BigEndian.Uint64(meta.Get([]byte(revisionKey))) + 1
		for i := range changes {
			more, err := put(records, &changes[i], revision)
			if err != nil {
				return err
			}
			sum += more
		}
		return seal(tx, meta, revision, sum)
	})
	if errors.Is(err, ErrConflict) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("save to %s: %w", b.db.Path(), closedOr(err))
	}
	b.sum = sum
	b.feed.publish(revision, changes)
	return revision, nil
}

// put makes one change, and returns what that adds to the sum of all records.
func put(records *bbolt.Bucket, c *Change, revision uint64) (more uint64, err error) {
	key := []byte(c.Key)
	var was uint64
	if v := records.Get(key); v != nil {
		if was, err = check(key, v); err != nil {
			return 0, err
		}
		more -= sumOf(key, v)
	}
	if err := c.check(was); err != nil {
		return 0, err
	}
	if c.Value == nil {
		return more, records.Delete(key)
	}
	framed := encode(key, c.Value, revision)
	return more + sumOf(key, framed), records.Put(key, framed)
}

// seal writes what the next process checks the file by.
func seal(tx *bbolt.Tx, meta *bbolt.Bucket, revision, sum uint64) error {
	u64 := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	return errors.Join(
		meta.Put([]byte(schemaKey), binary.BigEndian.AppendUint32(nil, schemaVersion)),
		meta.Put([]byte(revisionKey), u64(revision)),
		meta.Put([]byte(transactionKey), u64(uint64(tx.ID()))),
		meta.Put([]byte(sumKey), u64(sum)),
	)
}

// sumOf is a record's part in the sum of all, modulo 2^64: so the sum follows each
// change without a look at the other records.
func sumOf(key, framed []byte) uint64 {
	h := xxhash.New()
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(key)))) // hashes have no errors
	_, _ = h.Write(key)
	_, _ = h.Write(framed)
	return h.Sum64()
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
	revision, err := check(key, framed)
	if err != nil {
		return Record{}, err
	}
	return Record{string(key), append([]byte{}, framed[frameSize:]...), revision}, nil
}

// check returns the revision of a framed value that is in order.
func check(key, framed []byte) (revision uint64, err error) {
	if len(framed) < frameSize {
		return 0, fmt.Errorf("record %q: %w: it has %d bytes", key, ErrDamaged, len(framed))
	}
	number, sum, value := framed[:8], framed[8:frameSize], framed[frameSize:]
	if checksum(key, number, value) != binary.BigEndian.Uint32(sum) {
		return 0, fmt.Errorf("record %q: %w: its checksum is wrong", key, ErrDamaged)
	}
	return binary.BigEndian.Uint64(number), nil
}

func checksum(parts ...[]byte) (sum uint32) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}
