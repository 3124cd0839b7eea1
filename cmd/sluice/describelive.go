package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// live tells what the node makes of an object.
func (d *describer) live(o *object) error {
	full := fullName(o.Meta.Namespace, o.Meta.Name)
	switch o.Kind {
	case "Port", "Pod":
		return d.livePort(full)
	case "Segment":
		return d.liveSegment(o.Meta.Name)
	case "Namespace":
		return d.liveSegment(cmp.Or(o.Meta.Annotations[api.SegmentAnnotation], o.Meta.Name))
	case "Router":
		return d.liveRouter(o.Meta.Name)
	case "IPPool":
		return d.livePool(o.Meta.Name)
	case "Service", "VirtualServer":
		return d.liveServices(o.Kind, full)
	case "Pool":
		return d.liveLBPool(o.ref())
	case "NATRule":
		return d.liveNAT(full)
	case "Group":
		return d.liveGroup(full)
	case "SecurityPolicy", "NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy":
		return d.livePolicy(o)
	}
	return nil
}

// views returns the items of a live kind that a filter wants; none where there is nothing of
// the filter's names.
func views[T any](d *describer, kind string, f api.Filter) ([]T, error) {
	list, _, err := client.List[T](d.ctx, d.c, kind, f)
	if errors.Is(err, api.ErrNotFound) {
		return nil, nil
	}
	return list, err
}

func (d *describer) livePort(name string) error {
	list, err := views[api.PortView](d, "ports", api.Filter{Names: []string{name}})
	if err != nil || len(list) == 0 {
		return err
	}
	v := &list[0]
	sessions := 0
	_, err = client.Each(d.ctx, d.c, "sessions", api.Filter{Port: name}, func(*api.SessionView) error {
		sessions++
		return nil
	})
	if err != nil {
		return err
	}
	d.begin("Port")
	d.pair("State", strings.TrimSuffix(string(v.State)+": "+v.Message, ": "))
	switch {
	case v.Router != "":
		d.pair("Uplink of", "router.sluice.dev/"+v.Router)
	case portSegment(v) != "":
		d.pair("Segment", portSegment(v))
	}
	for _, a := range v.Addresses {
		d.pair("Address", strings.TrimSpace(address(a.IP)+" "+a.MAC.String()))
	}
	d.pair("Guard", yesNo(v.Guard))
	d.pair("MTU", strconv.Itoa(v.MTU))
	d.pair("Device", portDevice(v))
	d.pair("Mode", v.Device.Mode)
	d.pair("Received", traffic(v.Rx))
	d.pair("Sent", traffic(v.Tx))
	d.pair("Dropped", number(v.Dropped)+" packets")
	d.pair("Lost by the kernel", number(v.Device.KernelDrops)+" packets")
	d.pair("Sessions", strconv.Itoa(sessions))
	d.table("Drops", []string{"REASON", "PACKETS"}, counts(v.Drops))
	d.table("Device's counters", []string{"NAME", "COUNT"}, counts(v.Device.Counters))
	if err := d.portServices(name); err != nil {
		return err
	}
	return d.portFirewall(name, v.Firewall)
}

func traffic(t api.Traffic) string { return fmt.Sprintf("%d packets, %d bytes", t.Packets, t.Bytes) }

// counts are rows of names and numbers, the largest first.
func counts(byName map[string]uint64) (rows [][]string) {
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(byName[b], byName[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		rows = append(rows, []string{name, number(byName[name])})
	}
	return rows
}

func (d *describer) liveSegment(name string) error {
	list, err := views[api.SegmentView](d, "segments", api.Filter{Names: []string{name}})
	if err != nil || len(list) == 0 {
		return err
	}
	v := &list[0]
	d.begin("Segment")
	d.pair("Name", v.Name)
	for _, s := range v.Subnets {
		d.pair("Subnet", fmt.Sprintf("%s, gateway %s", s.CIDR, s.Gateway))
	}
	if v.Router != "" {
		d.pair("Router", v.Router)
	}
	d.pair("VLAN", positive(v.VLAN))
	d.pair("VNI", positive(v.VNI))
	d.pair("MTU", strconv.Itoa(v.MTU))
	d.pair("Zone", number(v.Zone))
	d.pair("DHCP", strings.Join(v.DHCP, ","))
	pools, err := views[api.PoolView](d, "ippools", api.Filter{Names: []string{name}, State: string(api.UsagePorts)})
	if err != nil {
		return err
	}
	for i := range pools {
		d.pair("Addresses", stock(&pools[i]))
	}
	ports, err := views[api.PortView](d, "ports", api.Filter{Segment: name})
	if err != nil {
		return err
	}
	d.portTable("Ports", ports)
	return d.routes(func(r *api.RouteView) bool { return r.Out == name }, v.Router)
}

func (d *describer) portTable(title string, ports []api.PortView) {
	var rows [][]string
	for i := range ports {
		v := &ports[i]
		rows = append(rows, []string{v.Name, string(v.State), portAddresses(v), portDevice(v)})
	}
	d.table(title, []string{"NAME", "STATE", "ADDRESSES", "DEVICE"}, rows)
}

// routes shows those of a router that are wanted.
func (d *describer) routes(wanted func(*api.RouteView) bool, router string) error {
	if router == "" {
		return nil
	}
	list, err := views[api.RouteView](d, "routes", api.Filter{Router: router})
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range list {
		if r := &list[i]; wanted(r) {
			rows = append(rows, []string{r.Prefix.String(), string(r.Type), address(r.Via), r.Out, yesNo(r.Active)})
		}
	}
	d.table("Routes", []string{"PREFIX", "TYPE", "VIA", "OUT", "ACTIVE"}, rows)
	return nil
}

func (d *describer) liveRouter(name string) error {
	ports, err := views[api.PortView](d, "ports", api.Filter{})
	if err != nil {
		return err
	}
	d.portTable("Uplinks", slices.DeleteFunc(ports, func(v api.PortView) bool { return v.Router != name }))
	segments, err := views[api.SegmentView](d, "segments", api.Filter{Router: name})
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range segments {
		v := &segments[i]
		rows = append(rows, []string{v.Name, joined(v.Subnets, func(s api.SubnetView) string { return s.CIDR.String() }), strconv.Itoa(len(v.Ports))})
	}
	d.table("Segments", []string{"NAME", "SUBNETS", "PORTS"}, rows)
	return d.routes(func(*api.RouteView) bool { return true }, name)
}

// livePool tells of an IPPool: not of a segment's stock of the same name.
func (d *describer) livePool(name string) error {
	list, err := views[api.PoolView](d, "ippools", api.Filter{Names: []string{name}})
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		if v.Usage == api.UsagePorts {
			continue
		}
		d.begin("Pool")
		what, header := "Addresses", "ADDRESS"
		if v.Usage == api.UsageSegments {
			what, header = "Subnets", "SUBNET"
		}
		d.pair(what, stock(v))
		var rows [][]string
		for _, a := range v.Allocations {
			given, owner := a.Address.String(), a.Owner
			if a.Subnet.IsValid() {
				given = a.Subnet.String()
			}
			if a.Quarantined {
				owner = "(" + owner + ")"
			}
			rows = append(rows, []string{given, owner})
		}
		d.table("Users", []string{header, "OWNER"}, rows)
	}
	return nil
}

// stock tells how much of a pool is left.
func stock(v *api.PoolView) string {
	return fmt.Sprintf("%d: %d used, %d free, %d kept for a while", v.Size, v.Used, v.Free, v.Quarantined)
}
