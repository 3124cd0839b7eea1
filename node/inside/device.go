package inside

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/tap"
)

// Open makes the device of a port of type control.DeviceInside, with the node's addresses, the router's MAC address and a
// default route. a is the memory of the frames. The caller closes what it returns; the device goes with it.
func (n *Network) Open(a *packet.Arena, p *control.Port) (device *tap.Port, err error) {
	err = n.Do(func() (err error) {
		device, err = tap.Open(tap.Config{
			Name: p.Device.Name, Queues: p.Device.Queues, MTU: p.MTU, MAC: control.InsideHostMAC(), Up: true, Offload: p.Device.Offload, Arena: a,
		})
		if err != nil {
			return err
		}
		if err := configure(p.Device.Name); err != nil {
			return errors.Join(fmt.Errorf("configure %s: %w", p.Device.Name, err), device.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	n.deafen(p.Device.Name)
	return device, nil
}

// configure makes a host of the kernel's side of a device: all that it wants to know of its router is known.
func configure(name string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	router := control.InsideRouter()
	for i, host := range control.InsideHost() {
		err := configureFamily(h, link.Attrs().Index, host, router[i].Addr())
		if host.Addr().Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EACCES)) {
			continue // the machine has no IPv6, and so nothing to reach by it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func configureFamily(h *netlink.Handle, index int, host netip.Prefix, router netip.Addr) error {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	own := &netlink.Addr{IPNet: &net.IPNet{IP: host.Addr().AsSlice(), Mask: net.CIDRMask(host.Bits(), host.Addr().BitLen())}}
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if host.Addr().Is6() {
		own.Flags = unix.IFA_F_NODAD
		everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if err := h.AddrAdd(link, own); err != nil {
		return fmt.Errorf("address %s: %w", host, err)
	}
	mac := control.InsideRouterMAC()
	err := h.NeighSet(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: router.AsSlice(), HardwareAddr: mac[:]})
	if err != nil {
		return fmt.Errorf("neighbour %s: %w", router, err)
	}
	// The metric tells the devices' routes apart; which is used follows from the socket.
	err = h.RouteAdd(&netlink.Route{
		LinkIndex: index, Gw: router.AsSlice(), Priority: index,
		Dst: &net.IPNet{IP: everything.Addr().AsSlice(), Mask: net.CIDRMask(0, everything.Addr().BitLen())},
	})
	if err != nil {
		return fmt.Errorf("default route by %s: %w", router, err)
	}
	return nil
}
