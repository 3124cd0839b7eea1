package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoDevice is wrapped by errors about a device that is not there.
var ErrNoDevice = errors.New("no such device")

// Info is what the kernel says of a network device.
type Info struct {
	Name  string
	Index int // in its namespace

	Kind   string // of rtnetlink: veth, bridge, tun, ...; "" for a NIC
	Driver string // of ethtool: veth, virtio_net, mlx5_core, ...; "" if the device has none (lo)
	Ether  bool   // it carries Ethernet frames

	MTU    int // bytes, without the Ethernet header, as are the next two
	MinMTU int // 0 is unknown
	MaxMTU int // 0 is no limit, or unknown

	MAC     net.HardwareAddr // nil if it has none
	Up      bool             // administratively
	Carrier bool             // it could send now; false while down

	RxQueues, TxQueues int // the most that it was made for; see Channels for those in use

	Addresses    []netip.Prefix // IP addresses of the host on it, without link-local IPv6
	DefaultRoute bool           // the host's default route, v4 or v6, leaves by it
	Master       string         // the bridge, bond or other device that it is part of; "" for none
	XDP          uint32         // id of the XDP program that is attached; 0 for none
}

// InUse returns why a device should not be taken from the host without asking,
// "" if nothing speaks for it.
func (i *Info) InUse() string {
	switch {
	case i.DefaultRoute:
		return "the host's default route leaves by it"
	case i.Master != "":
		return "it is part of " + i.Master
	case len(i.Addresses) > 0:
		return "the host has the address " + i.Addresses[0].String() + " on it"
	case i.XDP != 0:
		return fmt.Sprintf("another program (XDP program %d) takes its frames", i.XDP)
	}
	return ""
}

// Link returns what is known of the device name in network namespace netNS (""
// is the own). If it is not there, the error wraps ErrNoDevice, and says what
// there is.
func Link(netNS, name string) (info Info, err error) {
	err = use(netNS, func(c *conn) error {
		l, err := c.link(name)
		if err != nil {
			return err
		}
		info, err = c.info(l)
		return err
	})
	return info, err
}

// Links returns all devices of a network namespace, by index. A device that
// disappears meanwhile is left out.
func Links(netNS string) (infos []Info, err error) {
	err = use(netNS, func(c *conn) error {
		links, err := dump(c.LinkList)
		if err != nil {
			return fmt.Errorf("list devices: %w", err)
		}
		for _, l := range links {
			info, err := c.info(l)
			if isNotFound(err) || errors.Is(err, ErrNoDevice) {
				continue
			}
			if err != nil {
				return err
			}
			infos = append(infos, info)
		}
		return nil
	})
	slices.SortFunc(infos, func(a, b Info) int { return a.Index - b.Index })
	return infos, err
}

// info asks for what the link's own message does not hold.
func (c *conn) info(l netlink.Link) (Info, error) {
	a := l.Attrs()
	i := basic(l)
	if a.MasterIndex != 0 {
		i.Master = fmt.Sprintf("device %d", a.MasterIndex) // of another namespace
		if m, err := c.LinkByIndex(a.MasterIndex); err == nil {
			i.Master = m.Attrs().Name
		}
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return c.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return i, fmt.Errorf("%s: list its addresses: %w", where(c.netNS, a.Name), err)
	}
	for _, address := range addresses {
		if p, ok := prefixOf(address.IPNet); ok && !(p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()) {
			i.Addresses = append(i.Addresses, p)
		}
	}
	if i.DefaultRoute, err = c.carriesDefaultRoute(l); err != nil {
		return i, fmt.Errorf("%s: list its routes: %w", where(c.netNS, a.Name), err)
	}
	return i, c.details(&i)
}

// basic is what a link's message says.
func basic(l netlink.Link) Info {
	a := l.Attrs()
	i := Info{
		Name: a.Name, Index: a.Index, Ether: a.EncapType == "ether",
		MTU: a.MTU, MAC: a.HardwareAddr,
		Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
		RxQueues: a.NumRxQueues, TxQueues: a.NumTxQueues,
	}
	if kind := l.Type(); kind != "device" {
		i.Kind = kind
	}
	if a.Xdp != nil && a.Xdp.Attached {
		i.XDP = a.Xdp.ProgId
	}
	return i
}

// carriesDefaultRoute looks into the main table; routes with several next hops
// count for each.
func (c *conn) carriesDefaultRoute(l netlink.Link) (bool, error) {
	index := l.Attrs().Index
	routes, err := dump(func() ([]netlink.Route, error) {
		return c.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	for _, r := range routes {
		if p, ok := prefixOf(r.Dst); ok && p.Bits() != 0 || r.Type != unix.RTN_UNICAST {
			continue
		}
		if r.LinkIndex == index || slices.ContainsFunc(r.MultiPath, func(h *netlink.NexthopInfo) bool { return h.LinkIndex == index }) {
			return true, nil
		}
	}
	return false, err
}

// details asks for the limits of the MTU, which the library passes over, and
// for the driver.
func (c *conn) details(i *Info) error {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(i.Index)
	r.AddData(m)
	messages, err := request(c.netNS, unix.NETLINK_ROUTE, r, 0)
	if isNotFound(err) {
		return c.noDevice(i.Name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where(c.netNS, i.Name), err)
	}
	for _, message := range messages {
		if len(message) < unix.SizeofIfInfomsg {
			continue
		}
		attributes, err := nl.ParseRouteAttr(message[unix.SizeofIfInfomsg:])
		if err != nil {
			return fmt.Errorf("%s: %w", where(c.netNS, i.Name), err)
		}
		for _, a := range attributes {
			if len(a.Value) < 4 {
				continue
			}
			switch a.Attr.Type {
			case unix.IFLA_MIN_MTU:
				i.MinMTU = int(nl.NativeEndian().Uint32(a.Value))
			case unix.IFLA_MAX_MTU:
				i.MaxMTU = int(nl.NativeEndian().Uint32(a.Value))
			}
		}
	}
	i.Driver, err = driver(c.netNS, i.Name)
	return err
}

// driver returns the name of a device's driver, "" if it has none.
func driver(netNS, name string) (driver string, err error) {
	err = In(netNS, func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("ask for the driver of %s: %w", name, err)
		}
		defer unix.Close(fd)
		info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
		if err == nil { // any other error: it has none to name, as lo, or is gone
			driver = unix.ByteSliceToString(info.Driver[:])
		}
		return nil
	})
	return driver, err
}

// prefixOf translates an address or a route's destination; nil is none.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	if ip.Is4In6() {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, ones), ok
}

// noDevice is the error about a missing device: what there is instead, and
// whether another namespace has it.
func (c *conn) noDevice(name string) error {
	var hints []string
	links, _ := dump(c.LinkList)
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.Attrs().Name
	}
	if similar := similarTo(name, names); len(similar) > 0 {
		hints = append(hints, "did you mean "+strings.Join(similar, " or ")+"?")
	} else {
		hints = append(hints, "there are: "+shortList(names))
	}
	if others := c.othersWith(name); len(others) > 0 {
		hints = append(hints, "network namespace "+strings.Join(others, " and ")+" has one of that name")
	}
	return fmt.Errorf("%s: %w: %s", where(c.netNS, name), ErrNoDevice, strings.Join(hints, "; "))
}

// othersWith returns the named namespaces, of the first few, with a device of
// that name.
func (c *conn) othersWith(name string) (found []string) {
	const most = 32
	namespaces, _ := ListNamespaces()
	own, _ := NamespaceID(c.netNS)
	for _, other := range namespaces[:min(len(namespaces), most)] {
		if id, err := NamespaceID(other); err != nil || id == own {
			continue
		}
		o, err := dial(other)
		if err != nil {
			continue
		}
		if _, err := o.LinkByName(name); err == nil {
			found = append(found, other)
		}
		o.Close()
	}
	return found
}

// similarTo returns the names that differ from name by case, by one letter, or
// by what follows or precedes.
func similarTo(name string, names []string) (similar []string) {
	low := strings.ToLower(name)
	for _, n := range names {
		other := strings.ToLower(n)
		if oneLetterApart(low, other) || len(low) > 2 && len(other) > 2 && (strings.HasPrefix(other, low) || strings.HasPrefix(low, other)) {
			similar = append(similar, n)
		}
	}
	return similar
}

// oneLetterApart reports whether at most one letter is to be inserted, deleted
// or replaced, or two neighbours swapped, to turn a into b.
func oneLetterApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case len(b)-len(a) > 1:
		return false
	case len(b) > len(a):
		return a[i:] == b[i+1:]
	case i == len(a) || a[i+1:] == b[i+1:]:
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
