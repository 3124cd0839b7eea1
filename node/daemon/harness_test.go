package daemon

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// patience of tests is for what happens at once unless the machine is asleep.
const testPatience = 30 * time.Second

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// running is a daemon of a test.
type running struct {
	*Daemon
	t       *testing.T
	log     *journal
	signals chan os.Signal
	cancel  context.CancelFunc
	ended   chan error
}

// start runs a daemon until the test's end, or stop. Settings that a test does not give
// are those of a small node with ports of memory.
func start(t *testing.T, c Config) *running {
	t.Helper()
	r := begin(t, c)
	r.until(func() bool { return r.Status().Ready }, "ready")
	return r
}

// begin is start without waiting.
func begin(t *testing.T, c Config) *running {
	t.Helper()
	if c.Open == nil {
		c.Open = openMem
	}
	return launch(t, c)
}

// launch is begin with devices of the host, unless others are given.
func launch(t *testing.T, c Config) *running {
	t.Helper()
	r := &running{t: t, log: &journal{}, signals: make(chan os.Signal), ended: make(chan error, 1)}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c.Signals = r.signals
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
	d, err := newDaemon(c)
	require.NoError(t, err)
	r.Daemon = d
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	go func() { r.ended <- d.run(ctx) }()
	t.Cleanup(func() {
		r.cancel()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

func openMem(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	return mem.New(mem.Config{MTU: p.MTU}), nil
}

// until waits for something that has to happen.
func (r *running) until(happened func() bool, what string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		select {
		case err := <-r.ended:
			r.ended <- err
			return true // below it shows whether that was to be
		default:
			return happened()
		}
	}, testPatience, 2*time.Millisecond, "%s\n%s", what, r.log)
	require.True(r.t, happened(), "%s: the daemon has ended\n%s", what, r.log)
}

// stop ends the daemon in order.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	require.NoError(r.t, r.end())
}

// end waits for the end and returns its error.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(testPatience):
		r.t.Fatalf("the daemon does not end\n%s", r.log)
		return nil
	}
}

// ports lists the ports in force.
func (r *running) ports() string {
	r.t.Helper()
	list, err := r.node.PortViews(&api.Filter{})
	require.NoError(r.t, err)
	var names []string
	for v := range list {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

// lines counts the log's lines that have all the words.
func (r *running) lines(words ...string) (n int) {
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// segment is the segment of all tests' ports; sessions are few, so that a node
// is made quickly.
const segment = `apiVersion: sluice.dev/v1
kind: NodeConfig
metadata: {name: node}
spec: {limits: {sessions: 1024}}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: web}
spec: {subnets: [{cidr: 10.0.1.0/24}]}
---
`

// ports is documents of ports of segment web.
func ports(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "apiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s}\nspec: {segment: web, device: {type: tap, name: %s}}\n---\n", name, name)
	}
	return b.String()
}

// write puts a file into a folder and returns its path.
func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// replaceFile is how editors write: a new file takes the place of the old.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".swp", content)
	require.NoError(t, os.Rename(path+".swp", path))
}

// relink makes a link point elsewhere, at once.
func relink(t *testing.T, target, link string) {
	t.Helper()
	require.NoError(t, os.Symlink(target, link+".tmp"))
	require.NoError(t, os.Rename(link+".tmp", link))
}
