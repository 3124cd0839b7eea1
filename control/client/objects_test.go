package client_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// segments is a document with a segment for each name.
func segments(mtu int, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: %s}\nspec: {mtu: %d}\n", name, mtu)
	}
	return b.String()
}

func file(name, text string) []control.File { return []control.File{{Name: name, Data: []byte(text)}} }

func serving(t *testing.T, o server.Options) (c *client.Client, stop func()) {
	t.Helper()
	if o.Socket == "" {
		o.Socket = servertest.Socket(t)
	}
	stop = servertest.StartAt(t, servertest.Small(), o)
	return dial(t, "unix:"+o.Socket), stop
}

func changed(result *api.ChangeResult) string {
	words := []string{fmt.Sprint(result.Revision)}
	for _, c := range result.Changes {
		words = append(words, c.Name+":"+string(c.Action))
	}
	return strings.Join(words, " ")
}

func TestChanges(t *testing.T) {
	state := servertest.NewObjects(t, segments(1500, "a", "b"))
	c, _ := serving(t, server.Options{Objects: state})
	ctx := t.Context()

	result, err := c.Apply(ctx, append(file("dir/x.yaml", segments(1400, "a")), file("dir/y ü\".yaml", segments(1500, "c"))...), client.ChangeOptions{Message: "why", Diff: true})
	require.NoError(t, err)
	require.Equal(t, "2 a:configured c:created", changed(result))
	require.Contains(t, result.Changes[0].Diff, "+  mtu: 1400")
	require.Equal(t, "why", state.Last().Message)
	result, err = c.Apply(ctx, file("x", segments(1400, "a")), client.ChangeOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, "2 a:unchanged", changed(result))
	require.True(t, result.DryRun)

	_, err = c.Apply(ctx, append(file("dir/x.yaml", "kind: Segment\n"), file("dir/y ü\".yaml", "kind: Prot\n")...), client.ChangeOptions{})
	faults, isFaults := errors.AsType[control.Faults](err)
	require.True(t, isFaults, err)
	require.Equal(t, faults.Error(), err.Error())
	require.Equal(t, "dir/x.yaml", faults[0].File)
	require.Equal(t, `dir/y ü".yaml`, faults[len(faults)-1].File)
	require.Equal(t, 1, faults[0].Line)

	_, err = c.Apply(ctx, file("x", segments(1300, "a")), client.ChangeOptions{IfUnchanged: true})
	require.ErrorIs(t, err, api.ErrConflict, "it is there already")

	_, err = c.Delete(ctx, []api.ObjectRef{{Kind: "seg", Name: "x"}}, client.ChangeOptions{})
	require.ErrorIs(t, err, api.ErrNotFound)
	result, err = c.Delete(ctx, []api.ObjectRef{{Kind: "seg", Name: "x"}, {Kind: "seg", Name: "b"}}, client.ChangeOptions{IgnoreMissing: true})
	require.NoError(t, err)
	require.Contains(t, changed(result), "b:deleted")
	result, err = c.DeleteFiles(ctx, file("x", segments(1, "c")), client.ChangeOptions{})
	require.ErrorContains(t, err, "spec.mtu", "also what is to go is checked: %v", result)
	result, err = c.DeleteFiles(ctx, file("x", segments(1500, "c")), client.ChangeOptions{})
	require.NoError(t, err)
	require.Equal(t, "4 c:deleted", changed(result))
	result, err = c.Rollback(ctx, 1, client.ChangeOptions{})
	require.NoError(t, err)
	require.Equal(t, uint64(5), result.Revision)
	_, err = c.Rollback(ctx, 77, client.ChangeOptions{})
	require.Error(t, err)
	_, err = c.Apply(ctx, nil, client.ChangeOptions{})
	require.ErrorContains(t, err, "no file is given")

	list, err := c.Objects(ctx, api.ObjectFilter{Kinds: []string{"seg"}, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "5", list.Metadata.ResourceVersion)
	require.Len(t, list.Items, 1)
	require.True(t, list.More)
	var o struct {
		Metadata struct{ Name, ResourceVersion string }
	}
	require.NoError(t, json.Unmarshal(list.Items[0], &o))
	require.Equal(t, "a", o.Metadata.Name)
	require.Equal(t, "5", o.Metadata.ResourceVersion)

	history, err := c.History(ctx, api.HistoryFilter{Limit: 2})
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, api.VerbRollback, history[0].Verb)
	require.Equal(t, "unix", history[0].Author.Via)
	revision, err := c.Revision(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, "why", revision.Message)
	require.Contains(t, revision.Changes[0].Diff, "+  mtu: 1400")
}

func TestLogs(t *testing.T) {
	c, _ := serving(t, server.Options{Logs: &servertest.Logs{Lines: []string{"one", "two", "three"}}})
	ctx := t.Context()
	levels, err := c.LogLevels(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"": "INFO"}, levels)
	require.NoError(t, c.SetLogLevels(ctx, map[string]string{"store": "DEBUG"}))
	levels, err = c.LogLevels(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"": "INFO", "store": "DEBUG"}, levels)
	require.ErrorIs(t, c.SetLogLevels(ctx, map[string]string{"store": "LOUD"}), api.ErrInvalid)
	require.ErrorIs(t, c.SetLogLevels(ctx, nil), api.ErrInvalid)
	var b bytes.Buffer
	require.NoError(t, c.Log(ctx, 2, &b))
	require.Equal(t, "two\nthree\n", b.String())
	_, err = c.History(ctx, api.HistoryFilter{})
	e, isError := errors.AsType[*client.Error](err)
	require.True(t, isError)
	require.Equal(t, http.StatusNotImplemented, e.Status)
	require.Equal(t, api.ReasonNotServed, e.Reason)
}

// told notes what is told, in a word each.
func told(words chan<- string) func(*api.Event) error {
	return func(e *api.Event) error {
		var o struct{ Metadata struct{ Name string } }
		_ = json.Unmarshal(e.Object, &o) // a bookmark has none
		words <- fmt.Sprintf("%d %s %s", e.Revision, e.Type, o.Metadata.Name)
		return nil
	}
}

func next(t *testing.T, words <-chan string) string {
	t.Helper()
	select {
	case w := <-words:
		return w
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
		return ""
	}
}

func TestWatch(t *testing.T) {
	state := servertest.NewObjects(t, segments(1500, "a"))
	c, _ := serving(t, server.Options{Objects: state, Heartbeat: 50 * time.Millisecond})
	words := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx, api.ObjectFilter{Names: []string{"a", "b"}}, 0, told(words)) }()
	require.Equal(t, "1 ADDED a", next(t, words), "what happened before")
	require.Equal(t, "1 BOOKMARK ", next(t, words))
	require.Equal(t, "1 BOOKMARK ", next(t, words), "the daemon lives")
	_, err := c.Apply(ctx, file("x", segments(1400, "a", "b", "c")), client.ChangeOptions{})
	require.NoError(t, err)
	change := func() string { // whenever the daemon says that it lives
		w := next(t, words)
		for w == "1 BOOKMARK " { // more of revision 2 might follow
			w = next(t, words)
		}
		return w
	}
	require.Equal(t, "2 MODIFIED a", change())
	require.Equal(t, "2 ADDED b", change())
	require.Equal(t, "1 BOOKMARK ", next(t, words), "more of revision 2 might follow")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	stop := errors.New("enough")
	require.Equal(t, stop, c.Watch(t.Context(), api.ObjectFilter{}, 1, func(*api.Event) error { return stop }))
	require.ErrorIs(t, c.Watch(t.Context(), api.ObjectFilter{}, 99, func(*api.Event) error { return nil }), api.ErrGone)
	require.ErrorIs(t, c.Watch(t.Context(), api.ObjectFilter{Labels: "a in b"}, 1, func(*api.Event) error { return nil }), api.ErrInvalid)
}

// Whoever watches for ever is told each event once, however often the daemon ends.
func TestWatchForever(t *testing.T) {
	state := servertest.NewObjects(t, segments(1500, "a"))
	o := server.Options{Objects: state, Socket: servertest.Socket(t)}
	c, stop := serving(t, o)
	words := make(chan string)
	lost := make(chan error, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.WatchForever(ctx, api.ObjectFilter{}, 1, told(words), func(err error) { lost <- err })
	}()
	require.Equal(t, "1 BOOKMARK ", next(t, words))
	for i := range 3 {
		_, err := c.Apply(ctx, file("x", segments(1400-i, "a", "b")), client.ChangeOptions{})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d MODIFIED a", 2*i+2), next(t, words))
		// It ends in the midst of a revision.
		verb := map[bool]string{true: "ADDED", false: "MODIFIED"}[i == 0]
		require.Equal(t, fmt.Sprintf("%d %s b", 2*i+2, verb), next(t, words))
		stop()
		for err := <-lost; !errors.Is(err, client.ErrBroken); err = <-lost {
			require.ErrorIs(t, err, client.ErrNoDaemon, "of before")
		}
		other, stopOther := serving(t, server.Options{Objects: state, Socket: servertest.Socket(t)})
		_, err = other.Apply(ctx, file("x", segments(1300-i, "b")), client.ChangeOptions{})
		require.NoError(t, err)
		stopOther()
		stop = servertest.StartAt(t, servertest.Small(), o)
		require.Equal(t, fmt.Sprintf("%d MODIFIED b", 2*i+3), next(t, words), "what happened meanwhile, and nothing twice")
		require.Equal(t, fmt.Sprintf("%d BOOKMARK ", 2*i+3), next(t, words))
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, c.WatchForever(t.Context(), api.ObjectFilter{}, 99, told(words), nil), api.ErrGone)
	enough := errors.New("enough")
	require.Equal(t, enough, c.WatchForever(t.Context(), api.ObjectFilter{}, 1, func(*api.Event) error { return enough }, nil))
}

// A watch that breaks off between the events of a revision goes on with the next one.
func TestWatchForeverWithinARevision(t *testing.T) {
	asked := make(chan string, 10)
	answers := make(chan string, 10)
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("from")
		w.Header().Set(api.APIHeader, api.ViewVersion)
		_, _ = w.Write([]byte(<-answers))
	})
	event := func(revision int, name string) string {
		return fmt.Sprintf(`{"type":"ADDED","revision":%d,"object":{"metadata":{"name":%q}}}`+"\n", revision, name)
	}
	answers <- event(5, "a") + event(6, "b") + event(6, "c")
	answers <- event(6, "b") + event(6, "c") + event(6, "d") + `{"type":"BOOKMARK","revision":6}` + "\n" + event(7, "e")
	answers <- event(7, "e") + event(7, "f") + `{"error":"too old","reason":"Gone"}`
	words := make(chan string, 20)
	err := c.WatchForever(t.Context(), api.ObjectFilter{}, 4, told(words), nil)
	require.ErrorIs(t, err, api.ErrGone)
	require.EqualError(t, err, "too old")
	for _, want := range []string{"5 ADDED a", "6 ADDED b", "6 ADDED c", "6 ADDED d", "6 BOOKMARK ", "7 ADDED e", "7 ADDED f"} {
		require.Equal(t, want, next(t, words))
	}
	for _, want := range []string{"4", "5", "6"} {
		require.Equal(t, want, <-asked)
	}
}

// FuzzFileNames: whatever a file is called, its faults have the name; or the daemon says
// that it is to be renamed.
func FuzzFileNames(f *testing.F) {
	path := servertest.Socket(f)
	servertest.StartAt(f, servertest.Small(), server.Options{Socket: path, Objects: servertest.NewObjects(f, "")})
	c, err := client.New("unix:" + path)
	require.NoError(f, err)
	for _, name := range []string{"-", "dir/../x y.yaml", `a"b\c.yaml`, "%41;x=1", "grüße.yaml", "a\nb", "\xff", "", "a\\", "it's=?utf-8?q?x?="} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_, err := c.Apply(t.Context(), file(name, "colour: red\n"), client.ChangeOptions{})
		if errors.Is(err, api.ErrInvalid) {
			return
		}
		faults, isFaults := errors.AsType[control.Faults](err)
		require.True(t, isFaults, err)
		for _, fault := range faults {
			// Without a filename the name of the part is that of the file.
			require.Equal(t, cmp.Or(name, "file"), fault.File)
		}
	})
}
