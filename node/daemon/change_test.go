package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
)

// applying is a request to apply documents.
func applying(t testing.TB, documents string) *desired.Request {
	t.Helper()
	objects, faults := control.Decode("request.yaml", []byte(documents), control.Options{})
	require.NoError(t, faults.Err())
	return &desired.Request{Verb: api.VerbApply, Author: api.Author{Via: "unix", Name: "tester"}, Objects: objects}
}

func deleting(kind, name string) *desired.Request {
	return &desired.Request{Verb: api.VerbDelete, Delete: []control.Key{{Kind: kind, Name: name}}}
}

// change makes a change that has to be possible.
func (r *running) change(request *desired.Request) *api.ChangeResult {
	r.t.Helper()
	result, err := r.Change(r.t.Context(), request)
	require.NoError(r.t, err)
	return result
}

func TestChangesAreInForceWhenAnswered(t *testing.T) {
	state := t.TempDir()
	r := start(t, Config{State: state})
	require.Zero(t, r.Status().Revision, "there was nothing to put in force")
	result := r.change(applying(t, segment+ports("a", "b")))
	require.EqualValues(t, 1, result.Revision)
	require.Len(t, result.Changes, 4)
	require.Positive(t, result.LiveAfter)
	require.Equal(t, "a b", r.ports())

	again := r.change(applying(t, segment+ports("a", "b")))
	require.EqualValues(t, 1, again.Revision, "the same again is no change")
	require.Equal(t, api.ActionUnchanged, again.Changes[0].Action)
	require.Zero(t, again.LiveAfter)

	dry := deleting("Port", "a")
	dry.DryRun = true
	require.EqualValues(t, 2, r.change(dry).Revision)
	require.Equal(t, "a b", r.ports(), "a dry run changes nothing")

	require.EqualValues(t, 2, r.change(deleting("Port", "a")).Revision)
	require.Equal(t, "b", r.ports())
	require.EqualValues(t, 3, r.change(&desired.Request{Verb: api.VerbRollback, Target: 1}).Revision)
	require.Equal(t, "a b", r.ports())
	r.stop()

	r = start(t, Config{State: state})
	require.EqualValues(t, 3, r.Status().Revision)
	require.Equal(t, "a b", r.ports(), "what was applied is there at the next start")
	history, err := r.db.History(&api.HistoryFilter{})
	require.NoError(t, err)
	require.Len(t, history, 3)
	require.Equal(t, "tester", history[2].Author.Name)
	r.stop()
}

// A request with faults changes nothing, and says what they are.
func TestFaultyRequests(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	r := start(t, Config{Paths: []string{path}})
	_, err := r.Change(t.Context(), applying(t, ports("b")+`apiVersion: sluice.dev/v1
kind: Port
metadata: {name: c}
spec: {segment: nowhere}
`))
	var faults control.Faults
	require.ErrorAs(t, err, &faults)
	require.Equal(t, "request.yaml:9:17: Port c: spec.segment: there is no Segment nowhere (known: web)", faults[0].Error())
	require.Equal(t, "a", r.ports(), "b is not there either")

	_, err = r.Change(t.Context(), deleting("Port", "a"))
	require.ErrorIs(t, err, api.ErrConflict, "files own what is in them")
	require.ErrorContains(t, err, path)
	_, err = r.Change(t.Context(), deleting("Port", "z"))
	require.ErrorIs(t, err, api.ErrNotFound)
	require.EqualValues(t, 1, r.Status().Revision)
	require.Empty(t, r.Status().LastError, "that is between the daemon and who asked")
	r.stop()
}

// Requests that come together are put in force together, and one that has faults
// does not stop the others.
func TestRequestsTogether(t *testing.T) {
	r := start(t, Config{})
	r.change(applying(t, segment))
	const n = 60
	errs := make([]error, n)
	results := make([]*api.ChangeResult, n)
	var all sync.WaitGroup
	for i := range n {
		document := ports(fmt.Sprintf("p%d", i))
		if i%20 == 7 {
			document = strings.Replace(document, "segment: web", "segment: nowhere", 1)
		}
		request := applying(t, document)
		all.Go(func() { results[i], errs[i] = r.Change(t.Context(), request) })
	}
	all.Wait()
	revisions := map[uint64]bool{}
	for i := range n {
		if i%20 == 7 {
			require.ErrorContains(t, errs[i], "there is no Segment nowhere", "request %d", i)
			continue
		}
		require.NoError(t, errs[i], "request %d", i)
		require.False(t, revisions[results[i].Revision], "each has a revision of its own")
		revisions[results[i].Revision] = true
	}
	require.EqualValues(t, 1+n-3, r.Status().Revision)
	require.Len(t, strings.Fields(r.ports()), n-3)
	r.stop()
}

// Files that do not go with what was applied must not keep the daemon from starting.
func TestFilesThatDoNotGoWithWhatWasApplied(t *testing.T) {
	state, path := t.TempDir(), write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	r := start(t, Config{State: state, Paths: []string{path}})
	r.change(applying(t, ports("b")))
	r.stop()
	replaceFile(t, path, strings.ReplaceAll(segment+ports("a"), "web", "lan"))

	r = start(t, Config{State: state, Paths: []string{path}})
	require.Equal(t, "a b", r.ports(), "what was in force is in force")
	require.Contains(t, r.Status().LastError, "Port b: spec.segment: there is no Segment web")
	require.NotZero(t, r.lines("ERROR", "THE CONFIGURATION OF THE LAST RUN IS IN FORCE"))
	r.change(deleting("Port", "b"))
	r.signals <- syscall.SIGHUP
	r.until(func() bool { return r.Status().LastError == "" }, "now the files can be")
	require.Equal(t, "a", r.ports())
	r.stop()
}

// A request that comes too late is refused, not forgotten.
func TestRequestsAtTheEnd(t *testing.T) {
	r := start(t, Config{})
	var asking sync.WaitGroup
	for i := range 50 {
		request := applying(t, strings.ReplaceAll(segment, "name: web", fmt.Sprintf("name: s%d", i))+"")
		request.Objects = request.Objects[1:]
		asking.Go(func() {
			if _, err := r.Change(t.Context(), request); err != nil && !errors.Is(err, errEnding) {
				var faults control.Faults
				if !errors.As(err, &faults) { // two segments of one subnet: as long as it runs
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	r.stop()
	asking.Wait()
	_, err := r.Change(t.Context(), deleting("Port", "a"))
	require.ErrorIs(t, err, errEnding)
}

// TestChangesLeaveNothingBehind measures what is left after very many changes.
func TestChangesLeaveNothingBehind(t *testing.T) {
	changes := 100_000
	if testing.Short() {
		changes = 5_000
	}
	r := start(t, Config{Log: slog.New(slog.DiscardHandler)}) // the log of tests keeps all
	r.change(applying(t, segment+ports("a")))
	requests := []*desired.Request{applying(t, ports("b")), deleting("Port", "b")}
	round := func(n int) {
		for i := range n {
			request := *requests[i%2]
			request.At = time.Time{}
			r.change(&request)
		}
	}
	usage := func() (heap uint64, goroutines, files int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return m.HeapAlloc, runtime.NumGoroutine(), len(entries)
	}
	round(10_500) // until the history is as long as it gets
	heap, goroutines, files := usage()
	round(changes)
	heapAfter, goroutinesAfter, filesAfter := usage()
	t.Logf("%d changes: heap %d -> %d KiB, goroutines %d -> %d, descriptors %d -> %d",
		changes, heap>>10, heapAfter>>10, goroutines, goroutinesAfter, files, filesAfter)
	require.LessOrEqual(t, heapAfter, heap+heap/4+4<<20)
	require.LessOrEqual(t, goroutinesAfter, goroutines)
	require.LessOrEqual(t, filesAfter, files)
	require.Zero(t, r.node.Engine().Ledger().Unexplained)
	r.stop()
}

// A state file that was damaged is kept aside, and the last good copy is in force.
func TestDamagedState(t *testing.T) {
	state := t.TempDir()
	r := start(t, Config{State: state})
	r.change(applying(t, segment+ports("a")))
	r.stop() // in order: with a copy
	path := state + "/state.db"
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 0; i < len(data); i += 64 { // every page of it
		data[i] ^= 0xff
	}
	require.NoError(t, os.WriteFile(path, data, 0o600))

	r = start(t, Config{State: state})
	require.Equal(t, "a", r.ports())
	require.EqualValues(t, 1+lostRevisions, r.Status().Revision, "numbers that may have been given are not given again")
	require.Equal(t, 1, r.lines("ERROR", "THE STATE WAS DAMAGED", path+".damaged-"))
	require.Contains(t, r.Status().LastError, "took its place")
	kept, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, kept, 1)
	aside, err := os.ReadFile(kept[0])
	require.NoError(t, err)
	require.Equal(t, data, aside)
	r.change(applying(t, ports("b")))
	r.stop()

	r = start(t, Config{State: state})
	require.Equal(t, "a b", r.ports())
	require.Empty(t, r.Status().LastError)
	r.stop()
}
