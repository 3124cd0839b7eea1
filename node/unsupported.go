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

// ErrUnsupported is wrapped by errors about settings and objects that are valid, but that
// this version can't put into effect. They are refused rather than ignored, so that
// nobody relies on what is not there.
//
// What only describes may stay: a segment's VNI and VLAN that no port uses, pools
// for services that nobody asks for, a pool's DNS. Devices are another
// matter: see Options.Devices.
var ErrUnsupported = errors.New("not supported by this version")

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
// other ones than when this was: memory is taken once. They wait for the next start.
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
	a, b := reflect.ValueOf(was.Limits), reflect.ValueOf(is.Limits)
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		compare("spec.limits."+name, a.Field(i).Interface(), b.Field(i).Interface())
	}
	return settings
}
