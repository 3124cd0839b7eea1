package main

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-net/sluice/api"
)

// resources are the live kinds with their tables, by name.
func resources() map[string]resource {
	return map[string]resource{
		"ports":     live(func(v *api.PortView) string { return v.Name }, nil, nil, portColumns),
		"segments":  live(func(v *api.SegmentView) string { return v.Name }, nil, nil, segmentColumns),
		"routes":    live(func(v *api.RouteView) string { return v.Prefix.String() }, routeKey, nil, routeColumns),
		"macs":      live(func(v *api.MACView) string { return v.MAC.String() }, macKey, macKey, macColumns),
		"neighbors": live(func(v *api.NeighborView) string { return v.IP.String() }, neighborKey, neighborOrder, neighborColumns),
		"sessions":  live(nil, func(v *api.SessionView) string { return number(v.ID) }, nil, sessionColumns),
		"workers":   live(func(v *api.WorkerView) string { return strconv.Itoa(v.ID) }, nil, nil, workerColumns),
		"drops":     live(func(v *api.DropView) string { return v.Reason }, func(v *api.DropView) string { return v.Reason + " " + v.Port }, nil, dropColumns),
		"ippools": madeOf(live(func(v *api.PoolView) string { return v.Name }, func(v *api.PoolView) string { return v.Name + " " + string(v.Usage) }, nil, poolColumns),
			stockOrigins),
		"rules":    live(func(v *api.RuleView) string { return number(v.ID) }, nil, nil, ruleColumns),
		"policies": live(func(v *api.PolicyView) string { return v.Name }, policyKey, nil, policyColumns),
		"groups":   live(func(v *api.GroupView) string { return v.Name }, nil, nil, groupColumns),
		flowTable:  live(nil, func(v *api.SessionView) string { return number(v.ID) }, nil, flowColumns),

		"virtualservers": madeOf(live(func(v *api.VirtualServerView) string { return v.Name }, nil, nil, virtualServerColumns),
			func(v *api.VirtualServerView) []api.ObjectRef { return []api.ObjectRef{v.Origin} }),
		"pools": madeOf(live(func(v *api.LBPoolView) string { return v.Name }, nil, nil, lbPoolColumns),
			func(v *api.LBPoolView) []api.ObjectRef { return []api.ObjectRef{v.Origin} }),
		"members": live(func(v *api.LBMemberView) string { return v.Name }, memberKey, nil, lbMemberColumns),
		"natrules": madeOf(live(func(v *api.NATRuleView) string { return v.Name }, nil, nil, natRuleColumns),
			func(v *api.NATRuleView) []api.ObjectRef { return []api.ObjectRef{v.Origin} }),
	}
}

var portColumns = []column[api.PortView]{
	{"NAME", false, func(v *api.PortView) string { return v.Name }},
	{"STATE", false, func(v *api.PortView) string { return string(v.State) }},
	{"SEGMENT", false, portSegment},
	{"ADDRESSES", false, portAddresses},
	{"DEVICE", false, portDevice},
	{"RX", false, func(v *api.PortView) string { return number(v.Rx.Packets) }},
	{"TX", false, func(v *api.PortView) string { return number(v.Tx.Packets) }},
	{"DROPPED", false, func(v *api.PortView) string { return number(v.Dropped) }},
	{"KERNEL-DROPS", false, func(v *api.PortView) string { return number(v.Device.KernelDrops) }},
	{"RX-BYTES", true, func(v *api.PortView) string { return number(v.Rx.Bytes) }},
	{"TX-BYTES", true, func(v *api.PortView) string { return number(v.Tx.Bytes) }},
	{"NUMBER", true, func(v *api.PortView) string { return number(v.Number) }},
	{"MTU", true, func(v *api.PortView) string { return number(v.MTU) }},
	{"GUARD", true, func(v *api.PortView) string { return yesNo(v.Guard) }},
	{"DROPS", true, func(v *api.PortView) string { return reasons(v.Drops) }},
	{"MODE", true, func(v *api.PortView) string { return v.Device.Mode }},
	{"MESSAGE", true, func(v *api.PortView) string { return strings.ReplaceAll(v.Message, "\n", "; ") }},
}

func portSegment(v *api.PortView) string {
	switch {
	case v.Router != "":
		return "uplink:" + v.Router
	case len(v.Segments) > 0:
		return strings.Join(v.Segments, ",")
	}
	return v.Segment
}

func portAddresses(v *api.PortView) string {
	var list []string
	for _, a := range v.Addresses {
		if a.IP.IsValid() {
			list = append(list, a.IP.String())
		} else {
			list = append(list, a.MAC.String())
		}
	}
	return strings.Join(list, ",")
}

func portDevice(v *api.PortView) string {
	d := &v.Device
	text := string(d.Type)
	if d.Name != "" {
		text += ":" + d.Name
	}
	if d.NetNS != "" {
		text += "@" + d.NetNS
	}
	return text
}

// reasons are counts by reason, the largest first.
func reasons(drops map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(drops), func(a, b string) int {
		return cmp.Or(cmp.Compare(drops[b], drops[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + ":" + number(drops[name])
	}
	return strings.Join(names, ",")
}

var segmentColumns = []column[api.SegmentView]{
	{"NAME", false, func(v *api.SegmentView) string { return v.Name }},
	{"SUBNETS", false, func(v *api.SegmentView) string {
		return joined(v.Subnets, func(s api.SubnetView) string { return s.CIDR.String() })
	}},
	{"GATEWAYS", false, func(v *api.SegmentView) string {
		return joined(v.Subnets, func(s api.SubnetView) string { return s.Gateway.String() })
	}},
	{"ROUTER", false, func(v *api.SegmentView) string { return v.Router }},
	{"VLAN", false, func(v *api.SegmentView) string { return positive(v.VLAN) }},
	{"VNI", false, func(v *api.SegmentView) string { return positive(v.VNI) }},
	{"PORTS", false, func(v *api.SegmentView) string { return number(len(v.Ports)) }},
	{"ZONE", true, func(v *api.SegmentView) string { return number(v.Zone) }},
	{"MTU", true, func(v *api.SegmentView) string { return number(v.MTU) }},
	{"DHCP", true, func(v *api.SegmentView) string { return strings.Join(v.DHCP, ",") }},
	{"PORT-NAMES", true, func(v *api.SegmentView) string { return strings.Join(v.Ports, ",") }},
}

var routeColumns = []column[api.RouteView]{
	{"ROUTER", false, func(v *api.RouteView) string { return v.Router }},
	{"PREFIX", false, func(v *api.RouteView) string { return v.Prefix.String() }},
	{"TYPE", false, func(v *api.RouteView) string { return string(v.Type) }},
	{"VIA", false, func(v *api.RouteView) string { return address(v.Via) }},
	{"OUT", false, func(v *api.RouteView) string { return v.Out }},
	{"ACTIVE", false, func(v *api.RouteView) string { return yesNo(v.Active) }},
}

func routeKey(v *api.RouteView) string {
	return fmt.Sprint(v.Router, " ", v.Prefix, " ", v.Type, " ", v.Via, " ", v.Out)
}

var macColumns = []column[api.MACView]{
	{"SEGMENT", false, func(v *api.MACView) string { return v.Segment }},
	{"MAC", false, func(v *api.MACView) string { return v.MAC.String() }},
	{"PORT", false, func(v *api.MACView) string { return v.Port }},
	{"TYPE", false, func(v *api.MACView) string { return string(v.Type) }},
	{"AGE", false, func(v *api.MACView) string {
		if v.Type == api.MACBound {
			return ""
		}
		return age(v.Age)
	}},
	{"HELD", true, func(v *api.MACView) string { return yesNo(v.Held) }},
	{"MOVES", true, func(v *api.MACView) string { return number(v.Moves) }},
}

func macKey(v *api.MACView) string { return v.Segment + " " + v.MAC.String() }

var neighborColumns = []column[api.NeighborView]{
	{"ROUTER", false, func(v *api.NeighborView) string { return v.Router }},
	{"IP", false, func(v *api.NeighborView) string { return v.IP.String() }},
	{"MAC", false, func(v *api.NeighborView) string {
		if v.MAC.IsZero() {
			return ""
		}
		return v.MAC.String()
	}},
	{"STATE", false, func(v *api.NeighborView) string { return string(v.State) }},
	{"OUT", false, func(v *api.NeighborView) string { return v.Out }},
	{"AGE", false, func(v *api.NeighborView) string {
		if v.State == api.NeighborBound {
			return ""
		}
		return age(v.Age)
	}},
	{"PORT", true, func(v *api.NeighborView) string { return v.Port }},
	{"QUEUE", true, func(v *api.NeighborView) string { return number(v.Queue) }},
}

func neighborKey(v *api.NeighborView) string { return v.Router + " " + v.IP.String() + " " + v.Out }

// neighborOrder sorts addresses as numbers, IPv4's first.
func neighborOrder(v *api.NeighborView) string {
	return fmt.Sprintf("%s %3d %x %s", v.Router, v.IP.BitLen(), v.IP.AsSlice(), v.Out)
}

var sessionColumns = []column[api.SessionView]{
	{"PROTOCOL", false, func(v *api.SessionView) string { return v.Protocol }},
	{"SOURCE", false, func(v *api.SessionView) string { return end(v.Original.Source, v.Original.SourcePort) }},
	{"DESTINATION", false, sessionDestination},
	{"STATE", false, func(v *api.SessionView) string { return v.State }},
	{"SEGMENT", false, func(v *api.SessionView) string { return cmp.Or(v.Segment, v.Uplink) }},
	{"PACKETS", false, func(v *api.SessionView) string { return number(v.Original.Packets) }},
	{"REPLIES", false, func(v *api.SessionView) string { return number(v.Reply.Packets) }},
	{"AGE", false, func(v *api.SessionView) string { return age(v.Age) }},
	{"IDLE", false, func(v *api.SessionView) string { return age(v.Idle) }},
	{"BYTES", true, func(v *api.SessionView) string { return number(v.Original.Bytes) }},
	{"REPLY-BYTES", true, func(v *api.SessionView) string { return number(v.Reply.Bytes) }},
	{"TIMEOUT", true, func(v *api.SessionView) string { return age(v.Timeout) }},
	{"FROM-PORT", true, func(v *api.SessionView) string { return v.Original.Port }},
	{"TO-PORT", true, func(v *api.SessionView) string { return v.Reply.Port }},
	onlyWide(flowTranslated),
	onlyWide(flowService),
	onlyWide(flowMember),
	onlyWide(flowWhy),
	flowNAT,
	flowRules,
	{"ID", true, func(v *api.SessionView) string { return number(v.ID) }},
}

// onlyWide is a column that a table has with -o wide only.
func onlyWide[T any](c column[T]) column[T] {
	c.wide = true
	return c
}

func sessionDestination(v *api.SessionView) string {
	if v.ICMP != nil {
		return fmt.Sprintf("%s(type=%d,id=%d)", v.Original.Destination, v.ICMP.Type, v.ICMP.ID)
	}
	return end(v.Original.Destination, v.Original.DestinationPort)
}

// end is an end of a session.
func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return net.JoinHostPort(a.String(), number(port))
}

var workerColumns = []column[api.WorkerView]{
	{"ID", false, func(v *api.WorkerView) string { return number(v.ID) }},
	{"CPU", false, func(v *api.WorkerView) string {
		if v.CPU == nil {
			return ""
		}
		return number(*v.CPU)
	}},
	{"BUSY", false, func(v *api.WorkerView) string { return percent(v.BusyShare) }},
	{"VECTORS", false, func(v *api.WorkerView) string { return number(v.Vectors) }},
	{"FRAMES", false, func(v *api.WorkerView) string { return number(v.Frames) }},
	{"FRAMES/VECTOR", false, func(v *api.WorkerView) string { return fmt.Sprintf("%.1f", v.FramesPerVector) }},
	{"SLEEPS", false, func(v *api.WorkerView) string { return number(v.Sleeps) }},
	{"QUEUES", false, func(v *api.WorkerView) string { return number(len(v.Queues)) }},
	{"TURNS", true, func(v *api.WorkerView) string { return number(v.Turns) }},
	{"QUEUE-NAMES", true, func(v *api.WorkerView) string {
		return joined(v.Queues, func(q api.WorkerQueue) string { return fmt.Sprintf("%s#%d", q.Port, q.Queue) })
	}},
}

var dropColumns = []column[api.DropView]{
	{"COUNT", false, func(v *api.DropView) string { return number(v.Count) }},
	{"REASON", false, func(v *api.DropView) string { return v.Reason }},
	{"COMPONENT", false, func(v *api.DropView) string { return v.Component }},
	{"PORT", false, func(v *api.DropView) string { return v.Port }},
	{"MEANING", true, func(v *api.DropView) string { return v.Meaning }},
}

var poolColumns = []column[api.PoolView]{
	{"NAME", false, func(v *api.PoolView) string { return v.Name }},
	{"USAGE", false, func(v *api.PoolView) string { return string(v.Usage) }},
	{"RANGES", false, func(v *api.PoolView) string { return strings.Join(v.Ranges, ",") }},
	{"SIZE", false, func(v *api.PoolView) string { return number(v.Size) }},
	{"USED", false, func(v *api.PoolView) string { return number(v.Used) }},
	{"FREE", false, func(v *api.PoolView) string { return number(v.Free) }},
	{"QUARANTINED", false, func(v *api.PoolView) string { return number(v.Quarantined) }},
	{"ALLOCATIONS", true, func(v *api.PoolView) string {
		return joined(v.Allocations, func(a api.AllocationView) string {
			what := a.Address.String()
			if a.Subnet.IsValid() {
				what = a.Subnet.String()
			}
			if a.Quarantined {
				return what + "=(" + a.Owner + ")"
			}
			return what + "=" + a.Owner
		})
	}},
}

// stockOrigins are the objects that a stock of addresses may be made of.
func stockOrigins(v *api.PoolView) []api.ObjectRef {
	if v.Usage == api.UsagePorts {
		return []api.ObjectRef{{Kind: "Segment", Name: v.Name}, {Kind: "Namespace", Name: v.Name}}
	}
	return []api.ObjectRef{{Kind: "IPPool", Name: v.Name}}
}

// Cells.

func number[N ~int | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64](n N) string {
	return fmt.Sprintf("%d", n)
}

// positive is a number for which 0 is none.
func positive[N ~uint16 | ~uint32](n N) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// age is a time in seconds as kubectl writes it: 57s, 3m20s, 5h, 12d.
func age(seconds float64) string {
	return duration.HumanDuration(time.Duration(seconds * float64(time.Second)))
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func joined[T any](list []T, text func(T) string) string {
	texts := make([]string, 0, len(list))
	for _, x := range list {
		texts = append(texts, text(x))
	}
	return strings.Join(texts, ",")
}
