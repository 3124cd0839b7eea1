package control

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// What gets into documents by copying them from web pages, text processors and charts.

// Hints for it.
const (
	templateHint = "a template has to be rendered first, as with helm template CHART | sluice apply -f -"
	quotesHint   = `the quotation marks are typographic: write " or '`
	spacesHint   = "there is a no-break or invisible space (U+00A0, U+200B, U+FEFF): write an ordinary one, or none"
)

// pastedHint says what is odd about a text that a fault is about, "" if nothing is.
func pastedHint(text string) string {
	switch {
	case strings.Contains(text, "{{"):
		return templateHint
	case strings.ContainsAny(text, "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"):
		return quotesHint
	case strings.ContainsAny(text, "\u00a0\u200b\ufeff\u202f"):
		return spacesHint
	}
	return ""
}

// templateLine matches a line that has an action of a Go template where YAML wants
// a key or a value: two braces can begin a mapping with a mapping as its key, but nobody
// writes that.
var templateLine = regexp.MustCompile(`^\s*(?:- +)*(?:[\w./-]+:\s+)?\{\{`)

// templateFault finds the first line of a template that was not rendered, nil if there is none.
func (d *document) templateFault() *Fault {
	if !strings.Contains(d.text, "{{") {
		return nil
	}
	var first *Fault
	more := 0
	for i, line := range d.split() {
		if !templateLine.MatchString(line) {
			continue
		}
		if first == nil {
			before, _, _ := strings.Cut(line, "{{")
			first = &Fault{
				Line: d.line + i + 1, Column: d.originalColumn(i+1, utf8.RuneCountInString(before)+1),
				Message: "the line has {{ of a template", Hint: templateHint,
			}
		} else {
			more++
		}
	}
	if more > 0 {
		first.Hint += "; " + strconv.Itoa(more+1) + " lines of this document have it"
	}
	return first
}

// hasMappingKey reports whether a mapping is the key of one somewhere in a tree, as {{ x }} is to YAML.
func hasMappingKey(n *yaml.Node) bool {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.MappingNode || hasMappingKey(child) {
			return true
		}
	}
	return false
}

// byteOrderMark is what some editors put before UTF-8 text; it is no part of the text.
var byteOrderMark = []byte("\ufeff")

// utf16Fault reports text of two bytes a character, which PowerShell's > writes.
func utf16Fault(data []byte) *Fault {
	if !bytes.HasPrefix(data, []byte("\xff\xfe")) && !bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil
	}
	return &Fault{Line: 1, Column: 1, Message: "the file is UTF-16", Hint: "save it as UTF-8, or iconv -f UTF-16 -t UTF-8 FILE"}
}
