package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/internal/netdev"
)

// namespaceView is a network namespace as rtnetlink has it.
type namespaceView struct {
	Name      string         `json:"name"` // a path for the daemon's own
	Error     string         `json:"error,omitempty"`
	Links     []linkView     `json:"links,omitempty"`
	Routes    []routeView    `json:"routes,omitempty"`
	More      bool           `json:"more,omitempty"` // routes, than are here
	Rules     []string       `json:"rules,omitempty"`
	Neighbors map[string]int `json:"neighbors,omitempty"` // how many, by device and state
	Firewall  []string       `json:"firewall,omitempty"`  // tables of nftables
}

type linkView struct {
	Index     int                     `json:"index"`
	Name      string                  `json:"name"`
	Kind      string                  `json:"kind"`
	Flags     string                  `json:"flags"`
	State     string                  `json:"state"`
	MTU       int                     `json:"mtu"`
	MAC       string                  `json:"mac,omitempty"`
	Master    int                     `json:"master,omitempty"` // an index
	Parent    int                     `json:"parent,omitempty"` // an index; of a veth, its peer's
	Queues    string                  `json:"queues"`           // receive/transmit
	TxQueue   int                     `json:"txQueueLength"`
	GSO       uint32                  `json:"gsoMaxSize,omitempty"`
	XDP       *netlink.LinkXdp        `json:"xdp,omitempty"`
	Addresses []string                `json:"addresses,omitempty"`
	Counters  *netlink.LinkStatistics `json:"counters,omitempty"`
}

type routeView struct {
	Table    int    `json:"table"`
	Prefix   string `json:"prefix"`
	Via      string `json:"via,omitempty"`
	Device   int    `json:"device,omitempty"` // an index
	Source   string `json:"source,omitempty"`
	Type     int    `json:"type"` // RTN_, linux/rtnetlink.h
	Protocol string `json:"protocol"`
	Scope    string `json:"scope"`
	Metric   int    `json:"metric,omitempty"`
}

// maxRoutes is how many routes of a namespace are in a bundle.
const maxRoutes = 10_000

// network asks the kernel about the daemon's namespace, and those of its devices.
func (c *collector) network(ctx context.Context) (any, error) {
	var views []namespaceView
	names, err := c.namespaces(ctx)
	for _, name := range names {
		if ctx.Err() != nil {
			return views, ctx.Err()
		}
		views = append(views, namespace(name))
	}
	return views, err
}

// namespaces are those that the daemon uses; "" is the one of who asks.
func (c *collector) namespaces(ctx context.Context) ([]string, error) {
	own := ""
	if c.pid != 0 {
		path := fmt.Sprintf("/proc/%d/ns/net", c.pid)
		theirs, err := netdev.NamespaceID(path)
		ours, err2 := netdev.NamespaceID("")
		if err == nil && err2 == nil && theirs != ours {
			own = path
		}
	}
	names := []string{own}
	if c.dead != nil {
		return names, nil
	}
	_, err := client.Each(ctx, c.Client, "ports", api.Filter{}, func(p *api.PortView) error {
		names = append(names, p.Device.NetNS)
		return nil
	})
	if own != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// namespace asks for all of a network namespace; what it does not tell leaves its error.
func namespace(name string) namespaceView {
	v := namespaceView{Name: name}
	err := netdev.In(name, func() error {
		return errors.Join(v.links(), v.routes(), v.rules(), v.neighbors())
	})
	var err2 error
	v.Firewall, err2 = netdev.FirewallTables(name)
	if err := errors.Join(err, err2); err != nil {
		v.Error = err.Error()
	}
	return v
}

// partly drops the error that a dump was disturbed: what came is good enough to look at.
func partly(err error) error {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	return err
}

func (v *namespaceView) links() error {
	links, err := netlink.LinkList()
	if err = partly(err); err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	of := map[int][]string{}
	for _, a := range addresses {
		of[a.LinkIndex] = append(of[a.LinkIndex], a.IPNet.String())
	}
	for _, l := range links {
		a := l.Attrs()
		w := linkView{
			Index: a.Index, Name: a.Name, Kind: l.Type(), Flags: a.Flags.String(), State: a.OperState.String(), MTU: a.MTU,
			MAC: a.HardwareAddr.String(), Master: a.MasterIndex, Parent: a.ParentIndex, TxQueue: a.TxQLen, GSO: a.GSOMaxSize,
			Queues:    strconv.Itoa(a.NumRxQueues) + "/" + strconv.Itoa(a.NumTxQueues),
			Addresses: of[a.Index], Counters: a.Statistics,
		}
		if a.Xdp != nil && a.Xdp.Attached {
			w.XDP = a.Xdp
		}
		v.Links = append(v.Links, w)
	}
	slices.SortFunc(v.Links, func(a, b linkView) int { return cmp.Compare(a.Index, b.Index) })
	return partly(err)
}

func (v *namespaceView) routes() error {
	var errs []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		err := netlink.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if len(v.Routes) == maxRoutes {
				v.More = true
				return false
			}
			prefix := "default"
			if r.Dst != nil {
				prefix = r.Dst.String()
			}
			via := text(r.Gw)
			for _, hop := range r.MultiPath {
				via = strings.TrimSpace(via + " " + text(hop.Gw) + "@" + strconv.Itoa(hop.LinkIndex))
			}
			v.Routes = append(v.Routes, routeView{
				Table: r.Table, Prefix: prefix, Via: via, Device: r.LinkIndex, Source: text(r.Src), Type: r.Type,
				Protocol: r.Protocol.String(), Scope: r.Scope.String(), Metric: r.Priority,
			})
			return true
		})
		if err := partly(err); err != nil {
			errs = append(errs, fmt.Errorf("list routes: %w", err))
		}
	}
	return errors.Join(errs...)
}

func text(ip net.IP) string {
	if ip == nil {
		return ""
	}
	return ip.String()
}

func (v *namespaceView) rules() error {
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	for i := range rules {
		v.Rules = append(v.Rules, rules[i].String())
	}
	return partly(err)
}

// neighborStates are the NUD_ bits (linux/neighbour.h).
var neighborStates = map[int]string{
	netlink.NUD_NONE: "NONE", netlink.NUD_INCOMPLETE: "INCOMPLETE", netlink.NUD_REACHABLE: "REACHABLE", netlink.NUD_STALE: "STALE",
	netlink.NUD_DELAY: "DELAY", netlink.NUD_PROBE: "PROBE", netlink.NUD_FAILED: "FAILED", netlink.NUD_NOARP: "NOARP", netlink.NUD_PERMANENT: "PERMANENT",
}

func (v *namespaceView) neighbors() error {
	list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	v.Neighbors = map[string]int{}
	for _, n := range list {
		v.Neighbors[strconv.Itoa(n.LinkIndex)+" "+neighborStates[n.State]]++
	}
	return partly(err)
}
