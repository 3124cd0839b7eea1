package ruleset

import (
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/packet"
)

// readGroup reads a Group. Its terms are alternatives.
func readGroup(g *api.Group) (s says) {
	spec := &g.Spec
	s.members = selection{}
	add := func(t term) { s.members = append(s.members, t) }
	s.expression(g.Namespace, spec.Expression)
	s.selectors(g.Namespace, spec)
	for i, name := range spec.Segments {
		if s.named(index("spec.segments", i), name) {
			add(term{segment: name})
		}
	}
	for i, name := range spec.Ports {
		if s.named(index("spec.ports", i), name) {
			add(term{port: name})
		}
	}
	for i, text := range spec.IPAddresses {
		if list := s.addresses(index("spec.ipAddresses", i), text); list != nil {
			add(term{prefixes: list})
		}
	}
	for i, m := range spec.MACAddresses {
		if m.IsZero() {
			s.fault(index("spec.macAddresses", i), m.String()+" is nobody's address", "")
		}
		add(term{macs: []packet.MAC{packet.MAC(m)}})
	}
	for i, name := range spec.Groups {
		add(s.group(index("spec.groups", i), name))
	}
	return s
}

// named reports whether there is a name; ANY is none.
func (s *says) named(path, name string) bool {
	if name == "" || name == api.AnyGroup {
		s.fault(path, strconv.Quote(name)+" is no name", "podSelector: {} stands for all")
		return false
	}
	return true
}

// selectors adds what podSelector, namespaceSelector and namespaces say together.
func (s *says) selectors(own string, spec *api.GroupSpec) {
	if spec.PodSelector == nil && spec.NamespaceSelector == nil && len(spec.Namespaces) == 0 {
		return
	}
	pods := s.selector("spec.podSelector", spec.PodSelector)
	if spec.NamespaceSelector != nil {
		s.members = append(s.members, term{namespaced: true, ofNS: s.selector("spec.namespaceSelector", spec.NamespaceSelector), of: pods})
	}
	for i, name := range spec.Namespaces {
		if s.named(index("spec.namespaces", i), name) {
			s.members = append(s.members, term{namespaced: true, namespace: name, of: pods})
		}
	}
	if spec.NamespaceSelector == nil && len(spec.Namespaces) == 0 {
		s.members = append(s.members, term{namespaced: own != "", namespace: own, of: pods})
	}
}

// selector reads one; nil is any.
func (s *says) selector(path string, l *metav1.LabelSelector) labels.Selector {
	if l == nil {
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(l)
	if err != nil {
		s.fault(path, "is not a selector: "+err.Error(), "")
		return labels.Nothing()
	}
	return parsed
}

// expression adds conditions: those that AND joins are one term.
func (s *says) expression(own string, list []api.GroupExpression) {
	t := term{namespaced: own != "", namespace: own}
	put := func() {
		if len(t.conditions) > 0 {
			s.members = append(s.members, t)
		}
		t = term{namespaced: own != "", namespace: own}
	}
	for i := range list {
		e, path := &list[i], index("spec.expression", i)
		joins, turn := e.ConjunctionOperator != "", i%2 == 1
		switch {
		case joins && (e.MemberType != "" || e.Key != "" || e.Operator != "" || e.Value != ""):
			s.fault(path, "is a condition and a conjunctionOperator", "make the conjunctionOperator an element of its own")
		case joins && !turn:
			s.fault(path, "a condition is wanted here, not a conjunctionOperator", "conditions and conjunctionOperators take turns")
		case turn && !joins:
			s.fault(path, "a conjunctionOperator is wanted here, between two conditions", "{conjunctionOperator: AND} or {conjunctionOperator: OR}")
		case joins && i == len(list)-1:
			s.fault(path, "a condition is missing after the conjunctionOperator", "")
		case joins && e.ConjunctionOperator == api.ConjunctionOr:
			put()
		case !joins:
			if c, good := s.condition(path, e); good {
				t.conditions = append(t.conditions, c)
			}
		}
	}
	put()
}

func (s *says) condition(path string, e *api.GroupExpression) (c condition, good bool) {
	before := len(s.faults)
	switch e.MemberType {
	case api.MemberPod:
		c.subject = ofPod
	case api.MemberPort:
		c.subject = ofPort
	case api.MemberNamespace:
		c.subject = ofNamespace
	case api.MemberSegment:
		c.subject = ofSegment
	default:
		s.fault(path, "the field memberType is missing", "one of Pod, Port, Namespace, Segment")
	}
	value := e.Value
	switch e.Key {
	case api.KeyName:
	case api.KeyTag, api.KeyLabel:
		at := strings.IndexAny(value, "|=")
		if at <= 0 {
			s.fault(path+".value", strconv.Quote(clip(value))+" is not a label and its value", "KEY|VALUE or KEY=VALUE")
			break
		}
		c.key, value = value[:at], value[at+1:]
	default:
		s.fault(path, "the field key is missing", "one of Label, Tag, Name")
	}
	if e.Value == "" {
		s.fault(path, "the field value is missing", "")
	}
	c.values = []string{value}
	switch e.Operator {
	case api.OperatorEquals, "":
	case api.OperatorNotEquals:
		c.negated = true
	case api.OperatorContains:
		c.operator = contains
	case api.OperatorStartsWith:
		c.operator = startsWith
	case api.OperatorEndsWith:
		c.operator = endsWith
	case api.OperatorIn, api.OperatorNotIn:
		c.operator, c.negated = in, e.Operator == api.OperatorNotIn
		c.values = strings.Split(value, ",")
		for i := range c.values {
			c.values[i] = strings.TrimSpace(c.values[i])
		}
	case api.OperatorMatches:
		c.operator = matches
		var err error
		if c.pattern, err = regexp.Compile("^(?:" + value + ")$"); err != nil {
			s.fault(path+".value", strconv.Quote(clip(value))+" is not a regular expression", "as https://github.com/google/re2/wiki/Syntax says")
		}
	}
	return c, len(s.faults) == before
}
