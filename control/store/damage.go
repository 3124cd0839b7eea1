package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// guarded runs f and makes an error of what a damaged file does to bbolt:
// it panics, or reads beyond the end of its mapping.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// verify reads all of a file, so that damage is found before the state is in
// use and not by a transaction that comes later. It holds what was allocated, of
// which there is little.
func verify(tx *bbolt.Tx, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%s: %w: it has %d bytes of %d", path, ErrDamaged, info.Size(), tx.Size())
	}
	if err := verifyMeta(tx, path); err != nil {
		return err
	}
	err = tx.Bucket([]byte(recordsBucket)).ForEach(func(k, v []byte) error {
		_, err := decode(k, v)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// The walk above went where Check goes, so that Check, in a goroutine that
	// guarded does not guard, finds no page that is none.
	for fault := range tx.Check() {
		err = errors.Join(err, fault)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	return nil
}

func verifyMeta(tx *bbolt.Tx, path string) error {
	meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
	if meta == nil || records == nil {
		return fmt.Errorf("%s: %w: it is no state file of Sluice", path, ErrDamaged)
	}
	schema, revision := meta.Get([]byte(schemaKey)), meta.Get([]byte(revisionKey))
	if len(schema) != 4 || len(revision) != 8 {
		return fmt.Errorf("%s: %w: it does not say its version", path, ErrDamaged)
	}
	if version := binary.BigEndian.Uint32(schema); version != schemaVersion {
		return fmt.Errorf("%s: %w: it has schema %d, this program knows %d; use the version that wrote it, or another state directory",
			path, ErrSchema, version, schemaVersion)
	}
	return nil
}

// keepCopy adds to an error about a damaged file where a copy of it is. The
// copy is named after its content: a daemon that is started again and again makes
// one.
func keepCopy(path string, damage error) error {
	const remedy = "put a backup in its place, or remove it to begin anew (addresses, zones and port numbers will be chosen anew)"
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w; %s; it can't be copied: %w", damage, remedy, err)
	}
	name := fmt.Sprintf("%s.damaged-%08x", path, crc32.ChecksumIEEE(data))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; %s; it can't be copied: %w", damage, remedy, err)
	}
	return fmt.Errorf("%w; a copy is in %s; %s", damage, name, remedy)
}
