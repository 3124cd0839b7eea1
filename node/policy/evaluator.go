// Package policy answers questions about a firewall policy without a node: what becomes of a
// session, which rules are in force at a port, and which recorded flows another policy
// would treat otherwise.
package policy

import (
	"fmt"
	"net/netip"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Evaluator knows a configuration's policy, compiled as the data plane has it. Any number of
// goroutines may use it at once.
type Evaluator struct {
	*firewall.Rules

	model *control.Model

	byName    map[string]*control.Port
	byAddress map[netip.Addr][]*control.Port
}

// NewEvaluator compiles a model's policy, which takes a second or two for 100,000 rules.
func NewEvaluator(m *control.Model) (*Evaluator, error) { return newEvaluator(m, Of(m)) }

func newEvaluator(m *control.Model, p *policy.Policy) (*Evaluator, error) {
	e := &Evaluator{
		model:  m,
		byName: make(map[string]*control.Port, len(m.Ports)), byAddress: make(map[netip.Addr][]*control.Port, len(m.Ports)),
	}
	for _, p := range m.Ports {
		e.byName[p.Name] = p
		for _, a := range p.Addresses {
			if a.IP.IsValid() {
				e.byAddress[a.IP] = append(e.byAddress[a.IP], p)
			}
		}
	}
	var err error
	if e.Rules, err = firewall.NewRules(p, classify.NewCompiler(), classify.NewCompiler()); err != nil {
		return nil, fmt.Errorf("compile the policy: %w", err)
	}
	return e, nil
}

// Revision is the number of the configuration.
func (e *Evaluator) Revision() uint64 { return e.model.Revision }

// tuple is a packet of a session's original direction, and the ports between which it goes.
type tuple struct {
	from, to *control.Port // nil: nobody of ours
	scope    uint32        // address space that the sender is in
	src, dst packet.Addr
	protocol uint8
	srcPort  uint16
	dstPort  uint16 // of ICMP: type << 8 | code
}

// verdict is what the rules of a port say.
type verdict struct {
	match *classify.Match // that decides; nil: nobody is asked
	jump  *classify.Match // the rule of an earlier category that led to it
	frame *classify.Match // the rule of category Ethernet; nil: there are none
}

func (v *verdict) action() policy.Action {
	if v.match == nil {
		return policy.Allow
	}
	return v.match.Rule.Action
}

// ask asks the rules of a port; nil is none.
func (e *Evaluator) ask(t *tuple, at *control.Port, d policy.Direction) (v verdict) {
	if !e.asks(t, at, d) {
		return v
	}
	if v.frame = e.askEthernet(t, at, d); v.frame != nil && v.frame.Rule.Action != policy.Allow {
		v.match = v.frame
		return v
	}
	if needed(t) {
		return v
	}
	k := classify.Key{
		Src: e.IP.Class(t.scope, t.src), Dst: e.IP.Class(t.scope, t.dst), Port: at.Number, Direction: d,
		Protocol: t.protocol, V6: !t.src.Is4(), SrcPort: t.srcPort, DstPort: t.dstPort,
	}
	v.match, v.jump = e.Find(&k)
	return v
}

// asks reports whether rules are asked about a packet at a port at all; nil is none.
func (e *Evaluator) asks(t *tuple, at *control.Port, d policy.Direction) bool {
	return at != nil && (d == policy.Out || t.from != t.to) && e.filtered(at)
}

func (e *Evaluator) filtered(p *control.Port) bool {
	return e.Filters(p.Number)
}

// whyNot says why no rule has decided about a packet at a port.
func (e *Evaluator) whyNot(t *tuple, at *control.Port, d policy.Direction) string {
	switch {
	case at == nil && d == policy.Out:
		return "the sender is none of the switch's ports"
	case at == nil:
		return "the receiver is none of the switch's ports"
	case d == policy.In && t.from == t.to:
		return "the packet goes back by the port that it came in by"
	case e.filtered(at):
		return "neighbor discovery, MLD and IGMP are not for rules, but for the segment's security settings"
	}
	return Unfiltered(e.Policy, at)
}

// Unfiltered says why rules do not apply to a port; empty if they do.
func Unfiltered(p *policy.Policy, port *control.Port) string {
	switch {
	case int(port.Number) < len(p.Endpoints) && p.Endpoints[port.Number] != nil:
		return ""
	case port.Uplink >= 0:
		return "uplinks are not filtered"
	case holds(p, p.Excluded, port.Number):
		return "the port is on the exclusion list"
	}
	return "the port is not filtered"
}

// needed reports whether a network needs packets of the kind to work at all: IGMP, multicast listener
// discovery (RFC 2710, RFC 3810) and neighbour discovery (RFC 4861).
func needed(t *tuple) bool { return firewall.Housekeeping(t.protocol, uint8(t.dstPort>>8)) }
