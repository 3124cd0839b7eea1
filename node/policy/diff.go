package policy

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Difference is what another policy would have done otherwise with recorded flows.
type Difference struct {
	Lines   int64 `json:"lines"`   // read
	Flows   int64 `json:"flows"`   // of those, about rules: sessions, and packets that were denied
	Skipped int64 `json:"skipped"` // about something else

	Changed Counts  `json:"changed"`
	Denied  Counts  `json:"denied"`           // of the changed: allowed before, and not any more
	Allowed Counts  `json:"allowed"`          // the other way round
	Groups  []Group `json:"groups"`           // of the changed, those with the most flows first
	Omitted Counts  `json:"omitted,omitzero"` // changed, and in none of the groups, for there are too many
}

// Counts are sums of flows. Denied packets of one tuple are one flow.
type Counts struct {
	Flows   int64  `json:"flows"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"` // of denied packets it is not recorded
}

func (c *Counts) add(f *flow, first bool) {
	if first {
		c.Flows++
	}
	c.Packets += f.packets
	c.Bytes += f.bytes
}

// Group is changed flows between two ends for one service, decided by the same rules.
type Group struct {
	From     string `json:"from"` // the port; an address that is no port's
	To       string `json:"to"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port,omitempty"` // of the destination
	ICMPType *uint8 `json:"icmpType,omitempty"`

	Before Decided `json:"before"`
	After  Decided `json:"after"`
	Counts
}

// Decided is what becomes of flows, and why.
type Decided struct {
	Verdict string `json:"verdict"` // ALLOW, DROP or REJECT

	// Egress is the rule at the sender's port, Ingress at the receiver's; of denied flows, only the one
	// that denies. Of a rule that is known by a record only, there is but the ID.
	Egress  *RuleAt `json:"egress,omitempty"`
	Ingress *RuleAt `json:"ingress,omitempty"`
	Rule    *RuleAt `json:"rule,omitempty"` // that denied a recorded flow, at either
}

// RuleAt is a rule that decided about flows.
type RuleAt struct {
	ID   uint32 `json:"id"`
	Name string `json:"name,omitempty"`
	From string `json:"from,omitempty"` // the section, or the object that it is made of
}

// String names the rule for people.
func (r *RuleAt) String() string {
	text := fmt.Sprint(r.ID)
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.From != "" {
		text += " (" + r.From + ")"
	}
	return text
}

// maxGroups bounds the memory that a difference takes; whoever is scanned by half the world has many
// flows that differ in the source.
const maxGroups = 10_000

// Differ compares what a policy does with recorded flows with what another does, or with what was recorded.
type Differ struct {
	before *Evaluator // nil: what was recorded
	after  *Evaluator

	result Difference
	groups map[groupKey]*Group
	seed   maphash.Seed
	denied map[uint64]source // tuples of denied packets, by their hashes, and what told of them first
}

// groupKey tells groups apart.
type groupKey struct {
	from, to      string
	protocol      uint8
	port          uint16
	before, after outcome
}

// outcome is what becomes of a flow.
type outcome struct {
	action          policy.Action
	egress, ingress uint32 // IDs of the rules; of a denied flow, of the one that denies. 0: none
	denied          uint32 // the one that denied a recorded flow, which does not say where
}

func (o outcome) allowed() bool { return o.action == policy.Allow }

// NewDiffer compares flows under a policy with those under one before; nil is what was recorded.
func NewDiffer(before, after *Evaluator) *Differ {
	return &Differ{
		before: before, after: after, groups: map[groupKey]*Group{}, seed: maphash.MakeSeed(), denied: map[uint64]source{},
	}
}

// Read compares the flows of a log, lines of flows.jsonl or drops.jsonl. progress, which may be nil, hears of
// the lines and bytes so far, now and then. The error names the line.
func (d *Differ) Read(r io.Reader, progress func(lines, bytes int64)) error {
	lines, skipped, err := eachFlow(r, d.compare, progress)
	d.result.Lines += lines
	d.result.Skipped += skipped
	return err
}

func (d *Differ) compare(f *flow) {
	first, counted := d.first(f)
	if counted {
		return
	}
	if first {
		d.result.Flows++
	}
	t := f.in(d.after)
	after := d.after.outcome(t)
	before, was := f.recorded(), t
	if d.before != nil {
		was = f.in(d.before)
		before = d.before.outcome(was)
	}
	if before.allowed() == after.allowed() {
		return
	}
	d.result.Changed.add(f, first)
	if before.allowed() {
		d.result.Denied.add(f, first)
	} else {
		d.result.Allowed.add(f, first)
	}
	key := groupKey{
		from: ownerName(t.from, was.from, f.from, t.src), to: ownerName(t.to, was.to, f.to, t.dst),
		protocol: t.protocol, before: before, after: after,
	}
	if hasPorts(t.protocol) || isICMP(t.protocol) {
		key.port = t.dstPort
	}
	g := d.groups[key]
	if g == nil {
		if len(d.groups) == maxGroups {
			d.result.Omitted.add(f, first)
			return
		}
		g = d.newGroup(&key)
		d.groups[key] = g
	}
	g.add(f, first)
}

// first reports whether a flow is the first of its tuple, as sessions always are; and whether it was counted
// already, as of a denied packet both logs may tell.
func (d *Differ) first(f *flow) (first, counted bool) {
	if f.source == ofSession {
		return true, false
	}
	t := &f.tuple
	h := maphash.Comparable(d.seed, struct {
		src, dst         packet.Addr
		protocol         uint8
		srcPort, dstPort uint16
	}{t.src, t.dst, t.protocol, t.srcPort, t.dstPort})
	was, found := d.denied[h]
	if !found {
		d.denied[h] = f.source
	}
	return !found, found && was != f.source
}

// ownerName names an end of a flow: as the port that has it after, or had it before, or as it was recorded.
func ownerName(after, before *control.Port, recorded string, a packet.Addr) string {
	switch {
	case after != nil:
		return after.Name
	case before != nil:
		return before.Name
	case recorded != "":
		return recorded
	}
	return a.String()
}

// outcome is what becomes of a packet under a policy.
func (e *Evaluator) outcome(t *tuple) (o outcome) {
	egress := e.ask(t, t.from, policy.Out)
	if o.action = egress.action(); o.action != policy.Allow {
		o.egress = egress.match.Rule.ID
		return o
	}
	ingress := e.ask(t, t.to, policy.In)
	if o.action = ingress.action(); o.action != policy.Allow {
		o.ingress = ingress.match.Rule.ID
		return o
	}
	o.egress, o.ingress = egress.id(), ingress.id()
	return o
}

func (v *verdict) id() uint32 {
	if v.match == nil {
		return 0
	}
	return v.match.Rule.ID
}

// recorded is what became of a flow when it was recorded.
func (f *flow) recorded() outcome {
	o := outcome{egress: f.rules.Egress, ingress: f.rules.Ingress, denied: f.rules.Denied}
	switch {
	case f.reject:
		o.action = policy.Reject
	case f.denied:
		o.action = policy.Drop
	}
	return o
}

func (d *Differ) newGroup(k *groupKey) *Group {
	g := &Group{
		From: k.from, To: k.to, Protocol: export.ProtocolName(k.protocol),
		Before: decided(d.before, k.before), After: decided(d.after, k.after),
	}
	switch {
	case isICMP(k.protocol):
		typ := uint8(k.port >> 8)
		g.ICMPType = &typ
	default:
		g.Port = k.port
	}
	return g
}

// decided names the rules of an outcome; e is nil for what was recorded.
func decided(e *Evaluator, o outcome) Decided {
	return Decided{Verdict: o.action.String(), Egress: e.ruleAt(o.egress), Ingress: e.ruleAt(o.ingress), Rule: e.ruleAt(o.denied)}
}

func (e *Evaluator) ruleAt(id uint32) *RuleAt {
	if id == 0 {
		return nil
	}
	at := &RuleAt{ID: id}
	if e == nil {
		return at
	}
	if id == e.ByDefault.Rule.ID {
		at.Name = e.ByDefault.Rule.Name
	}
	for _, s := range e.Policy.Sections {
		for i := range s.Rules {
			if s.Rules[i].ID == id {
				at.Name, at.From = s.Rules[i].Name, s.Title
				if s.Origin.Kind != "" {
					at.From = s.Origin.String()
				}
			}
		}
	}
	return at
}

// Result returns the difference so far.
func (d *Differ) Result() *Difference {
	r := d.result
	r.Groups = make([]Group, 0, len(d.groups))
	for _, g := range d.groups {
		r.Groups = append(r.Groups, *g)
	}
	slices.SortFunc(r.Groups, func(a, b Group) int {
		return cmp.Or(
			cmp.Compare(b.Flows, a.Flows), cmp.Compare(b.Packets, a.Packets), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To),
			strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), strings.Compare(a.Before.String(), b.Before.String()),
			strings.Compare(a.After.String(), b.After.String()),
		)
	})
	return &r
}

// String says what is decided, and by which rules.
func (d *Decided) String() string {
	var rules []string
	for _, r := range []struct {
		at *RuleAt
		d  policy.Direction
	}{{d.Egress, policy.Out}, {d.Ingress, policy.In}} {
		if r.at != nil {
			rules = append(rules, r.d.String()+" "+r.at.String())
		}
	}
	if d.Rule != nil {
		rules = append(rules, d.Rule.String())
	}
	return strings.TrimSpace(d.Verdict + " " + strings.Join(rules, ", "))
}
