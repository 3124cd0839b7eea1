package ruleset

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/labels"
	operators "k8s.io/apimachinery/pkg/selection"
)

// atom is a condition on endpoints, and who meets it. Equal conditions, wherever they are written,
// are one atom.
type atom struct {
	key   string
	term  term
	offer *offer // nil: whatever ports the endpoint has

	members []uint16 // numbers, ascending; not written to
	changed []uint16 // who is to come or go, ascending; of one update
	users   map[*set]struct{}
	anchor  anchor
}

// offer is that an endpoint calls a port number so.
type offer struct {
	name   namedPort
	number uint16
}

func (a *atom) meets(e *Endpoint) bool {
	return (a.offer == nil || e.offers(a.offer.name, a.offer.number)) && a.term.meets(e)
}

// key returns the same text for equal conditions only.
func (t *term) key(o *offer) string {
	b := make([]byte, 0, 64)
	if t.namespaced || t.namespace != "" || t.ofNS != nil {
		b = append(b, 'n')
	}
	text := func(kind byte, s string) { b = strconv.AppendQuote(append(b, kind), s) }
	if t.namespace != "" {
		text('N', t.namespace)
	}
	if t.ofNS != nil {
		text('L', selectorKey(t.ofNS))
	}
	if t.of != nil {
		text('l', selectorKey(t.of))
	}
	if t.segment != "" {
		text('s', t.segment)
	}
	if t.port != "" {
		text('p', t.port)
	}
	for i := range t.conditions {
		text('c', t.conditions[i].String())
	}
	for _, p := range t.within {
		a := p.Addr.As16()
		b = append(append(append(b, 'w'), a[:]...), p.Bits)
	}
	if o != nil {
		text('o', strconv.Itoa(int(o.name.protocol))+" "+strconv.Itoa(int(o.number))+" "+o.name.name)
	}
	return string(b)
}

// selectorKey is the selector's text, but for the one that selects nothing, which has that of the one that
// selects all.
func selectorKey(s labels.Selector) string {
	if _, selectable := s.Requirements(); !selectable {
		return "!"
	}
	return s.String()
}

// anchor is a property that each endpoint has which meets an atom: whoever has it not need not be
// looked at. The zero anchor is everybody's.
type anchor struct {
	kind       anchorKind
	key, value string
}

type anchorKind uint8

const (
	unanchored anchorKind = iota
	byNamespace
	bySegment
	byNamespaceLabel
	byLabel
	byName
)

// anchorOf picks the property that the fewest endpoints have, as a rule.
func (t *term) anchorOf() (best anchor) {
	consider := func(a anchor) {
		if a.kind > best.kind {
			best = a
		}
	}
	if t.namespace != "" {
		consider(anchor{kind: byNamespace, value: t.namespace})
	}
	if t.segment != "" {
		consider(anchor{kind: bySegment, value: t.segment})
	}
	if t.port != "" {
		consider(anchor{kind: byName, value: t.port})
	}
	for _, s := range []struct {
		selector labels.Selector
		kind     anchorKind
	}{{t.ofNS, byNamespaceLabel}, {t.of, byLabel}} {
		if s.selector == nil {
			continue
		}
		requirements, _ := s.selector.Requirements()
		for _, r := range requirements {
			switch r.Operator() {
			case operators.Equals, operators.DoubleEquals, operators.In:
				if values := r.ValuesUnsorted(); len(values) == 1 {
					consider(anchor{s.kind, r.Key(), values[0]})
				}
			}
		}
	}
	for _, c := range t.conditions {
		if c.operator == equals && !c.negated && c.key != "" && (c.subject == ofPod || c.subject == ofPort) {
			consider(anchor{byLabel, c.key, c.values[0]})
		}
	}
	return best
}

// atomIndex finds the atoms that an endpoint may meet.
type atomIndex map[anchor]map[*atom]struct{}

func (x atomIndex) add(a *atom) {
	at := x[a.anchor]
	if at == nil {
		at = map[*atom]struct{}{}
		x[a.anchor] = at
	}
	at[a] = struct{}{}
}

func (x atomIndex) remove(a *atom) {
	delete(x[a.anchor], a)
	if len(x[a.anchor]) == 0 {
		delete(x, a.anchor)
	}
}

// each visits all atoms that e may meet, each once.
func (x atomIndex) each(e *Endpoint, visit func(*atom)) {
	all := func(at anchor) {
		for a := range x[at] {
			visit(a)
		}
	}
	all(anchor{})
	all(anchor{kind: byName, value: e.Name})
	for k, v := range e.Labels {
		all(anchor{byLabel, k, v})
	}
	if e.Segment != nil {
		all(anchor{kind: bySegment, value: e.Segment.Name})
	}
	if e.Namespace != nil {
		all(anchor{kind: byNamespace, value: e.Namespace.Name})
		for k, v := range e.Namespace.Labels {
			all(anchor{byNamespaceLabel, k, v})
		}
	}
}

// toggle returns the members with those of changed taken out who are there, and those put in
// who are not. Both lists are ascending; neither is written to.
func toggle(members, changed []uint16) []uint16 {
	out := make([]uint16, 0, len(members)+len(changed))
	for len(members) > 0 && len(changed) > 0 {
		switch m, c := members[0], changed[0]; {
		case m < c:
			out, members = append(out, m), members[1:]
		case c < m:
			out, changed = append(out, c), changed[1:]
		default:
			members, changed = members[1:], changed[1:]
		}
	}
	return slices.Concat(out, members, changed)
}
