package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// verify reads all records of a file whose pages are in order, so that damage is found
// before the state is in use. It returns the store's revision and the sum of all records.
func verify(tx *bbolt.Tx) (revision, sum uint64, err error) {
	meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
	if meta == nil || records == nil {
		return 0, 0, fmt.Errorf("%w: it is no state file of Sluice", ErrDamaged)
	}
	number := func(key string) (n uint64, there bool) {
		if v := meta.Get([]byte(key)); len(v) == 8 {
			return binary.BigEndian.Uint64(v), true
		}
		return 0, false
	}
	schema := meta.Get([]byte(schemaKey))
	revision, there := number(revisionKey)
	if len(schema) != 4 || !there {
		return 0, 0, fmt.Errorf("%w: it does not say its version", ErrDamaged)
	}
	version := binary.BigEndian.Uint32(schema)
	if version != schemaVersion && version != schemaUnsealed {
		return 0, 0, fmt.Errorf("%w: it has schema %d, this program knows %d; use the version that wrote it, or another state folder (--state DIR)",
			ErrSchema, version, schemaVersion)
	}
	err = records.ForEach(func(k, v []byte) error {
		sum += sumOf(k, v)
		_, err := check(k, v)
		return err
	})
	if err != nil || version == schemaUnsealed {
		return revision, sum, err
	}
	if t, _ := number(transactionKey); t != uint64(tx.ID()) {
		return 0, 0, fmt.Errorf("%w: it is of transaction %d, and its root of %d", ErrDamaged, tx.ID(), t)
	}
	if s, _ := number(sumKey); s != sum {
		return 0, 0, fmt.Errorf("%w: the sum of its records is wrong", ErrDamaged)
	}
	return revision, sum, nil
}

// keepCopy adds to an error about a damaged file where a copy of it is. The
// copy is named after its content: a daemon that is started again and again makes
// one.
func keepCopy(path string, data []byte, damage error) error {
	const remedy = "there is no good copy of it: put a backup in its place, or remove it to begin anew " +
		"(what was applied is gone then; addresses, zones and port numbers will be chosen anew)"
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

// revisionOf returns the store's revision, of a file that was verified.
func revisionOf(tx *bbolt.Tx) uint64 {
	return binary.BigEndian.Uint64(tx.Bucket([]byte(metaBucket)).Get([]byte(revisionKey)))
}
