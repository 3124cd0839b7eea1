package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// compile reads the configuration as it is now and resolves it with what was
// chosen before. The model's revision is the one in force if it changes
// nothing, else the next.
func (d *Daemon) compile() (*control.Model, []*control.Object, error) {
	objects, faults := control.Load(d.config.Paths, bytes.NewReader(d.stdin), control.Options{})
	if err := faults.Err(); err != nil {
		return nil, nil, err
	}
	m, faults := control.Compile(control.Input{
		Objects: objects, Revision: d.state.Revision + 1, Previous: &d.state.Allocations, Now: time.Now().UnixNano(),
	})
	if err := faults.Err(); err != nil {
		return nil, nil, err
	}
	if m.Digest == d.state.Digest {
		m.Revision = d.state.Revision
	}
	return m, objects, nil
}

// reload puts the configuration as it is now in force. If it can't be, all stays
// as it was, and the log and the status say so.
func (d *Daemon) reload(why string) {
	begin := time.Now()
	objects, err := d.replace()
	d.setLastError(err)
	took := slog.Duration("took", time.Since(begin).Round(100*time.Microsecond))
	switch {
	case err != nil:
		d.logFaults(err)
		d.log.Error("the configuration was not reloaded; the one before stays in force",
			"why", why, "revision", d.state.Revision, took)
	case objects != nil:
		d.inForce(objects)
		d.log.Info("the configuration was reloaded", "why", why, took)
	default:
		d.log.Info("the configuration was read again and is unchanged", "why", why, "revision", d.state.Revision, took)
	}
}

// replace is reload's work. It returns the objects if they are something new.
func (d *Daemon) replace() ([]*control.Object, error) {
	m, objects, err := d.compile()
	if err != nil || m.Digest == d.state.Digest {
		return nil, err
	}
	was := d.state
	if err := d.save(m); err != nil {
		return nil, err
	}
	if err := d.node.Apply(m); err != nil {
		return nil, errors.Join(err, d.restore(was))
	}
	d.model = m
	return append([]*control.Object{}, objects...), nil
}

// save makes a model's choices survive, before it is in force.
func (d *Daemon) save(m *control.Model) error {
	state := store.State{Revision: m.Revision, Digest: m.Digest, Allocations: m.Allocations}
	if err := store.SaveState(d.store, state); err != nil {
		return fmt.Errorf("save what revision %d allocates: %w", m.Revision, err)
	}
	d.state = state
	return nil
}

// restore takes a save back whose model did not come into force: addresses
// that it freed are still in use.
func (d *Daemon) restore(was store.State) error {
	if err := store.SaveState(d.store, was); err != nil {
		return fmt.Errorf("save what revision %d had allocated: %w", was.Revision, err)
	}
	d.state = was
	return nil
}

// inForce says what came into force.
func (d *Daemon) inForce(objects []*control.Object) {
	d.attend.attend(d.model)
	d.mu.Lock()
	d.status.Revision, d.given = d.model.Revision, objects
	d.mu.Unlock()
	for _, c := range d.node.Devices() {
		if c.Err != nil {
			d.log.Warn("a port has no device", "port", c.Port, "error", c.Err)
		} else {
			d.log.Debug("port", "port", c.Port, "mode", c.Mode, "up", c.Up)
		}
	}
	d.log.Info("configuration in force", "revision", d.model.Revision, "digest", d.model.Digest,
		"segments", len(d.model.Segments), "ports", len(d.model.Ports), "routers", len(d.model.Routers))
}

// logFaults tells each fault of a configuration with its place.
func (d *Daemon) logFaults(err error) {
	faults, are := errors.AsType[control.Faults](err)
	if !are {
		d.log.Error("fault", "fault", err.Error())
		return
	}
	for _, f := range faults {
		d.log.Error("fault in the configuration", "fault", f.Error(), "file", f.File, "line", f.Line, "column", f.Column)
	}
}
