package control

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/packet"
)

// portPlan is a port on its way into the model.
type portPlan struct {
	// What follows from the object alone.

	name      string
	object    *Object
	namespace string
	labels    map[string]string
	pod       bool
	spec      *api.PortSpec // defaults filled in; of a pod all defaults
	given     []boundAddress
	ips       []netip.Addr // a pod's: given, else those of own; what Allocations have of it, not written to again
	device    Device
	deviceKey deviceKey // zero: of no interest to others
	// wants is the name of its segment, "" for none, or, if ofNamespace, for that
	// of its namespace. asked is the path of the field that names it.
	wants, asked string
	ofNamespace  bool
	faults       Faults

	times int // how often the object is there; more than once is a fault

	// What others say of it in the last compilation.

	space     *namespacePlan
	uplinkOf  *Object // the Router
	uplinkAt  [2]int  // indices in Routers and in its Uplinks; valid iff uplinkOf is
	segment   *segmentPlan
	attached  attached
	had       []netip.Addr   // a pod's in previous.Addresses
	own       []boundAddress // chosen for a pod without given ones; valid iff ownIn is segment
	ownIn     *segmentPlan
	claimed   uint64         // the last compilation in which it looked for addresses
	ownBefore []boundAddress // own before claimed
	freed     []netip.Addr   // that it had, in quarantine; valid in claimed
	auto      []Address      // that the host makes by itself; valid if segment is autoconfigured

	endpoint   *ruleset.Endpoint // of endpointOf; nil: none was asked for yet
	endpointOf endpointOf

	served *services.Endpoint // of endpoint; likewise

	made  *madePort // in the last model; nil: it was not there
	stale bool      // own or auto are not those that made is of
}

// boundAddress is an address of a port and where it is written.
type boundAddress struct {
	ip      netip.Addr // may be zero
	mac     api.MAC    // may be zero until there is an address that it follows from
	derived bool       // mac is not written
	path    string
}

// planPorts makes the plans of objects that are new, and forgets those of
// objects that are gone.
func (c *compiler) planPorts() {
	var removed, added []*portPlan
	for _, o := range c.inventory.removed {
		p := c.plans[o]
		if p == nil {
			continue
		}
		if p.times--; p.times > 0 {
			continue // it was there twice
		}
		delete(c.plans, o)
		c.releaseDevice(p)
		removed = append(removed, p)
		if p.made != nil {
			c.gone[p.name] = p.made
		}
	}
	for _, o := range c.inventory.added {
		p := c.plans[o]
		if p == nil {
			if p = c.plan(o); p == nil {
				continue
			}
			c.plans[o] = p
			c.claimDevice(p)
			added = append(added, p)
		}
		p.times++
	}
	c.portOrder = amend(c.portOrder, removed, added, comparePlans)
	for _, p := range slices.Concat(removed, added) {
		at, found := slices.BinarySearchFunc(c.portOrder, p.name, func(p *portPlan, name string) int { return cmp.Compare(p.name, name) })
		if !found {
			delete(c.ports, p.name)
			continue
		}
		first := c.portOrder[at]
		c.ports[p.name] = first
		if made := c.gone[p.name]; made != nil && first.made == nil {
			first.made, first.stale = made, true // to be the same value if it comes out the same
		}
	}
}

// plan makes what follows from an object alone; nil if it is no port.
func (c *compiler) plan(o *Object) *portPlan {
	p := &portPlan{name: portName(o), object: o, namespace: o.Namespace}
	switch v := o.Value.(type) {
	case *api.Port:
		p.planPort(v)
	case *corev1.Pod:
		if v.Spec.HostNetwork || v.Status.Phase == corev1.PodSucceeded || v.Status.Phase == corev1.PodFailed {
			return nil // it has no address of its own, or none any more
		}
		p.spec = c.defaultPort
		p.planPod(v)
	default:
		return nil
	}
	p.labels = o.Meta().Labels
	mac := macOf(p.given)
	for i := range p.given {
		if a := &p.given[i]; a.mac.IsZero() {
			a.mac, a.derived = mac, true
		}
	}
	return p
}

func (p *portPlan) fault(path, message, hint string) {
	p.faults = append(p.faults, p.object.at(path, message, hint))
}

func (p *portPlan) planPort(port *api.Port) {
	spec := port.Spec
	spec.Device = clonePointer(spec.Device)
	spec.VLAN = clonePointer(spec.VLAN)
	spec.MACLearning = clonePointer(spec.MACLearning)
	api.SetDefaults(&spec)
	p.spec, p.wants, p.asked = &spec, spec.Segment, "spec.segment"
	p.refuseInside()
	p.ofNamespace = p.namespace != "" && spec.Segment == "" &&
		(spec.VLAN == nil || spec.VLAN.Mode == api.VLANAccess && spec.VLAN.Access == 0)
	for i, a := range spec.Addresses {
		p.given = append(p.given, boundAddress{ip: a.IP, mac: a.MAC, path: fmt.Sprintf("spec.addresses[%d]", i)})
	}
	if spec.Guard != nil && *spec.Guard && len(p.given) == 0 {
		p.fault("spec.guard", "the guard needs addresses to hold the port to", "give addresses, or guard: false")
	}
	p.faults = append(p.faults, groupFaults(p.object, spec.Security.BPDUFilterAllow)...)
	p.planDevice(spec.Device)
}

func (p *portPlan) planPod(pod *corev1.Pod) {
	p.pod = true
	p.wants, p.asked = pod.Annotations[api.SegmentAnnotation], annotationPath
	p.ofNamespace = p.wants == ""
	add := func(text, path string) {
		if text == "" {
			return
		}
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			p.fault(path, fmt.Sprintf("%q is not an IP address", clip(text)), "")
			return
		}
		if slices.Contains(p.ips, a) {
			return // podIPs repeats podIP
		}
		p.given = append(p.given, boundAddress{ip: a, path: path})
		p.ips = append(p.ips, a)
	}
	add(pod.Status.PodIP, "status.podIP")
	for i, ip := range pod.Status.PodIPs {
		add(ip.IP, fmt.Sprintf("status.podIPs[%d].ip", i))
	}
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

// named returns the segment that a port is in if its VLANs say nothing else; nil
// if there is none.
func (c *compiler) named(p *portPlan) *segmentPlan {
	switch {
	case p.ofNamespace && p.uplinkOf != nil:
	case p.ofNamespace:
		return p.space.plan
	case p.wants != "":
		return c.existing(p.wants)
	}
	return nil
}

// attachPorts finds out which segments ports are in.
func (c *compiler) attachPorts() {
	for _, p := range c.order {
		s := c.named(p)
		if s == nil && p.wants != "" {
			c.fault(p.object, p.asked, "there is no Segment "+cleanKey(p.wants), didYouMean(p.wants, c.segmentNames()))
		}
		if v := p.spec.VLAN; v != nil && (s != nil || p.wants == "") {
			s = c.attach(p, v, s)
		}
		if p.uplinkOf != nil {
			s = nil // if it has one, that is reported
		}
		p.segment = s
		if s != nil {
			s.members = append(s.members, p)
		} else if len(p.given) > 0 && p.uplinkOf == nil && p.wants == "" && !p.ofNamespace {
			c.fault(p.object, p.given[0].path, "a port without a segment can't have addresses", "give spec.segment")
		}
	}
	if n := len(c.order); n > maxPorts {
		c.fault(c.order[maxPorts].object, "", fmt.Sprintf("%d ports are too many", n), fmt.Sprintf("a node has at most %d", maxPorts))
	}
}

// maxPorts is what a port number of 16 bits can tell apart; 0 is none.
const maxPorts = 1<<16 - 1

// madePort is a port as the model has it.
type madePort struct {
	port  *Port
	means string // what its indices stand for
	hash  uint64 // see digest; 0: not known
	of    madeOf
}

// madeOf is what a Port is made of, besides its object and what stale tells of.
type madeOf struct {
	number   uint16
	uplinkAt [2]int // portPlan's, -1 for none
	uplink   string // what it stands for
	segment  *resolvedSegment
	index    int
	segments uint64 // when any segment last changed; of ports with VLANs only
}

// makePorts makes the ports of which anything has changed, when no fault has been found.
// One that comes out as it was in the last model, and means the same, stays
// the value that it was.
func (c *compiler) makePorts() {
	if len(c.order) > 0 {
		c.m.Ports = make([]*Port, len(c.order))
	}
	for i, p := range c.order {
		of := madeOf{number: c.numbers[i], uplinkAt: [2]int{-1, -1}}
		if p.segment != nil {
			of.segment, of.index = p.segment.resolved, p.segment.index
		}
		if p.spec.VLAN != nil {
			of.segments = c.segmentsRun
		}
		if p.uplinkOf != nil {
			of.uplinkAt, of.uplink = p.uplinkAt, c.uplinkMeaning(p)
		}
		if p.made != nil && !p.stale && p.made.of == of {
			c.m.Ports[i] = p.made.port
			continue
		}
		made := &madePort{port: c.makePort(p, of.number), of: of}
		made.means = c.meaning(p, made.port)
		if was := p.made; was != nil && was.means == made.means && c.equalPorts(was.port, made.port) {
			made.port, made.hash = was.port, was.hash
		}
		p.made, p.stale = made, false
		c.m.Ports[i] = made.port
	}
	clear(c.gone)
}

func (c *compiler) equalPorts(a, b *Port) bool {
	if a.Number != b.Number || a.Segment != b.Segment || a.MTU != b.MTU {
		return false // to encode them is not needed
	}
	e := c.scratch[:0]
	e.port(a)
	n := len(e)
	e.port(b)
	c.scratch = e
	return bytes.Equal(e[:n], e[n:])
}

// meaning says what a port's indices stand for: the zones and names of segments, or of an
// uplink and its router. An index alone may stand for another than before.
func (c *compiler) meaning(p *portPlan, port *Port) string {
	if p.uplinkOf != nil {
		return c.uplinkMeaning(p)
	}
	var b []byte
	add := func(s *segmentPlan) { b = append(append(binary.LittleEndian.AppendUint32(b, s.zone), s.name...), 0) }
	if p.segment != nil {
		add(p.segment)
	}
	for i := range port.Memberships {
		add(c.slots[port.Memberships[i].Segment])
	}
	return string(b)
}

// uplinkMeaning says what the indices of an uplink's port stand for. Uplinks of one
// router share sessions by the zone of its first.
func (c *compiler) uplinkMeaning(p *portPlan) string {
	r := &c.m.Routers[p.uplinkAt[0]]
	return fmt.Sprint(r.Name, r.Uplinks[0].Zone, r.Uplinks[p.uplinkAt[1]].Zone)
}

func (c *compiler) makePort(p *portPlan, number uint16) *Port {
	port := &Port{
		Number: number, Name: p.name, Namespace: p.namespace, Labels: p.labels, Pod: p.pod,
		Segment: -1, Router: -1, Uplink: -1, Guard: p.guarded(), Device: p.device,
	}
	if p.uplinkOf != nil {
		port.Router, port.Uplink = p.uplinkAt[0], p.uplinkAt[1]
	}
	of := c.plainSegment
	if s := p.segment; s != nil {
		port.Segment, of = s.index, &s.resolved.Segment
	}
	port.MTU = cmp.Or(p.spec.MTU, of.MTU)
	own := p.membership(of)
	port.MACLearning, port.UnknownUnicastFlooding, port.Security = own.MACLearning, own.UnknownUnicastFlooding, own.Security
	port.RateLimits = overrideRates(p.spec.RateLimits, of.RateLimits)
	c.makeAttachments(port, p)
	port.Addresses = p.addresses()
	return port
}

// makeAttachments fills in the segments that a port is attached to.
func (c *compiler) makeAttachments(port *Port, p *portPlan) {
	switch v := p.spec.VLAN; {
	case v != nil:
		port.Attachments = p.attached.list
		if v.Mode == api.VLANQinQ {
			port.OuterEtherType = 0x88a8
			if v.QinQEtherType == api.TagCustomer {
				port.OuterEtherType = 0x8100
			}
		}
	case p.segment != nil:
		port.Attachments = []Attachment{{Segment: p.segment.index}}
	}
	seen := map[int]bool{}
	for _, a := range port.Attachments {
		if len(port.Attachments) == 1 || !seen[a.Segment] {
			seen[a.Segment] = true
			m := p.membership(&c.slots[a.Segment].resolved.Segment)
			m.Segment = a.Segment
			port.Memberships = append(port.Memberships, m)
		}
	}
}

// guarded reports whether the port is held to its addresses.
func (p *portPlan) guarded() bool {
	return override(p.spec.Guard, (len(p.given) > 0 && p.uplinkOf == nil) || p.pod)
}

// addresses are those of the model: given or chosen, and made by the host.
func (p *portPlan) addresses() (list []Address) {
	for _, a := range p.bound() {
		if p.uplinkOf != nil && a.derived {
			a.mac = api.MAC{}
		}
		list = append(list, Address{a.ip, a.mac})
	}
	if p.segment != nil && p.segment.resolved.RouterAdvertisement.Autoconfigured() {
		list = append(list, p.auto...)
	}
	return list
}

// bound are the addresses that are given, or were chosen.
func (p *portPlan) bound() []boundAddress {
	if len(p.given) == 0 && p.ownIn != nil && p.ownIn == p.segment {
		return p.own
	}
	return p.given
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

// macOf is the MAC of a port with addresses: the first given one, else of its
// first IPv4 address, else of its first IPv6 address. Zero if there is none.
func macOf(addresses []boundAddress) (m api.MAC) {
	for _, a := range addresses {
		if !a.mac.IsZero() && !a.mac.IsMulticast() {
			return a.mac
		}
	}
	for _, fits := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.IsValid} {
		for _, a := range addresses {
			if fits(a.ip) {
				return api.MAC(packet.HostMAC(packet.AddrFrom(a.ip)))
			}
		}
	}
	return m
}
