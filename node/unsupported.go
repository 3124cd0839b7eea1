package node

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// ErrUnsupported is wrapped by errors about settings that are valid, but that
// this version can't put into effect. A setting is refused rather than ignored, so that
// nobody relies on what is not there.
var ErrUnsupported = errors.New("not supported by this version")

// Unsupported returns an error that names each setting of a model that this
// version can't put into effect, and what to do about it; nil if there is none.
//
// What only describes may stay: a segment's VNI and VLAN that no port uses, pools
// for services that nobody asks for, labels, a pool's DNS. Devices are another
// matter: see Options.Devices.
func Unsupported(m *control.Model) error {
	var faults []error
	refuse := func(unless bool, setting, value, why, remedy string) {
		if !unless {
			faults = append(faults, fmt.Errorf("NodeConfig: %s: %s is %w: %s; %s", setting, value, ErrUnsupported, why, remedy))
		}
	}
	c := &m.Node
	refuse(c.DefaultAction == api.ActionAllow, "spec.defaultRule.action", string(c.DefaultAction),
		"it has no firewall, and what is not dropped for another reason passes", "remove it or set it to ALLOW")
	refuse(!c.DefaultLogged, "spec.defaultRule.logged", "true",
		"it has no firewall whose rules could be logged", "remove it or set it to false")
	return errors.Join(faults...)
}

// Idle returns an error that names each object that this version accepts and does not put into
// effect: who relied on it would be wrong. See Options.AllowIdle.
func Idle(m *control.Model) error {
	var faults []error
	for _, k := range m.NotImplemented {
		faults = append(faults, fmt.Errorf("%s is %w: %s; leave it out", k, ErrUnsupported, control.NotImplemented(k.Kind)))
	}
	return errors.Join(faults...)
}

// unopenable refuses ports with devices of types that Open can't make; known
// nil is all types.
func unopenable(m *control.Model, known []api.DeviceType) error {
	if known == nil {
		return nil
	}
	var faults []error
	for i := range m.Ports {
		p := m.Ports[i]
		if t := p.Device.Type; t != "" && !slices.Contains(known, t) {
			faults = append(faults, fmt.Errorf("%s: spec.device.type: %s is %w; remove the device or set it to %s", "Port "+p.Name, t, ErrUnsupported, oneOf(known)))
		}
	}
	return errors.Join(faults...)
}

func oneOf(types []api.DeviceType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// Waiting lists the settings of the model in force that a node is made with, and that are
// other ones than when this was: memory is taken once, and the timers are in every
// session. They wait for the next start.
func (n *Node) Waiting() (settings []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.model == nil {
		return nil
	}
	was, is := &n.settings, &n.model.Node
	compare := func(setting string, was, is any) {
		if !reflect.DeepEqual(was, is) {
			settings = append(settings, fmt.Sprintf("%s: %v, at the next start %v", setting, was, is))
		}
	}
	if n.options.Workers == 0 {
		compare("spec.workers", was.Workers, is.Workers)
		compare("spec.cpus", was.CPUs, is.CPUs)
	}
	for _, group := range []struct {
		path    string
		was, is any
	}{
		{"spec.timers.", was.Timers, is.Timers},
		{"spec.limits.", was.Limits, is.Limits},
	} {
		a, b := reflect.ValueOf(group.was), reflect.ValueOf(group.is)
		for i := range a.NumField() {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			compare(group.path+name, a.Field(i).Interface(), b.Field(i).Interface())
		}
	}
	return settings
}
