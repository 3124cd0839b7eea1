package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds the nesting of a document; no kind needs a tenth of it.
const maxDepth = 200

// jsonReader builds the tree that the YAML parser would build, from JSON.
// YAML's parser is not used for JSON because it refuses tabs between tokens
// and surrogate pairs in strings.
type jsonReader struct {
	data []byte
	dec  *json.Decoder
	// Place of the byte at offset, so that finding the next is a walk forward.
	offset, line, column int
}

// parseJSON reads all values of data, one after the other. The nodes before an
// error are good.
func parseJSON(data []byte) (roots []*yaml.Node, fault *Fault) {
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1, column: 1}
	r.dec.UseNumber()
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) && n == nil && len(bytes.TrimSpace(data[r.dec.InputOffset():])) == 0 {
			return roots, nil
		}
		if err != nil {
			return roots, r.fault(err)
		}
		roots = append(roots, n)
	}
}

// start moves to the next token's first byte and makes its node.
func (r *jsonReader) start() *yaml.Node {
	end := int(r.dec.InputOffset())
	for end < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[end]) >= 0 {
		end++
	}
	r.moveTo(end)
	return &yaml.Node{Line: r.line, Column: r.column}
}

func (r *jsonReader) moveTo(offset int) {
	for ; r.offset < offset; r.offset++ {
		switch b := r.data[r.offset]; {
		case b == '\n':
			r.line++
			r.column = 1
		case b&0xc0 != 0x80: // not inside a UTF-8 sequence
			r.column++
		}
	}
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	n := r.start()
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	n.Kind = yaml.ScalarNode
	switch t := t.(type) {
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if bytes.ContainsAny([]byte(n.Value), ".eE") {
			n.Tag = "!!float"
		}
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.dec.More() {
			// An object's keys and values are tokens in turn, as they are Content.
			child, err := r.value(depth + 1)
			if err != nil {
				return nil, noEOF(err)
			}
			n.Content = append(n.Content, child)
		}
		if _, err := r.dec.Token(); err != nil {
			return nil, noEOF(err)
		}
	}
	return n, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *jsonReader) fault(err error) *Fault {
	offset := int(r.dec.InputOffset())
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		// Offset counts the bytes read, with the offending one.
		offset = max(offset, int(syntax.Offset)-1)
	}
	f := &Fault{Message: "JSON: " + err.Error()}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		offset = len(r.data)
		f.Message = "JSON: the document ends too early"
		f.Hint = "a bracket or a quotation mark is not closed"
	}
	r.moveTo(min(offset, len(r.data)))
	f.Line, f.Column = r.line, r.column
	return f
}
