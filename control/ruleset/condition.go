package ruleset

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// condition is one of a Group on a property of endpoints, or of their namespaces or segments. What has not the
// property meets none but the negative ones.
type condition struct {
	subject  subject
	key      string // of a label; empty is the name
	operator operator
	values   []string       // one, or for in any number
	pattern  *regexp.Regexp // of matches
	negated  bool           // all but those that meet it
}

type subject uint8

const (
	ofPod  subject = iota // an endpoint that is a Pod's
	ofPort                // any endpoint
	ofNamespace
	ofSegment
)

type operator uint8

const (
	equals operator = iota
	contains
	startsWith
	endsWith
	in
	matches
)

// String returns the same text for equal conditions only.
func (c *condition) String() string {
	b := []byte{'0' + byte(c.subject), '0' + byte(c.operator)}
	if c.negated {
		b = append(b, '!')
	}
	b = strconv.AppendQuote(b, c.key)
	for _, v := range c.values {
		b = strconv.AppendQuote(append(b, ','), v)
	}
	return string(b)
}

// meets reports whether an endpoint meets the condition.
func (c *condition) meets(e *Endpoint) bool {
	if c.subject == ofPod && !e.Pod {
		return false
	}
	name, labels := e.Short, e.Labels
	var of *Surroundings
	switch c.subject {
	case ofNamespace:
		of = e.Namespace
	case ofSegment:
		of = e.Segment
	default:
		if c.key != "" && !e.selectable() {
			return false
		}
		return c.holds(name, labels)
	}
	return of != nil && c.holds(of.Name, of.Labels)
}

func (c *condition) holds(name string, labels map[string]string) bool {
	value, found := name, true
	if c.key != "" {
		value, found = labels[c.key]
	}
	return (found && c.compare(value)) != c.negated
}

func (c *condition) compare(value string) bool {
	switch c.operator {
	case equals, in:
		return slices.Contains(c.values, value)
	case contains:
		return strings.Contains(value, c.values[0])
	case startsWith:
		return strings.HasPrefix(value, c.values[0])
	case endsWith:
		return strings.HasSuffix(value, c.values[0])
	default:
		return c.pattern.MatchString(value)
	}
}
