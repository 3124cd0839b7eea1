package desired

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/control/store/storetest"
)

// forge drives a DB as the daemon does: it plans, allocates, prepares and is done.
type forge struct {
	t  *testing.T
	db *DB
	at time.Time

	diffs bool // asked for
}

func newForge(t *testing.T, s store.Store) *forge {
	t.Helper()
	db, err := Open(s)
	require.NoError(t, err)
	return &forge{t: t, db: db, at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

func objects(t testing.TB, file, text string) []*control.Object {
	t.Helper()
	list, faults := control.Decode(file, []byte(text), control.Options{})
	require.Empty(t, faults)
	return list
}

// segment is a Segment of that VLAN as YAML.
func segment(name string, vlan int) string {
	return fmt.Sprintf("---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: %s}\nspec: {vlan: %d}\n", name, vlan)
}

// pod is a Pod with a label.
func pod(namespace, name, app string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {app: %s}}\n", name, namespace, app)
}

func key(kind, namespace, name string) control.Key {
	return control.Key{Kind: kind, Namespace: namespace, Name: name}
}

// do makes one change, each a second after the one before.
func (f *forge) do(r *Request) (*api.ChangeResult, error) {
	f.t.Helper()
	f.at = f.at.Add(time.Second)
	r.At = f.at
	txn, err := f.db.Plan(f.db.Set(), r)
	if err != nil {
		return nil, err
	}
	a := allocate(f.db.Set().With(txn), f.db.Allocations())
	p, err := f.db.Prepare([]*Transaction{txn}, fmt.Sprintf("digest-%d", txn.Revision), a)
	if err != nil {
		return nil, err
	}
	p.Done()
	return txn.Result(), nil
}

func (f *forge) must(r *Request) *api.ChangeResult {
	f.t.Helper()
	result, err := f.do(r)
	require.NoError(f.t, err)
	return result
}

func (f *forge) apply(text string) *api.ChangeResult {
	f.t.Helper()
	return f.must(&Request{Verb: api.VerbApply, Objects: objects(f.t, "-", text), Diff: f.diffs})
}

// files makes the files be what they are given as: name, text, name, text, …
func (f *forge) files(texts ...string) (*api.ChangeResult, error) {
	f.t.Helper()
	var all []*control.Object
	for i := 0; i < len(texts); i += 2 {
		all = append(all, objects(f.t, texts[i], texts[i+1])...)
	}
	return f.do(&Request{Verb: api.VerbFiles, Objects: all, Author: api.Author{Via: "files"}})
}

func (f *forge) delete(keys ...control.Key) (*api.ChangeResult, error) {
	f.t.Helper()
	return f.do(&Request{Verb: api.VerbDelete, Delete: keys})
}

// allocate numbers the objects as control.Compile would: who had a number keeps it.
func allocate(s *Set, before *control.Allocations) *control.Allocations {
	a := &control.Allocations{Numbers: map[string]uint16{}, Zones: map[string]uint32{}, LastZone: before.LastZone}
	for e := range s.All() {
		name := e.Object.Key().String()
		if a.Zones[name] = before.Zones[name]; a.Zones[name] == 0 {
			a.LastZone++
			a.Zones[name] = a.LastZone
		}
	}
	return a
}

// outcomes writes a result as lines "Segment web created".
func outcomes(r *api.ChangeResult) string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%v %s\n", keyOf(c.ObjectRef), c.Action)
		for _, w := range c.Warnings {
			fmt.Fprintf(&b, "  %s\n", w)
		}
	}
	return b.String()
}

// tell writes a set as lines "Segment web @1 a.yaml".
func tell(s *Set) string {
	var b strings.Builder
	for e := range s.All() {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(fmt.Sprintf("%v @%d %s", e.Object.Key(), e.Revision, e.File)))
	}
	return b.String()
}

// stores runs a test with each kind of store. reopen returns the store as the next process sees it.
func stores(t *testing.T, test func(t *testing.T, reopen func() store.Store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		m := store.NewMemory()
		test(t, func() store.Store { return m })
	})
	t.Run("bolt", func(t *testing.T) {
		path := filepath.Join(storetest.MemoryDir(t), "state.db")
		var last *store.Bolt
		t.Cleanup(func() { require.NoError(t, last.Close()) })
		test(t, func() store.Store {
			if last != nil {
				require.NoError(t, last.Close())
			}
			var err error
			last, err = store.OpenBolt(path)
			require.NoError(t, err)
			return last
		})
	})
}
