package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// plan is a scenario worked out: what has to be made in the kernel, and what
// the node is told.
type plan struct {
	scenario   *Scenario
	id         string
	namespaces []*namespace      // the node's own first
	objects    []*control.Object // the configuration as it is now
	initial    []*control.Object // and as it was at the beginning
}

// namespace is a network namespace: of the node, a pod or a host.
type namespace struct {
	name       string // node, demo/web-1, router
	netns      string // sl-k3f9-node, sl-k3f9-demo.web-1, …
	interfaces []*netInterface
	inside     []*Inside // routes, settings and programs: several where a pod lives in the node's namespace
}

// netInterface is an interface in a namespace.
type netInterface struct {
	ns   *namespace
	name string
	at   place

	// port is the node's port at the other end, with its device; nodeEnd is the
	// interface there ("" for a TAP, whose other end is the port itself). Else
	// link is the interface at the other end.
	port    string
	device  DeviceSpec
	nodeEnd string
	link    *netInterface

	mac       api.MAC // zero: the kernel chooses
	mtu       int     // 0: the kernel chooses
	addresses []netip.Prefix
	gateways  []netip.Addr // of default routes
	vlans     []VLAN
	configure string // static, dhcp, ra or none
}

// maxDeviceName is IFNAMSIZ less the terminating zero.
const maxDeviceName = 15

// allAddresses are those of the interface and of its VLANs.
func (f *netInterface) allAddresses() []netip.Prefix {
	all := slices.Clone(f.addresses)
	for _, v := range f.vlans {
		all = append(all, v.Addresses...)
	}
	return all
}

func (f *netInterface) isTAP() bool { return f.device.Type == "tap" }

// wantsIPv6 reports whether there is to be IPv6 at all on the interface. Where
// there is not, the kernel keeps its router solicitations and multicast reports to itself.
func (f *netInterface) wantsIPv6() bool {
	return f.configure == "ra" || f.configure == "dhcp" ||
		slices.ContainsFunc(f.allAddresses(), func(a netip.Prefix) bool { return a.Addr().Is6() })
}

func (f *netInterface) hardware() net.HardwareAddr {
	if f.mac.IsZero() {
		return nil
	}
	return f.mac[:]
}

// newPlan works a scenario out. The faults are those that only show when the
// objects are put together.
func newPlan(s *Scenario, id string) (*plan, control.Faults) {
	p := &plan{scenario: s, id: id}
	node := p.add(nodeName)
	for i := range s.Pods {
		p.addPod(node, &s.Pods[i])
	}
	links := map[string]*netInterface{}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		ns := p.add(h.Name)
		ns.inside = append(ns.inside, &h.Inside)
		for j := range h.Interfaces {
			f := p.addInterface(ns, &h.Interfaces[j])
			if name := h.Interfaces[j].Link; name == "" {
				continue
			} else if other := links[name]; other != nil {
				f.link, other.link = other, f
			} else {
				links[name] = f
			}
		}
	}
	p.nameNodeEnds()
	if faults := p.compile(); len(faults) > 0 {
		return nil, faults
	}
	return p, nil
}

// prefix begins the names of all that the lab makes.
func (p *plan) prefix() string { return namespacePrefix(p.id) }

func namespacePrefix(id string) string { return "sl-" + id + "-" }

func (p *plan) add(name string) *namespace {
	ns := &namespace{name: name, netns: p.prefix() + strings.ReplaceAll(name, "/", ".")}
	p.namespaces = append(p.namespaces, ns)
	return ns
}

func (p *plan) addPod(node *namespace, pod *Pod) {
	ns := node
	if pod.Namespace != nodeName {
		ns = p.add(pod.Name)
	}
	ns.inside = append(ns.inside, &pod.Inside)
	f := &netInterface{
		ns: ns, name: pod.Interface, at: pod.At, port: pod.Name, device: pod.Device,
		mac: pod.MAC, vlans: pod.VLANs, configure: pod.Configure,
	}
	if f.name == "" {
		f.name = "eth0"
	}
	if f.configure == "" {
		f.configure = "static"
	}
	f.device.defaults()
	ns.interfaces = append(ns.interfaces, f)
}

func (s *DeviceSpec) defaults() {
	if s.Type == "" {
		s.Type = string(api.DeviceAFPacket)
	}
}

func (p *plan) addInterface(ns *namespace, i *Interface) *netInterface {
	f := &netInterface{
		ns: ns, name: i.Name, at: i.At, port: i.Port, device: i.Device, mac: i.MAC, mtu: i.MTU,
		addresses: i.Addresses, vlans: i.VLANs, configure: "static",
	}
	if f.port != "" {
		f.device.defaults()
	}
	ns.interfaces = append(ns.interfaces, f)
	return f
}

// nameNodeEnds names the interfaces in the node's namespace after their ports,
// as far as 15 bytes allow.
func (p *plan) nameNodeEnds() {
	taken := map[string]bool{"lo": true}
	for _, f := range p.namespaces[0].interfaces {
		taken[f.name] = true
	}
	n := 0
	p.eachPort(func(f *netInterface) {
		if f.isTAP() {
			return
		}
		_, short, found := strings.Cut(f.port, "/")
		if !found {
			short = f.port
		}
		for _, name := range []string{short, strings.ReplaceAll(f.port, "/", ".")} {
			if len(name) <= maxDeviceName && !taken[name] {
				f.nodeEnd = name
				break
			}
		}
		for f.nodeEnd == "" {
			n++
			suffix := fmt.Sprintf("-%d", n)
			if name := strings.TrimRight(short[:min(len(short), maxDeviceName-len(suffix))], ".-") + suffix; !taken[name] {
				f.nodeEnd = name
			}
		}
		taken[f.nodeEnd] = true
	})
}

// eachPort visits the interfaces that a port of the node is at the other end of.
func (p *plan) eachPort(visit func(*netInterface)) {
	for _, ns := range p.namespaces {
		for _, f := range ns.interfaces {
			if f.port != "" {
				visit(f)
			}
		}
	}
}

func (p *plan) port(name string) (found *netInterface) {
	p.eachPort(func(f *netInterface) {
		if f.port == name {
			found = f
		}
	})
	return found
}

// find returns the namespace of a pod, host or the node; of a pod that lives
// in the node's namespace that one.
func (p *plan) find(name string) *namespace {
	for _, ns := range p.namespaces {
		if ns.name == name {
			return ns
		}
	}
	if f := p.port(name); f != nil {
		return f.ns
	}
	return nil
}

// deviceOf is a port's device as the node is told.
func (p *plan) deviceOf(f *netInterface) *api.Device {
	d := &api.Device{
		Type: api.DeviceType(f.device.Type), Name: f.nodeEnd, Queues: f.device.Queues, Offload: api.Offload(f.device.Offload),
		AllowFallback: f.device.AllowFallback, Persistent: f.device.Persistent,
	}
	if f.isTAP() {
		d.Name = f.name
		if f.ns != p.namespaces[0] {
			d.NetNS = f.ns.netns
		}
	}
	return d
}
