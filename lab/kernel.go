package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
)

// makeNamespaces makes the namespaces with all that is not the node's to make.
func (p *plan) makeNamespaces(ctx context.Context) error {
	for _, ns := range p.namespaces {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := netdev.AddNamespace(ns.netns); err != nil {
			return err
		}
		if err := netdev.SetUp(ns.netns, "lo", true); err != nil {
			return err
		}
	}
	for _, ns := range p.namespaces {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for _, inside := range ns.inside {
			for _, name := range sortedNames(inside.Sysctls) {
				if err := netdev.SetSysctl(ns.netns, name, inside.Sysctls[name]); err != nil {
					return fmt.Errorf("%s: %w", ns.name, err)
				}
			}
		}
		for _, f := range ns.interfaces {
			if err := p.makeDevice(f); err != nil {
				return fmt.Errorf("%s: interface %s: %w", ns.name, f.name, err)
			}
		}
	}
	for _, ns := range p.namespaces {
		if err := ns.addRoutes(); err != nil {
			return fmt.Errorf("%s: %w", ns.name, err)
		}
	}
	return nil
}

// makeDevice makes the pair of which the interface is an end, and sets up what
// is not the node's of it. TAPs are made by the node, and a link by the first
// of its two ends.
func (p *plan) makeDevice(f *netInterface) error {
	if f.isTAP() {
		return nil
	}
	v := netdev.Veth{A: netdev.VethEnd{NetNS: f.ns.netns, Name: f.name, MAC: f.hardware()}, MTU: f.mtu}
	if f.link != nil {
		if _, err := netdev.Link(f.ns.netns, f.name); err == nil {
			return f.configureDevice()
		}
		v.B = netdev.VethEnd{NetNS: f.link.ns.netns, Name: f.link.name, MAC: f.link.hardware()}
		v.MTU = max(f.mtu, f.link.mtu)
	} else {
		v.B = netdev.VethEnd{NetNS: p.namespaces[0].netns, Name: f.nodeEnd}
		v.Queues = f.device.Queues
	}
	if err := netdev.CreateVeth(v); err != nil {
		return err
	}
	if f.link == nil {
		// What the host's stack would say there is the traffic of no workload.
		if err := netdev.DisableIPv6(v.B.NetNS, v.B.Name); err != nil {
			return err
		}
		if err := netdev.SetUp(v.B.NetNS, v.B.Name, true); err != nil {
			return err
		}
	}
	return f.configureDevice()
}

// configureDevice gives an interface its addresses and brings it up; routes
// come later, when all interfaces are there.
func (f *netInterface) configureDevice() error {
	netNS := f.ns.netns
	if hw := f.hardware(); hw != nil && f.isTAP() {
		if err := netdev.SetMAC(netNS, f.name, hw); err != nil {
			return err
		}
	}
	if err := setIPv6(netNS, f.name, f.wantsIPv6()); err != nil {
		return err
	}
	if err := netdev.SetUp(netNS, f.name, true); err != nil {
		return err
	}
	if err := addAddresses(netNS, f.name, f.given()); err != nil {
		return err
	}
	return f.addVLANs()
}

func setIPv6(netNS, name string, on bool) error {
	if !on {
		return netdev.DisableIPv6(netNS, name)
	}
	err := netdev.SetSysctl(netNS, "net/ipv6/conf/"+name+"/disable_ipv6", "0")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the kernel has no IPv6, which the scenario needs: %w", err)
	}
	return err
}

func addAddresses(netNS, name string, addresses []netip.Prefix) error {
	for _, a := range addresses {
		if err := netdev.AddAddress(netNS, name, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// addRoutes adds the routes of the namespace whose interfaces are there.
func (ns *namespace) addRoutes() error {
	waiting := false
	for _, f := range ns.interfaces {
		if _, err := netdev.Link(ns.netns, f.name); err != nil {
			waiting = true
			continue
		}
		for _, g := range f.gateways {
			if f.configure != "static" && (f.configure != "ra" || g.Is6()) {
				continue
			}
			r := Route{To: "default", Via: g, Dev: f.name}
			if err := r.add(ns.netns); err != nil {
				return err
			}
		}
	}
	if waiting {
		return nil // once more when the node has made its TAPs
	}
	for _, inside := range ns.inside {
		for i := range inside.Routes {
			if err := inside.Routes[i].add(ns.netns); err != nil {
				return err
			}
		}
	}
	return nil
}

// destination is the prefix that the route is to; for "default" the family is
// that of the next hop.
func (r *Route) destination() (netip.Prefix, error) {
	if r.To == "default" {
		if r.Via.Is6() {
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0), nil
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	to, err := netip.ParsePrefix(r.To)
	if err != nil {
		return to, fmt.Errorf("%q is neither a prefix nor default", r.To)
	}
	return to.Masked(), nil
}

func (r *Route) add(netNS string) error {
	to, err := r.destination()
	if err != nil {
		return err
	}
	return netdev.AddRoute(netNS, netdev.Route{To: to, Via: r.Via, Device: r.Dev})
}

// awaitDevices waits for the TAPs that the node makes, and sets them up. What
// is set up already stays as it is.
func (p *plan) awaitDevices(ctx context.Context) error {
	for _, ns := range p.namespaces {
		for _, f := range ns.interfaces {
			if !f.isTAP() || !p.configured(f.port) {
				continue
			}
			if err := awaitDevice(ctx, f); err != nil {
				return err
			}
			if err := f.configureDevice(); err != nil {
				return fmt.Errorf("%s: interface %s: %w", ns.name, f.name, err)
			}
			if err := ns.addRoutes(); err != nil {
				return fmt.Errorf("%s: %w", ns.name, err)
			}
		}
	}
	return nil
}

// configured reports whether the node's configuration has a port.
func (p *plan) configured(port string) bool {
	return slices.ContainsFunc(p.objects, func(o *control.Object) bool { return o.Kind == "Port" && portName(o) == port })
}

func awaitDevice(ctx context.Context, f *netInterface) error {
	for {
		_, err := netdev.Link(f.ns.netns, f.name)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node has not made the TAP %s in %s: %w", f.name, f.ns.netns, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
