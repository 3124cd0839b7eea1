package node

import (
	"errors"
	"slices"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
)

// DeviceChange is how it is with a port's device, when that has changed.
type DeviceChange struct {
	Port   string
	Up     bool   // frames can pass now
	MTU    int    // that holds: the port's, or less if the device's is; bytes
	Mode   string // what the driver obtained, in its words; "" if it says nothing
	Err    error  // why there is no usable device; nil if there is one
	Reopen bool   // it was opened anew
}

// errReplaced is why a port has no device while that is being replaced.
var errReplaced = errors.New("the device is being opened with other settings")

// Recheck looks at the devices: those that have gone, or could not be opened
// before, are opened again, and what has changed about the others (link, MTU) is
// put in force. It returns the ports where something is different now, sorted.
// Call it when the kernel says that something has happened, and now and then.
func (n *Node) Recheck() ([]DeviceChange, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.model == nil {
		return nil, nil
	}
	caps, err := n.detachLost()
	if err != nil {
		return nil, err
	}
	ports := slices.Clone(n.ports)
	var changes []DeviceChange
	for i, p := range ports {
		is, asked := caps[p.config.Name]
		gone, none := p.device.(absent)
		if !none {
			if is != p.caps {
				fresh := *p
				fresh.caps = is
				ports[i] = &fresh
				changes = append(changes, fresh.describe())
			}
			continue
		}
		fresh, err := n.openPort(p.config, nil, p)
		if err != nil {
			fresh = open(p.config, absent{err}, p)
		}
		change := fresh.describe()
		if change.Err != nil && !asked && alike(gone.why, change.Err) {
			continue
		}
		ports[i] = fresh
		change.Reopen = change.Err == nil
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, n.replace(ports)
}

// replace puts the model in force anew, with these ports.
func (n *Node) replace(ports []*openPort) error {
	return n.apply(n.model, func(*control.Model) ([]*openPort, error) { return ports, nil })
}

// detachLost closes the devices that are of no use any more, before any is opened
// anew, since a device takes no two of us. It returns what it has asked all
// devices, by port, those included.
func (n *Node) detachLost() (caps map[string]dataplane.Caps, err error) {
	ports := slices.Clone(n.ports)
	caps = make(map[string]dataplane.Caps, len(ports))
	lost := false
	for i, p := range ports {
		if _, none := p.device.(absent); none {
			continue
		}
		caps[p.config.Name] = p.device.Caps() // first: some drivers find out by it that there is no device any more
		if err := p.trouble(); err != nil {
			ports[i] = open(p.config, absent{err}, p)
			lost = true
		}
	}
	if !lost {
		return caps, nil
	}
	return caps, n.replace(ports)
}

// alike reports whether two errors about a device are the same trouble: what is
// said of a missing one includes what there is instead, which changes.
func alike(a, b error) bool {
	for _, kind := range []error{netdev.ErrNoDevice, netdev.ErrNoNamespace} {
		if errors.Is(a, kind) && errors.Is(b, kind) {
			return true
		}
	}
	return a.Error() == b.Error()
}

// Devices returns how it is with the devices of all ports, sorted by port.
func (n *Node) Devices() []DeviceChange {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]DeviceChange, 0, len(n.ports))
	for _, p := range n.ports {
		all = append(all, p.describe())
	}
	return all
}

func (p *openPort) describe() DeviceChange {
	c := DeviceChange{Port: p.config.Name, Up: p.caps.Up, MTU: p.mtu(), Err: deviceError(p.device)}
	if m, ok := p.device.(interface{ Mode() string }); ok {
		c.Mode = m.Mode()
	}
	return c
}

// detachChanged takes devices from ports that are to have them with other
// settings, so that they can be opened again.
func (n *Node) detachChanged(m *control.Model) error {
	if !n.options.Tolerant || n.model == nil {
		return nil
	}
	x := n.portChanges(m)
	wanted := map[deviceKey]*control.Device{}
	for _, i := range x.changed {
		if d := &m.Ports[i].Device; d.Name != "" {
			wanted[keyOf(d)] = d
		}
	}
	var ports []*openPort
	for _, i := range x.left {
		p := n.ports[i]
		if d := wanted[keyOf(&p.config.Device)]; d != nil && *d != p.config.Device {
			if ports == nil {
				ports = slices.Clone(n.ports)
			}
			ports[i] = open(p.config, absent{errReplaced}, p)
		}
	}
	if ports == nil {
		return nil
	}
	return n.replace(ports)
}
