package lab

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Condition is what a value must be, written as
//
//	5  text  true        equal to it
//	">= 5"  "< 1e6"      compared, also > <= == !=
//	"2..5"               between, both included
//	"~ ^web-[12]$"       matched by the regular expression
//	[a, b]               one of them
type Condition struct {
	text  string                    // for messages
	words []string                  // as written
	tests []func(value string) bool // of the words; one must hold
}

var (
	comparison = regexp.MustCompile(`^(>=|<=|==|!=|>|<) *(.+)$`)
	numberSpan = regexp.MustCompile(`^(-?[0-9.e+]+?)\.\.(-?[0-9.e+]+)$`)
)

func parseCondition(text string) (Condition, error) {
	c := Condition{text: text}
	test := func(f func(string) bool) { c.tests = append(c.tests, f) }
	if m := comparison.FindStringSubmatch(text); m != nil {
		operator, operand := m[1], m[2]
		want, err := strconv.ParseFloat(operand, 64)
		switch {
		case err == nil:
			test(func(v string) bool {
				got, err := strconv.ParseFloat(v, 64)
				return err == nil && compare(operator, got, want)
			})
		case operator == "==" || operator == "!=":
			test(func(v string) bool { return (v == operand) == (operator == "==") })
		default:
			return c, fmt.Errorf("%q is not a number", operand)
		}
		return c, nil
	}
	if m := numberSpan.FindStringSubmatch(text); m != nil {
		low, errLow := strconv.ParseFloat(m[1], 64)
		high, errHigh := strconv.ParseFloat(m[2], 64)
		if errLow == nil && errHigh == nil {
			test(func(v string) bool {
				got, err := strconv.ParseFloat(v, 64)
				return err == nil && low <= got && got <= high
			})
			return c, nil
		}
	}
	if pattern, found := strings.CutPrefix(text, "~"); found {
		re, err := regexp.Compile(strings.TrimSpace(pattern))
		if err != nil {
			return c, err
		}
		test(re.MatchString)
		return c, nil
	}
	test(func(v string) bool {
		if v == text {
			return true
		}
		a, errA := strconv.ParseFloat(v, 64)
		b, errB := strconv.ParseFloat(text, 64)
		return errA == nil && errB == nil && a == b // 1e3 and 1000
	})
	return c, nil
}

func compare(operator string, a, b float64) bool {
	switch operator {
	case ">=":
		return a >= b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case "<":
		return a < b
	case "==":
		return a == b
	default:
		return a != b
	}
}

func (c *Condition) decode(d *decoder, n *yaml.Node, path string) {
	words := stringList(d, n, path)
	for _, w := range words {
		one, err := parseCondition(w)
		if err != nil {
			d.fault(n, path, err.Error(), `a condition is a value, ">= 5", "2..5", "~ REGEXP" or a list of them`)
			continue
		}
		c.tests = append(c.tests, one.tests...)
	}
	c.text, c.words = strings.Join(words, " or "), words
}

// expanded is the condition with the names in it replaced.
func (c *Condition) expanded(expand func(string) string) *Condition {
	e := &Condition{}
	for _, w := range c.words {
		e.words = append(e.words, expand(w))
		if one, err := parseCondition(expand(w)); err == nil {
			e.tests = append(e.tests, one.tests...)
		}
	}
	e.text = strings.Join(e.words, " or ")
	return e
}

// Holds reports whether the value is as wanted.
func (c *Condition) Holds(value string) bool {
	return slices.ContainsFunc(c.tests, func(f func(string) bool) bool { return f(value) })
}

func (c *Condition) String() string { return c.text }

// TextCondition is what a text must be: a string that it contains, a list of
// them, or a mapping of these conditions, which must all hold.
type TextCondition struct {
	Contains []string
	Lacks    []string
	Matches  []string // regular expressions; (?m) is on: ^ and $ are of lines
	Equals   *string  // white space at both ends does not count
	Lines    *Condition
}

func (c *TextCondition) decode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		c.Contains = stringList(d, n, path)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := under(path, key.Value)
		switch key.Value {
		case "contains":
			c.Contains = stringList(d, value, at)
		case "lacks":
			c.Lacks = stringList(d, value, at)
		case "matches":
			c.Matches = stringList(d, value, at)
			for _, pattern := range c.Matches {
				if _, err := regexp.Compile(pattern); err != nil {
					d.fault(value, at, err.Error(), "")
				}
			}
		case "equals":
			if value.Kind != yaml.ScalarNode {
				d.fault(value, at, "must be text, not "+describe(value), "")
				continue
			}
			c.Equals = &value.Value
		case "lines":
			c.Lines = new(Condition)
			c.Lines.decode(d, value, at)
		default:
			d.fault(key, path, "unknown field "+strconv.Quote(key.Value), "known: contains, equals, lacks, lines, matches")
		}
	}
}

// mismatch says what of the condition a text does not fulfil; empty: it does.
// Names in the condition are expanded before.
func (c *TextCondition) mismatch(text string, expand func(string) string) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, s := range c.Contains {
		if want := expand(s); !strings.Contains(text, want) {
			fault("want %q in it", want)
		}
	}
	for _, s := range c.Lacks {
		if want := expand(s); strings.Contains(text, want) {
			fault("want no %q in it", want)
		}
	}
	for _, s := range c.Matches {
		want := expand(s)
		re, err := regexp.Compile("(?m)" + want)
		if err != nil {
			fault("%v", err)
		} else if !re.MatchString(text) {
			fault("want a match of %s", want)
		}
	}
	if c.Equals != nil {
		if want := expand(*c.Equals); strings.TrimSpace(text) != strings.TrimSpace(want) {
			fault("want %q and nothing else", want)
		}
	}
	if c.Lines != nil {
		n := 0
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				n++
			}
		}
		if !c.Lines.Holds(strconv.Itoa(n)) {
			fault("want %s lines, it has %d", c.Lines, n)
		}
	}
	return faults
}

// jsonAt returns the value at a path of a decoded JSON document, as text: fields
// after dots, elements of lists in brackets, [*] for the number of elements,
// [name=web] for the element whose field is that. Objects and lists are JSON.
func jsonAt(document any, path string) (string, error) {
	v := document
	for rest := path; rest != ""; {
		var key string
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return "", fmt.Errorf("%s: a bracket is not closed", path)
			}
			key, rest = rest[1:end], strings.TrimPrefix(rest[end+1:], ".")
			list, ok := v.([]any)
			if !ok {
				return "", fmt.Errorf("%s: [%s] is asked of what is no list", path, key)
			}
			if key == "*" {
				v = float64(len(list))
				continue
			}
			found, err := element(list, key)
			if err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
			v = found
			continue
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		key, rest = rest[:end], strings.TrimPrefix(rest[end:], ".")
		object, ok := v.(map[string]any)
		if !ok {
			return "", fmt.Errorf("%s: the field %s is asked of what is no object", path, key)
		}
		if v, ok = object[key]; !ok {
			return "", fmt.Errorf("%s: there is no field %s, only %s", path, key, strings.Join(sortedNames(object), ", "))
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// element returns a list's element by its number, or by a field of it.
func element(list []any, key string) (any, error) {
	if field, value, found := strings.Cut(key, "="); found {
		for _, item := range list {
			if got, err := jsonAt(item, field); err == nil && got == value {
				return item, nil
			}
		}
		return nil, fmt.Errorf("no element has %s", key)
	}
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(list) {
		return nil, fmt.Errorf("there is no element [%s] of %d", key, len(list))
	}
	return list[i], nil
}
