package daemon

import (
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/node"
)

// Status is what a daemon knows of how it does, beyond what its node does.
type Status struct {
	Revision uint64 // number of the configuration in force
	Started  time.Time
	Ready    bool // frames pass

	// LastError is why the last configuration that was given is not in force,
	// every fault on a line of its own; empty if it is.
	LastError   string
	LastErrorAt time.Time // valid iff LastError is
}

// Status returns how the daemon does; any goroutine.
func (d *Daemon) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

func (d *Daemon) setLastError(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.LastError, d.status.LastErrorAt = "", time.Time{}
	if err != nil {
		d.status.LastError, d.status.LastErrorAt = err.Error(), time.Now()
	}
}

// statusLine is what `systemctl status` shows.
func (d *Daemon) statusLine() string {
	s := d.Status()
	if s.LastError != "" {
		return status("revision %d in force; the configuration given since has faults: %s", s.Revision, s.LastError)
	}
	return status("revision %d in force, %d ports", s.Revision, len(d.model.Ports))
}

// source is what the API shows: the node, and what the daemon knows about it.
type source struct {
	*node.Node
	d *Daemon
}

var _ server.Source = source{}

// Status implements server.Source.
func (s source) Status() api.Status {
	st, own := s.Node.Status(), s.d.Status()
	st.Version, st.Started, st.Uptime, st.Ready = s.d.config.Version, own.Started, time.Since(own.Started).Seconds(), own.Ready
	st.LastError, st.LastErrorAt = own.LastError, own.LastErrorAt
	st.Takeovers = s.d.trials.status()
	return st
}

// Config implements server.Source.
func (s source) Config() (revision uint64, objects []any) {
	set := s.d.db.Set()
	for e := range set.All() {
		objects = append(objects, e.Object.Value)
	}
	return set.Revision(), objects
}

// ConfirmTakeover implements server.Source.
func (s source) ConfirmTakeover() error { return s.d.trials.confirm(time.Now()) }
