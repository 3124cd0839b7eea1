package server

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-net/sluice/api"
)

// argument is a field of a query.
type argument struct {
	name     string
	form     form
	doc      string
	required bool
	words    []string // of formWord: what it may be
}

// form says what an argument looks like.
type form uint8

const (
	formText   form = iota
	formWord        // one of a few
	formFlag        // true or false
	formNumber      // from 0
	formTexts       // may be given several times
)

// maxArgument is how long an argument may be, bytes.
const maxArgument = 4096

// arguments are a query that has been checked.
type arguments struct{ url.Values }

func (a arguments) flag(name string) bool { return a.Get(name) == "true" }

func (a arguments) number(name string) uint64 {
	n, _ := strconv.ParseUint(a.Get(name), 10, 64) // checked
	return n
}

// read checks a query. Of operations that have a parser of their own, that checks
// more; the error names every fault.
func (o *operation) read(u *url.URL) (arguments, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return arguments{}, api.Invalid("the query: %v", err)
	}
	if o.parsed {
		return arguments{q}, nil
	}
	var faults []string
	for _, name := range sortedNames(q) {
		i := slices.IndexFunc(o.query, func(a argument) bool { return a.name == name })
		if i < 0 {
			faults = append(faults, fmt.Sprintf("%s takes %s, not %q", u.Path, o.argumentNames(), clip(name)))
			continue
		}
		if len(q[name]) > 1 && o.query[i].form != formTexts {
			faults = append(faults, fmt.Sprintf("%s is given %d times", name, len(q[name])))
			continue
		}
		for _, v := range q[name] {
			if want := o.query[i].wants(v); want != "" {
				faults = append(faults, fmt.Sprintf("%s %q: want %s", name, clip(v), want))
			}
		}
	}
	for _, a := range o.query {
		if a.required && !q.Has(a.name) {
			faults = append(faults, fmt.Sprintf("%s is missing: %s", a.name, a.doc))
		}
	}
	if len(faults) > 0 {
		return arguments{}, api.Invalid("%s", strings.Join(faults, "\n"))
	}
	return arguments{q}, nil
}

func (o *operation) argumentNames() string {
	if len(o.query) == 0 {
		return "no query"
	}
	var names []string
	for _, a := range o.query {
		names = append(names, a.name)
	}
	return strings.Join(names, ", ")
}

// wants says what a value should be; empty if it is that.
func (a *argument) wants(v string) string {
	switch a.form {
	case formFlag:
		if v != "true" && v != "false" {
			return "true or false"
		}
	case formNumber:
		if _, err := strconv.ParseUint(v, 10, 64); err != nil {
			return "a number from 0"
		}
	case formWord:
		if !slices.Contains(a.words, v) {
			return strings.Join(a.words, " or ")
		}
	default:
		if len(v) > maxArgument || !printable(v) {
			return fmt.Sprintf("at most %d bytes of text without control characters", maxArgument)
		}
	}
	return ""
}

func sortedNames(q url.Values) []string {
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// printable reports whether a terminal that is shown a text does nothing but show it.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
