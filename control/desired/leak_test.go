package desired

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/control/store/storetest"
)

// commit makes changes from one revision to another, of 20 objects that come and go.
func commit(t *testing.T, db *DB, until uint64) {
	t.Helper()
	for n := db.Set().Revision(); n < until; n++ {
		name := fmt.Sprintf("s%d", n%20)
		r := &Request{Verb: api.VerbApply, At: time.Unix(int64(n), 0)}
		if _, there := db.Set().Get(key("Segment", "", name)); there {
			r.Verb, r.Delete = api.VerbDelete, append(r.Delete, key("Segment", "", name))
		} else {
			r.Objects = decoded("-", fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s, labels: {n: '%d'}}}", name, n))
		}
		txn, err := db.Plan(db.Set(), r)
		require.NoError(t, err)
		p, err := db.Prepare([]*Transaction{txn}, fmt.Sprint(n), allocate(db.Set().With(txn), db.Allocations()))
		require.NoError(t, err)
		p.Done()
	}
}

// TestNothingIsLeftOfManyChanges: what was, beyond what is kept of it, takes no memory.
func TestNothingIsLeftOfManyChanges(t *testing.T) {
	const warm = 2000 // more than what is kept of all kinds
	changes := uint64(100_000)
	if testing.Short() {
		changes = 2 * warm
	}
	m := store.NewMemory()
	db, err := OpenKeeping(m, Retention{Revisions: 1000})
	require.NoError(t, err)
	size := func() (heap uint64, goroutines, records int) {
		for range 3 {
			runtime.GC()
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc, runtime.NumGoroutine(), len(dump(t, m))
	}
	commit(t, db, warm)
	heap, goroutines, records := size()
	commit(t, db, changes)
	heapThen, goroutinesThen, recordsThen := size()
	t.Logf("heap %d KiB, then %d KiB; records %d, then %d", heap>>10, heapThen>>10, records, recordsThen)
	require.Less(t, heapThen, heap*5/4+1<<20)
	require.Equal(t, goroutines, goroutinesThen)
	require.InDelta(t, records, recordsThen, 20)
	runtime.KeepAlive(db)
}

// TestFileStaysSmall: pages of what was pruned are used again.
func TestFileStaysSmall(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 3
	}
	path := filepath.Join(storetest.MemoryDir(t), "state.db")
	b, err := store.OpenBolt(path)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // a test's
	db, err := OpenKeeping(b, Retention{Revisions: 100})
	require.NoError(t, err)
	var sizes []int64
	for i := range rounds {
		commit(t, db, uint64(i+1)*600)
		info, err := os.Stat(path)
		require.NoError(t, err)
		sizes = append(sizes, info.Size())
	}
	t.Log(sizes)
	require.LessOrEqual(t, sizes[rounds-1], sizes[0]*3/2)
}
