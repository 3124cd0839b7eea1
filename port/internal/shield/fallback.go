package shield

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// fallback is for kernels without tcx: a filter of clsact drops what arrives, and
// the host's IPv6 is off on the device, which is most of what the host says by
// itself. Both stay until they are removed, or the device is. After kill -9:
//
//	tc qdisc delete dev DEV clsact
//	sysctl -w net.ipv6.conf.DEV.disable_ipv6=0
//
// Whoever opens the device next replaces the filter. IPv6 that is off then counts as
// wanted so, and stays off.
type fallback struct {
	filter *netlink.BpfFilter    // nil if nothing is to be dropped
	qdisc  *netlink.GenericQdisc // the filter's, if it is not somebody else's
	ipv6   ipv6State
}

// ipv6State is what became of the host's IPv6 on the device.
type ipv6State uint8

const (
	ipv6Absent   ipv6State = iota // it was off before, or the kernel has none
	ipv6Disabled                  // it is off until remove
	ipv6Left                      // /proc/sys can't be written
)

// newFallback is called in the device's namespace.
func newFallback(cfg Config) (*fallback, error) {
	f := &fallback{ipv6: disableIPv6(cfg.Name)}
	if !cfg.Ingress {
		return f, nil
	}
	if err := f.drop(cfg.Index); err != nil {
		return nil, errors.Join(err, f.remove("", cfg.Index))
	}
	return f, nil
}

// drop adds the filter.
func (f *fallback) drop(index int) error {
	program, err := ingress.load()
	if err != nil {
		return err
	}
	defer program.Close() // the filter holds it
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	switch err := h.QdiscAdd(qdisc); {
	case err == nil:
		f.qdisc = qdisc
	case !errors.Is(err, unix.EEXIST): // somebody else's, or left by a process that was killed
		return fmt.Errorf("add qdisc clsact: %w", err)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: ingress.name, DirectAction: true,
	}
	if err := h.FilterReplace(filter); err != nil {
		return fmt.Errorf("add a filter at ingress: %w", err)
	}
	f.filter = filter
	return nil
}

func ipv6Setting(device string) string { return "net/ipv6/conf/" + device + "/disable_ipv6" }

// disableIPv6 takes effect at once, also while the device is down.
func disableIPv6(device string) ipv6State {
	value, err := netdev.Sysctl("", ipv6Setting(device))
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && value != "0":
		return ipv6Absent
	case err != nil || netdev.SetSysctl("", ipv6Setting(device), "1") != nil:
		return ipv6Left
	default:
		return ipv6Disabled
	}
}

// remove puts the device back to what it was. A second remove does nothing.
func (f *fallback) remove(netNS string, index int) error {
	err := netdev.In(netNS, func() error { return f.removeHere(index) })
	if errors.Is(err, netdev.ErrNoNamespace) {
		return nil // in one without a name any more nobody can be left to care
	}
	return err
}

func (f *fallback) removeHere(index int) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	l, err := h.LinkByIndex(index)
	if err != nil {
		return nil // it has just gone
	}
	errs := []error{f.removeFilter(h, l)}
	if f.ipv6 == ipv6Disabled {
		errs = append(errs, netdev.SetSysctl("", ipv6Setting(l.Attrs().Name), "0")) // it may have another name by now
		f.ipv6 = ipv6Absent
	}
	return errors.Join(errs...)
}

// removeFilter leaves the qdisc if it is not the fallback's, or others use it too.
func (f *fallback) removeFilter(h *netlink.Handle, l netlink.Link) error {
	if f.filter != nil {
		if err := h.FilterDel(f.filter); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("remove the filter at ingress: %w", err) // not so if somebody else has done it
		}
		f.filter = nil
	}
	if f.qdisc == nil {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if others, err := h.FilterList(l, parent); err != nil || len(others) > 0 {
			return nil
		}
	}
	if err := h.QdiscDel(f.qdisc); err != nil {
		return fmt.Errorf("remove qdisc clsact: %w", err)
	}
	f.qdisc = nil
	return nil
}

// String names what keeps the host off, and what of it is there to stay.
func (f *fallback) String() string {
	by := "XDP"
	if f.filter != nil {
		by = "clsact"
	}
	if f.ipv6 == ipv6Disabled {
		by += ", its IPv6 off"
	}
	if f.filter != nil || f.ipv6 == ipv6Disabled {
		by += " (stays if the process is killed)"
	}
	if f.ipv6 == ipv6Left {
		by += " but for its IPv6: /proc/sys is read-only"
	}
	return by
}
