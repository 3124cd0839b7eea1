package daemon

import (
	"time"
)

// Status is how a daemon does.
type Status struct {
	Revision uint64 // number of the configuration in force
	Digest   string // of its Model
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
