package firewall

import (
	"fmt"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Rules are a policy's rules, to be looked up: what the deciders ask, and whoever wants to know what they would say. They
// are immutable, and for any number of goroutines.
type Rules struct {
	Policy *policy.Policy
	Input  *classify.Input // of those about packets
	IP     *classify.Table // tiers Early and Application
	Frames *classify.Table // one tier; nil: no rules about frames

	ByDefault         classify.Match // of packets that no other rule matches
	EthernetByDefault classify.Match // of frames

	tiered bool // there are rules in tier Early
	blank  bool // there are no rules but the default
}

// Tiers of Rules.IP.
const (
	Early       = iota // categories before Application
	Application        // where JUMP_TO_APPLICATION goes on
	numTiers
)

// NewRules makes the Rules of a policy, with compilers that have made those before; new ones will do.
func NewRules(p *policy.Policy, ip, ethernet *classify.Compiler) (*Rules, error) {
	r := &Rules{Policy: p}
	r.ByDefault, r.EthernetByDefault = Defaults(p)
	packets, frames := inputs(p)
	var err error
	if r.IP, err = ip.Compile(packets); err != nil {
		return nil, err
	}
	if hasRules(frames.Tiers[0]) {
		if r.Frames, err = ethernet.Compile(frames); err != nil {
			return nil, fmt.Errorf("category Ethernet: %w", err)
		}
	}
	r.Input = packets
	r.tiered = hasRules(packets.Tiers[Early])
	r.blank = !r.tiered && !hasRules(packets.Tiers[Application])
	return r, nil
}

// Defaults are the rules that decide where no other matches: about packets, and about frames.
func Defaults(p *policy.Policy) (packets, frames classify.Match) {
	s := &policy.Section{Category: policy.Application, Rules: []policy.Rule{p.Default}}
	r := &s.Rules[0]
	r.ID, r.Directions, r.Families = policy.DefaultRuleID, policy.In|policy.Out, policy.IPv4|policy.IPv6
	if r.Name == "" {
		r.Name = "default"
	}
	e := &policy.Section{Category: policy.Ethernet, Rules: []policy.Rule{{
		ID: policy.EthernetDefaultRuleID, Name: "default-ethernet", Action: policy.Allow,
		Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6,
	}}}
	return classify.Match{Section: s, Rule: r}, classify.Match{Section: e, Rule: &e.Rules[0]}
}

// inputs sorts the sections of a policy by the tables that they go to.
func inputs(p *policy.Policy) (ip, ethernet *classify.Input) {
	ip = &classify.Input{Endpoints: p.Endpoints, Sets: p.Sets, Tiers: make([][]*policy.Section, numTiers)}
	ethernet = &classify.Input{Endpoints: p.Endpoints, Sets: p.Sets, Tiers: make([][]*policy.Section, 1), Ethernet: true}
	for _, s := range p.Sections {
		switch {
		case s.Marker:
		case s.Category == policy.Ethernet:
			ethernet.Tiers[0] = append(ethernet.Tiers[0], s)
		case s.Category == policy.Application:
			ip.Tiers[Application] = append(ip.Tiers[Application], s)
		default:
			ip.Tiers[Early] = append(ip.Tiers[Early], s)
		}
	}
	return ip, ethernet
}

func hasRules(sections []*policy.Section) bool {
	for _, s := range sections {
		if len(s.Rules) > 0 {
			return true
		}
	}
	return false
}

// Filters reports whether rules apply at a port.
func (r *Rules) Filters(port uint16) bool {
	return int(port) < len(r.Policy.Endpoints) && r.Policy.Endpoints[port] != nil
}

// Find returns the first rule that matches a packet, which may be the default, and the one that has led past the rest of
// tier Early, nil if none has.
func (r *Rules) Find(k *classify.Key) (found, jump *classify.Match) {
	if r.tiered {
		if m := r.IP.Match(r.IP.Lookup(Early, k)); m != nil {
			if m.Rule.Action != policy.JumpToApplication {
				return m, nil
			}
			jump = m
		}
	}
	if m := r.IP.Match(r.IP.Lookup(Application, k)); m != nil {
		return m, jump
	}
	return &r.ByDefault, jump
}

// FindFrame returns the first rule that matches a frame, which may be the default.
func (r *Rules) FindFrame(k *classify.Key) *classify.Match {
	if m := r.Frames.Match(r.Frames.Lookup(0, k)); m != nil {
		return m
	}
	return &r.EthernetByDefault
}

// Housekeeping reports whether rules about packets are not asked about a protocol and ICMP type, for networks need
// these to work at all: IGMP, multicast listener discovery (RFC 2710, RFC 3810), neighbour discovery (RFC 4861).
func Housekeeping(proto, icmpType uint8) bool {
	return proto == packet.ProtoIGMP ||
		proto == packet.ProtoICMPv6 && (icmpType >= 130 && icmpType <= 137 || icmpType == 143)
}
