package policy

import (
	"fmt"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// maxNear is how many rules are shown that nearly matched: the last ones before the one that decides.
const maxNear = 16

// near lists the rules before the one that decides which would have matched but for one condition.
func (e *Evaluator) near(t *tuple, at *control.Port, d policy.Direction, v *verdict) (list []api.NearRule) {
	p := &classify.Packet{
		Port: at.Number, Direction: d, Scope: t.scope, Src: t.src, Dst: t.dst,
		Protocol: t.protocol, SrcPort: t.srcPort, DstPort: t.dstPort,
	}
	for tier, sections := range e.Input.Tiers {
		for _, s := range sections {
			for i := range s.Rules {
				r := &s.Rules[i]
				if tier == firewall.Early && v.jump != nil && r.ID == v.jump.Rule.ID {
					break // the rest of the tier was jumped over
				}
				if r.ID == v.match.Rule.ID {
					return last(list, maxNear)
				}
				if failed := e.failed(t, p, r); failed != "" {
					list = append(list, api.NearRule{RuleRef: Refer(s, r), Failed: failed})
				}
			}
			if tier == firewall.Early && v.jump != nil && s == v.jump.Section {
				break
			}
		}
	}
	return last(list, maxNear)
}

func last[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// failed says which condition of a rule does not hold for a packet, if it is the only one.
func (e *Evaluator) failed(t *tuple, p *classify.Packet, r *policy.Rule) string {
	if e.matches(p, *r) {
		return ""
	}
	for i := range conditions {
		c := &conditions[i]
		relaxed := *r
		if c.relax(&relaxed); e.matches(p, relaxed) {
			return c.failed(e, t, p, r)
		}
	}
	return ""
}

// matches asks a rule by itself.
func (e *Evaluator) matches(p *classify.Packet, r policy.Rule) bool {
	in := &classify.Input{
		Endpoints: e.Input.Endpoints, Sets: e.Input.Sets,
		Tiers: [][]*policy.Section{{{Rules: []policy.Rule{r}}}},
	}
	return classify.Linear(in, 0, p) != nil
}

// condition is one of those that a rule has.
type condition struct {
	relax  func(*policy.Rule) // make it hold for everything
	failed func(e *Evaluator, t *tuple, p *classify.Packet, r *policy.Rule) string
}

var conditions = []condition{
	{
		func(r *policy.Rule) { r.Directions = policy.In | policy.Out },
		func(_ *Evaluator, _ *tuple, p *classify.Packet, r *policy.Rule) string {
			return fmt.Sprintf("it is about direction %s, not %s", r.Directions, p.Direction)
		},
	},
	{
		func(r *policy.Rule) { r.AppliedTo = policy.Any },
		func(e *Evaluator, t *tuple, p *classify.Packet, _ *policy.Rule) string {
			return fmt.Sprintf("it is not applied to %s", e.Policy.Endpoints[p.Port].Name)
		},
	},
	{
		func(r *policy.Rule) { r.Families = policy.IPv4 | policy.IPv6 },
		func(_ *Evaluator, _ *tuple, _ *classify.Packet, r *policy.Rule) string {
			return fmt.Sprintf("it is about %s only", Families(r.Families))
		},
	},
	{
		func(r *policy.Rule) { r.Source, r.SourceNot = policy.Any, false },
		func(_ *Evaluator, t *tuple, _ *classify.Packet, r *policy.Rule) string {
			return "source " + notIn(t.src, r.SourceText, r.SourceNot)
		},
	},
	{
		func(r *policy.Rule) { r.Destination, r.DestNot = policy.Any, false },
		func(_ *Evaluator, t *tuple, _ *classify.Packet, r *policy.Rule) string {
			return "destination " + notIn(t.dst, r.DestText, r.DestNot)
		},
	},
	{
		func(r *policy.Rule) { r.Services = nil },
		func(_ *Evaluator, t *tuple, _ *classify.Packet, r *policy.Rule) string {
			return fmt.Sprintf("%s is none of %s", t.service(), few(r.ServicesText))
		},
	},
}

// notIn says that an address is not among those that were written, or that it is where it must not be.
func notIn(a packet.Addr, written []string, not bool) string {
	if not {
		return fmt.Sprintf("%s is in %s, which are excluded", a, few(written))
	}
	return fmt.Sprintf("%s is not in %s", a, few(written))
}

// few are the first of some texts.
func few(texts []string) string {
	const most = 4
	if len(texts) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), len(texts)-most)
	}
	return strings.Join(texts, ", ")
}

// service is what a packet is for.
func (t *tuple) service() string {
	name := export.ProtocolName(t.protocol)
	switch {
	case isICMP(t.protocol):
		return fmt.Sprintf("%s type %d code %d", name, t.dstPort>>8, t.dstPort&0xff)
	case hasPorts(t.protocol):
		return fmt.Sprintf("%s port %d from port %d", name, t.dstPort, t.srcPort)
	}
	return "protocol " + name
}
