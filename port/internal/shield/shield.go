// Package shield keeps the host's own stack off a device that a port has.
//
//	           packet sockets, XDP
//	                  │
//	    frames in ────┴────▶ ingress: drop ─ ─ ─ ─ ─ ─ ─ ▶ host's stack
//	DEV                                                        │
//	    frames out ◀─┬─ egress: drop, but for the port's ◀─────┤
//	                 │                                         │
//	              AF_XDP                        packet sockets of the port
//
// Packet sockets are served before a device's ingress hook (net/core/dev.c,
// __netif_receive_skb_core), so a program there that drops everything leaves the
// frames to them alone. Without it the host answers ARP for any of its addresses,
// whatever the device, and forwards what it has a route for: everything would
// arrive twice.
//
// The host also speaks up by itself: it solicits routers and reports its groups by
// IPv6 as soon as the link is up, and asks for neighbors. A program at
// egress drops that, and lets the frames of the port's sockets pass, which it knows by
// their cookies. A mark (SO_MARK) would do as well, but others can set and see
// it. Frames of AF_XDP sockets don't come by there: in copy mode they take
// __dev_direct_xmit (net/core/dev.c), else the driver has them at once.
//
// The programs are held by BPF links (tcx, Linux 6.6) that end with the process,
// however that ends: after kill -9 the device is what it was. Nothing of the host's
// settings and addresses is touched. On older kernels there is a fallback, parts of which
// stay then.
//
// A frame of a packet socket passes the hook at egress for about 40 ns of its 0.85 µs to a
// veth, a super-frame as a whole. The program is 1 ns of that, and 0.1 ns more for each
// further socket.
package shield

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// Config says which device, and who may use it.
type Config struct {
	NetNS string // network namespace it is in; "" is the own (see netdev.In)
	Name  string
	Index int

	// Ingress drops what arrives once packet sockets have it. There is no need
	// to where an XDP program takes all frames.
	Ingress bool

	// Sockets are the descriptors of those whose frames may leave; they need not be
	// bound yet. What anybody else sends by the device is dropped, also by packet sockets.
	Sockets []int
}

// Shield is what is attached to a device.
type Shield struct {
	netNS    string
	index    int
	links    []link.Link // of tcx
	fallback *fallback   // in their place; nil where there is tcx
}

// Attach keeps the host's stack off a device from now on: do it before the device
// is brought up. It needs CAP_NET_ADMIN and CAP_BPF; errors wrap what the kernel
// says, ebpf.ErrNotSupported where it has no programs of this kind. A device that
// has a Shield already, of whatever process, is refused. The caller closes the Shield.
func Attach(cfg Config) (*Shield, error) {
	s := &Shield{netNS: cfg.NetNS, index: cfg.Index}
	err := netdev.In(cfg.NetNS, func() error {
		hooks, err := cfg.hooks()
		if err != nil {
			return err
		}
		if err := checkAlone(cfg.Index, 0); err != nil {
			return err
		}
		supported := true
		for _, h := range hooks {
			if supported, err = s.attach(h); err != nil || !supported {
				break
			}
		}
		switch {
		case err != nil:
			return err
		case !supported:
			s.fallback, err = newFallback(cfg)
			return err
		}
		return checkAlone(cfg.Index, 1) // of two that start together both may give way
	})
	if err != nil {
		return nil, errors.Join(err, s.Close(false))
	}
	return s, nil
}

// hook is a program and where it goes.
type hook struct {
	name string
	at   ebpf.AttachType
	code asm.Instructions
}

// tcxNext is TCX_NEXT: whoever is attached behind is asked, the queueing discipline
// last. tcxDrop is TCX_DROP, and the same number as TC_ACT_SHOT (linux/bpf.h,
// linux/pkt_cls.h).
const (
	tcxNext = -1
	tcxDrop = 2
)

var ingress = hook{
	ours + "drop", ebpf.AttachTCXIngress,
	asm.Instructions{asm.Mov.Imm(asm.R0, tcxDrop), asm.Return()},
}

func (cfg *Config) hooks() ([]hook, error) {
	egress := hook{name: ours + "pass_own", at: ebpf.AttachTCXEgress}
	if len(cfg.Sockets) > 0 {
		// The frame's socket, 0 for none; a super-frame is still whole here.
		egress.code = append(egress.code, asm.FnGetSocketCookie.Call())
	}
	for _, fd := range cfg.Sockets {
		// Numbers that no other socket has, nor will have until the machine is
		// started again (net/core/sock_diag.c).
		cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		if err != nil {
			return nil, fmt.Errorf("ask for a socket's cookie: %w", err)
		}
		egress.code = append(egress.code,
			asm.LoadImm(asm.R1, int64(cookie), asm.DWord),
			asm.JEq.Reg(asm.R0, asm.R1, "own"))
	}
	egress.code = append(egress.code, asm.Mov.Imm(asm.R0, tcxDrop), asm.Return())
	if len(cfg.Sockets) > 0 {
		egress.code = append(egress.code, asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("own"), asm.Return())
	}
	if !cfg.Ingress {
		return []hook{egress}, nil
	}
	return []hook{egress, ingress}, nil
}

// load makes a hook's program.
func (h hook) load() (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: h.name, Type: ebpf.SchedCLS, License: "Dual MIT/GPL", Instructions: h.code})
	if err != nil {
		return nil, fmt.Errorf("load the program %s: %w", h.name, err)
	}
	return program, nil
}

// attach puts a hook's program before all others. It has to be called in the device's
// namespace. supported is false if the kernel has no tcx.
func (s *Shield) attach(h hook) (supported bool, err error) {
	program, err := h.load()
	if err != nil {
		return true, err
	}
	defer program.Close() // the link holds it
	l, err := link.AttachTCX(link.TCXOptions{Interface: s.index, Program: program, Attach: h.at, Anchor: link.Head()})
	if errors.Is(err, ebpf.ErrNotSupported) {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("attach the program %s: %w", h.name, err)
	}
	s.links = append(s.links, l)
	return true, nil
}

// Close gives the device back to the host. gone says that there is none any
// more; another may have its name and number by now. A second Close does nothing.
func (s *Shield) Close(gone bool) error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, netdev.CloseLink(l))
	}
	s.links = nil
	if s.fallback != nil && !gone {
		errs = append(errs, s.fallback.remove(s.netNS, s.index))
	}
	s.fallback = nil
	return errors.Join(errs...)
}

// String says what was obtained, for the status: "host kept off by tcx".
func (s *Shield) String() string {
	if s.fallback != nil {
		return "host kept off by " + s.fallback.String()
	}
	return "host kept off by tcx"
}
