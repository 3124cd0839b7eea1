package node

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
)

// openPort is a port with its device.
type openPort struct {
	config *control.Port
	device dataplane.Port
	caps   dataplane.Caps // as published

	namespace uint64 // that the device was opened in; 0: the daemon's own
}

// deviceKey is what can be open once only.
type deviceKey struct {
	kind        api.DeviceType
	name, netns string
}

func keyOf(d *control.Device) deviceKey { return deviceKey{d.Type, d.Name, d.NetNS} }

// absent takes the place of a device that could not be opened.
type absent struct{ why error }

// Rx has nothing to receive.
func (absent) Rx(int, *packet.Cache, []packet.Index) int { return 0 }

// Tx takes nothing: what is sent there is dropped because the port is down.
func (absent) Tx(int, *packet.Cache, []packet.Index) int { return 0 }

// Caps says that the port is down.
func (absent) Caps() dataplane.Caps { return dataplane.Caps{Queues: 1} }

// FD says that there is nothing to wait for.
func (absent) FD(int) int { return -1 }

// Err returns why there is no device.
func (a absent) Err() error { return a.why }

// deviceError returns why a port's device is of no use (any more); nil while it is.
func deviceError(p dataplane.Port) error {
	if e, ok := p.(interface{ Err() error }); ok {
		return e.Err()
	}
	return nil
}

// mtu is the largest IP packet that may pass: the port's, or less if the device's
// has been lowered since it was opened.
func (p *openPort) mtu() int {
	if p.caps.MTU != 0 {
		return min(p.config.MTU, p.caps.MTU)
	}
	return p.config.MTU
}

// trouble returns why an open port's device is of no use; nil while it is. A
// namespace that has lost its name, or whose name another has now, lives on for as
// long as a TAP in it is open, and nobody can reach it.
func (p *openPort) trouble() error {
	if err := deviceError(p.device); err != nil || p.namespace == 0 {
		return err
	}
	name := p.config.Device.NetNS
	id, err := netdev.NamespaceID(name)
	if err == nil && id != p.namespace {
		err = fmt.Errorf("%s is another network namespace now", netdev.NamespacePath(name))
	}
	return err
}

// open makes an openPort of a device that was opened just now.
func open(config *control.Port, device dataplane.Port) *openPort {
	p := &openPort{config: config, device: device, caps: device.Caps()}
	if ns := config.Device.NetNS; ns != "" {
		p.namespace, _ = netdev.NamespaceID(ns) // 0 where it is not known: then it is not compared
	}
	return p
}

// openPorts returns the ports of a model: with the devices that are open
// already, also under another port's name, and new ones for the rest. It opens
// all or none, unless the node is tolerant.
func (n *Node) openPorts(m *control.Model) (map[string]*openPort, error) {
	inUse := make(map[deviceKey]*openPort, len(n.ports))
	for _, p := range n.ports {
		if p.config.Device.Name != "" && p.trouble() == nil {
			inUse[keyOf(&p.config.Device)] = p
		}
	}
	opened := make(map[string]*openPort, len(m.Ports))
	var errs []error
	for i := range m.Ports {
		config := m.Ports[i]
		old := n.ports[config.Name]
		if old != nil && old.config == config {
			opened[config.Name] = old // Recheck looks after its device
			continue
		}
		if old != nil && (!sameDevice(old.config, config) || old.trouble() != nil) {
			old = nil
		}
		if old == nil {
			old = inUse[keyOf(&config.Device)]
		}
		p, err := n.openPort(config, old)
		if err != nil {
			errs = append(errs, fmt.Errorf("port %s: %w", config.Name, err))
			continue
		}
		opened[config.Name] = p
	}
	if err := errors.Join(errs...); err != nil {
		closeAllBut(opened, n.ports)
		return nil, err
	}
	for name, p := range opened {
		if old := n.ports[name]; old == nil || old.config.Number != p.config.Number {
			n.engine.ResetCounters(p.config.Number)
		}
	}
	return opened, nil
}

// openPort takes the device of an open port, or opens one if old is nil.
func (n *Node) openPort(config *control.Port, old *openPort) (*openPort, error) {
	if old != nil {
		if old.config.Device != config.Device {
			return nil, fmt.Errorf("device %s is open for port %s with other settings: remove that first, and add this in the next revision",
				config.Device.Name, old.config.Name)
		}
		return &openPort{config, old.device, old.device.Caps(), old.namespace}, nil
	}
	device, err := n.options.Open(n.arena, config)
	switch {
	case err != nil && !n.options.Tolerant:
		return nil, err
	case err != nil:
		device = absent{err}
	}
	return open(config, device), nil
}

// closeAllBut closes the devices of ports that others do not use. To close one
// is to wait until no processor of the machine sees it any more, so they are
// closed together: two hundred packet sockets took seven seconds one by one.
func closeAllBut(ports, others map[string]*openPort) {
	used := make(map[dataplane.Port]bool, len(others))
	for _, p := range others {
		used[p.device] = true
	}
	var closing sync.WaitGroup
	for _, p := range ports {
		if c, ok := p.device.(io.Closer); ok && !used[p.device] {
			closing.Go(func() { _ = c.Close() }) // nothing is left to be done about an error
		}
	}
	closing.Wait()
}
