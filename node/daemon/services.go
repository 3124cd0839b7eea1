package daemon

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/services"
)

// given returns what an object has been given; nil if it asks for nothing. Any goroutine.
func (d *Daemon) given(k control.Key) *services.Status {
	list := d.statuses.Load()
	if list == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(*list, k, func(s *services.Status, k control.Key) int { return compareStatus(s, k) })
	if !found {
		return nil
	}
	return (*list)[i]
}

// compareStatus compares a status' object with another, as Model.ServiceStatuses are sorted.
func compareStatus(s *services.Status, k control.Key) int {
	return cmp.Or(cmp.Compare(s.Origin.Kind, k.Kind), cmp.Compare(s.Origin.Namespace, k.Namespace), cmp.Compare(s.Origin.Name, k.Name))
}

func keyOfStatus(s *services.Status) control.Key {
	return control.Key{Kind: s.Origin.Kind, Namespace: s.Origin.Namespace, Name: s.Origin.Name}
}

// show makes what a model has given that which is shown. It returns the objects that are
// shown otherwise, and that the transactions do not change.
func (d *Daemon) show(m *control.Model, planned []*desired.Transaction) (restated []control.Key) {
	var before []*services.Status
	if p := d.statuses.Swap(&m.ServiceStatuses); p != nil {
		before = *p
	}
	changed := map[control.Key]bool{}
	for _, t := range planned {
		for i := range t.Changes {
			changed[t.Changes[i].Key] = true
		}
	}
	restate := func(s *services.Status) {
		if k := keyOfStatus(s); !changed[k] {
			restated = append(restated, k)
		}
	}
	for _, s := range m.ServiceStatuses {
		for len(before) > 0 && compareStatus(before[0], keyOfStatus(s)) < 0 {
			restate(before[0])
			before = before[1:]
		}
		switch {
		case len(before) == 0 || before[0].Origin != s.Origin:
			restate(s)
		case before[0] != s:
			restate(s)
			before = before[1:]
		default:
			before = before[1:]
		}
	}
	for _, s := range before {
		restate(s)
	}
	return restated
}

// setAlarm has retry called when the model that is in force says so.
func (d *Daemon) setAlarm() {
	d.alarm = nil
	if at := d.model.RetryAt; at != 0 {
		d.alarm = time.After(time.Until(time.Unix(0, at)))
	}
}

// retry compiles anew because time alone has changed what can be given: a quarantine is over that somebody
// waits for.
func (d *Daemon) retry() {
	if err := d.renew(d.db.Set(), nil); err != nil {
		d.changeLog.Error("addresses that are free again were not given to who waits for them: it is tried again", "error", err)
		d.alarm = time.After(rounds)
	}
}
