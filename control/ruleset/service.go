package ruleset

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// entry is one of a FirewallService's: a service, or the name of another.
type entry struct {
	service policy.Service
	nested  string // empty: service
}

func readService(v *api.FirewallService) (s says) {
	for i := range v.Spec.ServiceEntries {
		if e, good := s.entry(index("spec.serviceEntries", i), &v.Spec.ServiceEntries[i]); good {
			s.entries = append(s.entries, e)
		}
	}
	return s
}

// entry reads one service entry: exactly one of its five forms.
func (s *says) entry(path string, e *api.ServiceEntry) (read entry, good bool) {
	before := len(s.faults)
	read.service = policy.Service{ICMPType: -1, ICMPCode: -1}
	forms := 0
	for _, given := range []bool{e.L4Protocol != "", e.Protocol != "", e.ProtocolNumber != nil, e.EtherType != 0, e.NestedService != ""} {
		if given {
			forms++
		}
	}
	switch {
	case forms == 0:
		s.fault(path, "one of l4Protocol, protocol, protocolNumber, etherType and nestedService is needed", "l4Protocol: TCP, with destinationPorts")
	case forms > 1:
		s.fault(path, "only one of l4Protocol, protocol, protocolNumber, etherType and nestedService is allowed", "make them elements of their own")
	}
	if ports := len(e.DestinationPorts) + len(e.SourcePorts); ports > 0 && e.L4Protocol == "" {
		s.fault(path, "ports go with l4Protocol only", "write l4Protocol: TCP, UDP or SCTP")
	}
	if e.ICMPType != nil && e.Protocol == "" {
		s.fault(path+".icmpType", "goes with protocol only, ICMPv4 or ICMPv6", "leave it out, or write protocol: ICMPv4")
	}
	if e.ICMPCode != nil && e.ICMPType == nil {
		s.fault(path+".icmpCode", "has no meaning without icmpType", "write icmpType, too")
	}
	if len(s.faults) > before {
		return read, false
	}
	svc := &read.service
	switch {
	case e.L4Protocol != "":
		svc.Protocol = l4Number(e.L4Protocol)
		svc.DestPorts = s.ports(path+".destinationPorts", e.DestinationPorts)
		svc.SourcePorts = s.ports(path+".sourcePorts", e.SourcePorts)
	case e.Protocol != "":
		svc.Protocol = packet.ProtoICMP
		if e.Protocol == api.ICMPv6 {
			svc.Protocol = packet.ProtoICMPv6
		}
		if e.ICMPType != nil {
			svc.ICMPType = int16(*e.ICMPType)
		}
		if e.ICMPCode != nil {
			svc.ICMPCode = int16(*e.ICMPCode)
		}
	case e.ProtocolNumber != nil:
		svc.Protocol = uint8(*e.ProtocolNumber)
	case e.EtherType != 0:
		svc.AnyProtocol, svc.EtherType = true, uint16(e.EtherType)
	default:
		read.nested = e.NestedService
		s.refer(kindService, path+".nestedService", e.NestedService)
	}
	return read, len(s.faults) == before
}

func l4Number(p api.L4Protocol) uint8 {
	switch p {
	case api.L4UDP:
		return packet.ProtoUDP
	case api.L4SCTP:
		return packet.ProtoSCTP
	}
	return packet.ProtoTCP
}

// ports reads ports and ranges of them.
func (s *says) ports(path string, list []string) (ranges []policy.PortRange) {
	for i, text := range list {
		where := index(path, i)
		low, high, isRange := strings.Cut(text, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
		last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
		switch {
		case err1 != nil || err2 != nil:
			s.fault(where, strconv.Quote(clip(text))+" is not a port or a range of ports", `such as "80" or "8000-8010", 0 to 65535`)
		case last < first:
			s.fault(where, strconv.Quote(clip(text))+" ends before it begins", fmt.Sprintf(`write "%d-%d"`, last, first))
		default:
			ranges = append(ranges, policy.PortRange{First: uint16(first), Last: uint16(last)})
		}
	}
	return ranges
}

// servicesOf returns what belongs to a FirewallService, also by others in it. One that contains
// itself, or that does not exist, which is reported elsewhere, has nothing more in it.
func (r *Resolver) servicesOf(n *node) []policy.Service {
	if n.services != nil {
		return n.services
	}
	n.services = []policy.Service{} // what a cycle finds
	list := n.services
	for _, e := range n.says.entries {
		if e.nested == "" {
			list = append(list, e.service)
		} else if inner := r.find(kindService, n.key.Namespace, e.nested); inner != nil {
			list = append(list, r.servicesOf(inner)...)
		}
	}
	n.services = list
	return list
}

// checkServices reports services of another category than the rules that name them: of frames in rules about
// packets, and the other way round.
func (r *Resolver) checkServices(n *node) {
	for i := range n.says.drafts {
		d := &n.says.drafts[i]
		for j := range d.rules {
			for _, ref := range d.rules[j].services {
				named := r.find(kindService, n.key.Namespace, ref.name)
				if named == nil {
					continue
				}
				for _, svc := range r.servicesOf(named) {
					if message, hint := misplaced(d.Category, &svc); message != "" {
						n.fault(ref.path, "the FirewallService "+clip(ref.name)+" "+message, hint)
						break
					}
				}
			}
		}
	}
}

// misplaced says what is wrong with a service in a rule of a category; empty if nothing is.
func misplaced(c policy.Category, svc *policy.Service) (message, hint string) {
	switch ethernet := svc.EtherType != 0; {
	case c == policy.Ethernet && !ethernet:
		return "is about IP packets, and the category Ethernet about frames", "use an etherType, or another category"
	case c != policy.Ethernet && ethernet:
		return "is about types of frames, which are of category Ethernet", "write category: Ethernet, in a policy of its own"
	}
	return "", ""
}
