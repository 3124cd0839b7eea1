package node

import (
	"reflect"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
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
	err := deviceError(open.device)
	switch {
	case err != nil:
		d.Up, d.Error = false, err.Error()
		v.State, v.Reason, v.Message = api.PortAbsent, reasonDevice, d.Error
		if p.Device.Type == "" {
			v.Reason = reasonNoDevice
		}
	case !caps.Up:
		v.State, v.Reason, v.Message = api.PortDown, reasonLink, "the link is down: set the device and its peer up (ip link set DEV up)"
	default:
		v.State = api.PortUp
	}
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
