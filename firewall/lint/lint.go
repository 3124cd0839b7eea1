// Package lint finds the rules of a policy that do not do what they seem to: rules that are shadowed,
// redundant, contradicting, never hit or about nobody, each with a packet that shows it; and it proves
// that two policies decide alike.
//
// Answers are exact, not sampled. What no condition can tell apart is one class: points (a port and a direction),
// addresses, protocols, ports. A rule is then a few boxes of classes, and every question is whether some
// packet matches these boxes and none of those. The search for one is complete; where it
// would take too long, it says so (Undecided) and does not guess.
//
// Packets are those that can be: at a port that is filtered, in its scope, both addresses of one IP
// version, with ports if the protocol has some. They need not come from addresses of their port, as
// it depends on the port's guard whether that can be.
//
// What is examined is how first packets are decided. Rules that decide alike may differ in what else they do: log,
// limit, keep state. Findings of redundant rules say so.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/firewall/policy"
)

// Options of an analysis. The zero value is well for people.
type Options struct {
	// Budget is how many steps one question may take, and Total all of them together before each
	// gets but a few; a step is a look at one rule, some 20 ns. 0 is 1 million, and 100 million.
	Budget, Total int

	Causes         int // listed of a finding at most; 0 is 8
	Contradictions int // findings of that kind at most; 0 is 100, negative is none at all
}

func (o Options) withDefaults() Options {
	o.Budget = cmp.Or(o.Budget, 1_000_000)
	o.Total = cmp.Or(o.Total, 100_000_000)
	o.Causes = cmp.Or(o.Causes, 8)
	o.Contradictions = cmp.Or(o.Contradictions, 100)
	return o
}

// Hits is what the counters of a rule say.
type Hits struct {
	Packets, Bytes, Sessions uint64
}

// Analyze examines the rules of a policy. hits are their counters by ID, where a rule
// that is missing has counted nothing; nil: there are no counters.
func Analyze(p *policy.Policy, hits map[uint32]Hits, o Options) *Report {
	o = o.withDefaults()
	report := &Report{Findings: []Finding{}}
	for _, ethernet := range []bool{true, false} {
		y := newLayer(ethernet, p)
		a := analysis{y: y, s: newSearcher(y, &o), o: &o, hits: hits, report: report, contradictions: o.Contradictions}
		a.run()
		o.Total, o.Contradictions = a.s.left, a.contradictions
	}
	return report
}

// analysis is Analyze for one layer.
type analysis struct {
	y      *layer
	s      *searcher
	o      *Options
	hits   map[uint32]Hits
	report *Report

	findings       []numbered
	contradictions int // that may still be reported; negative: none is looked for
}

// numbered is a finding about an entry.
type numbered struct {
	number uint32
	Finding
}

func (a *analysis) run() {
	var alive []uint32
	for i := range a.y.entries {
		e := &a.y.entries[i]
		if e.isDefault() {
			continue
		}
		a.report.Rules++
		if a.takesAny(uint32(i)) {
			alive = append(alive, uint32(i))
		}
	}
	// What is found to be redundant from here on is so without what has been found so far: so that all of it
	// can be left out together. Rules that are shadowed stay: it is for people to say what they are to do.
	for _, f := range a.findings {
		if f.Kind == Redundant {
			a.s.leaveOut(f.number, true)
		}
	}
	alive = slices.DeleteFunc(alive, func(number uint32) bool { return !isolates(&a.y.entries[number]) && a.redundant(number) })
	for _, number := range alive {
		if !a.contradicting(number, alive) {
			break
		}
	}
	slices.SortStableFunc(a.findings, func(x, y numbered) int { return cmp.Compare(x.number, y.number) })
	for _, f := range a.findings {
		a.report.Findings = append(a.report.Findings, f.Finding)
	}
}

// takesAny reports whether an entry takes a packet, and says why if it does not.
func (a *analysis) takesAny(number uint32) bool {
	e := &a.y.entries[number]
	if e.wanting != partNone {
		a.add(number, Finding{Kind: SelectsNobody, Severity: Info, Text: wantingText[e.wanting]})
		return false
	}
	switch a.s.first(query{}, number) {
	case none:
		a.dead(number)
		return false
	case undecided:
		a.undecided(number, "whether rules before it take all of its packets")
		return false
	}
	if a.hits != nil && a.hits[e.rule.ID] == (Hits{}) && !isolates(e) {
		a.add(number, Finding{
			Kind: NeverHit, Severity: Info, Witness: a.s.natural(),
			Text: "has decided no packet since its counters began; the witness is one that it would decide",
		})
	}
	return true
}

var wantingText = [...]string{
	partAppliedTo:   "is at no port: what it is applied to has no port that is filtered",
	partSource:      "matches no packet: its source is nobody",
	partDestination: "matches no packet: its destination is nobody",
	partServices:    "matches no packet: its services are those of no packet",
	partFamily:      "matches no packet: its source, its destination and its IP version exclude each other",
}

func (a *analysis) add(number uint32, f Finding) {
	f.Rule = a.y.entries[number].ref()
	a.findings = append(a.findings, numbered{number, f})
}

func (a *analysis) undecided(number uint32, what string) {
	a.report.Undecided++
	a.add(number, Finding{Kind: Undecided, Severity: Info, Text: "the budget did not suffice to tell " + what})
}

// before returns the spans of boxes that are asked before an entry, as far as they decide.
func (a *analysis) before(number uint32) (from, to uint32) {
	e := &a.y.entries[number]
	return a.y.extent[e.list].from, e.from
}

// dead reports an entry that takes no packet.
func (a *analysis) dead(number uint32) {
	e := &a.y.entries[number]
	f := Finding{Kind: Redundant, Severity: Warning}
	worst, uncertain := agrees, false
	from, to := a.before(number)
	for _, q := range a.s.neighbours(number, from, to) {
		o := &a.y.entries[q]
		if o.jump() && e.tier == 1 {
			continue
		}
		c := compare(e, o)
		full := len(f.Causes) == a.o.Causes
		if full && c <= worst {
			f.More = true
			continue
		}
		switch a.s.firstOf(number, query{}, q) {
		case found:
			if f.Witness == nil || c > worst {
				f.Witness = a.s.natural()
			}
			worst = max(worst, c)
			if full { // the one that decides otherwise has to be there
				f.More = true
				f.Causes = f.Causes[:len(f.Causes)-1]
			}
			f.Causes = append(f.Causes, o.ref())
		case undecided:
			uncertain = true
		}
	}
	switch {
	case worst > agrees:
		f.Kind, f.Severity = Shadowed, Error
		f.Text = "never decides: rules before it take all of its packets, and do not all decide as it would; they take the witness"
		if worst == overrules {
			f.Severity = Info
			f.Text = "never decides: network policies, which are meant to overrule it, take all of its packets; they take the witness"
		}
	case isolates(e):
		return
	case uncertain:
		a.undecided(number, "whether the rules that take all of its packets decide as it would")
		return
	default:
		f.Text = "never decides: rules before it take all of its packets, and decide as it would"
	}
	a.add(number, f)
}

// redundant reports whether all packets that an entry decides would be decided the same without it, and
// leaves it out if so.
func (a *analysis) redundant(number uint32) bool {
	y := a.y
	e := &y.entries[number]
	after := a.successors(number)
	a.s.leaveOut(number, true)
	for _, q := range after {
		if y.entries[q].action == e.action || y.entries[q].jump() {
			continue
		}
		if answer := a.without(number, q); answer != none {
			a.s.leaveOut(number, false)
			if answer == undecided {
				a.undecided(number, "whether it changes anything")
			}
			return false
		}
	}
	a.add(number, a.instead(number, after))
	return true
}

// instead makes the finding about a redundant entry, which is left out, of those that come after it.
func (a *analysis) instead(number uint32, after []uint32) Finding {
	y := a.y
	e := &y.entries[number]
	f := Finding{Kind: Redundant, Severity: Warning, Text: "changes nothing: without it, rules after it decide the same"}
	if e.jump() {
		f.Text = "changes nothing: what it lets go on to category Application would go there without it, or be decided the same"
	}
	var differ []string
	for _, q := range after {
		if y.entries[q].action != e.action {
			continue
		}
		if len(f.Causes) >= a.o.Causes {
			f.More = true
			break
		}
		if a.without(number, q) == found {
			if f.Witness == nil {
				f.Witness = a.s.natural()
			}
			f.Causes = append(f.Causes, y.entries[q].ref())
			differ = append(differ, differences(e, &y.entries[q])...)
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		f.Severity = Info
		f.Text = "decides nothing that rules after it would not decide the same, but it differs from them: " +
			strings.Join(slices.Compact(differ), ", ")
	}
	return f
}

// differences says what else rules do differently that decide alike.
func differences(e, o *entry) []string {
	var all []string
	add := func(differs bool, what string) {
		if differs {
			all = append(all, what)
		}
	}
	add(e.rule.Logged && (!o.rule.Logged || e.rule.Tag != o.rule.Tag), "it logs")
	add(!e.rule.Logged && o.rule.Logged, "it does not log")
	if e.action == policy.Allow {
		add(e.rule.PerRule != o.rule.PerRule || e.rule.PerSource != o.rule.PerSource, "its limits of sessions")
		add(e.section.Stateless != o.section.Stateless, "its section's state")
		add(e.section.TCPStrict != o.section.TCPStrict, "its section's tcp_strict")
		add(e.section.Established != o.section.Established, "what a change does to its section's sessions")
	}
	return all
}

// successors returns the entries that may decide packets of an entry if it is not there, in order.
func (a *analysis) successors(number uint32) []uint32 {
	y := a.y
	e := &y.entries[number]
	x := &y.extent[e.list]
	return y.reached(a.s.neighbours(number, e.to, x.to), func(q uint32) bool { return y.covers(q, number) })
}

// without answers whether another entry decides, otherwise, a packet that an entry decides if it is there.
func (a *analysis) without(number, other uint32) answer {
	y := a.y
	e, o := &y.entries[number], &y.entries[other]
	var base query
	if e.tier == 0 {
		base = base.minus(span{y.extent[e.list].from, e.from, false})
	}
	if !e.jump() {
		return a.s.firstOf(number, base, other)
	}
	if o.tier == 1 {
		return none // it decides with the entry, too
	}
	// Who decides in tier 1 what the entry lets jump, but tier 0 would decide without it?
	result := none
	x := &y.extent[e.list]
	for _, d := range a.s.neighbours(number, x.split, x.to) {
		if y.entries[d].action == o.action {
			continue
		}
		for b := y.entries[d].from; b < y.entries[d].to; b++ {
			in := base.and(b).minus(span{x.split, y.entries[d].from, false})
			switch a.s.firstOf(number, in, other) {
			case found:
				return found
			case undecided:
				result = undecided
			}
		}
	}
	return result
}

// contradicting reports the later ones among alive, in order, of the same category that decide otherwise. It returns false once
// there are enough.
func (a *analysis) contradicting(number uint32, alive []uint32) bool {
	y := a.y
	e := &y.entries[number]
	for _, q := range a.s.neighbours(number, e.to, y.extent[e.list].to) {
		o := &y.entries[q]
		if _, decides := slices.BinarySearch(alive, q); !decides || o.section.Category != e.section.Category || compare(o, e) != contradicts {
			continue
		}
		if a.contradictions <= 0 || a.s.left <= 0 {
			a.report.MoreContradictions = a.contradictions == 0 || a.s.left <= 0
			return false
		}
		if y.covers(q, number) || y.covers(number, q) ||
			a.s.outside(number, q) != found || a.s.outside(q, number) != found || a.s.firstOf(q, query{}, number) != found {
			continue
		}
		a.contradictions--
		a.add(number, Finding{
			Kind: Contradicting, Severity: Info, Causes: []RuleRef{o.ref()}, Witness: a.s.natural(),
			Text: "decides packets, as the witness, that a later rule of the same category would decide otherwise; " +
				"neither has all packets of the other, so it matters which comes first",
		})
	}
	return true
}

// outside answers whether an entry has a packet that another has not.
func (s *searcher) outside(number, other uint32) answer {
	e, o := &s.y.entries[number], &s.y.entries[other]
	result := none
	for b := e.from; b < e.to; b++ {
		q := query{}.and(b).minus(span{o.from, o.to, false})
		switch s.find(&q) {
		case found:
			return found
		case undecided:
			result = undecided
		}
	}
	return result
}
