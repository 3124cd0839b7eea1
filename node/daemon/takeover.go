package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
)

// takeovers decide about devices that the host uses itself: to take one may cut
// off whoever administers the machine. So one has to be named, and it is taken on
// trial: unless somebody confirms, who must still be able to for that, it is given back.
//
//	refused ── named by --takeover ──▶ trial ── confirmed in time ──▶ confirmed
//	                                     └───── not ──▶ given back
//
// A confirmation is in the store: a restart does not ask again, unless there is
// another device under the name. A trial is not: the kernel gives the devices of a
// daemon that dies back by itself. Methods may be called by any goroutine.
type takeovers struct {
	named   map[string]bool // by key
	timeout time.Duration
	store   store.Store
	log     *slog.Logger

	mu      sync.Mutex
	devices map[string]*takeover // by key
	alarm   *time.Timer          // at the end of the first trial to end, or long past
}

// takeover is a device that the host uses.
type takeover struct {
	state  api.TakeoverState
	reason string    // what the host uses it for
	mac    string    // of the device
	until  time.Time // valid on trial, once the device is open; zero before
}

// confirmation is what the store has of a takeover.
type confirmation struct {
	MAC string    `json:"mac"`
	At  time.Time `json:"at"`
}

// takeoverPrefix is that of confirmations' keys; a device's key follows.
const takeoverPrefix = "takeover/"

// takeoverKey is how users write a device: DEV, or NETNS/DEV.
func takeoverKey(d *control.Device) string {
	if d.NetNS == "" {
		return d.Name
	}
	return d.NetNS + "/" + d.Name
}

// newTakeovers reads the confirmations of a store.
func newTakeovers(named []string, timeout time.Duration, s store.Store, log *slog.Logger) (*takeovers, error) {
	t := &takeovers{named: map[string]bool{}, timeout: timeout, store: s, log: log, devices: map[string]*takeover{}}
	t.alarm = time.NewTimer(0)
	t.alarm.Stop()
	for _, key := range named {
		t.named[key] = true
	}
	records, _, err := s.Load(takeoverPrefix)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		var c confirmation
		if err := json.Unmarshal(r.Value, &c); err != nil {
			return nil, fmt.Errorf("record %s: %w: %w", r.Key, store.ErrDamaged, err)
		}
		t.devices[strings.TrimPrefix(r.Key, takeoverPrefix)] = &takeover{state: api.TakeoverConfirmed, mac: c.MAC}
	}
	return t, nil
}

// permit is asked before a device is opened that the host uses. Its errors are the
// same each time, so that a device which is tried again and again is told of once.
func (t *takeovers) permit(d *control.Device, info *netdev.Info) error {
	key, reason, mac := takeoverKey(d), info.InUse(), info.MAC.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.devices[key]
	if v == nil || v.mac != mac { // a device that is not known yet
		v = &takeover{state: api.TakeoverRefused, mac: mac}
		t.devices[key] = v
	}
	v.reason = reason
	if v.state == api.TakeoverRefused && t.named[key] {
		v.state = api.TakeoverTrial
	}
	switch v.state {
	case api.TakeoverRefused:
		return fmt.Errorf("device %s is in use (%s), and Sluice would cut it off: if that is meant, run with --takeover %s; "+
			"it is given back unless `sluice takeover confirm` follows within %v", key, reason, key, t.timeout)
	case api.TakeoverGivenBack:
		return fmt.Errorf("device %s was given back, since nobody confirmed the takeover within %v: start the daemon anew with --takeover %s, "+
			"and run `sluice takeover confirm` in time", key, t.timeout, key)
	}
	return nil
}

// opening wraps the function that opens devices: the time of a trial begins once
// the port has the device.
func (t *takeovers) opening(open func(*packet.Arena, *control.Port) (dataplane.Port, error)) func(*packet.Arena, *control.Port) (dataplane.Port, error) {
	return func(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
		port, err := open(a, p)
		if err == nil && p.Device.Name != "" {
			t.opened(&p.Device, time.Now())
		}
		return port, err
	}
}

// opened says that a port has a device, in use or not.
func (t *takeovers) opened(d *control.Device, now time.Time) {
	key := takeoverKey(d)
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.devices[key]
	if v == nil || v.state != api.TakeoverTrial || !v.until.IsZero() {
		return
	}
	v.until = now.Add(t.timeout)
	t.arm(now)
	t.log.Warn("a device that the host uses was taken over ON TRIAL; run `sluice takeover confirm` to keep it, else it is given back",
		"device", key, "inUse", v.reason, "until", v.until.Format(time.RFC3339))
}

// arm sets the alarm to the end of the first trial that ends.
func (t *takeovers) arm(now time.Time) {
	var first time.Time
	for _, v := range t.devices {
		if v.onTrial() && (first.IsZero() || v.until.Before(first)) {
			first = v.until
		}
	}
	t.alarm.Stop()
	if !first.IsZero() {
		t.alarm.Reset(max(0, first.Sub(now)))
	}
}

// onTrial says whether the time runs.
func (v *takeover) onTrial() bool { return v.state == api.TakeoverTrial && !v.until.IsZero() }

// over receives when a trial may be over; expire says which.
func (t *takeovers) over() <-chan time.Time { return t.alarm.C }

// expire ends the trials whose time is over, and returns the devices' keys,
// sorted: they are to be given back.
func (t *takeovers) expire(now time.Time) (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.devices {
		if v.onTrial() && !now.Before(v.until) {
			v.state = api.TakeoverGivenBack
			keys = append(keys, key)
		}
	}
	t.arm(now)
	slices.Sort(keys)
	return keys
}

// confirm keeps all devices that are on trial, for good. The error wraps
// api.ErrNotFound if there is none.
func (t *takeovers) confirm(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []string
	var changes []store.Change
	for key, v := range t.devices {
		if !v.onTrial() || !now.Before(v.until) {
			continue
		}
		value, err := json.Marshal(confirmation{v.mac, now.UTC()})
		if err != nil {
			return err
		}
		keys = append(keys, key)
		changes = append(changes, store.Change{Key: takeoverPrefix + key, Value: value, Was: store.Any})
	}
	if len(keys) == 0 {
		return fmt.Errorf("%w: no device is on trial%s", api.ErrNotFound, t.givenBack())
	}
	if _, err := t.store.Save(changes...); err != nil {
		return fmt.Errorf("the takeover is not confirmed, since that can't be saved: %w", err)
	}
	for _, key := range keys {
		t.devices[key].state = api.TakeoverConfirmed
		t.log.Info("the takeover of a device was confirmed", "device", key)
	}
	t.arm(now)
	return nil
}

// givenBack names the devices that it is too late for.
func (t *takeovers) givenBack() string {
	var keys []string
	for key, v := range t.devices {
		if v.state == api.TakeoverGivenBack {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return ": it is too late for " + strings.Join(keys, " and ") + ", given back already; start the daemon anew to try again"
}

// status lists the devices that the host uses.
func (t *takeovers) status() (list []api.TakeoverStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.devices {
		s := api.TakeoverStatus{Device: key, State: v.state, Reason: v.reason}
		if v.onTrial() {
			s.Until = v.until
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b api.TakeoverStatus) int { return cmp.Compare(a.Device, b.Device) })
	return list
}

// giveBack takes devices whose trial is over away from their ports: a model without
// them closes them, and in that with them, which is in force again then, they are refused.
func (d *Daemon) giveBack() {
	keys := d.trials.expire(time.Now())
	if len(keys) == 0 {
		return
	}
	err := errors.Join(d.node.Apply(withoutDevices(d.model, keys)), d.node.Apply(d.model))
	for _, key := range keys {
		d.log.Error("nobody confirmed the takeover of a device in time: IT WAS GIVEN BACK to the host, and its port is down", "device", key)
	}
	if err != nil {
		d.log.Error("a device could not be given back; end the daemon to get it back", "devices", keys, "error", err)
	}
}

// withoutDevices returns a model in which ports have the devices of keys no more.
func withoutDevices(m *control.Model, keys []string) *control.Model {
	without := *m
	without.Ports = slices.Clone(m.Ports)
	for i := range without.Ports {
		if d := &without.Ports[i].Device; d.Name != "" && slices.Contains(keys, takeoverKey(d)) {
			p := *without.Ports[i] // the model's own is not to be changed
			p.Device = control.Device{}
			without.Ports[i] = &p
		}
	}
	return &without
}
