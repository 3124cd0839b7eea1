package control

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/packet"
)

// portPlan is a port on its way into the model.
type portPlan struct {
	name      string
	object    *Object
	spec      api.PortSpec // defaults filled in; of a pod all defaults
	pod       bool
	segment   string // name of its own segment, "" for none or not known yet
	asked     string // path of the field that names it; empty: the Namespace's annotation does
	addresses []boundAddress
}

// boundAddress is an address of a port and where it is written.
type boundAddress struct {
	ip   netip.Addr // may be zero
	mac  api.MAC    // may be zero until resolved
	path string
}

func (c *compiler) collectPort(o *Object, p *api.Port) {
	plan := &portPlan{name: portName(o), object: o, spec: p.Spec, segment: p.Spec.Segment, asked: "spec.segment"}
	plan.spec.Device = clonePointer(p.Spec.Device)
	plan.spec.VLAN = clonePointer(p.Spec.VLAN)
	plan.spec.MACLearning = clonePointer(p.Spec.MACLearning)
	api.SetDefaults(&plan.spec)
	for i, a := range p.Spec.Addresses {
		plan.addresses = append(plan.addresses, boundAddress{a.IP, a.MAC, fmt.Sprintf("spec.addresses[%d]", i)})
	}
	router, isUplink := c.uplinks[plan.name]
	switch {
	case isUplink && plan.segment != "":
		c.fault(o, "spec.segment", "the port is an uplink and can't be in a segment too", "of "+router.where())
	case isUplink && plan.spec.VLAN != nil:
		c.fault(o, "spec.vlan", "the port is an uplink and can't have VLANs", "of "+router.where())
	case isUplink && plan.spec.Guard != nil && *plan.spec.Guard:
		c.fault(o, "spec.guard", "the port is an uplink and can't be guarded: anybody may be behind it", "of "+router.where())
	case isUplink && plan.spec.MACLearning != nil:
		c.fault(o, "spec.macLearning", "the port is an uplink, where the router finds addresses by ARP and ND", "of "+router.where())
	case isUplink && plan.spec.UnknownUnicastFlooding != nil:
		c.fault(o, "spec.unknownUnicastFlooding", "the port is an uplink, where there is nobody to flood to", "of "+router.where())
	case isUplink || o.Namespace == "":
	case plan.segment == "" && (plan.spec.VLAN == nil || plan.spec.VLAN.Mode == api.VLANAccess && plan.spec.VLAN.Access == 0):
		plan.segment, plan.asked = c.namespaceSegment(o.Namespace), ""
	}
	if o.Namespace != "" {
		c.namespace(o.Namespace)
	}
	c.addPort(plan)
}

func (c *compiler) collectPod(o *Object, p *corev1.Pod) {
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return // it has no address of its own, or none any more
	}
	plan := &portPlan{name: portName(o), object: o, pod: true}
	plan.segment, plan.asked = c.podSegment(o, p)
	api.SetDefaults(&plan.spec)
	add := func(text, path string) {
		if text == "" {
			return
		}
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			c.fault(o, path, fmt.Sprintf("%q is not an IP address", clip(text)), "")
			return
		}
		for _, b := range plan.addresses {
			if b.ip == a {
				return // podIPs repeats podIP
			}
		}
		plan.addresses = append(plan.addresses, boundAddress{ip: a, path: path})
	}
	add(p.Status.PodIP, "status.podIP")
	for i, ip := range p.Status.PodIPs {
		add(ip.IP, fmt.Sprintf("status.podIPs[%d].ip", i))
	}
	c.addPort(plan)
}

func (c *compiler) addPort(p *portPlan) {
	if other, found := c.ports[p.name]; found {
		c.fault(p.object, "metadata.name", "the port "+p.name+" is there twice", "the other is of "+other.object.where())
		return
	}
	c.ports[p.name] = p
}

// portName is NAMESPACE/NAME, or the name alone without a namespace.
func portName(o *Object) string { return objectName("", o.Namespace, o.Name) }

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func (c *compiler) compilePorts() {
	devices := map[[2]string]*portPlan{}
	for _, p := range c.portOrder {
		port := Port{
			Name: p.name, Namespace: p.object.Namespace, Labels: p.object.Meta().Labels, Pod: p.pod,
			Segment: -1, Router: -1, Uplink: -1,
		}
		s := c.segments[p.segment]
		if s == nil && p.asked != "" && p.segment != "" {
			c.fault(p.object, p.asked, "there is no Segment "+cleanKey(p.segment), didYouMean(p.segment, sortedKeys(c.segments)))
		}
		if s != nil {
			port.Segment = s.index
			port.Attachments = []Attachment{{Segment: s.index}}
		}
		if v := p.spec.VLAN; v != nil && (s != nil || p.segment == "") {
			port.Segment, port.Attachments = c.attach(p, v, port.Segment)
			if v.Mode == api.VLANQinQ {
				port.OuterEtherType = 0x88a8
				if v.QinQEtherType == api.TagCustomer {
					port.OuterEtherType = 0x8100
				}
			}
			if port.Segment >= 0 {
				p.segment = c.m.Segments[port.Segment].Name
				s = c.segments[p.segment]
			}
		}
		c.resolvePort(&port, p, s)
		if d := p.spec.Device; d != nil {
			c.compileDevice(&port, p, d, devices)
		}
		c.bindAll(p, s)
		c.m.Ports = append(c.m.Ports, &port)
	}
	if n := len(c.m.Ports); n > maxPorts {
		c.fault(c.portOrder[maxPorts].object, "", fmt.Sprintf("%d ports are too many", n), fmt.Sprintf("a node has at most %d", maxPorts))
	}
}

// maxPorts is what a port number of 16 bits can tell apart; 0 is none.
const maxPorts = 1<<16 - 1

// resolvePort fills in the settings that a port may take from its segment.
func (c *compiler) resolvePort(port *Port, p *portPlan, s *segmentPlan) {
	of := Segment{MTU: api.DefaultMTU}
	if s != nil {
		of = c.m.Segments[s.index]
	} else {
		var spec api.SegmentSpec
		api.SetDefaults(&spec)
		of = Segment{
			MTU: spec.MTU, MACLearning: resolveLearning(spec.MACLearning),
			UnknownUnicastFlooding: *spec.UnknownUnicastFlooding, Security: resolveSecurity(spec.Security),
		}
	}
	port.MTU = of.MTU
	if p.spec.MTU != 0 {
		port.MTU = p.spec.MTU
	}
	c.checkBPDUFilterAllow(p.object, p.spec.Security.BPDUFilterAllow)
	own := p.membership(&of)
	port.MACLearning, port.UnknownUnicastFlooding, port.Security = own.MACLearning, own.UnknownUnicastFlooding, own.Security
	port.RateLimits = overrideRates(p.spec.RateLimits, of.RateLimits)
	seen := map[int]bool{}
	for _, a := range port.Attachments {
		if !seen[a.Segment] {
			seen[a.Segment] = true
			m := p.membership(&c.m.Segments[a.Segment])
			m.Segment = a.Segment
			port.Memberships = append(port.Memberships, m)
		}
	}
	_, isUplink := c.uplinks[p.name]
	port.Guard = override(p.spec.Guard, (len(p.addresses) > 0 && !isUplink) || p.pod)
	if port.Guard && len(p.addresses) == 0 && !p.pod {
		c.fault(p.object, "spec.guard", "the guard needs addresses to hold the port to", "give addresses, or guard: false")
	}
}

// membership returns what of a segment's settings holds at the port; Segment is
// left to the caller.
func (p *portPlan) membership(of *Segment) Membership {
	m := Membership{
		MACLearning:            of.MACLearning,
		UnknownUnicastFlooding: override(p.spec.UnknownUnicastFlooding, of.UnknownUnicastFlooding),
		Security:               overrideSecurity(p.spec.Security, of.Security),
	}
	if p.spec.MACLearning != nil {
		m.MACLearning = resolveLearning(*p.spec.MACLearning)
	}
	return m
}

func override[T any](given *T, inherited T) T {
	if given != nil {
		return *given
	}
	return inherited
}

func overrideRates(given, inherited api.RateLimits) api.RateLimits {
	for _, f := range []struct{ given, into *int }{
		{&given.RxBroadcast, &inherited.RxBroadcast},
		{&given.RxMulticast, &inherited.RxMulticast},
		{&given.RxUnknownUnicast, &inherited.RxUnknownUnicast},
		{&given.TxBroadcast, &inherited.TxBroadcast},
		{&given.TxMulticast, &inherited.TxMulticast},
	} {
		if *f.given != 0 {
			*f.into = *f.given
		}
	}
	return inherited
}

func overrideSecurity(given api.SegmentSecurity, of Security) Security {
	if given.BPDUFilterAllow != nil {
		of.BPDUFilterAllow = given.BPDUFilterAllow
	}
	of.BPDUFilter = override(given.BPDUFilter, of.BPDUFilter)
	of.DHCPServerBlock = override(given.DHCPServerBlock, of.DHCPServerBlock)
	of.DHCPClientBlock = override(given.DHCPClientBlock, of.DHCPClientBlock)
	of.DHCPServerBlockV6 = override(given.DHCPServerBlockV6, of.DHCPServerBlockV6)
	of.DHCPClientBlockV6 = override(given.DHCPClientBlockV6, of.DHCPClientBlockV6)
	of.RAGuard = override(given.RAGuard, of.RAGuard)
	of.NonIPTrafficBlock = override(given.NonIPTrafficBlock, of.NonIPTrafficBlock)
	return of
}

// maxDeviceName is IFNAMSIZ less the terminating zero.
const maxDeviceName = 15

func (c *compiler) compileDevice(port *Port, p *portPlan, d *api.Device, devices map[[2]string]*portPlan) {
	port.Device = Device{
		Type: d.Type, Name: d.Name, NetNS: d.NetNS, Queues: d.Queues,
		Offload: d.Offload == api.OffloadAuto, AllowFallback: d.AllowFallback, Persistent: d.Persistent,
	}
	isInterface := d.Type == api.DeviceTAP || d.Type == api.DeviceAFPacket || d.Type == api.DeviceAFXDP
	switch {
	case isInterface && d.Name == "":
		c.fault(p.object, "spec.device", "a device of type "+string(d.Type)+" needs a name", "")
		return
	case isInterface && len(d.Name) > maxDeviceName:
		c.fault(p.object, "spec.device.name", fmt.Sprintf("%s has %d bytes", clip(d.Name), len(d.Name)),
			fmt.Sprintf("an interface's name has at most %d", maxDeviceName))
		return
	case isInterface && !isInterfaceName(d.Name):
		c.fault(p.object, "spec.device.name", fmt.Sprintf("%q is no interface's name", clip(d.Name)),
			"without /, :, % and spaces, and not . or ..")
		return
	case d.Type == api.DeviceAFXDP && d.Name == "lo":
		c.fault(p.object, "spec.device.name", "the loopback interface can't be an afxdp device", "")
		return
	case d.Persistent && d.Type != api.DeviceTAP:
		c.fault(p.object, "spec.device.persistent", "only a TAP can be made to outlive its port", "leave it out")
	case !isInterface && d.NetNS != "":
		c.fault(p.object, "spec.device.netns", "a device of type "+string(d.Type)+" is in no network namespace", "leave it out")
	}
	if d.Name == "" {
		return
	}
	// Interfaces of one namespace share their names whatever opens them.
	key := [2]string{string(d.Type), d.Name}
	if isInterface {
		key = [2]string{"netns " + d.NetNS, d.Name}
	}
	if other, found := devices[key]; found {
		c.fault(p.object, "spec.device.name", "the device "+clip(d.Name)+" is taken", "by "+other.object.where())
		return
	}
	devices[key] = p
}

// isInterfaceName is the kernel's dev_valid_name, and no % (a template).
func isInterfaceName(name string) bool {
	if name == "." || name == ".." {
		return false
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("/:%", r) {
			return false
		}
	}
	return true
}

// bindAll resolves the MACs of a port's addresses, and binds them in its
// segment.
func (c *compiler) bindAll(p *portPlan, s *segmentPlan) {
	if _, isUplink := c.uplinks[p.name]; isUplink {
		for _, a := range p.addresses {
			if a.ip.IsValid() {
				c.fault(p.object, a.path+".ip", "an uplink's addresses are the router's", "write them in "+c.uplinks[p.name].where()+", spec.uplinks")
			}
			c.checkMAC(p, a)
		}
		return
	}
	if len(p.addresses) > 0 && s == nil {
		if p.segment == "" {
			c.fault(p.object, p.addresses[0].path, "a port without a segment can't have addresses", "give spec.segment")
		}
		return
	}
	for i := range p.addresses {
		a := &p.addresses[i]
		if !a.ip.IsValid() && a.mac.IsZero() {
			c.fault(p.object, a.path, "has neither ip nor mac", "")
			continue
		}
		good := c.checkMAC(p, *a)
		if a.mac.IsZero() {
			a.mac = p.mac()
		}
		if c.checkIP(p, s, *a) && good {
			c.bind(p, s, *a)
		}
	}
}

// mac is the port's MAC: the first given one, else of its first IPv4 address,
// else of its first IPv6 address. Zero if there is none.
func (p *portPlan) mac() (m api.MAC) {
	for _, a := range p.addresses {
		if !a.mac.IsZero() && !a.mac.IsMulticast() {
			return a.mac
		}
	}
	for _, fits := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.IsValid} {
		for _, a := range p.addresses {
			if fits(a.ip) {
				return api.MAC(packet.HostMAC(packet.AddrFrom(a.ip)))
			}
		}
	}
	return m
}

// pathOf is where a part of an address is written; a pod's has no parts.
func (p *portPlan) pathOf(a boundAddress, part string) string {
	if p.pod {
		return a.path
	}
	return a.path + "." + part
}

// checkMAC checks a MAC that is given, or none.
func (c *compiler) checkMAC(p *portPlan, a boundAddress) bool {
	switch {
	case a.mac.IsMulticast():
		c.fault(p.object, p.pathOf(a, "mac"), a.mac.String()+" is a group address", "the first byte must be even")
	case a.mac == c.m.Node.GatewayMAC:
		c.fault(p.object, p.pathOf(a, "mac"), a.mac.String()+" is the gateways' MAC address", "")
	default:
		return true
	}
	return false
}

// checkIP checks that an address can be a port's in the segment.
func (c *compiler) checkIP(p *portPlan, s *segmentPlan, a boundAddress) bool {
	if !a.ip.IsValid() {
		return true
	}
	path := p.pathOf(a, "ip")
	if a.ip.IsMulticast() || a.ip.IsUnspecified() || a.ip.IsLoopback() || a.ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		c.fault(p.object, path, a.ip.String()+" can't be a port's address", "")
		return false
	}
	if a.ip.IsLinkLocalUnicast() && a.ip.Is6() {
		return true // every IPv6 port has one, outside the subnets
	}
	if len(s.subnets) == 0 && len(s.spec.Subnets) == 0 {
		return true
	}
	for _, subnet := range s.subnets {
		if !subnet.Prefix.Contains(a.ip) {
			continue
		}
		switch {
		case a.ip == subnet.Gateway && s.spec.Router != api.RouterNone:
			c.fault(p.object, path, a.ip.String()+" is the gateway of segment "+p.segment, "of subnet "+subnet.Prefix.String())
		case !ipam.Hosts(subnet.Prefix).Contains(a.ip):
			c.fault(p.object, path, a.ip.String()+" is the network's or the broadcast address of "+subnet.Prefix.String(), "")
		default:
			return true
		}
		return false
	}
	var have []string
	for _, subnet := range s.subnets {
		have = append(have, subnet.Prefix.String())
	}
	hint := "the segment has " + strings.Join(have, ", ")
	if s.implicit {
		hint += "; add a Segment " + p.segment + " with a subnet that holds it"
	}
	c.fault(p.object, path, a.ip.String()+" is in no subnet of segment "+p.segment, hint)
	return false
}

// bind makes an address the port's, unless it is another's.
func (c *compiler) bind(p *portPlan, s *segmentPlan, a boundAddress) {
	if a.ip.IsValid() {
		path := p.pathOf(a, "ip")
		if other, found := s.byIP[a.ip]; found {
			c.fault(p.object, path, "the address "+a.ip.String()+" is taken in segment "+p.segment, "by "+other.object.where())
			return
		}
		s.byIP[a.ip] = p
	}
	if other, found := s.byMAC[a.mac]; found && other != p {
		c.fault(p.object, p.pathOf(a, "mac"), "the MAC address "+a.mac.String()+" is taken in segment "+p.segment,
			"by "+other.object.where()+"; give one of them another mac")
		return
	}
	s.byMAC[a.mac] = p
}
