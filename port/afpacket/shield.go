package afpacket

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// shield keeps the host's stack off a device. Packet sockets are served before
// a device's ingress hook (net/core/dev.c, __netif_receive_skb_core), so that a
// program there which drops everything leaves the frames to them alone. Without it
// the host answers ARP for any of its addresses, whatever the device, and forwards
// what it has a route for: everything would arrive twice.
type shield struct {
	netNS  string
	index  int
	tcx    link.Link             // nil: the filter is there in its place
	filter *netlink.BpfFilter    // nil: the link is
	qdisc  *netlink.GenericQdisc // the filter's, if it is not somebody else's

	ipv6 ipv6State
}

// ipv6State is what became of the host's IPv6 on the device, which would
// solicit routers and report its groups into the pod.
type ipv6State uint8

const (
	ipv6Absent   ipv6State = iota // it was off before, or the kernel has none
	ipv6Disabled                  // it is off until close
	ipv6Left                      // /proc/sys can't be written
)

// newShield begins with IPv6, while the device may still be down.
func newShield(netNS string, info netdev.Info) (*shield, error) {
	s := &shield{netNS: netNS, index: info.Index, ipv6: disableIPv6(netNS, info.Name)}
	if err := s.attach(); err != nil {
		return nil, errors.Join(err, s.close(false))
	}
	return s, nil
}

// attach loads the program and attaches it. A link of tcx (Linux 6.6) vanishes with
// the process, whatever ends it. A filter of clsact stays until it is removed
// or the device is; whoever opens the device next replaces it.
func (s *shield) attach() error {
	return s.load(func(prog *ebpf.Program) (err error) {
		s.tcx, err = link.AttachTCX(link.TCXOptions{Interface: s.index, Program: prog, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
		if errors.Is(err, ebpf.ErrNotSupported) {
			return s.attachFilter(prog)
		}
		return err
	})
}

// load makes the program and has it attached by f in the device's namespace.
func (s *shield) load(f func(*ebpf.Program) error) error {
	return netdev.In(s.netNS, func() error {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "sluice_drop", Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcxDrop), asm.Return()},
		})
		if err != nil {
			return explainBPF(err)
		}
		defer prog.Close() // what it is attached to holds it
		return explainBPF(f(prog))
	})
}

// tcxDrop is TCX_DROP, and the same number as TC_ACT_SHOT (linux/bpf.h, linux/pkt_cls.h).
const tcxDrop = 2

// attachFilter is for kernels without tcx.
func (s *shield) attachFilter(prog *ebpf.Program) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: s.index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	switch err := h.QdiscAdd(qdisc); {
	case err == nil:
		s.qdisc = qdisc
	case !errors.Is(err, unix.EEXIST): // somebody else's, or left by a process that was killed
		return fmt.Errorf("add qdisc clsact: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: s.index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: prog.FD(), Name: "sluice_drop", DirectAction: true,
	}
	if err := h.FilterReplace(filter); err != nil {
		return fmt.Errorf("add a filter at ingress: %w", err)
	}
	s.filter = filter
	return nil
}

func ipv6Path(device string) string { return "net/ipv6/conf/" + device + "/disable_ipv6" }

// disableIPv6 takes effect at once, also while the device is down.
func disableIPv6(netNS, device string) ipv6State {
	value, err := netdev.Sysctl(netNS, ipv6Path(device))
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && value != "0":
		return ipv6Absent
	case err != nil || netdev.SetSysctl(netNS, ipv6Path(device), "1") != nil:
		return ipv6Left
	default:
		return ipv6Disabled
	}
}

// close gives the device back to the host as it was. gone says that there is
// none any more; another may have its name and number by now. A second close does nothing.
func (s *shield) close(gone bool) error {
	var errs []error
	if s.tcx != nil {
		errs = append(errs, s.tcx.Close())
	}
	if !gone && (s.filter != nil || s.ipv6 == ipv6Disabled) {
		errs = append(errs, netdev.In(s.netNS, s.restore))
	}
	s.tcx, s.filter, s.ipv6 = nil, nil, ipv6Absent
	return errors.Join(errs...)
}

// restore is for the thread in the device's namespace.
func (s *shield) restore() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	l, err := h.LinkByIndex(s.index)
	if err != nil {
		return nil // it has just gone
	}
	var errs []error
	if s.filter != nil {
		errs = append(errs, s.removeFilter(h, l))
	}
	if s.ipv6 == ipv6Disabled {
		errs = append(errs, netdev.SetSysctl("", ipv6Path(l.Attrs().Name), "0"))
	}
	return errors.Join(errs...)
}

// removeFilter leaves the qdisc if it is not the shield's, or others use it too.
func (s *shield) removeFilter(h *netlink.Handle, l netlink.Link) error {
	if err := h.FilterDel(s.filter); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove the filter at ingress: %w", err) // not so if somebody else has done it
	}
	if s.qdisc == nil {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if others, err := h.FilterList(l, parent); err != nil || len(others) > 0 {
			return nil
		}
	}
	if err := h.QdiscDel(s.qdisc); err != nil {
		return fmt.Errorf("remove qdisc clsact: %w", err)
	}
	return nil
}

// String is the shield's part of Mode.
func (s *shield) String() string {
	parts := []string{"host kept off by tcx"}
	if s.filter != nil {
		parts[0] = "host kept off by clsact (stays if the process is killed)"
	}
	if s.ipv6 == ipv6Left {
		parts = append(parts, "but for its IPv6: /proc/sys is read-only")
	}
	return strings.Join(parts, " ")
}

// explainBPF says what to do where programs are not allowed.
func explainBPF(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("no right to drop frames before the host's stack: run as root or give the program CAP_BPF and CAP_NET_ADMIN: %w", err)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel can't drop frames before the host's stack: it needs CONFIG_BPF_SYSCALL and tcx (Linux 6.6) or CONFIG_NET_CLS_BPF: %w", err)
	default:
		return err
	}
}
