package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// ask sends a request by a socket of its own and returns the answer, read to its end.
func ask(t *testing.T, address, method, path string) (*http.Response, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", strings.TrimPrefix(address, "unix:"))
		},
	}}
	r, err := http.NewRequest(method, "http://sluice"+path, http.NoBody)
	require.NoError(t, err)
	answer, err := c.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	checkAnswer(t, method, path, answer.StatusCode, answer.Header.Get("Content-Type"), string(body))
	return answer, string(body)
}

func TestAnswers(t *testing.T) {
	source := servertest.Small()
	address := servertest.Start(t, source)
	for _, row := range []struct {
		why, method, path string
		status            int
		contains          string
	}{
		{"all items of a kind", "GET", "/v1/ports", 200, `{"items":[{"name":"demo/web-1","number":1,`},
		{"one, by its name", "GET", "/v1/ports?name=trunk", 200, `{"items":[{"name":"trunk"`},
		{"a limit cuts a list off and says so", "GET", "/v1/ports?limit=1", 200, `,"more":true}`},
		{"a limit as large as the list does not", "GET", "/v1/ports?limit=4", 200, "\n]}\n"},
		{"segments", "GET", "/v1/segments", 200, `"vlan":100`},
		{"routes", "GET", "/v1/routes", 200, `"type":"blackhole"`},
		{"MAC addresses as text", "GET", "/v1/macs", 200, `"mac":"0a:58:0a:00:01:0a"`},
		{"neighbours", "GET", "/v1/neighbors", 200, `"state":"INCOMPLETE"`},
		{"sessions", "GET", "/v1/sessions", 200, `"original":{"source":"10.0.1.10","sourcePort":40000,`},
		{"workers", "GET", "/v1/workers", 200, `"busyShare":0.123`},
		{"drops", "GET", "/v1/drops", 200, `"reason":"SPOOF_GUARD"`},
		{"stocks of addresses", "GET", "/v1/ippools", 200, `"quarantined":1`},
		{"virtual servers", "GET", "/v1/virtualservers?vip=10.0.3.1:80", 200, `"kind":"ClusterIP","address":"10.0.3.1","ports":"80"`},
		{"pools of members", "GET", "/v1/pools", 200, `"members":2,"membersUp":1`},
		{"members", "GET", "/v1/members?pool=web", 200, `"eligible":false,"reason":"HTTP: connection refused`},
		{"NAT rules", "GET", "/v1/natrules", 200, `"exhausted":1`},
		{"a virtual server's address that is none", "GET", "/v1/sessions?vip=web", 400, `vip \"web\": want an IP address such as 10.96.0.10`},
		{"the status is an object", "GET", "/v1/status", 200, `"version":"v0.2.0"`},
		{"the configuration is a List, its revision where Kubernetes has it", "GET", "/v1/config", 200, `"metadata":{"resourceVersion":"3"}`},
		{"and YAML for who reads it", "GET", "/v1/config?format=yaml", 200, "---\napiVersion: sluice.dev/v1\nkind: Segment\n"},
		{"a takeover is confirmed", "POST", "/v1/takeover/confirm", 200, "{}"},
		{"it lives", "GET", "/healthz", 200, "ok"},
		{"it is ready", "GET", "/readyz", 200, "ready"},

		{"a name that is not there, with those that are like it", "GET", "/v1/ports?name=web-1", 404, `{"error":"there is no port web-1; did you mean demo/web-1?`},
		{"a path that is not there", "GET", "/v1/prots", 404, `there is no path /v1/prots; did you mean one of /v1/ports, /v1/pools?`},
		{"another version's path", "GET", "/v2/ports", 404, "did you mean /v1/ports?"},
		{"a filter that the kind has not", "GET", "/v1/ports?protocol=tcp", 400, `ports can't be filtered by \"protocol\"; they can by name, segment`},
		{"a filter that is none", "GET", "/v1/sessions?adress=10.0.0.1", 400, `can't be filtered by \"adress\"`},
		{"all faults are told at once", "GET", "/v1/sessions?address=x&limit=-1", 400, `address \"x\": want an IP address such as 10.0.0.1, or a network such as 10.0.0.0/24\nlimit \"-1\": want a number from 1`},
		{"a query where none has a meaning", "GET", "/v1/status?limit=1", 400, "/v1/status takes no query"},
		{"a form that there is not", "GET", "/v1/config?format=xml", 400, `format \"xml\": want json or yaml`},
		{"a method that the path has not", "POST", "/v1/ports", 405, "POST /v1/ports: the method is GET"},
		{"a question where there is an order only", "GET", "/v1/takeover/confirm", 405, "the method is POST"},
	} {
		t.Run(row.why, func(t *testing.T) {
			answer, body := ask(t, address, row.method, row.path)
			require.Equal(t, row.status, answer.StatusCode, body)
			require.Contains(t, body, row.contains)
			require.Equal(t, api.ViewVersion, answer.Header.Get(api.APIHeader))
			if row.status != 200 {
				var f api.Failure
				require.NoError(t, json.Unmarshal([]byte(body), &f), body)
				require.NotEmpty(t, f.Error)
			}
		})
	}
}

// Each field of a filter reaches the source as it was asked for.
func TestFilterReachesTheSource(t *testing.T) {
	source := servertest.Small()
	address := servertest.Start(t, source)
	_, body := ask(t, address, "GET", "/v1/sessions?segment=demo&port=demo/web-1&address=10.0.1.7/24&protocol=tcp&l4Port=80&state=established&limit=5")
	require.Contains(t, body, "items")
	require.Equal(t, api.Filter{
		Segment: "demo", Port: "demo/web-1", Address: netip.MustParsePrefix("10.0.1.0/24"), Protocol: "tcp", L4Port: 80,
		State: "established", Limit: 5,
	}, source.Filter())
}

func TestNotReady(t *testing.T) {
	source := servertest.Small()
	source.Node.Ready = false
	source.Takeover = fmt.Errorf("%w: no device was taken over", api.ErrNotFound)
	address := servertest.Start(t, source)
	answer, body := ask(t, address, "GET", "/readyz")
	require.Equal(t, 503, answer.StatusCode)
	require.Contains(t, body, "frames do not pass yet")
	answer, _ = ask(t, address, "GET", "/healthz")
	require.Equal(t, 200, answer.StatusCode, "not ready is not dead")
	answer, body = ask(t, address, "POST", "/v1/takeover/confirm")
	require.Equal(t, 404, answer.StatusCode)
	require.Contains(t, body, "no device was taken over")
}

// brittle panics where it is asked to.
type brittle struct {
	*servertest.Source
	after int // items of a list; -1: before the list
}

func (b *brittle) PortViews(*api.Filter) (iter.Seq[api.PortView], error) {
	if b.after < 0 {
		panic("no list")
	}
	return func(yield func(api.PortView) bool) {
		for range b.after {
			if !yield(api.PortView{Name: strings.Repeat("x", 1000)}) {
				return
			}
		}
		panic("no more of it")
	}, nil
}

// A defect in an answer is that answer's: others are given all the same, and a part
// is never taken for the whole.
func TestPanicsAreContained(t *testing.T) {
	var log bytes.Buffer
	source := &brittle{Source: servertest.Small(), after: -1}
	path := servertest.Socket(t)
	stop := servertest.StartAt(t, source, server.Options{Socket: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	answer, body := ask(t, path, "GET", "/v1/ports")
	require.Equal(t, 500, answer.StatusCode)
	require.Contains(t, body, "a defect of the daemon, please report it: no list")

	c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	source.after = 200
	answer, err := c.Get("http://sluice/v1/ports")
	require.NoError(t, err)
	_, err = io.ReadAll(answer.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the answer had begun: it is cut off")
	require.NoError(t, answer.Body.Close())

	answer, _ = ask(t, path, "GET", "/v1/segments")
	require.Equal(t, 200, answer.StatusCode)
	stop()
	require.Contains(t, log.String(), "a handler of the API panicked")
	require.Contains(t, log.String(), "no more of it")
}

// many is a source of as many sessions as it is told, which nobody keeps.
type many struct {
	*servertest.Source
	n       int
	yielded chan int // how many were taken when it ended
}

func (m *many) SessionViews(*api.Filter) (iter.Seq[api.SessionView], error) {
	v := m.Sessions[0]
	return func(yield func(api.SessionView) bool) {
		i := 0
		for ; i < m.n && yield(v); i++ {
			v.ID++
		}
		if m.yielded != nil {
			m.yielded <- i
		}
	}, nil
}

// discard counts what it is given.
type discard struct {
	header http.Header
	status int
	n      int
	peak   uint64 // of the heap
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(n int)   { d.status = n }
func (d *discard) Write(b []byte) (int, error) {
	if d.n += len(b); d.n%(1<<20) < len(b) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		d.peak = max(d.peak, m.HeapAlloc)
	}
	return len(b), nil
}

// A hundred thousand sessions are some 60 MB of text, and at no time in memory.
func TestLongListsAreStreamed(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	source := &many{Source: servertest.Small(), n: 100_000}
	h := server.New(source, server.Options{}).Handler(server.Peer{Role: api.RoleAdmin})
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	d := &discard{header: http.Header{}}
	h.ServeHTTP(d, httptest.NewRequest("GET", "/v1/sessions", http.NoBody))
	require.Greater(t, d.n, 40_000_000)
	require.NotZero(t, d.peak)
	// Garbage that is not collected yet counts: twice what there was, and some.
	require.Less(t, d.peak, 2*before.HeapAlloc+(16<<20))
}

// Who asks for much and takes nothing is given up, while others are answered.
func TestSlowClients(t *testing.T) {
	source := &many{Source: servertest.Small(), n: 1 << 30, yielded: make(chan int, 8)}
	path := servertest.Socket(t)
	servertest.StartAt(t, source, server.Options{Socket: path, Stall: 100 * time.Millisecond})
	var clients []net.Conn
	for range 4 {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		_, err = io.WriteString(c, "GET /v1/sessions HTTP/1.1\r\nHost: sluice\r\n\r\n")
		require.NoError(t, err)
		clients = append(clients, c)
	}
	answer, _ := ask(t, path, "GET", "/v1/ports")
	require.Equal(t, 200, answer.StatusCode)
	for range clients {
		select {
		case n := <-source.yielded:
			require.Less(t, n, 100_000, "a socket's buffer was filled, no more")
		case <-time.After(30 * time.Second):
			t.Fatal("a client that takes nothing is not given up")
		}
	}
	for _, c := range clients {
		require.NoError(t, c.Close())
	}
}

func TestTooManyRequests(t *testing.T) {
	source := &many{Source: servertest.Small(), n: 1 << 30}
	path := servertest.Socket(t)
	servertest.StartAt(t, source, server.Options{Socket: path, Requests: 1, Stall: time.Minute, Drain: time.Millisecond})
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /v1/sessions HTTP/1.1\r\nHost: sluice\r\n\r\n")
	require.NoError(t, err)
	_, err = bufio.NewReader(c).ReadByte()
	require.NoError(t, err, "its answer has begun")
	answer, body := ask(t, path, "GET", "/v1/ports")
	require.Equal(t, 503, answer.StatusCode)
	require.Contains(t, body, "1 requests are being answered already")
	answer, _ = ask(t, path, "GET", "/healthz")
	require.Equal(t, 200, answer.StatusCode, "whether it lives does not depend on who asks")
}

// The source is not asked any more once Serve has returned, and answers under
// way come to their end first.
func TestGracefulEnd(t *testing.T) {
	source := &many{Source: servertest.Small(), n: 2000, yielded: make(chan int, 1)}
	path := servertest.Socket(t)
	stop := servertest.StartAt(t, source, server.Options{Socket: path, Drain: 30 * time.Second})
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	_, err = io.WriteString(c, "GET /v1/sessions HTTP/1.1\r\nHost: sluice\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(c)
	_, err = r.Peek(1)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	var list api.List[api.SessionView]
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&list))
	require.Len(t, list.Items, 2000)
	require.NoError(t, answer.Body.Close())
	<-ended
	require.Equal(t, 2000, <-source.yielded)
	_, err = net.Dial("unix", path)
	require.Error(t, err)

	// An answer that does not end in time is cut off.
	source = &many{Source: servertest.Small(), n: 1 << 30, yielded: make(chan int, 1)}
	stop = servertest.StartAt(t, source, server.Options{Socket: path, Drain: time.Millisecond, Stall: time.Minute})
	c, err = net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /v1/sessions HTTP/1.1\r\nHost: sluice\r\n\r\n")
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	stop()
	require.Len(t, source.yielded, 1, "it is not being asked any more")
}

// A listener that fails is an error, not a server that answers nobody.
func TestServeTellsOfItsListener(t *testing.T) {
	l, err := server.Listen(servertest.Socket(t))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	err = server.New(servertest.Small(), server.Options{}).Serve(context.Background(), l)
	require.ErrorContains(t, err, "the API's socket")
	require.False(t, errors.Is(err, context.Canceled))
}
