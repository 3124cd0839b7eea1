package desired

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// FuzzRecords: whatever records hold, reading them ends with what they mean, or an error that says that
// they are damaged or that this version refuses the object; nothing panics. What was read can be
// written and is the same then.
func FuzzRecords(f *testing.F) {
	m := store.NewMemory()
	db, err := Open(m)
	require.NoError(f, err)
	text := segment("web", 5) + pod("web", "a", "x")
	for i := range 3 {
		txn, err := db.Plan(db.Set(), &Request{Verb: api.VerbApply, Objects: decoded("-", text), At: time.Unix(1, 0), Message: "why"})
		require.NoError(f, err)
		p, err := db.Prepare([]*Transaction{txn}, "digest", allocate(db.Set().With(txn), db.Allocations()))
		require.NoError(f, err)
		p.Done()
		text = segment("web", 6+i)
	}
	records, _, err := m.Load("")
	require.NoError(f, err)
	for _, r := range records {
		f.Add(r.Key, r.Value)
	}
	f.Add(freedPrefix+"fd00::1/12/web/a", []byte{})
	f.Add(subnetsPrefix+"web", []byte("10.0.0.0/8,fd00::/64"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if key == "" || len(key) > store.MaxKey {
			return
		}
		s := store.NewMemory()
		_, err := s.Save(store.Change{Key: key, Value: value, Was: store.Any})
		require.NoError(t, err)
		db, err := Open(s)
		if err != nil {
			require.True(t, errors.Is(err, store.ErrDamaged) || errors.Is(err, errRefused), "%v", err)
			return
		}
		for e := range db.Set().All() {
			again, err := recordOf(e).entry(e.Object.Key())
			require.NoError(t, err)
			require.Equal(t, string(e.JSON()), string(again.JSON()))
		}
		b := batch{}
		b.allocations(&control.Allocations{}, db.Allocations())
		var written []store.Record
		for key, value := range b {
			written = append(written, store.Record{Key: key, Value: value})
		}
		again, err := decodeAllocations(written)
		require.NoError(t, err)
		c := batch{}
		c.allocations(again, db.Allocations())
		require.Empty(t, c, "what is written is what was read")
	})
}

// FuzzBody is FuzzRecords of what changed in a revision.
func FuzzBody(f *testing.F) {
	for _, t := range []*Transaction{
		{},
		{Changes: []Change{{Key: key("Segment", "", "web"), After: entryOf(f, segment("web", 5))}}},
		{Changes: []Change{{
			Key: key("Pod", "web", "a"), Before: entryOf(f, pod("web", "a", "x")), After: entryOf(f, pod("web", "a", noise(1, 40))),
		}}},
	} {
		body, err := new(packer).encode(t)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		records, err := decodeBody(body)
		if err != nil {
			return
		}
		txn := &Transaction{Request: &Request{}}
		for i := range records {
			c := records[i].shown()
			_ = records[i].view()
			_ = c.diff(salt{})
			_ = c.Action()
			txn.Changes = append(txn.Changes, c)
			_, _ = records[i].Before.entry(c.Key) // may be refused
		}
		if _, err := new(packer).encode(txn); err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
	})
}

func entryOf(t testing.TB, text string) Entry {
	t.Helper()
	e, err := newEntry(decoded("-", text)[0])
	require.NoError(t, err)
	return e
}
