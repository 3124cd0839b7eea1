package api

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of who asks, as opposed to defects of who answers. Others wrap them.
var (
	ErrNotFound = errors.New("not found")     // 404: what was named is not there
	ErrInvalid  = errors.New("invalid query") // 400: the question makes no sense

	ErrConflict  = errors.New("conflict")  // 409: somebody else has changed it meanwhile, or owns it
	ErrForbidden = errors.New("forbidden") // 403: the role does not allow it
	ErrGone      = errors.New("gone")      // 410: it is too long ago to be known
)

// invalid wraps ErrInvalid without saying so in its text, which is a sentence already.
type invalid struct{ error }

func (invalid) Is(target error) bool { return target == ErrInvalid }

// Invalid is an error about a question, which wraps ErrInvalid.
func Invalid(format string, args ...any) error { return invalid{fmt.Errorf(format, args...)} }

// notFound names what is not there.
type notFound struct{ text string }

func (e notFound) Error() string      { return e.text }
func (notFound) Is(target error) bool { return target == ErrNotFound }

// NotFound is the error that there is no such thing, with those that were
// probably meant. It wraps ErrNotFound.
func NotFound(what, name string, known []string) error {
	near := Near(name, known)
	text := fmt.Sprintf("there is no %s %s", what, clip(name))
	switch {
	case len(near) == 1:
		text += "; did you mean " + near[0] + "?"
	case len(near) > 1:
		text += "; did you mean one of " + strings.Join(near, ", ") + "?"
	case len(known) == 0:
		text += ", nor any other"
	}
	return notFound{text}
}

// maxNear is how many names are proposed at most.
const maxNear = 5

// Near returns the names that are most like one that is not among them, best
// first. What people get wrong in names is one place, or they leave out the
// namespace: so two names are alike as far as their beginnings and ends agree, and more
// than half of the name must.
func Near(name string, known []string) []string {
	type candidate struct {
		name    string
		differs int // bytes in which they do not agree
	}
	var list []candidate
	lower := strings.ToLower(name)
	for _, k := range known {
		other := strings.ToLower(k)
		shorter := min(len(lower), len(other))
		begin := 0
		for begin < shorter && lower[begin] == other[begin] {
			begin++
		}
		end := 0
		for end < shorter-begin && lower[len(lower)-1-end] == other[len(other)-1-end] {
			end++
		}
		if alike := begin + end; 2*alike > len(lower) {
			list = append(list, candidate{k, len(lower) + len(other) - 2*alike})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.differs, b.differs), cmp.Compare(a.name, b.name))
	})
	var near []string
	for _, c := range list[:min(len(list), maxNear)] {
		if c.differs > list[0].differs+2 {
			break // much less alike than the best
		}
		near = append(near, c.name)
	}
	return near
}
