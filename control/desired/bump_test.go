package desired

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/store"
)

// After a bump nobody takes a number of before for one of after.
func TestBump(t *testing.T) {
	m := store.NewMemory()
	f := newForge(t, m)
	commit(t, f.db, 5)
	watch := func(after uint64) (revisions []uint64, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for x, err := range f.db.Watch(ctx, after) {
			if err != nil {
				return nil, err
			}
			revisions = append(revisions, x.Revision)
			if x.Empty() {
				return revisions, nil
			}
		}
		return revisions, nil
	}
	was := f.db.Set()
	require.NoError(t, f.db.Bump(100))
	require.EqualValues(t, 105, f.db.Set().Revision())
	require.Equal(t, was.Objects(), f.db.Set().Objects(), "the objects are the same")
	commit(t, f.db, 107)

	again, err := Open(m)
	require.NoError(t, err)
	require.EqualValues(t, 107, again.Set().Revision(), "it is on the disk")
	f.db = again
	for _, old := range []uint64{3, 5, 6, 104} {
		_, err := watch(old)
		require.ErrorIs(t, err, api.ErrGone, "%d", old)
		_, err = f.db.At(old)
		require.Error(t, err, "%d", old)
	}
	revisions, err := watch(105)
	require.NoError(t, err)
	require.Equal(t, []uint64{106, 107, 107}, revisions, "two changes, and that all is told")
	history, err := f.db.History(&api.HistoryFilter{})
	require.NoError(t, err)
	require.Len(t, history, 2)
}
