package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/control/vips"
)

func TestHistory(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		uid := 0
		f.apply(segment("web", 5) + segment("db", 6))
		f.must(&Request{
			Verb: api.VerbApply, Objects: objects(t, "-", segment("web", 7)), Message: "more room",
			Author: api.Author{Via: "unix", UID: &uid, PID: 4711, Name: "root"},
		})
		_, err := f.delete(key("Segment", "", "db"))
		require.NoError(t, err)
		f.must(&Request{Verb: api.VerbRollback, Target: 1})
		for _, when := range []string{"in one process", "in the next"} {
			list, err := f.db.History(&api.HistoryFilter{})
			require.NoError(t, err, when)
			want := []api.RevisionView{
				{Revision: 4, Verb: api.VerbRollback, Target: 1, Created: 1, Configured: 1},
				{Revision: 3, Verb: api.VerbDelete, Deleted: 1},
				{
					Revision: 2, Verb: api.VerbApply, Message: "more room", Configured: 1,
					Author: api.Author{Via: "unix", UID: &uid, PID: 4711, Name: "root"},
				},
				{Revision: 1, Verb: api.VerbApply, Created: 2},
			}
			for i := range want {
				want[i].Time = f.at.Add(time.Duration(-i) * time.Second)
			}
			require.Equal(t, want, list, when)

			list, err = f.db.History(&api.HistoryFilter{Before: 4, Limit: 2})
			require.NoError(t, err)
			require.Len(t, list, 2)
			require.EqualValues(t, 3, list[0].Revision)
			list, err = f.db.History(&api.HistoryFilter{Object: api.ObjectRef{Kind: "Segment", Name: "db"}})
			require.NoError(t, err)
			require.Len(t, list, 3)
			require.EqualValues(t, 3, list[1].Revision)
			require.Equal(t, []api.ObjectChange{{
				ObjectRef: api.ObjectRef{APIVersion: "sluice.dev/v1", Kind: "Segment", Name: "db"}, Action: api.ActionDeleted,
			}}, list[1].Changes, "what happened to it, and to nothing else")

			one, err := f.db.Revision(4)
			require.NoError(t, err)
			require.Len(t, one.Changes, 2)
			require.Equal(t, api.ActionCreated, one.Changes[0].Action)
			require.Contains(t, one.Changes[0].Diff, "+++ after/Segment db\n")
			require.Contains(t, one.Changes[1].Diff, "-  vlan: 7\n+  vlan: 5\n")
			_, err = f.db.Revision(5)
			require.ErrorIs(t, err, api.ErrNotFound)
			_, err = f.db.Revision(0)
			require.ErrorIs(t, err, api.ErrGone)
			f.db, err = Open(reopen())
			require.NoError(t, err)
		}
	})
}

func TestRetention(t *testing.T) {
	for _, tt := range []struct {
		why       string
		retention Retention
		size      int // of an object
		want      int // revisions that are left
	}{
		{"a number of revisions, and the one that was added last", Retention{Revisions: 20}, 10, 21},
		{"never fewer than a few", Retention{Revisions: 1}, 10, MinRevisions + 1},
		{"a number of bytes", Retention{Bytes: 210 << 10}, 8 << 10, 26},
		{"never fewer than a few, however large", Retention{Bytes: 1}, 8 << 10, MinRevisions + 1},
	} {
		s := store.NewMemory()
		f := newForge(t, s)
		var err error
		f.db, err = OpenKeeping(s, tt.retention)
		require.NoError(t, err)
		for i := range 60 {
			f.apply(fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: web, annotations: {a: '%d%s'}}}", i, noise(i, tt.size)))
		}
		check := func() {
			list, err := f.db.History(&api.HistoryFilter{})
			require.NoError(t, err)
			require.InDelta(t, tt.want, len(list), 2, tt.why)
			first := list[len(list)-1].Revision
			_, err = f.db.At(first - 1)
			require.NoError(t, err, "what was before the oldest change is known from it")
			_, err = f.db.At(first - 2)
			require.ErrorIs(t, err, api.ErrGone)
			require.ErrorContains(t, err, fmt.Sprintf("the history begins with revision %d", first))
			_, err = f.db.Plan(f.db.Set(), &Request{Verb: api.VerbRollback, Target: first - 2})
			require.ErrorIs(t, err, api.ErrGone)
			_, err = f.db.Revision(first - 1)
			require.ErrorIs(t, err, api.ErrGone)
			for _, err = range f.db.Watch(t.Context(), first-2) {
				break
			}
			require.ErrorIs(t, err, api.ErrGone)
		}
		check()
		records, _, err := s.Load("history/")
		require.NoError(t, err)
		kept := map[string]bool{}
		for _, r := range records {
			kept[strings.Split(r.Key, "/")[2]] = true
		}
		require.InDelta(t, tt.want, len(kept), 2, "%s: nothing else is in the store", tt.why)
		f.db, err = Open(s)
		require.NoError(t, err)
		check()
	}
}

// noise is text that can't be compressed much.
func noise(seed, size int) string {
	var b strings.Builder
	x := uint64(seed)*0x9E3779B97F4A7C15 + 1
	for b.Len() < size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()
}

func TestWatch(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		f.apply(segment("web", 1))
		f.apply(segment("web", 2) + segment("db", 1))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		watch := func(after uint64, until int) (seen []string) {
			for txn, err := range f.db.Watch(ctx, after) {
				require.NoError(t, err)
				line := fmt.Sprint(txn.Revision)
				for i := range txn.Changes {
					c := &txn.Changes[i]
					line += fmt.Sprintf(" %v %s", c.Key, c.Action())
					if c.After.Object != nil {
						now, _ := f.db.Set().Get(c.Key)
						require.NotNil(t, now.Object)
						require.Equal(t, txn.Revision, c.After.Revision)
					}
				}
				seen = append(seen, line)
				if len(seen) == until {
					break
				}
				if txn.Empty() {
					f.apply(segment("web", 3)) // while it waits
				}
			}
			return seen
		}
		require.Equal(t, []string{"1 Segment web created", "2 Segment web configured Segment db created", "2", "3 Segment web configured"}, watch(0, 4),
			"an empty one tells that all before it is known")
		var err error
		f.db, err = Open(reopen())
		require.NoError(t, err)
		require.Equal(t, []string{"2 Segment web configured Segment db created", "3 Segment web configured", "3"}, watch(1, 3),
			"the next process goes on where the one before was")
		require.Equal(t, []string{"3"}, watch(3, 1))
		for _, err = range f.db.Watch(ctx, 4) {
			break
		}
		require.ErrorIs(t, err, api.ErrGone, "a revision that has not been: the state is another's")
		cancel()
		require.Empty(t, watch(0, 1), "its context is done")
	})
}

func TestPendingIsNotSeen(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		s := reopen()
		f := newForge(t, s)
		f.apply(segment("web", 1) + segment("db", 1))
		before := f.db.Set()
		state := dump(t, s)
		plan := func(text string, on *Set) *Transaction {
			txn, err := f.db.Plan(on, &Request{Verb: api.VerbApply, Objects: objects(t, "-", text)})
			require.NoError(t, err)
			return txn
		}
		one := plan(segment("web", 2)+segment("new", 1), before)
		two := plan(segment("web", 3), before.With(one))
		a := allocate(before.With(one), f.db.Allocations())
		p, err := f.db.Prepare([]*Transaction{one, two}, "other", a)
		require.NoError(t, err)
		require.NotEqual(t, state, dump(t, s))
		require.Same(t, before, f.db.Set())
		require.Equal(t, "digest-1", f.db.Digest())
		_, err = f.db.Prepare(nil, "", a)
		require.ErrorIs(t, err, errPending)
		require.NoError(t, p.Undo())
		require.Equal(t, state, dump(t, s), "nothing of it is left")
		require.NoError(t, p.Undo(), "there is nothing to undo any more")
		p.Done()
		require.Same(t, before, f.db.Set(), "what is undone can't be done")

		_, err = f.db.Prepare([]*Transaction{two}, "other", a)
		require.ErrorContains(t, err, "revision 3 can't follow revision 1")
		p, err = f.db.Prepare([]*Transaction{one, two}, "other", a)
		require.NoError(t, err)
		p.Done()
		require.NoError(t, p.Undo(), "what is done can't be undone")
		require.Equal(t, "Segment db @1\nSegment new @2\nSegment web @3\n", tell(f.db.Set()))
		require.EqualValues(t, 3, f.db.Set().Revision())
		list, err := f.db.History(&api.HistoryFilter{})
		require.NoError(t, err)
		require.Len(t, list, 3)
		f.db, err = Open(reopen())
		require.NoError(t, err)
		require.Equal(t, "Segment db @1\nSegment new @2\nSegment web @3\n", tell(f.db.Set()))
		require.Equal(t, "other", f.db.Digest())
	})
}

// dump returns all that a store holds, without the store's own revisions.
func dump(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	records, _, err := s.Load("")
	require.NoError(t, err)
	all := map[string]string{}
	for _, r := range records {
		all[r.Key] = string(r.Value)
	}
	return all
}

// failing is a store that refuses to save while it is told to.
type failing struct {
	store.Store
	err error
}

func (f *failing) Save(changes ...store.Change) (uint64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Store.Save(changes...)
}

func TestUndoThatFailsIsMadeGood(t *testing.T) {
	m := store.NewMemory()
	s := &failing{Store: m}
	f := newForge(t, s)
	f.apply(segment("web", 1) + segment("db", 1))
	full := errors.New("no space left on device")
	s.err = full
	_, err := f.do(&Request{Verb: api.VerbApply, Objects: objects(t, "-", segment("x", 1))})
	require.ErrorIs(t, err, full)
	s.err = nil
	txn, err := f.db.Plan(f.db.Set(), &Request{Verb: api.VerbApply, Objects: objects(t, "-", segment("web", 2)+segment("x", 1))})
	require.NoError(t, err)
	p, err := f.db.Prepare([]*Transaction{txn}, "d", allocate(f.db.Set().With(txn), f.db.Allocations()))
	require.NoError(t, err)
	s.err = full
	require.ErrorIs(t, p.Undo(), full)
	s.err = nil
	f.apply(segment("db", 2))
	again, err := Open(m)
	require.NoError(t, err)
	require.Equal(t, "Segment db @2\nSegment web @1\n", tell(again.Set()))
	require.Equal(t, tell(f.db.Set()), tell(again.Set()))
	require.Equal(t, f.db.Allocations().Zones, again.Allocations().Zones)
}

// TestOldState opens what a version wrote that kept allocations in one record and no objects.
func TestOldState(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		old := control.Allocations{
			Zones: map[string]uint32{"segment/web": 3}, LastZone: 9,
			Routers:   map[string]uint32{"default": 1},
			Numbers:   map[string]uint16{"web/a": 1},
			Rules:     map[string]ruleset.RuleIDs{"SecurityPolicy/web/a": {{Name: "in/\"b\"", ID: 1000}, {Name: "rules[1]", ID: 1003}}},
			Subnets:   map[string][]netip.Prefix{"web": {netip.MustParsePrefix("10.244.3.0/24"), netip.MustParsePrefix("fd00::/64")}},
			Addresses: map[string][]netip.Addr{"web/a": {netip.MustParseAddr("10.244.3.5")}},
			Freed: []control.Freed{
				{Address: netip.MustParseAddr("10.244.3.6"), Port: "web/b", At: 12},
				{Address: netip.MustParseAddr("fd00::6"), Port: "c", At: -1},
			},
			VIPs: &vips.Allocations{
				Held: map[string]*vips.Held{"Service/web/a": {
					Addresses: []vips.HeldAddress{{Use: vips.Virtual, Address: netip.MustParseAddr("192.0.2.1"), Pool: "p", Terms: "1f"}},
					NodePorts: []vips.HeldPort{{Protocol: 6, Port: 80, Number: 30086, Scope: 1}},
				}},
				Freed: []vips.Freed{
					{Address: netip.MustParseAddr("192.0.2.2"), Owner: "Service/web/b", At: 13},
					{Address: netip.MustParseAddr("fd00::7"), Owner: "VirtualServer//c", At: 14},
				},
			},
		}
		save := func(s store.Store, revision int) {
			allocations, err := json.Marshal(old)
			require.NoError(t, err)
			_, err = s.Save(
				store.Change{Key: configurationKey, Value: fmt.Appendf(nil, `{"revision":%d,"digest":"0123456789abcdef"}`, revision), Was: store.Any},
				store.Change{Key: allocationsInOneKey, Value: allocations, Was: store.Any},
			)
			require.NoError(t, err)
		}
		s := reopen()
		save(s, 7)
		db, err := Open(s)
		require.NoError(t, err)
		require.EqualValues(t, 7, db.Set().Revision())
		require.Equal(t, "0123456789abcdef", db.Digest())
		require.Equal(t, &old, db.Allocations())
		_, err = db.At(6)
		require.ErrorIs(t, err, api.ErrGone)
		require.ErrorContains(t, err, "the history is empty")

		txn, err := db.Plan(db.Set(), &Request{Verb: api.VerbFiles, Objects: objects(t, "a.yaml", segment("web", 3))})
		require.NoError(t, err)
		require.EqualValues(t, 8, txn.Revision)
		p, err := db.Prepare([]*Transaction{txn}, "new", db.Allocations())
		require.NoError(t, err)
		p.Done()
		_, there := dump(t, s)[allocationsInOneKey]
		require.False(t, there)
		db, err = Open(reopen())
		require.NoError(t, err)
		require.EqualValues(t, 8, db.Set().Revision())
		require.Equal(t, &old, db.Allocations())
		before, err := db.At(7)
		require.NoError(t, err)
		require.Zero(t, before.Len())

		// That version runs again, and knows neither objects nor history.
		s = reopen()
		old.LastZone = 77
		save(s, 12)
		db, err = Open(s)
		require.NoError(t, err)
		require.EqualValues(t, 12, db.Set().Revision())
		require.Equal(t, &old, db.Allocations())
		list, err := db.History(&api.HistoryFilter{})
		require.NoError(t, err)
		require.Empty(t, list, "what leads to revision 12 is not known")
		p, err = db.Prepare(nil, "same", db.Allocations())
		require.NoError(t, err)
		p.Done()
		require.NotContains(t, strings.Join(keys(dump(t, s)), " "), "history/", "it is of no use")
		db, err = Open(reopen())
		require.NoError(t, err)
		require.EqualValues(t, 77, db.Allocations().LastZone)
		require.Equal(t, "same", db.Digest())
	})
}

func keys(m map[string]string) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

func TestSecretsAreNotShown(t *testing.T) {
	secret := func(password, note string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: web, labels: {note: %s}}\nstringData: {password: %s, user: admin-of-it}\n", note, password)
	}
	f := newForge(t, store.NewMemory())
	f.diffs = true
	f.apply(secret("hunter2", "a"))
	r := f.apply(secret("hunter3", "a"))
	diff := r.Changes[0].Diff
	require.Contains(t, diff, "-  password: (digest ")
	require.Contains(t, diff, "+  password: (digest ")
	require.Contains(t, diff, "   user: (digest ", "what is the same is seen to be")
	view, err := f.db.Revision(2)
	require.NoError(t, err)
	require.Equal(t, diff, view.Changes[0].Diff)
	for _, text := range []string{"hunter", "admin-of-it"} {
		require.NotContains(t, diff, text)
	}
	other := newForge(t, store.NewMemory())
	other.diffs = true
	other.apply(secret("hunter2", "a"))
	require.NotEqual(t, diff, other.apply(secret("hunter3", "a")).Changes[0].Diff, "who sees a digest can't try what makes it")
}

func TestDamagedRecords(t *testing.T) {
	for _, tt := range []struct {
		why, key, value string
		is              error
		want            string
	}{
		{"an object that is no JSON", "object/Segment//web", "{", store.ErrDamaged, "object/Segment//web"},
		{"an object under another's key", "object/Segment//db", `{"object":{"apiVersion":"sluice.dev/v1","kind":"Segment","metadata":{"name":"web"}}}`, store.ErrDamaged, "is kept as Segment db"},
		{"a key that is none", "object/Segment", `{}`, store.ErrDamaged, "it is none of an object"},
		{
			"an object of a version to come", "object/Segment//web",
			`{"revision":3,"object":{"apiVersion":"sluice.dev/v1","kind":"Segment","metadata":{"name":"web"},"spec":{"colour":"red"}}}`,
			errRefused, "use the version that wrote it",
		},
		{"a number that is too large", "allocation/number/a", "70000", store.ErrDamaged, "allocation/number/a"},
		{"numbers of rules that are none", "allocation/rules/SecurityPolicy//a", "1000", store.ErrDamaged, "allocation/rules/SecurityPolicy//a"},
		{"an allocation of what there is not", "allocation/colour", "1", store.ErrDamaged, "no such allocation"},
		{"an address that is none", "allocation/addresses/a", "10.0.0", store.ErrDamaged, "allocation/addresses/a"},
		{"a subnet that is none", "allocation/subnets/a", "", store.ErrDamaged, "allocation/subnets/a"},
		{"a freed address without its time", "allocation/freed/10.0.0.1", "", store.ErrDamaged, "ADDRESS/AT/OWNER"},
		{"what a service has, that is none", "allocation/vips/Service/web/a", `{"addresses":[{"use":"vip","address":"10.0.0"}]}`, store.ErrDamaged, "allocation/vips/Service/web/a"},
		{"a service's freed address without its time", "allocation/freed-vips/10.0.0.1/a/Service/web/a", "", store.ErrDamaged, "allocation/freed-vips/10.0.0.1"},
		{"a head of another revision", "history/head/0000000000000003", `{"view":{"revision":4}}`, store.ErrDamaged, "not what its key says"},
		{"a configuration", "state/configuration", `[]`, store.ErrDamaged, "state/configuration"},
		{"allocations in one", "state/allocations", `[]`, store.ErrDamaged, "state/allocations"},
	} {
		m := store.NewMemory()
		_, err := m.Save(store.Change{Key: tt.key, Value: []byte(tt.value), Was: store.Any})
		require.NoError(t, err)
		_, err = Open(m)
		require.ErrorIs(t, err, tt.is, tt.why)
		require.ErrorContains(t, err, tt.want, tt.why)
	}
}

func TestDamagedHistory(t *testing.T) {
	for _, tt := range []struct {
		why   string
		key   string
		value []byte
		want  string
	}{
		{"a part that is missing", bodyKey(1, 1), nil, "a part before it is missing"},
		{"the last part is missing", bodyKey(1, 2), nil, "bytes of"},
		{"a body of a form to come", bodyKey(2, 0), []byte("\x07abcdef"), "it is of form 7"},
	} {
		m := store.NewMemory()
		f := newForge(t, m)
		f.apply(fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: web, annotations: {a: '%s'}}}", noise(1, 40<<10)))
		f.apply(segment("web", 1))
		if tt.value != nil {
			tt.value = append(tt.value, dump(t, m)[tt.key][len(tt.value):]...)
		}
		_, err := m.Save(store.Change{Key: tt.key, Value: tt.value, Was: store.Any})
		require.NoError(t, err)
		f.db, err = Open(m)
		require.NoError(t, err, "the state is good, and only what was before it is not")
		_, err = f.db.At(0)
		require.ErrorIs(t, err, store.ErrDamaged, tt.why)
		require.ErrorContains(t, err, tt.want, tt.why)
		f.apply(segment("web", 2))
	}
}

func TestSetOrder(t *testing.T) {
	f := newForge(t, store.NewMemory())
	f.apply(pod("b", "a", "x") + pod("a-b", "a", "x") + pod("a", "z", "x") + pod("a", "b", "x") + segment("b", 1) + segment("a.b", 2) + segment("a", 3))
	s := f.db.Set()
	list := s.Objects()
	require.Len(t, list, s.Len())
	for i := 1; i < len(list); i++ {
		require.Negative(t, list[i-1].Key().Compare(list[i].Key()))
	}
	count := func(seq func(func(Entry) bool)) (n int) {
		for range seq {
			n++
		}
		return n
	}
	require.Equal(t, 4, count(s.Kind("Pod")))
	require.Equal(t, 2, count(s.KindIn("Pod", "a")), "and not a-b")
	require.Equal(t, 3, count(s.KindIn("Segment", "")))
	require.Zero(t, count(s.Kind("Po")))
}

func TestPositionsOfTheStoreAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b, err := store.OpenBolt(path)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // a test's
	f := newForge(t, b)
	f.apply(segment("web", 5))
	db, err := Open(b)
	require.NoError(t, err)
	file, line, _ := db.Set().Objects()[0].Position("spec.vlan")
	require.Empty(t, file)
	require.Zero(t, line)
}
