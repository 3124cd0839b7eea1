package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/server/servertest"
)

func dial(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(address)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// What the source has is what the client gets.
func TestRoundTrip(t *testing.T) {
	source := servertest.Small()
	c := dial(t, servertest.Start(t, source))
	ctx := t.Context()
	same(t, c, "ports", source.Ports)
	same(t, c, "segments", source.Segments)
	same(t, c, "routes", source.Routes)
	same(t, c, "macs", source.MACs)
	same(t, c, "neighbors", source.Neighbors)
	same(t, c, "sessions", source.Sessions)
	same(t, c, "workers", source.Workers)
	same(t, c, "drops", source.Drops)
	same(t, c, "ippools", source.Pools)
	same(t, c, "virtualservers", source.VirtualServers)
	same(t, c, "pools", source.LBPools)
	same(t, c, "members", source.LBMembers)
	same(t, c, "natrules", source.NATRules)
	st, err := c.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, source.Node, st)
	require.NoError(t, c.ConfirmTakeover(ctx))
	var b bytes.Buffer
	require.NoError(t, c.Config(ctx, "yaml", &b))
	require.Contains(t, b.String(), "name: demo")
}

func same[T any](t *testing.T, c *client.Client, kind string, want []T) {
	t.Helper()
	got, more, err := client.List[T](t.Context(), c, kind, api.Filter{})
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, want, got)
	_, more, err = client.List[T](t.Context(), c, kind, api.Filter{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, len(want) > 1, more)
}

func TestFilterIsSent(t *testing.T) {
	source := servertest.Small()
	c := dial(t, servertest.Start(t, source))
	f := api.Filter{Segment: "a/b ü&=", Address: netip.MustParsePrefix("fd00::/64"), L4Port: 443, State: "x", Limit: 3}
	_, err := client.Each(t.Context(), c, "sessions", f, func(*api.SessionView) error { return nil })
	require.NoError(t, err)
	require.Equal(t, f, source.Filter())
}

func TestErrors(t *testing.T) {
	source := servertest.Small()
	source.Takeover = api.NotFound("takeover", "to confirm", nil)
	c := dial(t, servertest.Start(t, source))
	_, _, err := client.List[api.PortView](t.Context(), c, "ports", api.Filter{Names: []string{"demo/web-3"}})
	require.EqualError(t, err, "there is no port demo/web-3; did you mean one of demo/web-1, demo/web-2?")
	require.ErrorIs(t, err, api.ErrNotFound)
	_, _, err = client.List[api.PortView](t.Context(), c, "ports", api.Filter{L4Port: 1})
	require.ErrorIs(t, err, api.ErrInvalid)
	require.NotErrorIs(t, err, api.ErrNotFound)
	require.ErrorIs(t, c.ConfirmTakeover(t.Context()), api.ErrNotFound)

	stop := errors.New("enough")
	n := 0
	_, err = client.Each(t.Context(), c, "ports", api.Filter{}, func(*api.PortView) error { n++; return stop })
	require.Equal(t, stop, err)
	require.Equal(t, 1, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Status(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// Whoever is not answered is told why, and what helps.
func TestNobodyAnswers(t *testing.T) {
	dir := filepath.Dir(servertest.Socket(t))
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	gone := filepath.Join(dir, "gone")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: gone, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	for _, row := range []struct{ why, path, want string }{
		{"no daemon was ever there", dir + "/none", "no daemon answers on unix:" + dir + "/none: start one (sluice run), or name its socket (--api)"},
		{"a daemon was killed", gone, "no daemon answers on unix:" + gone + ": start one (sluice run), or name its socket (--api)"},
		{"a file is named", file, "no daemon answers on unix:" + file},
		{"a file where a directory should be", file + "/api", "no daemon answers on unix:" + file + "/api"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := dial(t, "unix:"+row.path).Status(t.Context())
			require.ErrorContains(t, err, row.want)
			require.ErrorIs(t, err, client.ErrNoDaemon)
		})
	}
	for _, address := range []string{"", "unix:", "/run/sluice.sock", "http://localhost:80", "unix:" + strings.Repeat("x", 108), "unix:a\x00b"} {
		_, err := client.New(address)
		require.ErrorContains(t, err, "API address")
	}
	_, err = client.New("unix:///run/sluice/sluice.sock")
	require.NoError(t, err, "as URLs write it")
}

// answering is a server that answers whatever is asked with this.
func answering(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	path := servertest.Socket(t)
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := &http.Server{Handler: h, ReadHeaderTimeout: 0} //nolint:gosec // of a test
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	t.Cleanup(func() { require.NoError(t, s.Close()); <-done })
	return dial(t, "unix:"+path)
}

func TestStrangeAnswers(t *testing.T) {
	for _, row := range []struct {
		why, version string
		status       int
		body, want   string
	}{
		{"another program's socket", "", 200, "hello", "is no daemon of Sluice: name its socket (--api)"},
		{"a newer daemon", "v2", 200, "{}", "speaks version v2 of the API and this program v1: use the sluice that the daemon is of"},
		{"an error without words", "v1", 502, "", "the daemon answers 502 Bad Gateway"},
		{"an answer that breaks off in an item", "v1", 200, `{"items":[{"name":"a`, "breaks off"},
		{"an answer that breaks off between items", "v1", 200, `{"items":[{"name":"a"},`, "breaks off"},
		{"an answer that breaks off after the items", "v1", 200, `{"items":[]`, "breaks off"},
		{"nothing", "v1", 200, ``, "breaks off"},
		{"no object", "v1", 200, `[]`, "it has [ where { should be"},
		{"no list", "v1", 200, `{"items":{}}`, "it has { where [ should be"},
		{"an item of another form", "v1", 200, `{"items":[7]}`, "cannot unmarshal"},
		{"no JSON", "v1", 200, `{"items":<`, "invalid character"},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				if row.version != "" {
					w.Header().Set(api.APIHeader, row.version)
				}
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			})
			_, _, err := client.List[api.PortView](t.Context(), c, "ports", api.Filter{})
			require.ErrorContains(t, err, row.want)
		})
	}
}

// A daemon that is newer within the version has fields that this program does not
// know: they are passed over, wherever they are.
func TestUnknownFields(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(api.APIHeader, api.ViewVersion)
		_, _ = w.Write([]byte(`{"next":{"a":[1]},"items":[{"name":"a","colour":"red"}],"more":true,"z":1}`))
	})
	list, more, err := client.List[api.PortView](t.Context(), c, "ports", api.Filter{})
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []api.PortView{{Name: "a"}}, list)
	raw, _, err := client.List[json.RawMessage](t.Context(), c, "ports", api.Filter{})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"a","colour":"red"}`, string(raw[0]))
}
