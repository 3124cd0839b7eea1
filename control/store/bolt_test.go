package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

func TestRecordsSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b, err := OpenBolt(path)
	require.NoError(t, err)
	_, err = b.Save(set("a", "1"), set("b", "2"))
	require.NoError(t, err)
	_, err = b.Save(set("a", "3"))
	require.NoError(t, err)
	require.NoError(t, b.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "it holds secrets")

	b, err = OpenBolt(path)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // a test's
	records, revision, err := b.Load("")
	require.NoError(t, err)
	require.Equal(t, "a=3@2 b=2@1", list(records))
	require.EqualValues(t, 2, revision)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left of making it")
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b, err := OpenBolt(path)
	require.NoError(t, err)
	_, err = OpenBolt(path)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "fuser -v "+path)
	require.NoError(t, b.Close())
	b, err = OpenBolt(path)
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		why  string
		make func(t *testing.T, path string)
		is   error
		want string
	}{
		{
			"a file of something else", func(t *testing.T, path string) {
				require.NoError(t, os.WriteFile(path, []byte("hello\n"), 0o600))
			}, ErrDamaged, "put a backup in its place, or remove it",
		},
		{
			"a bbolt file of something else", func(t *testing.T, path string) {
				db, err := bbolt.Open(path, 0o600, nil)
				require.NoError(t, err)
				require.NoError(t, db.Close())
			}, ErrDamaged, "it is no state file of Sluice",
		},
		{
			"a version to come", func(t *testing.T, path string) {
				b, err := OpenBolt(path)
				require.NoError(t, err)
				require.NoError(t, b.db.Update(func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte(metaBucket)).Put([]byte(schemaKey), binary.BigEndian.AppendUint32(nil, schemaVersion+1))
				}))
				require.NoError(t, b.Close())
			}, ErrSchema, "use the version that wrote it",
		},
		{
			"a record that has changed on the disk", func(t *testing.T, path string) {
				b, err := OpenBolt(path)
				require.NoError(t, err)
				require.NoError(t, b.db.Update(func(tx *bbolt.Tx) error {
					framed := encode([]byte("a"), []byte("value"), 3)
					framed[len(framed)-1] ^= 1
					return tx.Bucket([]byte(recordsBucket)).Put([]byte("a"), framed)
				}))
				require.NoError(t, b.Close())
			}, ErrDamaged, "its checksum is wrong",
		},
		{
			"a file that was cut short", func(t *testing.T, path string) {
				b, err := OpenBolt(path)
				require.NoError(t, err)
				_, err = b.Save(set("a", string(make([]byte, 1<<20))))
				require.NoError(t, err)
				require.NoError(t, b.Close())
				require.NoError(t, os.Truncate(path, 64<<10))
			}, ErrDamaged, "a copy is in",
		},
		{
			"a folder", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
			nil, "is a directory",
		},
	} {
		path := filepath.Join(t.TempDir(), "state.db")
		tt.make(t, path)
		before, _ := os.ReadFile(path)
		for range 2 {
			_, err := OpenBolt(path)
			require.ErrorContains(t, err, tt.want, tt.why)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is, tt.why)
			}
		}
		copies, err := filepath.Glob(path + ".damaged-*")
		require.NoError(t, err)
		if tt.is != ErrDamaged {
			require.Empty(t, copies, tt.why)
			continue
		}
		require.Len(t, copies, 1, "%s: one copy, however often it is tried", tt.why)
		kept, err := os.ReadFile(copies[0])
		require.NoError(t, err)
		require.Equal(t, before, kept, tt.why)
	}
	_, err := OpenBolt(filepath.Join(t.TempDir(), "absent", "state.db"))
	require.ErrorContains(t, err, "make the folder first")
}

// TestDamage flips and overwrites bytes all over a file: what is opened is
// what was saved, or there is an error; the process lives in any case.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b, err := OpenBolt(path)
	require.NoError(t, err)
	for i := range 200 {
		_, err := b.Save(set(fmt.Sprintf("key/%03d", i%60), fmt.Sprintf("value %d %0*d", i, i*10, i)))
		require.NoError(t, err)
	}
	want, revision, err := b.Load("")
	require.NoError(t, err)
	require.NoError(t, b.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)

	random := rand.New(rand.NewPCG(1, 2))
	opened := 0
	for range 2000 {
		data := append([]byte{}, whole...)
		at := random.IntN(len(data))
		if random.IntN(2) == 0 {
			at = at / 4096 * 4096 // a page's header, where it hurts
			at += random.IntN(64)
		}
		for i := range 1 + random.IntN(8) {
			data[(at+i)%len(data)] = byte(random.Uint32())
		}
		require.NoError(t, os.WriteFile(path, data, 0o600))
		b, err := open(path)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged, "byte %d", at)
			continue
		}
		opened++
		got, r, err := b.Load("")
		require.NoError(t, err)
		if r == revision {
			require.Equal(t, want, got, "byte %d", at)
		} // else the newer meta page was hit: the transaction before is in force
		require.NoError(t, b.Close())
	}
	require.NotZero(t, opened, "some damage hits pages that are free")
	require.Less(t, opened, 2000)
}
