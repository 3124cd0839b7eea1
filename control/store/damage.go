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
// before the state is in use. It returns the store's revision.
func verify(tx *bbolt.Tx) (revision uint64, err error) {
	meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
	if meta == nil || records == nil {
		return 0, fmt.Errorf("%w: it is no state file of Sluice", ErrDamaged)
	}
	schema, number := meta.Get([]byte(schemaKey)), meta.Get([]byte(revisionKey))
	if len(schema) != 4 || len(number) != 8 {
		return 0, fmt.Errorf("%w: it does not say its version", ErrDamaged)
	}
	if version := binary.BigEndian.Uint32(schema); version != schemaVersion {
		return 0, fmt.Errorf("%w: it has schema %d, this program knows %d; use the version that wrote it, or another state folder (--state DIR)",
			ErrSchema, version, schemaVersion)
	}
	err = records.ForEach(func(k, v []byte) error {
		_, err := decode(k, v)
		return err
	})
	return binary.BigEndian.Uint64(number), err
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
