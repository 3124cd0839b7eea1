package afpacket

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/shield"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// Kits are the buffers that workers have ready to receive into. All ports of a
// node share one, because large buffers are few.
type Kits = vnet.Kits

// Config makes a Port.
type Config struct {
	Name   string // of the interface: a veth, a NIC, a TAP, any that has Ethernet frames
	NetNS  string // network namespace it is in; "" is the own (see netdev.In)
	Queues int    // receive queues, 1 to 256, default 1; frames are spread by flow
	MTU    int    // largest IP packet that shall pass, bytes; 0 asks for nothing

	// Offload says that the device's other end takes super-frames and partial
	// checksums, as every veth, TAP and NIC of today does. Without it what is
	// sent is as on a wire: complete, and no longer than the MTU. That is for what reads
	// frames behind the device and knows nothing of offloads: XDP programs,
	// captures, old guests. What comes from there is taken as it is, also
	// super-frames; the other end decides what it sends (ethtool -K DEV tso off gso off tx off).
	Offload bool

	// Exclusive keeps the host's own stack off the device: it sees no frame, so
	// that it neither answers nor forwards what the switch does, and sends none, nor
	// does any other program (see package shield). Without it the host goes on using
	// the device, as it must if it has addresses there.
	Exclusive bool

	Arena *packet.Arena // that the workers' caches are of
	Kits  *Kits         // nil is the port's own
}

const maxQueues = 256 // PACKET_FANOUT_MAX before Linux 5.14

// Sizes of a socket's buffers in bytes; the kernel doubles them for its own
// accounting. 64 super-frames are 4 MiB.
const socketBuffer = 4 << 20

// Open opens the device and brings it up. The errors name every fault of cfg, or
// what the kernel refused and what may be done about it. The caller closes the Port.
func Open(cfg Config) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open afpacket %s: %w", cfg.Name, err)
	}
	return p, nil
}

func (cfg Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("afpacket: "+format, args...))
	}
	switch {
	case cfg.Name == "":
		fault("no interface is named: want the name of one (ip link)")
	case len(cfg.Name) >= unix.IFNAMSIZ:
		fault("name %q has %d bytes: want at most %d", cfg.Name, len(cfg.Name), unix.IFNAMSIZ-1)
	}
	if cfg.Queues < 0 || cfg.Queues > maxQueues {
		fault("%d queues: want 1 to %d", cfg.Queues, maxQueues)
	}
	if cfg.MTU < 0 || cfg.MTU > 65535 {
		fault("MTU %d: want 0 to 65535", cfg.MTU)
	}
	if cfg.Arena == nil {
		fault("no arena is given")
	}
	return errors.Join(faults...)
}

func open(cfg Config) (*Port, error) {
	info, err := netdev.Link(cfg.NetNS, cfg.Name)
	if err != nil {
		return nil, err
	}
	if !info.Ether {
		return nil, errors.New("it is no Ethernet device, so it has no frames to switch: choose a veth, a NIC or a TAP")
	}
	if info.MTU < cfg.MTU {
		return nil, fmt.Errorf("its MTU is %d, packets of the port have up to %d bytes: raise it (%s; of a veth both ends), or lower the segment's mtu",
			info.MTU, cfg.MTU, netdev.Command(cfg.NetNS, "ip link set %s mtu %d", cfg.Name, cfg.MTU))
	}
	p := &Port{name: cfg.Name, offload: cfg.Offload, arena: cfg.Arena, kits: cfg.Kits, queues: make([]queue, max(cfg.Queues, 1))}
	if p.kits == nil {
		p.kits = &Kits{}
	}
	for i := range p.queues {
		p.queues[i].fd = -1
	}
	p.mtu.Store(int32(info.MTU))
	if err := p.start(cfg, info); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.mode = p.describe()
	return p, nil
}

// start makes the sockets, shields the device from all others before it comes
// up, brings it up, and only then has the sockets receive: they take part in a fanout
// if the device runs.
func (p *Port) start(cfg Config, info netdev.Info) error {
	if err := netdev.In(cfg.NetNS, p.makeSockets); err != nil {
		return explain(err)
	}
	if cfg.Exclusive {
		if err := p.keepOff(cfg.NetNS, info); err != nil {
			return fmt.Errorf("keep the host off: %w", err)
		}
	}
	if !info.Up {
		if err := netdev.SetUp(cfg.NetNS, cfg.Name, true); err != nil {
			return fmt.Errorf("bring it up: %w", err)
		}
	}
	for i := range p.queues {
		if err := p.queues[i].bind(info.Index); err != nil {
			return explain(err)
		}
	}
	if len(p.queues) > 1 {
		if err := p.joinFanout(); err != nil {
			return fmt.Errorf("spread frames over %d queues: %w", len(p.queues), explain(err))
		}
	}
	// Until now the sockets have dropped everything: while they were not yet
	// members, each would have received every frame.
	for i := range p.queues {
		if err := unix.SetsockoptInt(p.queues[i].fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
			return fmt.Errorf("open the filter: %w", err)
		}
	}
	return nil
}

// makeSockets is called in the device's namespace, which is the sockets' then.
func (p *Port) makeSockets() error {
	for i := range p.queues {
		if err := p.queues[i].open(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Port) keepOff(netNS string, info netdev.Info) (err error) {
	cfg := shield.Config{NetNS: netNS, Name: info.Name, Index: info.Index, Ingress: true}
	for i := range p.queues {
		cfg.Sockets = append(cfg.Sockets, p.queues[i].fd)
	}
	p.shield, err = shield.Attach(cfg)
	return explainBPF(err)
}

// open makes a packet socket with a filter that drops everything. It does not
// bypass the device's queueing discipline (PACKET_QDISC_BYPASS): on a veth a short
// frame costs the same 0.9 µs of CPU from Tx to Rx either way, and on a NIC
// what the administrator has set up there would not apply.
func (s *queue) open() (err error) {
	// Protocol 0 receives nothing until it is bound.
	s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		s.fd = -1
		return fmt.Errorf("packet socket: %w", err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		return fmt.Errorf("attach a filter: %w", err)
	}
	for _, o := range []struct {
		option int
		name   string
	}{
		{unix.PACKET_VNET_HDR, "PACKET_VNET_HDR"},
		{unix.PACKET_AUXDATA, "PACKET_AUXDATA"},
		{unix.PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING (Linux 4.20)"},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, o.option, 1); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return s.enlarge()
}

// bind has the socket receive from the device, which is in the socket's namespace.
func (s *queue) bind(index int) error {
	// Each queue's: the membership ends with its socket.
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(s.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("receive frames for all addresses: %w", err)
	}
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// everything is ETH_P_ALL in network byte order.
const everything = uint16(unix.ETH_P_ALL&0xff<<8 | unix.ETH_P_ALL>>8)

// enlarge sets the socket's buffers, within net.core.rmem_max and wmem_max
// where there is no right to go beyond.
func (s *queue) enlarge() error {
	for _, o := range []struct{ force, plain int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.force, socketBuffer)
		if err == unix.EPERM {
			err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.plain, socketBuffer)
		}
		if err != nil {
			return fmt.Errorf("set the size of the socket's buffer: %w", err)
		}
	}
	return nil
}

// joinFanout makes the sockets one group, of a number that no other program uses
// (Linux 4.12). Fragments are not put together before they are spread: to do so
// is the pipeline's business.
func (p *Port) joinFanout() error {
	const kind = unix.PACKET_FANOUT_HASH << 16
	first := p.queues[0].fd
	if err := unix.SetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT, kind|unix.PACKET_FANOUT_FLAG_UNIQUEID<<16); err != nil {
		return err
	}
	group, err := unix.GetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return err
	}
	for i := range p.queues[1:] {
		if err := unix.SetsockoptInt(p.queues[i+1].fd, unix.SOL_PACKET, unix.PACKET_FANOUT, kind|group&0xffff); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of the device, which stays as it is, and lets the host have it
// again. No worker may use the port any more: see dataplane.Engine.Synchronize.
// A second Close does nothing.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	gone := p.queues[0].fd >= 0 && p.gone()
	p.end(closedHere)
	var errs []error
	c := p.arena.NewCache() // the workers' are not for this goroutine
	for i := range p.queues {
		s := &p.queues[i]
		c.FreeN(s.segments[s.first:s.last])
		s.first, s.last = 0, 0
		if s.fd >= 0 {
			errs = append(errs, unix.Close(s.fd))
		}
	}
	c.Flush()
	if p.shield != nil {
		errs = append(errs, p.shield.Close(gone))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close afpacket %s: %w", p.name, err)
	}
	return nil
}

// explain says what to do about an error of a packet socket.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("no right to open packet sockets: run as root or give the program CAP_NET_RAW and CAP_NET_ADMIN (setcap cap_net_raw,cap_net_admin+ep FILE): %w", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("the kernel has no packet sockets: load them (modprobe af_packet): %w", err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("the device has just been removed: %w", err)
	default:
		return err
	}
}

// explainBPF says what to do where programs are not allowed.
func explainBPF(err error) error {
	var errno unix.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &errno) && (errno == unix.EPERM || errno == unix.EACCES):
		// The library's words go with it: they tell a program's author what to call.
		return fmt.Errorf("no right to drop frames before the host's stack: run as root or give the program CAP_BPF and CAP_NET_ADMIN; "+
			"before Linux 5.11 it may be the limit on locked memory (ulimit -l unlimited; LimitMEMLOCK=infinity in a systemd unit): %w", errno)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel can't drop frames before the host's stack: it needs CONFIG_BPF_SYSCALL and tcx (Linux 6.6) or CONFIG_NET_CLS_BPF: %w", err)
	default:
		return err
	}
}
