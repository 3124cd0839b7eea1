package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
	"github.com/sluice-net/sluice/internal/cputime"
)

// raw sends a text by a connection of its own, which the caller closes.
func raw(t *testing.T, path, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(60*time.Second)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c, bufio.NewReader(c)
}

const head = "POST /v1/apply HTTP/1.1\r\nHost: sluice\r\n"

// Who sends a byte now and then is given up.
func TestSlowBodies(t *testing.T) {
	path := serving(t, server.Options{Objects: &scripted{}, Stall: 200 * time.Millisecond})
	for _, row := range []struct{ why, head, piece string }{
		{"of a known length", "Content-Length: 100000\r\n\r\n", "#"},
		{"of an unknown length", "Transfer-Encoding: chunked\r\n\r\n", "1\r\n#\r\n"},
		{"nothing at all", "Content-Length: 100000\r\n\r\n", ""},
		{"that is compressed", "Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n", zipped(t, "# ")[:1]},
	} {
		t.Run(row.why, func(t *testing.T) {
			c, r := raw(t, path, head+row.head)
			stop := make(chan struct{})
			var sending sync.WaitGroup
			sending.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
						_, _ = io.WriteString(c, row.piece) // it may be closed by then
					}
				}
			})
			defer sending.Wait()
			defer close(stop)
			answer, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Contains(t, []int{408, 400}, answer.StatusCode, string(body)) // a header of gzip may be wrong already
			if !strings.Contains(row.head, "gzip") {
				require.Equal(t, 408, answer.StatusCode)
				require.Contains(t, string(body), "the body comes too slowly: at least 65536 bytes a second are needed")
			}
		})
	}
}

// A change may take longer than a client may stall.
func TestLongChanges(t *testing.T) {
	state := &scripted{changed: func(*desired.Request) (*api.ChangeResult, error) {
		time.Sleep(300 * time.Millisecond)
		return &api.ChangeResult{Revision: 9}, nil
	}}
	path := serving(t, server.Options{Objects: state, Stall: 100 * time.Millisecond})
	answer, body := send(t, path, "POST", "/v1/apply", sent{body: segment})
	require.Equal(t, 200, answer.StatusCode, body)
}

// As many documents are in memory as there is room for; who comes then waits a while, and
// is told to come again.
func TestBodiesAreBoundedTogether(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	state := &blocking{release: release, entered: entered}
	path := serving(t, server.Options{Objects: state, MaxBody: 1 << 20, Bodies: 1 << 20, Stall: 500 * time.Millisecond})
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let) // before the server waits for it
	large := segment + strings.Repeat("#", 900_000)
	done := make(chan int, 2)
	begin := func(text string) {
		go func() {
			answer, _ := send(t, path, "POST", "/v1/apply", sent{body: text})
			done <- answer.StatusCode
		}()
		select {
		case <-entered:
		case <-time.After(30 * time.Second):
			t.Fatal("it does not arrive")
		}
	}
	begin(large)
	answer, body := send(t, path, "POST", "/v1/apply", sent{body: large})
	require.Equal(t, 503, answer.StatusCode, body)
	require.Equal(t, "1", answer.Header.Get("Retry-After"))
	require.Contains(t, body, "come again")
	answer, body = send(t, path, "POST", "/v1/apply", sent{body: zipped(t, large), encoding: "gzip"})
	require.Equal(t, 503, answer.StatusCode, body)
	begin(segment) // there is room for a small one
	let()
	require.Equal(t, 200, <-done)
	require.Equal(t, 200, <-done)
	answer, body = send(t, path, "POST", "/v1/apply", sent{body: large})
	require.Equal(t, 200, answer.StatusCode, body)
}

// blocking makes no change before it is released.
type blocking struct {
	scripted
	release <-chan struct{}
	entered chan<- struct{}
}

func (b *blocking) Change(context.Context, *desired.Request) (*api.ChangeResult, error) {
	b.entered <- struct{}{}
	<-b.release
	return &api.ChangeResult{}, nil
}

// A document of 20 MB is taken.
func TestLargeDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	var text strings.Builder
	n := 0
	for ; text.Len() < 20<<20; n++ {
		fmt.Fprintf(&text, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata:\n  name: port-%06d\n  namespace: load\n  labels: {app: web, tier: front}\nspec:\n  segment: demo\n  addresses: [{ip: 10.%d.%d.%d}]\n  device: {type: mem}\n", n, n>>16, n>>8&255, n&255)
	}
	got := 0
	state := &scripted{changed: func(r *desired.Request) (*api.ChangeResult, error) {
		got = len(r.Objects)
		return &api.ChangeResult{}, nil
	}}
	path := serving(t, server.Options{Objects: state})
	c, err := client.New("unix:" + path)
	require.NoError(t, err)
	defer c.Close()
	files := []control.File{{Name: "large.yaml", Data: []byte(text.String())}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cputime.Process()
	_, err = c.Apply(t.Context(), files, client.ChangeOptions{})
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Equal(t, n, got)
	t.Logf("%d objects in %d bytes: %v, %v of CPU, %d MiB allocated, %d MiB of heap from the system", n, text.Len(),
		time.Since(start).Round(time.Millisecond), (cputime.Process() - cpu).Round(time.Millisecond),
		(after.TotalAlloc-before.TotalAlloc)>>20, (after.HeapSys-before.HeapSys)>>20)
}

// lines begins to watch and returns what comes.
func lines(t *testing.T, path, query string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, r := raw(t, path, "GET /v1/watch"+query+" HTTP/1.1\r\nHost: sluice\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "application/x-ndjson", answer.Header.Get("Content-Type"))
	return c, bufio.NewReader(answer.Body)
}

func TestWatch(t *testing.T) {
	state := &scripted{events: []api.Event{
		{Type: api.EventAdded, Revision: 5, Object: api.Object(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`)},
		{Type: api.EventBookmark, Revision: 6},
	}}
	path := serving(t, server.Options{Objects: state, Watchers: 1, Heartbeat: 50 * time.Millisecond})
	_, r := lines(t, path, "?kind=po&namespace=web&from=4&labelSelector=a")
	for _, want := range []string{
		`{"type":"ADDED","revision":5,"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}}`,
		`{"type":"BOOKMARK","revision":6}`, `{"type":"BOOKMARK","revision":6}`, `{"type":"BOOKMARK","revision":6}`,
	} {
		line, err := r.ReadString('\n')
		for err == nil && line == `{"type":"BOOKMARK","revision":4}`+"\n" { // a slow machine's heart
			line, err = r.ReadString('\n')
		}
		require.NoError(t, err)
		require.Equal(t, want+"\n", line)
	}
	require.Equal(t, uint64(4), state.after)
	require.Equal(t, api.ObjectFilter{Kinds: []string{"Port"}, Namespace: "web", Labels: "a"}, state.filter)
	answer, body := send(t, path, "GET", "/v1/watch", sent{})
	require.Equal(t, 503, answer.StatusCode)
	require.Contains(t, body, "1 clients watch already")
	answer, _ = send(t, path, "GET", "/v1/objects", sent{})
	require.Equal(t, 200, answer.StatusCode, "questions have places of their own")

	// From now on, where nothing else is said.
	path = serving(t, server.Options{Objects: state})
	c, _ := lines(t, path, "")
	require.NoError(t, c.Close())
	require.Equal(t, uint64(7), state.after)
}

// What goes wrong is the answer; or its last line, if it has begun.
func TestWatchFails(t *testing.T) {
	state := &scripted{err: fmt.Errorf("revision 3 is too old: %w", api.ErrGone)}
	path := serving(t, server.Options{Objects: state})
	answer, body := send(t, path, "GET", "/v1/watch?from=3", sent{})
	require.Equal(t, 410, answer.StatusCode, body)
	state.events = []api.Event{{Type: api.EventBookmark, Revision: 6}}
	answer, body = send(t, path, "GET", "/v1/watch?from=3", sent{})
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, `{"type":"BOOKMARK","revision":6}`+"\n"+`{"error":"revision 3 is too old: gone","reason":"Gone"}`+"\n", body)
	for _, query := range []string{"?from=x", "?from=1&from=2", "?from=-1", "?kind=Prot", "?colour=red", "?limit=x"} {
		answer, body := send(t, path, "GET", "/v1/watch"+query, sent{})
		require.Equal(t, 400, answer.StatusCode, body)
	}
}

// endless tells without an end, and of its end.
type endless struct {
	scripted
	ended chan struct{}
}

func (e *endless) Watch(ctx context.Context, _ *api.ObjectFilter, _ uint64, _ bool) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		defer func() { e.ended <- struct{}{} }()
		text, _ := json.Marshal(map[string]string{"pad": strings.Repeat("x", 1000)})
		for ctx.Err() == nil && yield(api.Event{Type: api.EventAdded, Object: text}, nil) {
		}
	}
}

// Who watches and takes nothing is cut off, and keeps nobody waiting until then.
func TestSlowWatchers(t *testing.T) {
	state := &endless{ended: make(chan struct{}, 10)}
	path := serving(t, server.Options{Objects: state, Stall: 200 * time.Millisecond})
	for range 5 {
		lines(t, path, "")
	}
	answer, _ := send(t, path, "GET", "/v1/ports", sent{})
	require.Equal(t, 200, answer.StatusCode)
	for range 5 {
		select {
		case <-state.ended:
		case <-time.After(30 * time.Second):
			t.Fatal("somebody who takes nothing is not cut off")
		}
	}
}

// Watches end in order when the server does.
func TestWatchesEndWithTheServer(t *testing.T) {
	state := &scripted{events: []api.Event{{Type: api.EventBookmark, Revision: 6}}}
	o := server.Options{Objects: state, Socket: servertest.Socket(t), Drain: 30 * time.Second}
	stop := servertest.StartAt(t, servertest.Small(), o)
	var watches []*bufio.Reader
	for range 5 {
		_, r := lines(t, o.Socket, "")
		_, err := r.ReadString('\n')
		require.NoError(t, err)
		watches = append(watches, r)
	}
	start := time.Now()
	stop()
	require.Less(t, time.Since(start), 20*time.Second)
	for _, r := range watches {
		rest, err := io.ReadAll(r)
		require.NoError(t, err, "it ends, and does not break off")
		require.Empty(t, rest)
	}
}
