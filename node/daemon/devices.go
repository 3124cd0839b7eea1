package daemon

import (
	"fmt"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
	"github.com/sluice-net/sluice/port/tap"
)

// openable are the types that openDevice makes.
func openable() []api.DeviceType { return []api.DeviceType{api.DeviceMem, api.DeviceTAP} }

// openDevice opens the device of a port. A port without one has a wire that
// nobody holds, and is down.
func openDevice(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	d := &p.Device
	switch d.Type {
	case "":
		port := mem.New(mem.Config{MTU: p.MTU})
		port.SetUp(false)
		return port, nil
	case api.DeviceMem:
		return mem.New(mem.Config{Queues: d.Queues, MTU: p.MTU}), nil
	case api.DeviceTAP:
		return tap.New(tap.Config{Name: d.Name, Queues: d.Queues, MTU: p.MTU, Up: true, Persist: d.Persistent})
	}
	return nil, fmt.Errorf("device type %s can't be opened by this version", d.Type)
}
