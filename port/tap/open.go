package tap

import (
	"errors"
	"fmt"
	"math"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// Open opens or makes the device. The errors name every fault of cfg, or what
// the kernel refused and what may be done about it. The caller closes the Port.
func Open(cfg Config) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var p *Port
	err := netdev.In(cfg.NetNS, func() error {
		return netdev.AwaitRelease(func() (err error) { p, err = open(cfg); return err })
	})
	switch {
	case err == nil:
		return p, nil
	case cfg.Name == "":
		return nil, fmt.Errorf("make a tap: %w", err)
	default:
		return nil, fmt.Errorf("open tap %s: %w", cfg.Name, err)
	}
}

// open is Open in the namespace of the calling thread. Up to the end the device
// is as persistent as it was, so that an attempt that fails leaves nothing behind.
func open(cfg Config) (_ *Port, err error) {
	p := &Port{name: cfg.Name, ctl: -1, queues: make([]queue, 0, max(cfg.Queues, 1))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.ctl, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if p.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	found, err := inquire(p.links, cfg)
	if err != nil {
		return nil, err
	}
	if err := p.attach(cfg, found); err != nil {
		return nil, err
	}
	if cfg.Offload {
		err = p.offload(cfg.Arena)
	} else {
		// A persistent device keeps the offloads that its last user has set. Left
		// on, the kernel would hand over super-frames and unfinished checksums as if they were whole.
		err = p.set("turn offloads off", unix.IoctlSetInt, unix.TUNSETOFFLOAD, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := p.configure(cfg); err != nil {
		return nil, err
	}
	p.askMTU()
	if link, err := p.links.LinkByName(p.name); err == nil {
		p.index = link.Attrs().Index
		p.lostBefore = kernelDrops(link)
	}
	return p, nil
}

// attach opens the queues.
func (p *Port) attach(cfg Config, found device) error {
	open := openQueue
	if !cfg.Offload {
		if err := mayOpen(cfg.Name, found); err != nil {
			return err
		}
		open = openWithWater
	}
	for range cap(p.queues) {
		fd, name, err := open(attachment{
			name: p.name, several: cfg.Queues > 1 || found.multiQueue,
			exists: found.exists || len(p.queues) > 0, persistent: found.persistent,
		})
		if err != nil {
			return err
		}
		p.name = name
		p.queues = append(p.queues, queue{fd: fd, spill: make([]byte, longestSpill)})
	}
	return nil
}

// offload agrees with the kernel on the header before each frame and on what it
// leaves to us.
func (p *Port) offload(a *packet.Arena) error {
	// A persistent device keeps what its last user has set of these, too.
	err := errors.Join(
		p.set("set the size of the virtio header", unix.IoctlSetPointerInt, unix.TUNSETVNETHDRSZ, vnet.Size),
		p.set("set the byte order of the virtio header", unix.IoctlSetPointerInt, unix.TUNSETVNETLE, 0),
	)
	if err != nil {
		return err
	}
	p.headerSize = vnet.Size
	p.offers, err = negotiate(a == nil || a.LongestFrame() >= longestFrame, func(features int) error {
		return unix.IoctlSetInt(p.queues[0].fd, unix.TUNSETOFFLOAD, features)
	})
	return err
}

// negotiate offers the kernel to take unfinished checksums, and super-frames if
// there is room for them: all at first, then what older kernels know. It
// returns what was agreed on.
func negotiate(supers bool, offer func(features int) error) (agreed string, err error) {
	const checksums = unix.TUN_F_CSUM
	const tcp, udp = unix.TUN_F_TSO4 | unix.TUN_F_TSO6, unix.TUN_F_USO4 | unix.TUN_F_USO6
	offers := []struct {
		features int
		name     string
	}{
		{checksums | tcp | udp, "csum, TSO, USO"},
		{checksums | tcp, "csum, TSO (no USO: that needs kernel 6.2)"},
		{checksums, "csum (no TSO: the kernel refuses it)"},
	}
	if !supers {
		offers = offers[2:]
		offers[0].name = "csum (no TSO: the arena has no buffers for super-frames)"
	}
	for _, o := range offers {
		if err = offer(o.features); err == nil {
			return o.name, nil
		}
		if err != unix.EINVAL { // that is how it refuses what it does not know
			break
		}
	}
	return "", fmt.Errorf("turn offloads on: %w", explain(err))
}

// configure sets what cfg asks for of the interface, which is brought up last: what
// the kernel says to a network begins then.
func (p *Port) configure(cfg Config) error {
	// A full send buffer would hold up frames. The kernel's default is none, but
	// a device keeps what its last user has set.
	if err := p.set("lift the limit of the send buffer", unix.IoctlSetPointerInt, unix.TUNSETSNDBUF, math.MaxInt32); err != nil {
		return err
	}
	if cfg.MTU != 0 {
		if err := p.setMTU(cfg.MTU); err != nil {
			return fmt.Errorf("set MTU %d: %w", cfg.MTU, explain(err))
		}
	}
	if !cfg.MAC.IsZero() {
		if err := p.setMAC(cfg.MAC); err != nil {
			return fmt.Errorf("set MAC address %s: %w", cfg.MAC, explain(err))
		}
	}
	if cfg.Persistent {
		if err := p.set("make it persistent", unix.IoctlSetInt, unix.TUNSETPERSIST, 1); err != nil {
			return err
		}
	}
	// Off since openQueue. Kernels before 5.0 have no such request and have left it on.
	if err := p.set("turn the carrier on", unix.IoctlSetPointerInt, unix.TUNSETCARRIER, 1); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	if cfg.Up {
		if err := p.setUp(); err != nil {
			return fmt.Errorf("bring it up: %w", explain(err))
		}
	}
	return nil
}

// set changes a property of the device by a request to its descriptor, for
// which attaching has been right enough.
func (p *Port) set(what string, ioctl func(fd int, req uint, value int) error, req uint, value int) error {
	if err := ioctl(p.queues[0].fd, req, value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (p *Port) setMTU(mtu int) error {
	ifr, err := unix.NewIfreq(p.name)
	if err != nil {
		return err
	}
	// Without need no right is asked for: others may have made it for us.
	if unix.IoctlIfreq(p.ctl, unix.SIOCGIFMTU, ifr) == nil && ifr.Uint32() == uint32(mtu) {
		return nil
	}
	ifr.SetUint32(uint32(mtu))
	return unix.IoctlIfreq(p.ctl, unix.SIOCSIFMTU, ifr)
}

func (p *Port) setMAC(mac packet.MAC) error {
	link, err := p.links.LinkByName(p.name)
	if err != nil || packet.MAC(link.Attrs().HardwareAddr) == mac {
		return err
	}
	return p.links.LinkSetHardwareAddr(link, mac[:])
}

func (p *Port) setUp() error {
	ifr, err := unix.NewIfreq(p.name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(p.ctl, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	if ifr.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(p.ctl, unix.SIOCSIFFLAGS, ifr)
}
