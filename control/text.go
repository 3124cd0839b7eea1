package control

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is one YAML document of a file, or a run of them that could not be
// told apart by their "---" lines.
type document struct {
	line  int      // lines of the file before it
	text  string   // as it is in the file
	lines []string // of text, with repairs; nil until something is wrong and they are asked for
	edits []edit

	secret, searched bool // of mayBeSecret
}

// edit is a repair made to a document's text so that the rest of it can be
// checked too: faults after it are shifted back.
type edit struct {
	line   int // from 1, in the document
	column int // from 1, in the original: what stands at or after it moved
	shift  int // characters that were put in
}

// splitDocuments cuts a file at its "---" lines, so that a syntax error ends
// one document and not the file. Comments and directives before a "---" belong
// to the document after it.
func splitDocuments(text string) []*document {
	var docs []*document
	start, line, empty := 0, 0, true // of the document that is being read
	i := 0
	for at := 0; at < len(text); i++ {
		end := at + strings.IndexByte(text[at:], '\n') + 1
		if end == at {
			end = len(text)
		}
		// A byte order mark is there where a file was appended to another.
		content := strings.TrimPrefix(text[at:end], string(byteOrderMark))
		if rest, found := strings.CutPrefix(content, "---"); found && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n")) {
			if !empty {
				docs = append(docs, &document{line: line, text: text[start:at]})
				start, line = end-len(content), i
			}
			empty = false
		}
		if empty {
			t := strings.TrimSpace(content)
			empty = t == "" || t[0] == '#' || t[0] == '%'
		}
		at = end
	}
	return append(docs, &document{line: line, text: text[start:]})
}

// split returns the document's lines, with their ends. Few documents need it.
func (d *document) split() []string {
	if d.lines == nil {
		d.lines = strings.SplitAfter(d.text, "\n")
		if n := len(d.lines); n > 1 && d.lines[n-1] == "" {
			d.lines = d.lines[:n-1]
		}
	}
	return d.lines
}

// parse returns the document's trees. If the text has syntax errors of a kind
// that can be mended, it is, and the faults say so; an error that can't be
// mended ends the document.
func (d *document) parse() ([]*yaml.Node, Faults) {
	var faults Faults
	roots, failure := d.try()
	for range maxRepairs {
		if failure == nil {
			break
		}
		if fault := d.templateFault(); fault != nil {
			return nil, append(faults, *fault)
		}
		before := *failure
		undo := d.snapshot()
		fault := d.repairTabs()
		if fault == nil {
			fault = d.repairColon(failure)
		}
		if fault == nil {
			break
		}
		var again []*yaml.Node
		again, failure = d.try()
		if failure != nil && *failure == before {
			// That was not it: leave the text as it was written.
			d.restore(undo)
			break
		}
		roots, faults = again, append(faults, *fault)
	}
	if failure != nil {
		faults = append(faults, d.syntaxFault(failure))
	} else if fault := d.templateFault(); fault != nil && slices.ContainsFunc(roots, hasMappingKey) {
		return nil, append(faults, *fault)
	}
	return roots, faults
}

// maxRepairs bounds how often a document is parsed again.
const maxRepairs = 50

// syntaxError is what the YAML parser said.
type syntaxError struct {
	line    int // from 1 in the document; 0 if it said none
	message string
}

var yamlErrorLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

func (d *document) try() (roots []*yaml.Node, failure *syntaxError) {
	text := d.text
	if d.lines != nil {
		text = strings.Join(d.lines, "")
	}
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			failure = &syntaxError{message: strings.TrimPrefix(err.Error(), "yaml: ")}
			if m := yamlErrorLine.FindStringSubmatch(err.Error()); m != nil {
				failure.line, _ = strconv.Atoi(m[1])
				failure.message = m[2]
			}
			return roots, failure
		}
		roots = append(roots, &n)
	}
}

func (d *document) snapshot() document {
	return document{lines: slices.Clone(d.split()), edits: d.edits[:len(d.edits):len(d.edits)]}
}

func (d *document) restore(from document) { d.lines, d.edits = from.lines, from.edits }

// repairTabs puts two spaces for each tab that indents a line; YAML allows no
// tab there (YAML 1.2 section 6.1). One fault stands for all of them.
func (d *document) repairTabs() *Fault {
	var first *Fault
	more := 0
	for i, line := range d.split() {
		blank := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		tab := strings.IndexByte(blank, '\t')
		if tab < 0 || strings.TrimSpace(line) == "" {
			continue
		}
		d.lines[i] = strings.ReplaceAll(blank, "\t", "  ") + line[len(blank):]
		d.edits = append(d.edits, edit{line: i + 1, column: len(blank) + 1, shift: strings.Count(blank, "\t")})
		if first == nil {
			first = &Fault{Line: d.line + i + 1, Column: tab + 1, Message: "the line is indented with a tab", Hint: "use spaces"}
		} else {
			more++
		}
	}
	if more > 0 {
		first.Hint += "; it is so on " + strconv.Itoa(more+1) + " lines of this document"
	}
	return first
}

// missingSpace matches a line whose key has its value glued to the colon.
var missingSpace = regexp.MustCompile(`^(\s*(?:- +)*)([A-Za-z][\w./-]*):([^\s:/].*)`)

// missingSpaceFault says where the line, number from 1, lacks a space after
// the colon of a field that exists, or of any key; from is the number of bytes to skip.
func (d *document) missingSpaceFault(line string, number, from int, anyKey bool) *Fault {
	if from > len(line) {
		return nil
	}
	m := missingSpace.FindStringSubmatch(line[from:])
	if m == nil || !anyKey && !isFieldName(m[2]) {
		return nil
	}
	value := clip(m[3])
	if d.mayBeSecret() {
		value = "…" // its values are not for logs
	}
	return &Fault{
		Line:    number,
		Column:  utf8.RuneCountInString(line[:from]+m[1]+m[2]) + 1,
		Message: "a space is missing after the colon",
		Hint:    "write " + strconv.Quote(m[2]+": "+value),
	}
}

// mayBeSecret reports whether a Secret is in the document.
func (d *document) mayBeSecret() bool {
	if !d.searched {
		d.secret, d.searched = slices.ContainsFunc(d.split(), secretLine.MatchString), true
	}
	return d.secret
}

// secretLine matches the line that makes a document a Secret.
var secretLine = regexp.MustCompile(`\bkind"?:\s*["']?Secret\b`)

// clip shortens what a user wrote so that a message stays one readable line.
func clip(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if utf8.RuneCountInString(s) > 40 {
		return string([]rune(s)[:40]) + "…"
	}
	return s
}

// repairColon puts in the missing space nearest before the line at which the
// parser gave up: a value without one runs on into the next lines, so the
// error comes late.
func (d *document) repairColon(e *syntaxError) *Fault {
	// Keys of labels and selectors are anybody's; that they lack a space is certain
	// only where the parser stumbles over a second colon.
	stumbles := strings.Contains(e.message, "mapping values are not allowed")
	for _, anyKey := range []bool{false, true} {
		for i := min(e.line+1, len(d.split())) - 1; i >= 0 && (!anyKey || stumbles); i-- {
			fault := d.missingSpaceFault(d.lines[i], d.line+i+1, 0, anyKey)
			if fault == nil {
				continue
			}
			colon := strings.IndexByte(d.lines[i], ':')
			d.lines[i] = d.lines[i][:colon+1] + " " + d.lines[i][colon+1:]
			d.edits = append(d.edits, edit{line: i + 1, column: fault.Column + 1, shift: 1})
			fault.Column = d.originalColumn(i+1, fault.Column)
			return fault
		}
	}
	return nil
}

// originalColumn undoes the edits of a line for a column of the mended text.
func (d *document) originalColumn(line, column int) int {
	for i := len(d.edits) - 1; i >= 0; i-- {
		if e := d.edits[i]; e.line == line && column >= e.column {
			column = max(e.column, column-e.shift)
		}
	}
	return column
}

// syntaxHints explain what the parser's words mean in practice.
var syntaxHints = []struct{ message, hint string }{
	{"mapping values are not allowed", "the line is indented too far, or a value that contains \": \" needs quotation marks"},
	{"did not find expected key", "the line's indentation fits no line above it"},
	{"did not find expected '-' indicator", "the line's indentation fits no line above it"},
	{"could not find expected ':'", "a key needs a colon and a space after it"},
	{"found unexpected end of stream", "a quotation mark is not closed"},
	{"did not find expected ',' or", "a bracket is not closed"},
	{"cannot start any token", "a value that starts with this character needs quotation marks"},
	{"did not find expected node content", "a bracket is not closed, or a value that starts with a colon or comma needs quotation marks"},
	{"unknown anchor", "define it with & before it is used"},
	{"block sequence entries are not allowed", "a list starts on a line of its own"},
	{"found unknown escape character", "a backslash in double quotation marks starts an escape: use single ones"},
}

// culprit returns the line, from 1, at which the error arises: the parser often
// names the line where the construct began. Up to some line the document's
// beginning has another error or none; from there on it has this one.
func (d *document) culprit(e *syntaxError) int {
	n := sort.Search(len(d.split())-1, func(n int) bool {
		beginning := document{lines: d.lines[:n+1]}
		_, failure := beginning.try()
		return failure != nil && failure.message == e.message
	})
	return n + 1
}

func (d *document) syntaxFault(e *syntaxError) Fault {
	f := Fault{Message: "YAML: " + e.message}
	for _, h := range syntaxHints {
		if strings.Contains(e.message, h.message) {
			f.Hint = h.hint
			break
		}
	}
	line := d.culprit(e)
	text := d.split()[line-1]
	column := utf8.RuneCountInString(text[:len(text)-len(strings.TrimLeft(text, " \t"))]) + 1
	if strings.TrimSpace(text) == "" {
		column = 1
	}
	f.Line, f.Column = d.line+line, d.originalColumn(line, column)
	return f
}

// encodingFault finds what keeps data from being text: YAML and JSON are
// UTF-8 without control characters.
func encodingFault(data []byte) *Fault {
	if f := utf16Fault(data); f != nil {
		return f
	}
	for i := 0; i < len(data); {
		if b := data[i]; b >= 0x20 && b < 0x7f || b == '\n' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		bad := ""
		switch {
		case r == utf8.RuneError && size <= 1:
			bad = "the byte 0x" + strconv.FormatUint(uint64(data[i]), 16) + " is not UTF-8"
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			bad = "the control character U+" + strings.ToUpper(strconv.FormatUint(0x10000|uint64(r), 16)[1:]) + " is not allowed"
		}
		if bad != "" {
			line := bytes.Count(data[:i], []byte("\n"))
			start := bytes.LastIndexByte(data[:i], '\n') + 1
			return &Fault{Line: line + 1, Column: utf8.RuneCount(data[start:i]) + 1, Message: bad, Hint: "the file must be UTF-8 text"}
		}
		i += size
	}
	return nil
}
