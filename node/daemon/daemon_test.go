package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

func TestConfigIsValidated(t *testing.T) {
	_, err := newDaemon(Config{Workers: 1000, Buffers: -1, Supers: 1 << 30, API: "tcp:80", TakeoverTimeout: time.Millisecond})
	for _, want := range []string{"workers: 1000", "buffers: -1", "super-frame buffers", "tcp:80", "takeover timeout"} {
		require.ErrorContains(t, err, want, "all at once")
	}
	require.ErrorContains(t, Run(t.Context(), Config{Workers: -7}), "workers: -7")
}

func TestOneDaemonForAState(t *testing.T) {
	state := filepath.Join(t.TempDir(), "made", "if", "need", "be")
	r := start(t, Config{State: state})
	err := begin(t, Config{State: state}).end()
	require.ErrorContains(t, err, fmt.Sprintf("belongs to a daemon that runs (pid %d)", os.Getpid()))
	require.ErrorContains(t, err, "--state DIR")
	r.stop()
	start(t, Config{State: state}).stop()
}

func TestStateErrorsSayWhatToDo(t *testing.T) {
	file := write(t, t.TempDir()+"/file", "")
	require.ErrorContains(t, begin(t, Config{State: file}).end(), "it is no folder; choose another (--state DIR)")
	require.ErrorContains(t, begin(t, Config{State: file + "/below"}).end(), "it is no folder; choose another (--state DIR)")
	damaged := t.TempDir()
	write(t, damaged+"/state.db", "not a database")
	require.ErrorIs(t, begin(t, Config{State: damaged}).end(), store.ErrDamaged)
}

// pods is documents of pods that need addresses.
func pods(names ...string) (text string) {
	for _, name := range names {
		text += "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop}\n---\n"
	}
	return text
}

func TestRestartMakesTheSameChoices(t *testing.T) {
	state := t.TempDir()
	path := write(t, t.TempDir()+"/s.yaml", segment+pods("m", "n"))
	r := start(t, Config{Paths: []string{path}, State: state})
	first := r.model
	require.Len(t, first.Allocations.Addresses, 2)
	r.stop()
	replaceFile(t, path, segment+pods("a", "m", "n"))
	r = start(t, Config{Paths: []string{path}, State: state})
	for name, addresses := range first.Allocations.Addresses {
		require.Equal(t, addresses, r.model.Allocations.Addresses[name], "%s: although another comes before it now", name)
		require.Equal(t, first.Allocations.Numbers[name], r.model.Allocations.Numbers[name])
	}
	require.Equal(t, first.Revision+1, r.Status().Revision)
	replaceFile(t, path, segment+pods("a", "n"))
	r.until(func() bool { return r.ports() == "shop/a shop/n" }, "a pod is gone")
	r.stop()
	replaceFile(t, path, segment+pods("a", "b", "n"))
	r = start(t, Config{Paths: []string{path}, State: state})
	require.NotEqual(t, first.Allocations.Addresses["shop/m"], r.model.Allocations.Addresses["shop/b"],
		"a freed address is in quarantine over a restart, too")
	r.stop()
}

func TestSavedBeforeInForce(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	var d *Daemon
	begun := make(chan struct{})
	known := make(chan bool, 8)
	r := begin(t, Config{
		Paths: []string{path}, State: t.TempDir(),
		Open: func(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
			<-begun
			saved, err := desired.Open(d.store)
			known <- err == nil && saved.Allocations().Numbers[p.Name] == p.Number
			return openMem(a, p)
		},
	})
	d = r.Daemon
	close(begun)
	require.True(t, <-known, "at the start")
	replaceFile(t, path, segment+ports("a", "b"))
	require.True(t, <-known, "at a reload")
	r.until(func() bool { return r.Status().Revision == 2 }, "reloaded")
	r.stop()
}

func TestAPI(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	address := "unix:" + filepath.Join(t.TempDir(), "s.sock")
	r := start(t, Config{Paths: []string{path}, API: address, Version: "v1.2.3"})
	c, err := client.New(address)
	require.NoError(t, err)
	defer c.Close()
	st, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", st.Version)
	require.True(t, st.Ready)
	require.EqualValues(t, 1, st.Revision)
	require.NotEmpty(t, st.Digest)
	require.False(t, st.Started.IsZero())
	replaceFile(t, path, "nonsense")
	r.until(func() bool {
		st, err := c.Status(t.Context())
		return err == nil && st.LastError != "" && st.Ready
	}, "the API tells of faults")
	revision, objects := source{r.node, r.Daemon}.Config()
	require.EqualValues(t, 1, revision)
	require.Len(t, objects, 3, "what is in force, not what was refused")
	require.ErrorIs(t, c.ConfirmTakeover(t.Context()), api.ErrNotFound)

	err = begin(t, Config{API: address}).end()
	require.ErrorContains(t, err, "--api", "a second daemon on the socket")
	r.stop()
	require.NoFileExists(t, address[len("unix:"):])
	_, err = c.Status(t.Context())
	require.ErrorIs(t, err, client.ErrNoDaemon)
}

// TestEndUnderTraffic ends a daemon whose ports never run dry: no frame is
// without account.
func TestEndUnderTraffic(t *testing.T) {
	frame, err := frametext.Parse("udp 10.0.1.10:4000 > 10.0.1.11:53 len 64")
	require.NoError(t, err)
	sink := mem.NewSink(1)
	open := func(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
		if p.Name == "a" {
			return mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frame}})
		}
		return sink, nil
	}
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a", "b"))
	r := start(t, Config{Paths: []string{path}, Open: open})
	r.until(func() bool { return sink.Sent() > 1000 }, "traffic flows")
	r.stop()
	l := r.node.Engine().Ledger()
	require.Zero(t, l.Unexplained, "%+v", l)
	require.Zero(t, l.Queued, "%+v", l)
	require.False(t, r.Status().Ready)
}

// stuckPort never lets its worker go, until it is released.
type stuckPort struct {
	*mem.Port
	entered, release chan struct{}
}

func newStuck() *stuckPort {
	return &stuckPort{mem.New(mem.Config{}), make(chan struct{}, 1), make(chan struct{})}
}

func (p *stuckPort) open(*packet.Arena, *control.Port) (dataplane.Port, error) { return p, nil }

func (p *stuckPort) Rx(int, *packet.Cache, []packet.Index) int {
	select {
	case p.entered <- struct{}{}:
	default:
	}
	<-p.release
	return 0
}

func TestEndIsBounded(t *testing.T) {
	for _, tt := range []struct {
		why   string
		drain time.Duration
		want  error
	}{
		{"a second signal ends at once", time.Hour, ErrKilled},
		{"the time is up", 50 * time.Millisecond, nil},
	} {
		stuck := newStuck()
		path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
		r := start(t, Config{
			Paths: []string{path}, DrainTimeout: tt.drain, Open: stuck.open,
		})
		<-stuck.entered
		r.cancel()
		r.until(func() bool { return r.lines("msg=ending") == 1 }, tt.why)
		if tt.want != nil {
			r.signals <- syscall.SIGHUP // of which there may be one; it is no end
			r.signals <- syscall.SIGTERM
			require.ErrorIs(t, r.end(), tt.want, tt.why)
		} else {
			require.ErrorContains(t, r.end(), "did not end within 50ms", tt.why)
		}
		close(stuck.release)
	}
}

func TestADeviceThatCantBeOpened(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a", "b"))
	open := func(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
		if p.Name == "b" {
			return nil, errors.New("run as root")
		}
		return openMem(a, p)
	}
	r := start(t, Config{Paths: []string{path}, Open: open})
	// It is ready before it has said all about it.
	r.until(func() bool { return r.lines("configuration in force") == 1 }, "the rest of the switch works")
	require.Equal(t, 1, r.lines("WARN", `object="Port b"`, "run as root"))
	require.Equal(t, 1, r.node.Status().Ports.Absent)
	r.stop()
}
