package node

import (
	"errors"
	"fmt"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Rules returns what each firewall rule has decided so far, by its ID, those of former
// policies included; any goroutine. It looks at all live sessions.
func (n *Node) Rules() map[uint32]firewall.RuleCount { return n.rules.Rules(n.table) }

// FirewallLog returns the records of what logged rules have done; for one goroutine.
func (n *Node) FirewallLog() *firewall.Log { return n.rules.Log() }

// firewallConfig is what the firewall needs of a model.
func firewallConfig(m *control.Model) *firewall.Config {
	c := &firewall.Config{Policy: m.Firewall, Zones: make([]firewall.ZoneScope, 0, len(m.Segments))}
	for i := range m.Segments {
		s := &m.Segments[i]
		c.Zones = append(c.Zones, firewall.ZoneScope{Zone: packet.Zone(s.Zone), Scope: s.Scope})
	}
	for i := range m.Routers {
		for _, u := range m.Routers[i].Uplinks {
			c.Zones = append(c.Zones, firewall.ZoneScope{Zone: packet.Zone(u.Zone), Scope: u.Scope})
		}
	}
	c.Terms, c.Spoof = sessionTerms(m)
	return c
}

// sessionTerms are the profiles that hold at each port, by its number: the first that is applied to it. A port with flood caps
// is a group of its own, with the port's number.
func sessionTerms(m *control.Model) (terms []firewall.PortTerms, spoof []bool) {
	if len(m.TimerProfiles)+len(m.FloodProfiles) == 0 {
		return nil, nil
	}
	size := maxPortNumber(m) + 1
	terms, spoof = make([]firewall.PortTerms, size), make([]bool, size)
	for i := range m.TimerProfiles {
		number := uint8(i + 1) // control allows no more
		eachPort(m, m.TimerProfiles[i].AppliedTo, func(port uint16) {
			if terms[port].Timers == 0 {
				terms[port].Timers = number
			}
		})
	}
	for i := range m.FloodProfiles {
		p := &m.FloodProfiles[i]
		eachPort(m, p.AppliedTo, func(port uint16) {
			if terms[port].Caps == 0 {
				terms[port].Caps, spoof[port] = port, p.RSTSpoofing
			}
		})
	}
	return terms, spoof
}

// eachPort visits the ports of a set that rules apply to.
func eachPort(m *control.Model, set policy.SetID, visit func(port uint16)) {
	if set != policy.Any {
		if s := m.Firewall.Sets[set]; s != nil {
			for _, port := range s.Ports {
				visit(port)
			}
		}
		return
	}
	for _, p := range m.Ports {
		if p.Uplink < 0 {
			visit(p.Number)
		}
	}
}

// setTerms puts timers and flood caps in force, for live sessions too.
func (n *Node) setTerms(m *control.Model) error {
	profiles := []flowtable.Timers{timers(&m.Node.Timers)}
	for i := range m.TimerProfiles {
		profiles = append(profiles, timers(&m.TimerProfiles[i].Timers))
	}
	errs := []error{n.table.SetTimers(profiles)}
	set := map[uint16]bool{}
	for i := range m.FloodProfiles {
		p := &m.FloodProfiles[i]
		caps := flowtable.Caps{
			Limits:   flowtable.Limits{TCPHalfOpen: p.HalfOpenTCP, UDP: p.UDP, ICMP: p.ICMP, Other: p.Other},
			SYNCache: p.SYNCache,
		}
		eachPort(m, p.AppliedTo, func(port uint16) {
			if !set[port] {
				set[port] = true
				errs = append(errs, n.table.SetCaps(port, caps))
			}
		})
	}
	for port := range n.capped {
		if !set[port] {
			errs = append(errs, n.table.SetCaps(port, flowtable.Caps{}))
		}
	}
	n.capped = set
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("session terms: %w", err)
	}
	return nil
}
