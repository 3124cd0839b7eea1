package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
)

// Open takes a device: brings it up, attaches a program that redirects all of its
// frames, and opens a socket for each queue. The program is held by a BPF
// link, so that it ends with the process, however that ends. Errors name every
// fault of cfg, or what the kernel refused and what may be done about it;
// ErrNoXDP is wrapped where nothing can be done with AF_XDP. The caller closes the
// Port.
func Open(cfg Config) (*Port, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open afxdp %s: %w", cfg.Name, err)
	}
	return p, nil
}

func open(cfg Config) (*Port, error) {
	d, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	p := &Port{name: cfg.Name, arena: cfg.Arena, umem: cfg.UMEM, device: d, mtu: d.info.MTU}
	if p.umem == nil {
		p.umem = NewUMEM(cfg.Arena)
	}
	generic := false
	err = netdev.In(cfg.NetNS, func() (err error) {
		if generic, err = p.attach(cfg); err != nil {
			return err
		}
		p.keepTags()
		for q := range cfg.Queues {
			if err := p.addQueue(cfg, q, d.xdp.ZeroCopy && !generic); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = p.checkMTU()
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.txs = uint32(cfg.Queues)
	if d.txQueues > 0 {
		p.txs = uint32(min(cfg.Queues, d.txQueues))
	}
	// In copy mode the kernel sees to it; else it takes the driver.
	p.csum = cfg.Offload && p.queues[0].metadata && (!p.zeroCopy || d.xdp.TxChecksum)
	p.suspect = generic || d.veth()
	p.mode = p.describe(generic)
	return p, nil
}

// attach loads the program and puts it on the device: in native mode, with VLAN
// tags restored if the kernel can, or, where permitted, in generic mode.
func (p *Port) attach(cfg Config) (generic bool, err error) {
	if tagOf := p.umem.restorer(); tagOf != 0 && p.attachAs(cfg, link.XDPDriverMode, tagOf) == nil {
		return false, nil
	}
	// A kernel or a driver may not do that; what is wrong besides is found again.
	err = p.attachAs(cfg, link.XDPDriverMode, 0)
	if errors.Is(err, unix.EOPNOTSUPP) && cfg.AllowFallback {
		generic = true
		err = p.attachAs(cfg, link.XDPGenericMode, 0)
	}
	return generic, err
}

// keepTags sees to it that VLAN tags are in the frames. A NIC that takes them off hands
// them to programs if its driver can; else it is not to take them off. What a veth keeps
// beside a frame can't be had before Linux 6.8.
func (p *Port) keepTags() {
	d := p.device
	p.redirect.tags = p.redirect.tags && d.xdp.VLANTags
	if !d.veth() && !p.redirect.tags {
		d.keepTags = d.setTaking(false)
	}
}

func (p *Port) attachAs(cfg Config, mode link.XDPAttachFlags, tagOf btf.TypeID) error {
	r, err := newRedirect(p.device.info.Index, cfg.Queues, tagOf)
	if err != nil {
		return err
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: r.program, Interface: p.device.info.Index, Flags: mode})
	if err != nil {
		return errors.Join(explainAttach(p.device, err), r.Close())
	}
	p.redirect, p.link = r, l
	return nil
}

// addQueue opens the socket of queue q, gives it buffers, and lets the program
// know of it.
func (p *Port) addQueue(cfg Config, q int, tryZeroCopy bool) error {
	s, err := p.umem.open(p.device, q, cfg.Ring, tryZeroCopy)
	if err != nil {
		return err
	}
	buffers := cfg.Arena.Config().Buffers
	w := &queue{
		socket: s, base: cfg.Arena.Base(), level: level(cfg.Arena, cfg.Ring),
		receiving: newHoldings(buffers), sending: newHoldings(buffers),
	}
	p.queues = append(p.queues, w)
	zeroCopy, err := s.zeroCopy()
	if err != nil {
		return fmt.Errorf("ask for the mode of queue %d: %w", q, err)
	}
	p.zeroCopy = p.zeroCopy || zeroCopy
	// What a socket may have on its way; the default is some hundred frames,
	// beyond which the kernel refuses for a while. Without CAP_NET_ADMIN it
	// stays so, which only costs speed.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, cfg.Ring*sendBuffer)
	cache := cfg.Arena.NewCache()
	w.refill(cache)
	cache.Flush()
	if w.receiving.n == 0 {
		return fmt.Errorf("queue %d finds too few buffers to receive into: give the arena more than its %d, some %d for each queue of this kind of port", q, buffers, cfg.Ring)
	}
	if err := p.redirect.sockets.Put(uint32(q), uint32(s.fd)); err != nil {
		return fmt.Errorf("give queue %d to the program: %w", q, err)
	}
	return nil
}

// level is how many buffers a further queue may keep for reception: 0 if too few
// are left, or else it would stall the ports that are there.
func level(a *packet.Arena, ring int) uint32 {
	buffers := a.Config().Buffers
	n := min(ring, buffers/8, buffers/4*3-a.InUse())
	if n < min(minRing, buffers/8) {
		return 0
	}
	return uint32(n)
}

// sendBuffer is about what the kernel counts for a frame that is on its way.
const sendBuffer = 4096

// checkMTU refuses a device whose frames would not fit.
func (p *Port) checkMTU() error {
	const header = packet.EthernetSize + 2*packet.VLANSize
	size, mtu := p.arena.Config().BufferSize, p.device.info.MTU
	longest := size - packet.Headroom
	multiBuffer := p.queues[0].kind.multiBuffer
	if multiBuffer {
		longest = min(p.arena.LongestFrame(), maxPieces*(size-txHeadroom))
	}
	if mtu+header <= longest {
		return nil
	}
	remedy := "give the arena super-frame buffers"
	switch {
	case !multiBuffer:
		remedy = "use a kernel and a driver with multi-buffer XDP (Linux 6.6)"
	case p.arena.Config().Supers > 0:
		remedy = "use buffers of 4096 bytes"
	}
	return fmt.Errorf("frames of MTU %d need %d bytes, of which %d are possible: lower the MTU (%s), or %s",
		mtu, mtu+header, longest, p.device.command("ip link set %s mtu %d", p.name, longest-header), remedy)
}
