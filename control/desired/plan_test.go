package desired

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

func TestApply(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		f.diffs = true
		r := f.apply(segment("web", 5) + segment("db", 6))
		require.Equal(t, "Segment web created\nSegment db created\n", outcomes(r), "in the order of the documents")
		require.EqualValues(t, 1, r.Revision)
		r = f.apply(segment("db", 6) + segment("web", 7))
		require.Equal(t, "Segment db unchanged\nSegment web configured\n", outcomes(r))
		require.EqualValues(t, 2, r.Revision)
		require.Empty(t, r.Changes[0].Diff)
		require.Equal(t, "--- before/Segment web\n+++ after/Segment web\n@@ -3,4 +3,4 @@\n metadata:\n   name: web\n spec:\n-  vlan: 5\n+  vlan: 7\n",
			r.Changes[1].Diff)
		r = f.apply(segment("web", 7))
		require.Equal(t, "Segment web unchanged\n", outcomes(r))
		require.EqualValues(t, 2, r.Revision, "nothing has changed, so there is no revision")

		f.db, _ = Open(reopen())
		require.EqualValues(t, 2, f.db.Set().Revision())
		require.Equal(t, "Segment db @1\nSegment web @2\n", tell(f.db.Set()))
		require.Equal(t, "digest-2", f.db.Digest())
		require.Equal(t, map[string]uint32{"Segment web": 2, "Segment db": 1}, f.db.Allocations().Zones)
		require.EqualValues(t, 2, f.db.Allocations().LastZone)
		e, _ := f.db.Set().Get(key("Segment", "", "web"))
		require.Equal(t, "2026-11-23 12:00:01 +0000 UTC", e.Created.String(), "a change keeps it")
	})
}

func TestNoiseIsStripped(t *testing.T) {
	const noisy = `{apiVersion: v1, kind: Namespace, metadata: {name: web, uid: 1f, resourceVersion: "12", generation: 3,
  creationTimestamp: "2026-01-01T00:00:00Z", selfLink: /x, managedFields: [{manager: kubectl}],
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", a: b}}, status: {phase: Active}}`
	f := newForge(t, store.NewMemory())
	f.apply(noisy)
	e, _ := f.db.Set().Get(key("Namespace", "", "web"))
	require.JSONEq(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"web","annotations":{"a":"b"}}}`, string(e.JSON()))
	_, line, _ := e.Object.Position("metadata.uid")
	require.Equal(t, 1, line, "positions stay, for faults to come")
	r := f.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: web, annotations: {a: b}, resourceVersion: "77"}}`)
	require.Equal(t, "Namespace web unchanged\n", outcomes(r))

	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: web}, status: {podIP: 10.0.0.1}}`)
	e, _ = f.db.Set().Get(key("Pod", "web", "a"))
	require.Contains(t, string(e.JSON()), "10.0.0.1", "a Pod's status is where its address is")
}

func TestFilesOwnTheirObjects(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		r, err := f.files("/etc/sluice/a.yaml", segment("web", 5)+segment("db", 6), "/etc/sluice/b.yaml", segment("mq", 8))
		require.NoError(t, err)
		require.Equal(t, "Segment web created\nSegment db created\nSegment mq created\n", outcomes(r))

		_, err = f.do(&Request{Verb: api.VerbApply, Objects: objects(t, "-", segment("x", 1)+segment("web", 6)+segment("db", 7))})
		require.ErrorIs(t, err, api.ErrConflict)
		require.Equal(t, "-:7:1: Segment web: is in /etc/sluice/a.yaml: change it there\n"+
			"-:12:1: Segment db: is in /etc/sluice/a.yaml: change it there", err.Error(), "all at once")
		faults, are := errors.AsType[control.Faults](err)
		require.True(t, are)
		require.Len(t, faults, 2)
		require.Equal(t, "Segment web unchanged\n", outcomes(f.apply(segment("web", 5))), "what is so already harms nobody")
		_, err = f.delete(key("Segment", "", "mq"))
		require.ErrorIs(t, err, api.ErrConflict)
		require.ErrorContains(t, err, "is in /etc/sluice/b.yaml: change it there")

		f.apply(segment("mine", 9))
		r, err = f.files("/etc/sluice/b.yaml", segment("mq", 9)+segment("web", 5))
		require.NoError(t, err)
		require.Equal(t, "Segment mq configured\nSegment web unchanged\nSegment db deleted\n", outcomes(r))
		require.Equal(t, "Segment mine @2\nSegment mq @3 /etc/sluice/b.yaml\nSegment web @1 /etc/sluice/b.yaml\n", tell(f.db.Set()))
		f.db, err = Open(reopen())
		require.NoError(t, err)
		require.Equal(t, "Segment mine @2\nSegment mq @3 /etc/sluice/b.yaml\nSegment web @1 /etc/sluice/b.yaml\n", tell(f.db.Set()))

		_, err = f.files("/etc/sluice/b.yaml", segment("mq", 9)+segment("mine", 9))
		faults, are = errors.AsType[control.Faults](err)
		require.True(t, are)
		require.NotErrorIs(t, err, api.ErrConflict)
		require.Equal(t, "/etc/sluice/b.yaml:7:1: Segment mine: was applied over the API: revision 2 (apply), by somebody at 2026-11-23T12:00:05Z "+
			"(take it out of the file, or hand it over to the file: sluice delete Segment mine)", faults.Error())
	})
}

func TestFilesThatMeanTheSame(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		_, err := f.files("a.yaml", segment("web", 5))
		require.NoError(t, err)
		first := f.db.Set()
		_, err = f.files("a.yaml", segment("web", 5))
		require.NoError(t, err)
		require.Same(t, first.Objects()[0], f.db.Set().Objects()[0], "nothing has to be compiled anew")

		r, err := f.files("b.yaml", "# a comment\n\n"+segment("web", 5))
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Revision)
		e, _ := f.db.Set().Get(key("Segment", "", "web"))
		file, line, _ := e.Object.Position("spec.vlan")
		require.Equal(t, "b.yaml", file)
		require.Equal(t, 7, line, "faults to come name the place where it is now")
		f.db, err = Open(reopen())
		require.NoError(t, err)
		require.Equal(t, "Segment web @1 b.yaml\n", tell(f.db.Set()))
	})
}

func TestDelete(t *testing.T) {
	const namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"
	f := newForge(t, store.NewMemory())
	_, err := f.files("/etc/sluice/a.yaml", pod("web", "of-file", "x"))
	require.NoError(t, err)
	f.apply(namespace + pod("web", "b", "x") + pod("web", "a", "x") + pod("other", "a", "x"))

	_, err = f.delete(key("Pod", "web", "aa"), key("Segment", "", "web"), key("Pod", "web", "of-file"))
	require.ErrorIs(t, err, api.ErrNotFound)
	require.ErrorIs(t, err, api.ErrConflict)
	require.Equal(t, "there is no Pod web/aa; did you mean one of web/a, web/b?\nthere is no Segment web, nor any other\n"+
		"Pod web/of-file: is in /etc/sluice/a.yaml: change it there", err.Error())
	r, err := f.do(&Request{Verb: api.VerbDelete, IgnoreMissing: true, Delete: []control.Key{key("Pod", "web", "aa"), key("Pod", "other", "a")}})
	require.NoError(t, err)
	require.Equal(t, "Pod web/aa unchanged\nPod other/a deleted\n", outcomes(r))

	r, err = f.delete(key("Namespace", "", "web"), key("Pod", "web", "b"))
	require.NoError(t, err)
	require.Equal(t, "Namespace web deleted\n  Pod web/of-file stays: it is in /etc/sluice/a.yaml\nPod web/b deleted\nPod web/a deleted\n", outcomes(r),
		"what follows from the request comes after it")
	require.Equal(t, "Pod web/of-file @1 /etc/sluice/a.yaml\n", tell(f.db.Set()))
}

func TestExpect(t *testing.T) {
	uid := 1000
	f := newForge(t, store.NewMemory())
	f.apply(segment("web", 5))
	f.must(&Request{Verb: api.VerbApply, Author: api.Author{Via: "unix", UID: &uid, Name: "ada"}, Objects: objects(t, "-", segment("web", 6)+segment("db", 7))})
	_, err := f.delete(key("Segment", "", "db"))
	require.NoError(t, err)
	web, db := key("Segment", "", "web"), key("Segment", "", "db")
	for _, tt := range []struct {
		why    string
		expect map[control.Key]uint64
		want   string // of the error
	}{
		{"what it is", map[control.Key]uint64{web: 2, db: 0}, ""},
		{
			"it was changed",
			map[control.Key]uint64{web: 1},
			"-:2:1: Segment web: was changed meanwhile: revision 1 is expected; revision 2 (apply), by ada at 2026-11-23T12:00:02Z " +
				"(look at it as it is now, and begin from there)",
		},
		{
			"it is there already",
			map[control.Key]uint64{web: 0},
			"-:2:1: Segment web: is there already: revision 2 (apply), by ada at 2026-11-23T12:00:02Z (look at it, and change it instead)",
		},
		{
			"it was deleted, and another is wrong too",
			map[control.Key]uint64{web: 1, db: 2},
			"Segment db: was deleted meanwhile: revision 3 (delete), by somebody at 2026-11-23T12:00:03Z (apply it without its resourceVersion to make it anew)\n" +
				"-:2:1: Segment web: was changed meanwhile: revision 1 is expected; revision 2 (apply), by ada at 2026-11-23T12:00:02Z " +
				"(look at it as it is now, and begin from there)",
		},
	} {
		_, err := f.db.Plan(f.db.Set(), &Request{Verb: api.VerbApply, Objects: objects(t, "-", segment("web", 9)), Expect: tt.expect})
		if tt.want == "" {
			require.NoError(t, err, tt.why)
			continue
		}
		require.ErrorIs(t, err, api.ErrConflict, tt.why)
		require.Equal(t, tt.want, err.Error(), tt.why)
	}
}

func TestRollback(t *testing.T) {
	stores(t, func(t *testing.T, reopen func() store.Store) {
		f := newForge(t, reopen())
		f.apply(segment("web", 5) + segment("gone", 6) + segment("to-file", 7)) // 1
		_, err := f.files("a.yaml", segment("file", 8)+segment("from-file", 9)) // 2
		require.NoError(t, err)
		_, err = f.delete(key("Segment", "", "gone"), key("Segment", "", "to-file")) // 3
		require.NoError(t, err)
		f.apply(segment("web", 10) + segment("new", 11))                         // 4
		_, err = f.files("a.yaml", segment("file", 12)+segment("to-file", 1944)) // 5
		require.NoError(t, err)
		f.db, err = Open(reopen())
		require.NoError(t, err)

		r := f.must(&Request{Verb: api.VerbRollback, Target: 2})
		require.Equal(t, `Segment new deleted
Segment file unchanged
  is in a.yaml and stays as it is there
Segment from-file unchanged
  was in a.yaml and is not any more: it does not come back
Segment gone created
Segment to-file unchanged
  is in a.yaml and stays as it is there
Segment web configured
`, outcomes(r))
		require.EqualValues(t, 6, r.Revision)
		require.Equal(t, "Segment file @5 a.yaml\nSegment gone @6\nSegment to-file @5 a.yaml\nSegment web @6\n", tell(f.db.Set()))
		for _, e := range f.db.Set().Objects() {
			if e.Name == "web" {
				require.Equal(t, 5, e.Value.(*api.Segment).Spec.VLAN)
			}
		}
		for target, is := range map[uint64]error{0: api.ErrInvalid, 7: api.ErrNotFound} {
			_, err := f.do(&Request{Verb: api.VerbRollback, Target: target})
			require.ErrorIs(t, err, is)
		}
		r = f.must(&Request{Verb: api.VerbRollback, Target: 6})
		require.Empty(t, r.Changes, "it is there already")
		require.EqualValues(t, 6, r.Revision)

		for n, want := range map[uint64]string{
			0: "",
			1: "Segment gone @1\nSegment to-file @1\nSegment web @1\n",
			2: "Segment file @2 a.yaml\nSegment from-file @2 a.yaml\nSegment gone @1\nSegment to-file @1\nSegment web @1\n",
			4: "Segment file @2 a.yaml\nSegment from-file @2 a.yaml\nSegment new @4\nSegment web @4\n",
		} {
			s, err := f.db.At(n)
			require.NoError(t, err)
			require.Equal(t, want, tell(s))
			require.Equal(t, n, s.Revision())
		}
	})
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	f := newForge(t, store.NewMemory())
	twice := append(objects(t, "a.yaml", segment("web", 1)), objects(t, "b.yaml", segment("web", 2))...)
	_, err := f.do(&Request{Verb: "paint"})
	require.ErrorIs(t, err, api.ErrInvalid)
	for _, verb := range []api.Verb{api.VerbApply, api.VerbFiles} {
		_, err = f.do(&Request{Verb: verb, Objects: twice})
		require.EqualError(t, err, "b.yaml:2:1: Segment web: the object is there twice (leave one of them out)")
	}
	bare, faults := control.NewObject(twice[0].Value)
	require.Empty(t, faults)
	_, err = f.do(&Request{Verb: api.VerbFiles, Objects: []*control.Object{bare}})
	require.EqualError(t, err, "Segment web: comes from no file (apply it)")
}
