package daemon

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/logging"
	"github.com/sluice-net/sluice/internal/netdev"
)

// attendant learns from the kernel that something has happened to a device that
// a port has or waits for: it came, went, changed, or its namespace did.
type attendant struct {
	log     *slog.Logger
	changed chan struct{} // holds one: something has happened

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	names    map[string]map[string]bool // devices of interest, by namespace
	watchers map[string]watching        // by namespace
}

// watching is a namespace under watch.
type watching struct {
	id   uint64 // of the namespace that the name stood for
	stop context.CancelFunc
}

func newAttendant(log *slog.Logger) *attendant {
	ctx, stop := context.WithCancel(context.Background())
	a := &attendant{log: log, changed: make(chan struct{}, 1), ctx: ctx, stop: stop, watchers: map[string]watching{}}
	a.done.Go(func() {
		// Where it can't be watched (no inotify), the daemon's own rounds notice, later.
		err := netdev.WatchNamespaces(ctx, func() {
			a.refresh()
			a.tell()
		})
		if err != nil {
			a.log.Warn("network namespaces that come and go are noticed late", "error", err)
		}
	})
	return a
}

// tell says that something has happened; it never waits.
func (a *attendant) tell() { put(a.changed, struct{}{}) }

// attend makes the devices of a model those of interest.
func (a *attendant) attend(m *control.Model) {
	names := map[string]map[string]bool{}
	for i := range m.Ports {
		d := &m.Ports[i].Device
		if d.Name == "" {
			continue
		}
		if names[d.NetNS] == nil {
			names[d.NetNS] = map[string]bool{}
		}
		names[d.NetNS][d.Name] = true
	}
	a.mu.Lock()
	same := maps.EqualFunc(a.names, names, maps.Equal)
	a.names = names
	a.mu.Unlock()
	if !same {
		a.refresh()
	}
}

// refresh watches the namespaces of interest, and no others: a watcher keeps its
// namespace alive. One whose name stands for another namespace now is another.
func (a *attendant) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ns, w := range a.watchers {
		if id, err := netdev.NamespaceID(ns); a.names[ns] == nil || err != nil || id != w.id {
			w.stop()
			delete(a.watchers, ns)
		}
	}
	for ns := range a.names {
		if _, watched := a.watchers[ns]; watched || a.ctx.Err() != nil {
			continue
		}
		id, err := netdev.NamespaceID(ns)
		if err != nil {
			continue // it is not there; WatchNamespaces tells when it is
		}
		ctx, stop := context.WithCancel(a.ctx)
		a.watchers[ns] = watching{id, stop}
		a.done.Go(func() { a.watch(ctx, ns) })
	}
}

func (a *attendant) watch(ctx context.Context, ns string) {
	err := netdev.Watch(ctx, ns, func(e netdev.Event) {
		a.mu.Lock()
		concerns := a.names[ns][e.Is.Name] || e.Kind == netdev.Changed && a.names[ns][e.Was.Name]
		a.mu.Unlock()
		if concerns {
			a.tell()
		}
	})
	if err != nil {
		a.log.Warn("changes of devices are noticed late", "netns", ns, "error", err)
	}
}

func (a *attendant) close() {
	a.stop()
	a.done.Wait()
}

// rounds are made whether the kernel has told of something or not: what a device
// waits for may be no device (memory, rights, another program that has it).
const rounds = 5 * time.Second

// portObject names a port in the log.
func portObject(name string) slog.Attr { return logging.Object(control.Key{Kind: "Port", Name: name}) }

// recheck looks at the devices, and says what is different.
func (d *Daemon) recheck() {
	changes, err := d.node.Recheck()
	for _, c := range changes {
		switch {
		case c.Err != nil:
			d.deviceLog.Warn("a port has no device", portObject(c.Port), "error", c.Err)
		case c.Reopen:
			d.deviceLog.Info("a port has its device", portObject(c.Port), "mode", c.Mode, "up", c.Up)
		default:
			d.deviceLog.Info("the link of a port has changed", portObject(c.Port), "up", c.Up, "mtu", c.MTU)
		}
	}
	if err != nil {
		d.deviceLog.Error("what has changed about devices is not in force", "error", err)
	}
}
