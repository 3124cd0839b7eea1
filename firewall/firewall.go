package firewall

import (
	"fmt"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Firewall is a policy in force. It is immutable.
type Firewall struct {
	*Rules

	state  *State
	scopes packet.ZoneMap[uint32]
	terms  []PortTerms
	spoof  []bool

	limited  map[uint32]uint16 // slots of limits, by rule ID
	pages    map[int]bool      // of the rules' counters
	directed bool              // some rules are for one direction
}

// Compile makes a Firewall of a policy. Nothing that is in force changes until Adopt.
func Compile(c *Config, s *State) (*Firewall, error) {
	f := &Firewall{state: s, terms: c.Terms, spoof: c.Spoof}
	for _, z := range c.Zones {
		f.scopes.Set(z.Zone, z.Scope)
	}
	var err error
	if f.Rules, err = NewRules(c.Policy, s.ip, s.ethernet); err == nil {
		err = s.prepare(f)
	}
	if err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	return f, nil
}

// Adopt makes a Firewall, which workers use by now, the one that the state belongs to.
func (s *State) Adopt(f *Firewall) {
	s.current.Store(f)
	s.limits.byRule, s.pages = f.limited, f.pages
	if s.resetting {
		s.sweep.Begin()
	}
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
