// Package devices opens the devices of ports: which driver, with which settings,
// and what is done where that is not possible. A driver knows one kind of device and
// nothing of ports; a node knows ports and nothing of drivers.
package devices

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/node/inside"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/afpacket"
	"github.com/sluice-net/sluice/port/afxdp"
	"github.com/sluice-net/sluice/port/tap"
)

// Types are the device types that an Opener opens.
func Types() []api.DeviceType {
	return []api.DeviceType{api.DeviceTAP, api.DeviceAFPacket, api.DeviceAFXDP, control.DeviceInside}
}

// Opener opens devices for one node: what its ports share is here.
type Opener struct {
	// Inside is where the devices of the node's own ports are made; nil: they can't be.
	Inside *inside.Network

	// Permit is asked before a device is taken that the host uses itself (see
	// netdev.Info.InUse); nil refuses.
	Permit func(d *control.Device, info *netdev.Info) error

	mu   sync.Mutex
	of   *packet.Arena // that umem is of
	umem *afxdp.UMEM
	kits afpacket.Kits
}

// ErrNoDevice is why a port without a device is down.
var ErrNoDevice = errors.New("no device is configured: give the port a spec.device")

// Open makes the device of a port. The caller closes what it returns, if that
// can be closed. a is the arena of the node, always the same.
func (o *Opener) Open(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
	port, err := o.open(a, p)
	if err != nil {
		return nil, explainRights(&p.Device, err)
	}
	return port, nil
}

func (o *Opener) open(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
	d := &p.Device
	if d.Type == "" {
		return nil, ErrNoDevice
	}
	if d.Type == control.DeviceInside && o.Inside != nil {
		return asPort(o.Inside.Open(a, p))
	}
	if d.Type == api.DeviceTAP {
		return asPort(tap.Open(tap.Config{
			Name: d.Name, NetNS: d.NetNS, Queues: d.Queues, MTU: p.MTU, MAC: workloadMAC(p), Up: true,
			Persistent: d.Persistent, Offload: d.Offload, Arena: a,
		}))
	}
	if err := o.attachable(d); err != nil {
		return nil, err
	}
	switch d.Type {
	case api.DeviceAFPacket:
		return o.openPacket(a, p)
	case api.DeviceAFXDP:
		port, err := afxdp.Open(afxdp.Config{
			Name: d.Name, NetNS: d.NetNS, Queues: d.Queues, MTU: p.MTU, Offload: d.Offload,
			AllowFallback: d.AllowFallback, Arena: a, UMEM: o.sharedMemory(a),
		})
		if err == nil {
			return port, nil
		}
		switch {
		case !errors.Is(err, afxdp.ErrNoXDP):
			return nil, err
		case !d.AllowFallback && errors.Is(err, unix.EOPNOTSUPP):
			return nil, err // of a driver without native XDP, which says what would take its place
		case !d.AllowFallback:
			return nil, fmt.Errorf("%w (with allowFallback: true the port would have a packet socket instead)", err)
		}
		fallback, second := o.openPacket(a, p)
		if second != nil {
			return nil, fmt.Errorf("%w; and the packet socket in its place: %w", err, second)
		}
		return &instead{fallback.(*afpacket.Port), err}, nil
	}
	return nil, fmt.Errorf("a device of type %s can't be opened by a node", d.Type)
}

// openPacket keeps the host off the device, also where it was taken over with
// the host's addresses on it.
func (o *Opener) openPacket(a *packet.Arena, p *control.Port) (dataplane.Port, error) {
	d := &p.Device
	return asPort(afpacket.Open(afpacket.Config{
		Name: d.Name, NetNS: d.NetNS, Queues: d.Queues, MTU: p.MTU, Offload: d.Offload, Exclusive: true,
		Arena: a, Kits: &o.kits,
	}))
}

// sharedMemory returns the UMEM that all AF_XDP ports share.
func (o *Opener) sharedMemory(a *packet.Arena) *afxdp.UMEM {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != a {
		o.of, o.umem = a, afxdp.NewUMEM(a)
	}
	return o.umem
}

// workloadMAC is what the kernel's side of a TAP is called: the address bound to
// the port, so that an address guard lets it speak.
func workloadMAC(p *control.Port) packet.MAC {
	for _, a := range p.Addresses {
		if !a.MAC.IsZero() {
			return packet.MAC(a.MAC)
		}
	}
	return packet.MAC{}
}

// asPort keeps a nil pointer from becoming a Port that is not nil.
func asPort[P dataplane.Port](p P, err error) (dataplane.Port, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// instead is a packet socket where AF_XDP was asked for.
type instead struct {
	*afpacket.Port
	why error
}

// Mode says that it is not what was asked for.
func (i *instead) Mode() string {
	return fmt.Sprintf("%s, instead of AF_XDP: %v", i.Port.Mode(), i.why)
}
