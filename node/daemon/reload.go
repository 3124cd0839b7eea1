package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/internal/logging"
)

// readFiles reads the configuration's files as they are now. The error is control.Faults.
func (d *Daemon) readFiles() (*desired.Request, error) {
	objects, faults := control.Load(d.config.Paths, bytes.NewReader(d.stdin), control.Options{})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return &desired.Request{Verb: api.VerbFiles, Author: api.Author{Via: "files"}, Objects: objects, At: time.Now()}, nil
}

// firstModel makes the model to start with: what was saved, with the files as they are
// now. Files with faults end the start, and so does a whole with faults, unless objects
// were applied over the API: these can't be mended while the daemon does not run, so
// it starts with what was in force when it ended, and says what is wrong.
func (d *Daemon) firstModel() (*control.Model, []*desired.Transaction, error) {
	files, err := d.readFiles()
	if err != nil {
		return nil, nil, err
	}
	set := d.db.Set()
	t, err := d.db.Plan(set, files)
	if err == nil {
		var m *control.Model
		if m, err = d.compile(set.With(t)); err == nil {
			return m, []*desired.Transaction{t}, nil
		}
	}
	applied := false
	for e := range set.All() {
		applied = applied || e.File == ""
	}
	if !applied {
		return nil, nil, err
	}
	m, lastErr := d.compile(set)
	if lastErr != nil {
		return nil, nil, err
	}
	d.logFaults(err)
	d.changeLog.Error("the files do not go with what was applied over the API: THE CONFIGURATION OF THE LAST RUN IS IN FORCE, not the files'",
		"revision", set.Revision())
	d.setLastError(err)
	return m, nil, nil
}

// reload puts the files as they are now in force. If they can't be, all stays as
// it was, and the log and the status say so.
func (d *Daemon) reload(why string) {
	begin, before := time.Now(), d.db.Set().Revision()
	err := d.replace()
	d.setLastError(err)
	took, revision := slog.Duration("took", time.Since(begin).Round(100*time.Microsecond)), d.db.Set().Revision()
	switch {
	case err != nil:
		d.logFaults(err)
		d.changeLog.Error("the configuration was not reloaded; the one before stays in force", "why", why, "revision", revision, took)
	case revision != before:
		d.changeLog.Info("the configuration was reloaded", "why", why, took)
	default:
		d.changeLog.Info("the configuration was read again and is unchanged", "why", why, "revision", revision, took)
	}
}

// replace is reload's work.
func (d *Daemon) replace() error {
	files, err := d.readFiles()
	if err != nil {
		return err
	}
	answers := make(chan answer, 1)
	d.carryOut([]asked{{files, answers}})
	return (<-answers).err
}

// inForce takes note that a model came into force, and says what it changed.
func (d *Daemon) inForce(m *control.Model, planned []*desired.Transaction) {
	d.model = m
	d.setAlarm()
	d.attend.attend(m)
	if d.prober != nil {
		d.prober.follow(m)
	}
	d.mu.Lock()
	d.status.Revision = m.Revision
	d.mu.Unlock()
	for _, t := range planned {
		if r := t.Request; !t.Empty() {
			d.changeLog.Info("changed", "revision", t.Revision, "verb", string(r.Verb), "objects", len(t.Changes),
				"via", r.Author.Via, "author", r.Author.Name, "message", r.Message)
		}
	}
	d.tellWaiting()
}

// portsOf selects the ports that transactions write.
func portsOf(planned []*desired.Transaction) func(port string) bool {
	touched := map[string]bool{}
	for _, t := range planned {
		for _, c := range t.Changes {
			touched[portName(c.Key)] = c.Key.Kind == "Port"
		}
	}
	return func(port string) bool { return touched[port] }
}

// tellWaiting says which settings wait for the next start, when these are others than before.
func (d *Daemon) tellWaiting() {
	waiting := strings.Join(d.node.Waiting(), "; ")
	if waiting != d.waiting && waiting != "" {
		d.changeLog.Warn("settings wait until the daemon is started anew", logging.KeyObject, "NodeConfig", "settings", waiting)
	}
	d.waiting = waiting
}

// tellDevices says how it is with the devices of ports.
func (d *Daemon) tellDevices(of func(port string) bool) {
	for _, p := range d.model.Ports {
		if !of(p.Name) {
			continue
		}
		switch l, _ := d.node.Live(p.Name); {
		case l.State == api.PortAbsent && !p.Pod: // a pod has none
			d.deviceLog.Warn("a port has no device", portObject(p.Name), "error", l.Message)
		default:
			d.deviceLog.Debug("port", portObject(p.Name), "state", string(l.State), "device", l.Mode)
		}
	}
}

// logFaults tells each fault of a configuration with its place.
func (d *Daemon) logFaults(err error) {
	faults, are := errors.AsType[control.Faults](err)
	if !are {
		d.changeLog.Error("fault", "fault", err.Error())
		return
	}
	for _, f := range faults {
		d.changeLog.Error("fault in the configuration", "fault", f.Error(), logging.KeyObject, f.Object, "file", f.File, "line", f.Line, "column", f.Column)
	}
}
