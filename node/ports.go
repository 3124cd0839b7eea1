package node

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
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

	parts *portParts // under Node.mu; what was made of the port last, maybe before this
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

// open makes an openPort of a device that was opened just now. before is the port of
// that name until now, or nil.
func open(config *control.Port, device dataplane.Port, before *openPort) *openPort {
	p := &openPort{config: config, device: device, caps: device.Caps()}
	if ns := config.Device.NetNS; ns != "" {
		p.namespace, _ = netdev.NamespaceID(ns) // 0 where it is not known: then it is not compared
	}
	if before != nil {
		p.parts = before.parts
	}
	return p
}

// portChanges are what a model changes about the ports that are open.
type portChanges struct {
	opened  []*openPort // as Model.Ports; nil for those that change
	changed []int       // those, by index
	before  []*openPort // what their names are open as until now, or nil
	left    []int       // of Node.ports, by index: those that go, or change
}

// portChanges compares a model with what is open. Both are in the order of names.
func (n *Node) portChanges(m *control.Model) portChanges {
	x := portChanges{opened: make([]*openPort, len(m.Ports))}
	at := 0
	for i, config := range m.Ports {
		for at < len(n.ports) && n.ports[at].config != config && n.ports[at].config.Name < config.Name {
			x.left = append(x.left, at)
			at++
		}
		var old *openPort
		if at < len(n.ports) {
			old = n.ports[at]
		}
		switch {
		case old != nil && old.config == config:
			x.opened[i] = old // Recheck looks after its device
			at++
			continue
		case old != nil && old.config.Name == config.Name:
			x.left = append(x.left, at)
			at++
		default:
			old = nil
		}
		x.changed, x.before = append(x.changed, i), append(x.before, old)
	}
	for ; at < len(n.ports); at++ {
		x.left = append(x.left, at)
	}
	return x
}

// openPorts returns the ports of a model: with the devices that are open
// already, also under another port's name, and new ones for the rest. It opens
// all or none, unless the node is tolerant.
func (n *Node) openPorts(m *control.Model) ([]*openPort, error) {
	x := n.portChanges(m)
	inUse := map[deviceKey]*openPort{} // by ports that are to be others, or none: no two ports have one device
	for _, i := range x.left {
		if p := n.ports[i]; p.config.Device.Name != "" && p.trouble() == nil {
			inUse[keyOf(&p.config.Device)] = p
		}
	}
	var errs []error
	for k, i := range x.changed {
		config, before := m.Ports[i], x.before[k]
		old := before
		if old != nil && (!sameDevice(old.config, config) || old.trouble() != nil) {
			old = nil
		}
		if old == nil {
			old = inUse[keyOf(&config.Device)]
		}
		p, err := n.openPort(config, old, before)
		if err != nil {
			errs = append(errs, fmt.Errorf("port %s: %w", config.Name, err))
			continue
		}
		x.opened[i] = p
	}
	if err := errors.Join(errs...); err != nil {
		closeAllBut(slices.DeleteFunc(x.opened, func(p *openPort) bool { return p == nil }), n.ports)
		return nil, err
	}
	for k, i := range x.changed {
		if old := x.before[k]; old == nil || old.config.Number != m.Ports[i].Number {
			n.engine.ResetCounters(m.Ports[i].Number)
		}
	}
	return x.opened, nil
}

// openPort takes the device of an open port, or opens one if old is nil. before is as in open.
func (n *Node) openPort(config *control.Port, old, before *openPort) (*openPort, error) {
	if old != nil {
		if old.config.Device != config.Device {
			return nil, fmt.Errorf("device %s is open for port %s with other settings: remove that first, and add this in the next revision",
				config.Device.Name, old.config.Name)
		}
		p := open(config, old.device, before)
		p.namespace = old.namespace
		return p, nil
	}
	device, err := n.options.Open(n.arena, config)
	switch {
	case err != nil && !n.options.Tolerant:
		return nil, err
	case err != nil:
		device = absent{err}
	}
	return open(config, device, before), nil
}

// closeAllBut closes the devices of ports that others do not use; both are in the order of names. To close one
// is to wait until no processor of the machine sees it any more, so they are
// closed together: two hundred packet sockets took seven seconds one by one.
func closeAllBut(ports, others []*openPort) {
	gone, come := apart(ports, others)
	used := make(map[dataplane.Port]bool, len(come))
	for _, p := range come {
		used[p.device] = true
	}
	var closing sync.WaitGroup
	for _, p := range gone {
		if c, ok := p.device.(io.Closer); ok && !used[p.device] {
			closing.Go(func() { _ = c.Close() }) // nothing is left to be done about an error
		}
	}
	closing.Wait()
}

// apart returns the ports that only one of two lists has, each in the order of names.
func apart(a, b []*openPort) (onlyA, onlyB []*openPort) {
	for len(a) > 0 && len(b) > 0 {
		switch order := cmp.Compare(a[0].config.Name, b[0].config.Name); {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case order <= 0:
			onlyA, a = append(onlyA, a[0]), a[1:]
		default:
			onlyB, b = append(onlyB, b[0]), b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}
