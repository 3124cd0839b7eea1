package ruleset

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// What Kubernetes' kinds of policies have in common. Their objects have been checked
// before; what would still make no sense (a prefix that is none, a port beyond
// 65535) matches nothing here, so that no mistake elsewhere becomes an opening.

// peers is one side of a rule.
type peers struct {
	selection selection
	text      []string // what was written, for people
}

// everybody is the side that a rule says nothing about.
func everybody() peers { return peers{} }

// nobody is a side that no packet has.
func nobody() peers { return peers{selection: selection{}} }

// add adds an alternative.
func (p *peers) add(t term, text string) {
	p.selection = append(p.selection, t)
	p.text = append(p.text, text)
}

// sides puts peers at the far side of a rule that is seen from the ports that it
// applies to: senders of what comes in, receivers of what goes out.
func (r *draftRule) sides(d policy.Direction, far peers) {
	r.Directions = d
	if d == policy.In {
		r.source, r.SourceText = far.selection, far.text
	} else {
		r.destination, r.DestText = far.selection, far.text
	}
}

// services is the condition of a rule on ports and protocols.
type services struct {
	list  []policy.Service
	named []namedPort
	text  []string
	some  bool // something was written: if it comes to nothing, nothing matches
}

// put makes it a rule's condition.
func (s *services) put(r *draftRule) {
	r.Services, r.named, r.ServicesText = s.list, s.named, s.text
	if s.some && len(s.list)+len(s.named) == 0 {
		r.source = selection{}
	}
}

// protocol adds all ports of a protocol.
func (s *services) protocol(p corev1.Protocol) { s.add(p, string(p), nil) }

// ports adds ports first to last of a protocol, both included.
func (s *services) ports(p corev1.Protocol, first, last int32) {
	text := string(p) + " " + strconv.Itoa(int(first))
	if last != first {
		text += "-" + strconv.Itoa(int(last))
	}
	ranges := []policy.PortRange{}
	if 0 < first && first <= last && last <= 65535 {
		ranges = append(ranges, policy.PortRange{First: uint16(first), Last: uint16(last)})
	}
	s.add(p, text, ranges)
}

// add adds ranges of a protocol's ports; nil is all, empty is none.
func (s *services) add(p corev1.Protocol, text string, ranges []policy.PortRange) {
	s.some = true
	s.text = append(s.text, text)
	if number, known := protocolNumber(p); known && (ranges == nil || len(ranges) != 0) {
		s.list = append(s.list, policy.Service{Protocol: number, DestPorts: ranges, ICMPType: -1, ICMPCode: -1})
	}
}

// name adds a container's port by name.
func (s *services) name(name string, protocols ...corev1.Protocol) {
	s.some = true
	for _, p := range protocols {
		if number, known := protocolNumber(p); known && name != "" {
			s.named = append(s.named, namedPort{number, name})
		}
	}
	if len(protocols) == 1 {
		name = string(protocols[0]) + " " + name
	}
	s.text = append(s.text, name)
}

// allProtocols are those that containers' ports may be of.
func allProtocols() []corev1.Protocol {
	return []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
}

func protocolNumber(p corev1.Protocol) (number uint8, known bool) {
	switch p {
	case corev1.ProtocolTCP:
		return packet.ProtoTCP, true
	case corev1.ProtocolUDP:
		return packet.ProtoUDP, true
	case corev1.ProtocolSCTP:
		return packet.ProtoSCTP, true
	}
	return 0, false
}

// protocolOr returns the protocol given, TCP where none is.
func protocolOr(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// everyPod returns the selector of all.
func everyPod() *metav1.LabelSelector { return &metav1.LabelSelector{} }

// selector parses one; nil is any, as in a term. One that makes no sense selects nothing.
func selector(s *metav1.LabelSelector) labels.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	if parsed.Empty() {
		return nil
	}
	return parsed
}

// podsIn are pods of namespaces by labels of both. An empty selector is any.
func podsIn(namespaces, pods *metav1.LabelSelector) (t term, text string) {
	t = term{namespaced: true, ofNS: selector(namespaces), of: selector(pods)}
	return t, podsText(t.of) + " of " + selectorText(t.ofNS, "all namespaces", "namespaces with ")
}

// podsOf are pods of one namespace by labels.
func podsOf(namespace string, pods *metav1.LabelSelector) (t term, text string) {
	t = term{namespaced: true, namespace: namespace, of: selector(pods)}
	return t, podsText(t.of) + " of namespace " + namespace
}

func podsText(s labels.Selector) string { return selectorText(s, "all pods", "pods with ") }

func selectorText(s labels.Selector, all, some string) string {
	if s == nil {
		return all
	}
	return some + s.String()
}

// network are the addresses of a prefix but for those of others within it.
func network(cidr string, except []string) (t term, text string) {
	text = cidr
	if len(except) != 0 {
		text += " except " + strings.Join(except, ", ")
	}
	t.prefixes = []policy.Prefix{}
	outer, valid := parseCIDR(cidr)
	if !valid {
		return t, text
	}
	left := []netip.Prefix{outer}
	if !outer.Addr().Is4() {
		// IPv4 addresses are mapped into this range in a Prefix, and ::/0 is not about
		// them. No packet of IPv6 has such addresses (RFC 4291 section 2.5.5.2).
		left = without(left, netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96))
	}
	for _, e := range except {
		inner, valid := parseCIDR(e)
		if !valid {
			return t, text
		}
		left = without(left, inner)
	}
	for _, p := range left {
		t.prefixes = append(t.prefixes, policy.PrefixOf(p))
	}
	return t, text
}

// parseCIDR reads a prefix as Kubernetes does: bits behind it do not count, and
// mapped IPv4 is IPv4.
func parseCIDR(text string) (p netip.Prefix, valid bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// without takes a prefix out of a list of others, none within another.
//
//	0 ──────────────── p ──────────────── 1      what is left of p are the halves on
//	│        half      │  half  │ out │half│      the way down to out that do not hold it
func without(list []netip.Prefix, out netip.Prefix) (left []netip.Prefix) {
	for _, p := range list {
		switch {
		case !p.Overlaps(out):
			left = append(left, p)
		case out.Bits() <= p.Bits(): // nothing is left
		default:
			for bits := p.Bits() + 1; bits <= out.Bits(); bits++ {
				left = append(left, netip.PrefixFrom(flip(out.Addr(), bits-1), bits).Masked())
			}
		}
	}
	return left
}

// flip returns an address with one bit the other way round; bit 0 is the first.
func flip(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	flipped, _ := netip.AddrFromSlice(b)
	return flipped
}
