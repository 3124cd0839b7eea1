package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// VethEnd is one end of a pair.
type VethEnd struct {
	NetNS string // "" is the own
	Name  string
	MAC   net.HardwareAddr // nil lets the kernel choose
}

// Veth is a pair of virtual Ethernet devices: what one sends, the other receives.
type Veth struct {
	A, B   VethEnd
	MTU    int // of both; 0 is the kernel's choice (1500)
	Queues int // of both, receive and transmit; 0 is one
}

// CreateVeth makes a pair. Both ends are down.
func CreateVeth(v Veth) error {
	if v.Queues < 0 || v.MTU < 0 {
		return fmt.Errorf("create veth %s: %d queues, MTU %d: want numbers that are not negative", v.A.Name, v.Queues, v.MTU)
	}
	queues := max(v.Queues, 1)
	for _, end := range []VethEnd{v.A, v.B} {
		if err := validName(end.Name); err != nil {
			return fmt.Errorf("create veth: %w", err)
		}
	}
	return use(v.A.NetNS, func(c *conn) error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.MTU, attributes.HardwareAddr = v.A.Name, v.MTU, v.A.MAC
		attributes.NumTxQueues, attributes.NumRxQueues = queues, queues
		link := netlink.NewVeth(attributes)
		link.PeerName, link.PeerMTU, link.PeerHardwareAddr = v.B.Name, uint32(v.MTU), v.B.MAC
		link.PeerNumTxQueues, link.PeerNumRxQueues = uint32(queues), uint32(queues)
		if v.B.NetNS != v.A.NetNS {
			peer, err := namespaceOf(v.B.NetNS)
			if err != nil {
				return err
			}
			defer peer.Close()
			link.PeerNamespace = netlink.NsFd(peer)
		}
		if err := c.LinkAdd(link); err != nil {
			if errors.Is(err, unix.EEXIST) {
				err = fmt.Errorf("one of the names is taken: choose another, or delete the device (ip link delete NAME): %w", err)
			}
			return fmt.Errorf("create veth %s with peer %s: %w", v.A.Name, v.B.Name, explainRights(err))
		}
		return nil
	})
}

// namespaceOf opens a namespace, "" being the own.
func namespaceOf(netNS string) (netns.NsHandle, error) {
	if netNS == "" {
		netNS = ownNamespace
	}
	return openNamespace(netNS)
}

// validName says what the kernel means by EINVAL or cuts off.
func validName(name string) error {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") {
		return fmt.Errorf("%q is no device name: want 1 to %d bytes without a slash, a colon or a space", name, unix.IFNAMSIZ-1)
	}
	return nil
}

// change finds a device and does something to it.
func change(netNS, name, what string, f func(c *conn, l netlink.Link) error) error {
	return use(netNS, func(c *conn) error {
		l, err := c.link(name)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := f(c, l); err != nil {
			return fmt.Errorf("%s of %s: %w", what, where(netNS, name), explainRights(err))
		}
		return nil
	})
}

// SetUp sets a device administratively up or down.
func SetUp(netNS, name string, up bool) error {
	return change(netNS, name, "set the state", func(c *conn, l netlink.Link) error {
		if up {
			return c.LinkSetUp(l)
		}
		return c.LinkSetDown(l)
	})
}

// SetMTU sets the largest packet of a device in bytes, without the Ethernet header.
func SetMTU(netNS, name string, mtu int) error {
	return change(netNS, name, "set the MTU", func(c *conn, l netlink.Link) error {
		err := c.LinkSetMTU(l, mtu)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ERANGE) {
			return err
		}
		i := basic(l)
		if c.details(&i) == nil && i.MaxMTU != 0 && (mtu < i.MinMTU || mtu > i.MaxMTU) {
			return fmt.Errorf("%d is not between %d and %d, which it can do: %w", mtu, i.MinMTU, i.MaxMTU, err)
		}
		if i.XDP != 0 {
			return fmt.Errorf("%d is too large for the XDP program %d on it: detach that (ip link set %s xdp off): %w", mtu, i.XDP, i.Name, err)
		}
		return fmt.Errorf("%d: %w", mtu, err)
	})
}

// SetMAC sets the Ethernet address of a device.
func SetMAC(netNS, name string, mac net.HardwareAddr) error {
	return change(netNS, name, "set the MAC address", func(c *conn, l netlink.Link) error {
		if len(mac) != 6 || mac[0]&1 != 0 {
			return fmt.Errorf("%v is not the Ethernet address of one station (the lowest bit of its first byte is 0)", mac)
		}
		return c.LinkSetHardwareAddr(l, mac)
	})
}

// SetMaster makes a device part of a bridge or bond, or of none ("").
func SetMaster(netNS, name, master string) error {
	return change(netNS, name, "set the master", func(c *conn, l netlink.Link) error {
		if master == "" {
			return c.LinkSetNoMaster(l)
		}
		m, err := c.link(master)
		if err != nil {
			return err
		}
		return c.LinkSetMaster(l, m)
	})
}

// Rename gives a device another name. Some kernels want it down.
func Rename(netNS, name, newName string) error {
	if err := validName(newName); err != nil {
		return err
	}
	return change(netNS, name, "change the name", func(c *conn, l netlink.Link) error { return c.LinkSetName(l, newName) })
}

// Move takes a device to another network namespace ("" is the own), where it is
// down and without addresses.
func Move(netNS, name, to string) error {
	return change(netNS, name, "move it, the namespace", func(c *conn, l netlink.Link) error {
		ns, err := namespaceOf(to)
		if err != nil {
			return err
		}
		defer ns.Close()
		err = c.LinkSetNsFd(l, int(ns))
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("network namespace %q has a device of that name: rename one (ip link set %s name NEW): %w", to, name, err)
		}
		return err
	})
}

// Delete removes a device; of a veth pair both ends.
func Delete(netNS, name string) error {
	return change(netNS, name, "delete", func(c *conn, l netlink.Link) error {
		err := c.LinkDel(l)
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("it belongs to hardware or to the namespace itself, and can't be deleted: %w", err)
		}
		return err
	})
}

// AddAddress gives the host an address on a device, with the length of its
// subnet. IPv6 addresses can be used at once: whether another host has them is
// not asked (RFC 4862, section 5.4).
func AddAddress(netNS, name string, p netip.Prefix) error {
	return change(netNS, name, "add the address "+p.String(), func(c *conn, l netlink.Link) error {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		err := c.AddrAdd(l, a)
		switch {
		case errors.Is(err, unix.EEXIST):
			return fmt.Errorf("it has it: %w", err)
		case p.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
			return fmt.Errorf("IPv6 may be disabled (sysctl net.ipv6.conf.%s.disable_ipv6=0): %w", name, err)
		}
		return err
	})
}

// DeleteAddress takes an address away.
func DeleteAddress(netNS, name string, p netip.Prefix) error {
	return change(netNS, name, "delete the address "+p.String(), func(c *conn, l netlink.Link) error {
		return c.AddrDel(l, &netlink.Addr{IPNet: ipNet(p)})
	})
}

// Route says where packets to a prefix go.
type Route struct {
	To     netip.Prefix // 0.0.0.0/0 or ::/0 is the default route
	Via    netip.Addr   // the router; invalid if the prefix is on the link
	Device string       // "" lets the kernel find it from Via
}

// AddRoute adds a route to the main table, or replaces the one to the same prefix.
func AddRoute(netNS string, r Route) error {
	return use(netNS, func(c *conn) error {
		route := &netlink.Route{Dst: ipNet(r.To)}
		what := "add the route " + r.To.String()
		if r.Device != "" {
			l, err := c.link(r.Device)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			route.LinkIndex = l.Attrs().Index
		}
		if r.Via.IsValid() {
			what += " via " + r.Via.String()
			route.Gw = r.Via.AsSlice()
			if r.Via.Is4() != r.To.Addr().Is4() {
				route.Gw, route.Via = nil, &netlink.Via{AddrFamily: family(r.Via), Addr: r.Via.AsSlice()}
			}
		} else {
			route.Scope = netlink.SCOPE_LINK
		}
		err := c.RouteReplace(route)
		switch {
		case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
			err = fmt.Errorf("no address of this host is in the router's subnet: add one (ip address add), or set the device up: %w", err)
		case errors.Is(err, unix.ENETDOWN):
			err = fmt.Errorf("the device is down (ip link set %s up): %w", r.Device, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, explainRights(err))
		}
		return nil
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// DisableIPv6 keeps the host from using IPv6 on a device: no link-local
// address, no router solicitations among the frames. Without IPv6 in the kernel
// there is nothing to do.
func DisableIPv6(netNS, name string) error {
	if err := validName(name); err != nil {
		return err
	}
	err := SetSysctl(netNS, "net/ipv6/conf/"+name+"/disable_ipv6", "1")
	if errors.Is(err, os.ErrNotExist) {
		if _, known := Sysctl(netNS, "net/ipv6/conf/all/disable_ipv6"); errors.Is(known, os.ErrNotExist) {
			return nil
		}
		return use(netNS, func(c *conn) error { return c.noDevice(name) })
	}
	return err
}
