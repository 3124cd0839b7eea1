package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// begin makes a store with a number of transactions: key/I = value I, and last = I.
func begin(t testing.TB, path string, transactions int) *Bolt {
	t.Helper()
	b, err := OpenBolt(path)
	require.NoError(t, err)
	more(t, b, 1, transactions)
	return b
}

func more(t testing.TB, b *Bolt, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		_, err := b.Save(set(fmt.Sprintf("key/%03d", i), fmt.Sprintf("value %0200d", i)), set("last", fmt.Sprint(i)))
		require.NoError(t, err)
	}
}

func last(t testing.TB, b *Bolt) string {
	t.Helper()
	records, _, err := b.Load("last")
	require.NoError(t, err)
	require.Len(t, records, 1)
	return string(records[0].Value)
}

func overwrite(t testing.TB, path string, at int64, data ...byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(data, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// ruin damages all that a file holds but its beginning, so that bbolt would still take it.
func ruin(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	overwrite(t, path, 8192, make([]byte, info.Size()-8192)...)
}

func TestRecovery(t *testing.T) {
	for _, tt := range []struct {
		why    string
		damage func(t *testing.T, path string)
		last   string // what is there then
		lost   int
		kept   bool
		text   string
	}{
		{"a file that is lost", func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "20", -1, false, "file does not exist"},
		{"a file of nothing", func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }, "20", -1, true, "what was changed since then is lost"},
		{"a file whose beginning is good", ruin, "20", 20, true, "what was changed since then is lost, 20 transactions"},
		{"a file that was cut short", func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 5<<12)) }, "20", 20, true, "the copy"},
		{
			// Its last transaction wrote another page than the one before, which bbolt keeps.
			"a file whose last transaction was not written", func(t *testing.T, path string) {
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				m, _, err := lastMeta(data)
				require.NoError(t, err)
				overwrite(t, path, int64(m.root*m.size), make([]byte, m.size)...)
			}, "39", 1, true, "its last transaction is lost, and what was before is in force",
		},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "state.db")
		b := begin(t, path, 20)
		require.Nil(t, b.Recovered(), tt.why)
		require.NoError(t, b.Backup())
		more(t, b, 21, 40)
		require.NoError(t, b.Close())
		tt.damage(t, path)
		damaged, _ := os.ReadFile(path)

		b, err := OpenBolt(path)
		require.NoError(t, err, tt.why)
		r := b.Recovered()
		require.NotNil(t, r, tt.why)
		require.Equal(t, tt.last, last(t, b), tt.why)
		require.EqualValues(t, tt.last, fmt.Sprint(r.Revision), tt.why)
		require.Equal(t, tt.lost, r.Lost, tt.why)
		require.Contains(t, r.String(), tt.text, tt.why)
		require.Equal(t, tt.kept, r.Kept != "", tt.why)
		if tt.kept {
			require.ErrorIs(t, r.Damage, ErrDamaged, tt.why)
			kept, err := os.ReadFile(r.Kept)
			require.NoError(t, err)
			require.Equal(t, damaged, kept, "%s: for whoever wants to look at it", tt.why)
			require.Contains(t, r.String(), "it is kept as "+r.Kept)
		}
		if r.From != "" {
			require.WithinDuration(t, time.Now(), r.Made, time.Hour)
		}
		more(t, b, 100, 110)
		require.NoError(t, b.Close())
		b, err = OpenBolt(path)
		require.NoError(t, err)
		require.Nil(t, b.Recovered(), "%s: it is in order now", tt.why)
		require.Equal(t, "110", last(t, b))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		require.NoError(t, b.Close())
		for _, litter := range []string{"*.new", "*.previous*"} {
			left, err := filepath.Glob(filepath.Join(dir, litter))
			require.NoError(t, err)
			require.Empty(t, left, tt.why)
		}
	}
}

func TestDamagedCopyIsOfNoUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := begin(t, path, 20)
	require.NoError(t, b.Backup())
	require.NoError(t, b.Close())
	ruin(t, path)
	ruin(t, path+goodSuffix)
	for range 2 {
		_, err := OpenBolt(path)
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, "its copy is of no use either")
		require.ErrorContains(t, err, "put a backup in its place")
	}
	require.NoError(t, os.Remove(path))
	_, err := OpenBolt(path)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "remove the copy to begin anew")
	require.NoFileExists(t, path)
	require.NoError(t, os.Remove(path+goodSuffix))
	b, err = OpenBolt(path)
	require.NoError(t, err)
	require.Nil(t, b.Recovered())
	require.NoError(t, b.Close())
}

func TestBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := begin(t, path, 5)
	require.NoError(t, b.Backup())
	first, err := os.Stat(path + goodSuffix)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), first.Mode())
	require.NoError(t, b.Backup())
	again, err := os.Stat(path + goodSuffix)
	require.NoError(t, err)
	require.True(t, os.SameFile(first, again), "nothing has changed, so nothing is done")

	// While others save and read.
	var wg sync.WaitGroup
	wg.Go(func() { more(t, b, 6, 60) })
	for range 20 {
		require.NoError(t, b.Backup())
		_, err := inspect(path + goodSuffix)
		require.NoError(t, err)
	}
	wg.Wait()
	require.NoError(t, b.Backup())
	is, err := inspect(path + goodSuffix)
	require.NoError(t, err)
	require.EqualValues(t, 60, is.revision)

	require.NoError(t, os.Mkdir(path+goodSuffix+newSuffix, 0o700))
	more(t, b, 61, 61)
	require.ErrorContains(t, b.Backup(), "back up "+path)
	is, err = inspect(path + goodSuffix)
	require.NoError(t, err)
	require.EqualValues(t, 60, is.revision, "the last copy stays when the next can't be made")
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Backup(), ErrClosed)
}

func TestOldSchemaIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := begin(t, path, 3)
	require.NoError(t, b.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(metaBucket))
		for _, key := range []string{transactionKey, sumKey} {
			require.NoError(t, meta.Delete([]byte(key)))
		}
		return meta.Put([]byte(schemaKey), []byte{0, 0, 0, schemaUnsealed})
	}))
	require.NoError(t, b.Close())
	b, err := OpenBolt(path)
	require.NoError(t, err)
	require.Equal(t, "3", last(t, b))
	more(t, b, 4, 4)
	require.NoError(t, b.db.View(func(tx *bbolt.Tx) error {
		require.Equal(t, []byte{0, 0, 0, schemaVersion}, tx.Bucket([]byte(metaBucket)).Get([]byte(schemaKey)))
		return nil
	}))
	require.NoError(t, b.Close())
	b, err = OpenBolt(path)
	require.NoError(t, err)
	require.Nil(t, b.Recovered())
	require.Equal(t, "4", last(t, b))
	require.NoError(t, b.Close())
}

func TestAbandonedFilesAreRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	old, young := path+newSuffix+"-1", path+newSuffix+"-2"
	for _, name := range []string{old, young} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.NoError(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*abandoned)))
	b := begin(t, path, 1)
	require.NoError(t, b.Close())
	require.NoFileExists(t, old)
	require.FileExists(t, young, "somebody may be making it now")
}
