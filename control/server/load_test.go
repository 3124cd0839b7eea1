package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// Clients that change things at once, and those that watch: every change has a revision
// of its own, and everybody who watches is told of all, in order.
func TestChangesAtOnce(t *testing.T) {
	const clients, changes = 4, 25
	state := servertest.NewObjects(t, segment)
	path := serving(t, server.Options{Objects: state})
	dial := func() *client.Client {
		c, err := client.New("unix:" + path)
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	var work sync.WaitGroup
	for range 2 {
		c := dial()
		work.Go(func() {
			last := uint64(1)
			done := fmt.Errorf("all was told")
			err := c.Watch(t.Context(), api.ObjectFilter{Kinds: []string{"Port"}}, 1, func(e *api.Event) error {
				if e.Type == api.EventBookmark {
					return nil
				}
				if e.Revision != last+1 {
					return fmt.Errorf("revision %d follows %d", e.Revision, last)
				}
				if last = e.Revision; last == 1+clients*changes {
					return done
				}
				return nil
			})
			if err != done { //nolint:errorlint // it is the one that was returned
				t.Error(err)
			}
		})
	}
	var mu sync.Mutex
	revisions := map[uint64]bool{}
	for i := range clients {
		c := dial()
		work.Go(func() {
			for j := range changes {
				text := fmt.Sprintf("apiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: p%d, namespace: web}\nspec: {segment: demo, addresses: [{ip: 10.0.%d.%d}]}\n", i, i, j+1)
				result, err := c.Apply(t.Context(), []control.File{{Name: "x", Data: []byte(text)}}, client.ChangeOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if revisions[result.Revision] {
					t.Errorf("revision %d is there twice", result.Revision)
				}
				revisions[result.Revision] = true
				mu.Unlock()
			}
		})
	}
	work.Wait()
	require.Len(t, revisions, clients*changes)
}

// What many requests, and clients that vanish, leave behind: nothing.
func TestNothingIsLeftBehind(t *testing.T) {
	requests, watches := 10_000, 1000
	if testing.Short() {
		requests, watches = 1000, 100
	}
	path := serving(t, server.Options{Objects: servertest.NewObjects(t, segment)})
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}
	c := http.Client{Transport: transport}
	targets := []string{"/v1/ports", "/v1/objects", "/v1/history", "/v1/none", "/v1/apply", "/v1/rollback?to=1&dryRun=true"}
	ask := func(n int) {
		for i := range n {
			method := map[bool]string{true: "POST", false: "GET"}[i%len(targets) >= 4]
			r, err := http.NewRequest(method, "http://sluice"+targets[i%len(targets)], http.NoBody)
			require.NoError(t, err)
			answer, err := c.Do(r)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, answer.Body)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
		}
		transport.CloseIdleConnections()
	}
	abort := func(n int) {
		for range n {
			w, err := net.Dial("unix", path)
			require.NoError(t, err)
			_, err = io.WriteString(w, "GET /v1/watch?from=0 HTTP/1.1\r\nHost: sluice\r\n\r\n")
			require.NoError(t, err)
			_, err = w.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, w.Close())
		}
	}
	use := func() (goroutines, files int, heap uint64) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), len(entries), m.HeapAlloc
	}
	ask(100)
	abort(20)
	var goroutines, files int
	var heap uint64
	require.Eventually(t, func() bool { // connections end a moment after their clients
		before := goroutines
		goroutines, files, heap = use()
		return goroutines == before
	}, 30*time.Second, 200*time.Millisecond)
	ask(requests)
	abort(watches)
	require.Eventually(t, func() bool {
		g, f, h := use()
		return g <= goroutines && f <= files && h <= heap+(2<<20)
	}, 30*time.Second, 50*time.Millisecond, "goroutines, files, bytes before: %d, %d, %d", goroutines, files, heap)
}
