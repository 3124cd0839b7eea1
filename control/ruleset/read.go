package ruleset

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/firewall/policy"
)

// read finds out what an object says by itself. What is of no kind that is known says nothing.
func read(value any) says {
	switch v := value.(type) {
	case *api.Group:
		return readGroup(v)
	case *api.FirewallService:
		return readService(v)
	case *api.SecurityPolicy:
		return readSecurityPolicy(v)
	case *api.SessionTimerProfile:
		return readProfile(v.Spec.SequenceNumber, v.Spec.AppliedTo)
	case *api.FloodProtectionProfile:
		return readProfile(v.Spec.SequenceNumber, v.Spec.AppliedTo)
	case *networkingv1.NetworkPolicy:
		return says{drafts: networkPolicy(v)}
	case *v1alpha2.ClusterNetworkPolicy:
		return says{drafts: clusterNetworkPolicy(v)}
	case *v1alpha1.AdminNetworkPolicy:
		return says{drafts: adminNetworkPolicy(v)}
	case *v1alpha1.BaselineAdminNetworkPolicy:
		return says{drafts: baselineAdminNetworkPolicy(v)}
	}
	return says{}
}

func readProfile(sequence int, appliedTo []string) says {
	s := says{sequence: sequence}
	s.members = s.groups("spec.appliedTo", appliedTo, true)
	return s
}

func readExclude(settings *Settings) (s says) {
	if s.members = s.groups("spec.firewall.exclude", settings.Exclude, false); s.members == nil {
		s.members = selection{}
	}
	return s
}

func (s *says) fault(path, message, hint string) {
	s.faults = append(s.faults, Fault{Path: path, Message: message, Hint: hint})
}

// groups reads a list of Groups, by whose ports something is selected. Everybody, nil, is an empty list or ANY, if
// that is allowed.
func (s *says) groups(path string, list []string, any bool) (ports selection) {
	for i, name := range list {
		where := index(path, i)
		switch {
		case name == api.AnyGroup && !any:
			s.fault(where, "ANY is not allowed here", "name Groups")
		case name == api.AnyGroup:
			if len(list) > 1 {
				s.fault(where, "ANY is everybody: it goes with no others", "leave it out, or the others")
			}
			return nil
		case isAddress(name):
			s.fault(where, strconv.Quote(clip(name))+" is an address: ports are wanted", "write a Group of the ports, and its name here")
		default:
			ports = append(ports, s.group(where, name))
		}
	}
	return ports
}

// group is the members of a Group.
func (s *says) group(path, name string) term {
	s.refer(kindGroup, path, name)
	return term{group: name}
}

func (s *says) refer(kind, path, name string) {
	if strings.Count(name, "/") > 1 || name == "" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") {
		s.fault(path, strconv.Quote(clip(name))+" is not the name of a "+kind, "NAME, or NAMESPACE/NAME")
		return
	}
	s.references = append(s.references, reference{kind, name, path})
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// isAddress tells addresses, ranges and networks, right or wrong, from names of Groups: they have a colon, or begin with
// a digit and consist of digits, dots, slashes and hyphens.
func isAddress(text string) bool {
	if strings.Contains(text, ":") {
		return true
	}
	return text != "" && text[0] >= '0' && text[0] <= '9' && strings.Trim(text, "0123456789./-") == "" && strings.Contains(text, ".")
}

// addresses reads an address, a range or a network.
func (s *says) addresses(path, text string) []policy.Prefix {
	bad := func(what, hint string) []policy.Prefix {
		s.fault(path, strconv.Quote(clip(text))+" "+what, hint)
		return nil
	}
	const form = "such as 10.0.0.1, 10.0.0.1-10.0.0.9 or 10.0.0.0/24"
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return bad("is not a network", form)
		case p.Addr().Is4In6():
			return bad("is a mapped network", "write it as IPv4")
		case p != p.Masked():
			return bad("has bits set after its prefix", "write "+p.Masked().String())
		}
		return prefixesOf(p)
	}
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, err1 := netip.ParseAddr(strings.TrimSpace(low))
	last, err2 := netip.ParseAddr(strings.TrimSpace(high))
	switch {
	case err1 != nil || err2 != nil || first.Zone() != "" || last.Zone() != "":
		return bad("is not an address, a range or a network", form)
	case first.Is4In6() || last.Is4In6():
		return bad("is a mapped address", "write "+first.Unmap().String())
	case first.BitLen() != last.BitLen():
		return bad("is a range from one IP version to the other", "write two ranges")
	case last.Less(first):
		return bad("is a range whose end is before its start", fmt.Sprintf("write %s-%s", last, first))
	}
	return prefixesBetween(first, last)
}
