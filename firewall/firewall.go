package firewall

import (
	"fmt"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Firewall is a policy in force. It is immutable.
type Firewall struct {
	state    *State
	policy   *policy.Policy
	scopes   scopes
	terms    []PortTerms
	spoof    []bool
	revision uint64

	limited map[uint32]uint16 // slots of limits, by rule ID
	pages   map[int]bool      // of the rules' counters

	ip       *classify.Table
	tiered   bool            // there are rules in tier early
	blank    bool            // there are no rules but the default
	directed bool            // some rules are for one direction
	ethernet *classify.Table // nil: no rules about frames

	byDefault         classify.Match
	ethernetByDefault classify.Match
}

// Tiers of the tables.
const (
	early       = iota // categories before Application
	application        // where JUMP_TO_APPLICATION goes on
	numTiers
)

// Compile makes a Firewall of a policy. Nothing that is in force changes until Adopt.
func Compile(c *Config, s *State) (*Firewall, error) {
	f := &Firewall{
		state: s, policy: c.Policy, scopes: newScopes(c.Zones), terms: c.Terms, spoof: c.Spoof, revision: c.Revision,
	}
	defaults := &policy.Section{Title: "default", Category: policy.Application, Rules: []policy.Rule{c.Policy.Default}}
	f.byDefault = classify.Match{Section: defaults, Rule: &defaults.Rules[0]}
	passing := &policy.Section{
		Title: "default-layer2", Category: policy.Ethernet,
		Rules: []policy.Rule{{ID: policy.EthernetDefaultRuleID, Name: "default", Action: policy.Allow}},
	}
	f.ethernetByDefault = classify.Match{Section: passing, Rule: &passing.Rules[0]}

	ip, ethernet := inputs(c.Policy)
	var err error
	if f.ip, err = s.ip.Compile(ip); err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	f.tiered = hasRules(ip.Tiers[early])
	f.blank = !f.tiered && !hasRules(ip.Tiers[application])
	if hasRules(ethernet.Tiers[0]) {
		if f.ethernet, err = s.ethernet.Compile(ethernet); err != nil {
			return nil, fmt.Errorf("firewall: category Ethernet: %w", err)
		}
	}
	if err := s.prepare(f); err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	return f, nil
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
			ip.Tiers[application] = append(ip.Tiers[application], s)
		default:
			ip.Tiers[early] = append(ip.Tiers[early], s)
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

// Adopt makes a Firewall, which workers use by now, the one that the state belongs to.
func (s *State) Adopt(f *Firewall) {
	s.current.Store(f)
	s.limits.byRule, s.pages = f.limited, f.pages
	s.sweep.begin()
}

// filters reports whether rules apply at a port.
func (f *Firewall) filters(port uint16) bool {
	return int(port) < len(f.policy.Endpoints) && f.policy.Endpoints[port] != nil
}

// find returns the first rule that matches, which may be the default.
func (f *Firewall) find(k *classify.Key) *classify.Match {
	if f.tiered {
		if m := f.ip.Match(f.ip.Lookup(early, k)); m != nil && m.Rule.Action != policy.JumpToApplication {
			return m
		}
	}
	if m := f.ip.Match(f.ip.Lookup(application, k)); m != nil {
		return m
	}
	return &f.byDefault
}

// The deciders of a Firewall, in the order in which node puts them.
type (
	egressDecider  struct{ f *Firewall }
	ingressDecider struct{ f *Firewall }
	admitter       struct{ f *Firewall }
	concluder      struct{ f *Firewall }
)

// Egress asks the rules of the sender's port. It stands before the decider that forwards, so that
// what is refused does not even make anybody look for its destination.
func (f *Firewall) Egress() dataplane.Decider { return egressDecider{f} }

// Ingress asks the rules of the receiver's port. It stands after the decider that forwards.
func (f *Firewall) Ingress() dataplane.Decider { return ingressDecider{f} }

// Admitter asks the rules of each receiver of a flood.
func (f *Firewall) Admitter() dataplane.Admitter { return admitter{f} }

// Concluder counts what has been decided.
func (f *Firewall) Concluder() dataplane.Concluder { return concluder{f} }
