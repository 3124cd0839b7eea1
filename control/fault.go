// Package control turns what users write into what the node is to do: it
// decodes and checks objects, and compiles them to a Model.
package control

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is a mistake in what a user wrote: where, what, and how to mend it.
type Fault struct {
	File   string // as it was given, "-" for the standard input; empty if the object came from no file
	Line   int    // from 1; 0 if the fault is the file's as a whole
	Column int    // from 1, in characters; valid iff Line is
	Object string // "Port web/a"; empty if the fault is no object's
	// Message says what is wrong, starting with the field's path where there
	// is one: lower case, no full stop.
	Message string
	Hint    string // what to write instead; may be empty
}

// Error prints the fault on one line:
//
//	web.yaml:7:3: Port web/a: spec.segmnt: unknown field (did you mean segment?)
func (f Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			b.WriteString(":" + strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column))
		}
		b.WriteString(": ")
	}
	if f.Object != "" {
		b.WriteString(f.Object + ": ")
	}
	b.WriteString(f.Message)
	if f.Hint != "" {
		b.WriteString(" (" + f.Hint + ")")
	}
	return b.String()
}

// Faults are all mistakes found, in the order of files, lines and columns. It
// is an error if it is not empty: return Err(), not the slice itself, where an
// error is wanted.
type Faults []Fault

// Error prints a line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns fs as an error, nil if there is no fault.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// sorted puts faults in order and removes repeated ones.
func (fs Faults) sorted() Faults {
	slices.SortFunc(fs, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Object, b.Object),
			cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Hint, b.Hint),
		)
	})
	return slices.Compact(fs)
}
