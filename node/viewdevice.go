package node

import (
	"reflect"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
)

// Why a port is not UP.
const (
	reasonNoDevice = "NoDevice"
	reasonDevice   = "DeviceUnusable"
	reasonLink     = "LinkDown"
)

// showDevice says how the device of a port is, but for its counts.
func showDevice(v *api.PortView, p *control.Port, open *openPort) {
	d := &v.Device
	if open == nil {
		v.State, v.Reason = api.PortAbsent, reasonNoDevice
		return
	}
	caps := open.device.Caps()
	d.Queues, d.MTU, d.Up = caps.Queues, caps.MTU, caps.Up
	if m, ok := open.device.(interface{ Mode() string }); ok {
		d.Mode = m.Mode()
	}
	if v.State, v.Reason, v.Message = stateOf(p, open.device, caps); v.State == api.PortAbsent {
		d.Up, d.Error = false, v.Message
	}
}

// stateOf says how it is with a port whose device has these caps.
func stateOf(p *control.Port, device dataplane.Port, caps dataplane.Caps) (state api.PortState, reason, message string) {
	err := deviceError(device)
	switch {
	case err != nil && p.Device.Type == "":
		return api.PortAbsent, reasonNoDevice, err.Error()
	case err != nil:
		return api.PortAbsent, reasonDevice, err.Error()
	case !caps.Up:
		return api.PortDown, reasonLink, "the link is down: set the device and its peer up (ip link set DEV up)"
	}
	return api.PortUp, "", ""
}

// lostByKernel is the field in which drivers count what the kernel lost before they saw it.
const lostByKernel = "RxLost"

// showCounters takes over the counts of a driver: the numbers of the struct that its
// method Counters returns, which is a type of each driver's own.
func showCounters(d *api.DeviceView, device any) {
	method := reflect.ValueOf(device).MethodByName("Counters")
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 || method.Type().Out(0).Kind() != reflect.Struct {
		return
	}
	counts := method.Call(nil)[0]
	d.Counters = make(map[string]uint64, counts.NumField())
	for field, value := range counts.Fields() {
		if field.Type.Kind() != reflect.Uint64 || !field.IsExported() {
			continue
		}
		d.Counters[lowerFirst(field.Name)] = value.Uint()
		if field.Name == lostByKernel {
			d.KernelDrops = value.Uint()
		}
	}
}

// lowerFirst makes a field's name one of JSON.
func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}
