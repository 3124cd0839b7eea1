package desired

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/control/store/storetest"
)

// thing is an object in the model: what a naive reader of the rules would keep.
type thing struct {
	text, file string
	revision   uint64
}

// model is the desired state as plain maps.
type model struct {
	now  map[control.Key]thing
	then []map[control.Key]thing // by revision
}

func textOf(o *control.Object) string {
	data, err := json.Marshal(o.Value)
	if err != nil {
		panic(err)
	}
	text := strings.Replace(string(data), `,"status":{}}`, "}", 1)
	return strings.Replace(text, `,"spec":{}}`, "}", 1)
}

// do does what a request says, and reports whether it is to be refused.
func (m *model) do(r *Request) (refused bool) {
	next := maps.Clone(m.now)
	revision := uint64(len(m.then))
	put := func(k control.Key, text, file string) {
		if was, there := next[k]; there && was.text == text {
			next[k] = thing{text, file, was.revision}
			return
		}
		next[k] = thing{text, file, revision}
	}
	switch r.Verb {
	case api.VerbApply:
		for _, o := range r.Objects {
			k := o.Key()
			file := m.now[k].file
			refused = refused || file != "" && m.now[k].text != textOf(o)
			put(k, textOf(o), file)
		}
	case api.VerbFiles:
		for k, was := range m.now {
			if was.file != "" {
				delete(next, k)
			}
		}
		for _, o := range r.Objects {
			k := o.Key()
			file, _, _ := o.Position("")
			was, there := m.now[k]
			refused = refused || there && was.file == ""
			if there {
				next[k] = was
			}
			put(k, textOf(o), file)
		}
	case api.VerbDelete:
		for _, k := range r.Delete {
			was, there := m.now[k]
			refused = refused || !there && !r.IgnoreMissing || was.file != ""
			delete(next, k)
			if k.Kind == "Namespace" && there {
				maps.DeleteFunc(next, func(in control.Key, t thing) bool { return in.Namespace == k.Name && t.file == "" })
			}
		}
	case api.VerbRollback:
		if r.Target == 0 || r.Target >= revision {
			return true
		}
		was := m.then[r.Target]
		for k, t := range m.now {
			if _, there := was[k]; !there && t.file == "" {
				delete(next, k)
			}
		}
		for k, t := range was {
			if now, there := m.now[k]; there && now.file == "" || !there && t.file == "" {
				put(k, t.text, "")
			}
		}
	}
	if refused {
		return true
	}
	changed := len(next) != len(m.now)
	for k, t := range next {
		was, there := m.now[k]
		changed = changed || !there || was.text != t.text
	}
	m.now = next
	if changed {
		m.then = append(m.then, next)
	} else { // a file may have another name
		m.then[len(m.then)-1] = next
	}
	return false
}

func equalToModel(t *testing.T, want map[control.Key]thing, s *Set, files bool) {
	t.Helper()
	require.Equal(t, len(want), s.Len())
	for e := range s.All() {
		w, there := want[e.Object.Key()]
		require.True(t, there, "%v", e.Object.Key())
		require.Equal(t, w.text, string(e.JSON()))
		require.Equal(t, w.text, textOf(e.Object))
		require.Equal(t, w.revision, e.Revision, "%v", e.Object.Key())
		if files {
			require.Equal(t, w.file, e.File)
		}
	}
}

// TestAgainstModel makes random requests of a DB and of plain maps, opens it anew in between, asks for
// what was, and follows by a watch that breaks off again and again.
func TestAgainstModel(t *testing.T) {
	const kept = 300 // revisions of the history
	requests := 1200
	if testing.Short() {
		requests = 250
	}
	for seed, open := range map[uint64]func(t *testing.T) func() store.Store{
		1: func(*testing.T) func() store.Store {
			m := store.NewMemory()
			return func() store.Store { return m }
		},
		2: func(t *testing.T) func() store.Store {
			path, last := filepath.Join(storetest.MemoryDir(t), "state.db"), (*store.Bolt)(nil)
			t.Cleanup(func() { require.NoError(t, last.Close()) })
			return func() (s store.Store) {
				if last != nil {
					require.NoError(t, last.Close())
				}
				var err error
				last, err = store.OpenBolt(path)
				require.NoError(t, err)
				return last
			}
		},
	} {
		random := rand.New(rand.NewPCG(seed, 1))
		reopen := open(t)
		f := newForge(t, reopen())
		var err error
		f.db, err = OpenKeeping(f.db.store, Retention{Revisions: kept})
		require.NoError(t, err)
		m := &model{now: map[control.Key]thing{}, then: []map[control.Key]thing{{}}}
		watched, seen := map[control.Key]string{}, uint64(0)
		done, refusals := 0, 0
		for range requests {
			r := randomRequest(random, f.db.Set())
			if r.Verb == api.VerbFiles && random.IntN(2) == 0 {
				for i, o := range r.Objects { // another name for the file
					r.Objects[i] = decoded("b.yaml", textOf(o))[0]
				}
			}
			if r.Verb == api.VerbRollback {
				r.Target = uint64(max(0, len(m.then)-random.IntN(60)))
			}
			before := f.db.Set().Revision()
			_, err := f.do(r)
			require.Equal(t, m.do(r), err != nil, "%s: %v", r.Verb, err)
			if err != nil {
				refusals++
			} else if f.db.Set().Revision() > before {
				done++
			}
			require.EqualValues(t, len(m.then)-1, f.db.Set().Revision())
			equalToModel(t, m.now, f.db.Set(), true)
			switch random.IntN(40) {
			case 0:
				f.db, err = OpenKeeping(reopen(), Retention{Revisions: kept})
				require.NoError(t, err)
				equalToModel(t, m.now, f.db.Set(), true)
			case 1, 2:
				n := random.IntN(len(m.then))
				then, err := f.db.At(uint64(n))
				if newest := len(m.then) - 1; newest-n > kept {
					require.ErrorIs(t, err, api.ErrGone)
					continue
				}
				require.NoError(t, err)
				equalToModel(t, m.then[n], then, false)
			case 3, 4, 5:
				seen = follow(t, f.db, watched, seen, random.IntN(40))
				want := map[control.Key]string{}
				for k, v := range m.then[seen] {
					want[k] = v.text
				}
				require.Equal(t, want, watched, "after revision %d", seen)
			}
		}
		t.Logf("%d changes, %d refused", done, refusals)
		require.Greater(t, done, requests/4)
		require.Greater(t, refusals, requests/20)
	}
}

// follow reads some transactions into what is known already, and returns the revision that it is of then.
func follow(t *testing.T, db *DB, known map[control.Key]string, after uint64, most int) uint64 {
	t.Helper()
	for txn, err := range db.Watch(t.Context(), after) {
		require.NoError(t, err)
		if txn.Empty() {
			require.Equal(t, db.Set().Revision(), txn.Revision)
			break
		}
		require.Equal(t, after+1, txn.Revision)
		after++
		for _, c := range txn.Changes {
			require.Equal(t, known[c.Key], string(c.Before.JSON()))
			if known[c.Key] = string(c.After.JSON()); known[c.Key] == "" {
				delete(known, c.Key)
			}
		}
		if most--; most < 0 {
			break
		}
	}
	return after
}

// TestReadersWhileItChanges reads a DB in all ways while it changes: each sees one moment.
func TestReadersWhileItChanges(t *testing.T) {
	f := newForge(t, store.NewMemory())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	read := func(once func() bool) {
		wg.Go(func() {
			for ctx.Err() == nil && once() {
				runtime.Gosched()
			}
		})
	}
	check := func(ok bool, format string, args ...any) bool {
		if !ok {
			t.Errorf(format, args...)
		}
		return ok
	}
	read(func() bool { // a transaction is seen whole
		s := f.db.Set()
		a, aThere := s.Get(key("Segment", "", "a"))
		b, bThere := s.Get(key("Segment", "", "b"))
		return check(aThere == bThere && a.Revision == b.Revision && len(s.Objects()) == s.Len(), "a @%d, b @%d", a.Revision, b.Revision)
	})
	read(func() bool {
		txn, err := f.db.Plan(f.db.Set(), &Request{Verb: api.VerbApply, Objects: decoded("-", segment("c", 3)), DryRun: true, Diff: true})
		return check(err == nil && len(f.db.Set().With(txn).Objects()) > 0 && len(txn.Result().Changes) == 1, "plan: %v", err)
	})
	read(func() bool {
		list, err := f.db.History(&api.HistoryFilter{Limit: 5})
		for i := range list {
			check(list[i].Revision == list[0].Revision-uint64(i), "the history has a gap")
		}
		return check(err == nil, "history: %v", err)
	})
	read(func() bool {
		now := f.db.Set().Revision()
		_, err := f.db.At(now - min(now, 20))
		return check(err == nil, "at: %v", err)
	})
	for range 3 {
		wg.Go(func() {
			next := uint64(1)
			for txn, err := range f.db.Watch(ctx, 0) {
				if !check(err == nil, "watch: %v", err) || txn.Empty() {
					continue
				}
				check(txn.Revision == next, "watched revision %d, not %d", txn.Revision, next)
				next++
			}
		})
	}
	for i := range 120 {
		f.apply(segment("a", i) + segment("b", i+1))
	}
	cancel()
	wg.Wait()
}
