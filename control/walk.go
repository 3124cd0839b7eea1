package control

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/internal/shape"
)

// walker checks a tree of nodes against a Go type, strictly, and fills a value
// of it as encoding/json would. One walker does one object: all its faults
// are collected; what is at fault keeps its zero.
type walker struct {
	doc     *document // nil for JSON
	file    string
	object  string
	faults  Faults
	faulty  []string // paths of the faults
	skipped []Skipped
	source  source
	path    path
	// fields caches shape.FieldsOf.
	fields map[reflect.Type][]shape.Field
	// secret is set for a Secret: its values are not for logs.
	secret bool
	// budget is the number of nodes that may still be visited, in all of the file:
	// aliases can make a small one stand for a huge one.
	budget *budget
	// aliases that are being followed, against ones that contain themselves.
	following map[*yaml.Node]bool
}

// place turns a node's position into the file's.
func (w *walker) place(n *yaml.Node) (line, column int) {
	if w.doc == nil {
		return n.Line, n.Column
	}
	return w.doc.line + n.Line, w.doc.originalColumn(n.Line, n.Column)
}

func (w *walker) fault(n *yaml.Node, message, hint string) {
	if pasted := pastedHint(n.Value); pasted != "" {
		hint = pasted
	}
	f := Fault{File: w.file, Object: w.object, Message: message, Hint: hint}
	f.Line, f.Column = w.place(n)
	at := w.path.String()
	if at != "" {
		f.Message = at + ": " + message
	}
	w.faults = append(w.faults, f)
	w.faulty = append(w.faulty, at)
}

// budget bounds the work on a file.
type budget struct {
	left int // nodes
	told bool
}

// spend takes nodes off the budget, and reports whether they were still there.
func (w *walker) spend(n *yaml.Node, nodes int) bool {
	if w.budget.left -= nodes; w.budget.left >= 0 {
		return true
	}
	if !w.budget.told {
		w.budget.told = true
		w.fault(n, "aliases make the document too large", "write the values out")
	}
	return false
}

// unrelated leaves out faults about fields which have one already, or are in or around such:
// what is wrong with them may follow from it.
func (w *walker) unrelated(faults Faults) Faults {
	if len(w.faulty) == 0 {
		return faults
	}
	return slices.DeleteFunc(faults, func(f Fault) bool {
		path, _, _ := strings.Cut(f.Message, ": ")
		return slices.ContainsFunc(w.faulty, func(bad string) bool {
			return bad != "" && (path == bad || within(path, bad) || within(bad, path))
		})
	})
}

// within reports whether the field at path is in the one at around.
func within(path, around string) bool {
	rest, found := strings.CutPrefix(path, around)
	return found && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// value checks n, which must become what f says, and puts it into v. It reports whether v has
// it; v is as it was where n is null or at fault.
func (w *walker) value(n *yaml.Node, f shape.Field, v reflect.Value) bool {
	if n.Kind == yaml.AliasNode {
		if w.following[n.Alias] {
			w.fault(n, "the alias *"+clip(n.Value)+" contains itself", "")
			return false
		}
		w.following[n.Alias] = true
		defer delete(w.following, n.Alias)
		n = n.Alias
	}
	if !w.spend(n, 1) {
		return false
	}
	if w.path.depth() > maxDepth {
		w.fault(n, fmt.Sprintf("nested more than %d deep", maxDepth), "")
		return false
	}
	line, column := w.place(n)
	w.source.add(w.path.hash, line, column)
	if isNull(n) {
		if f.Required {
			w.fault(n, "a value is needed", "")
		}
		return false
	}
	form, t := shape.FormOf(f.Type)
	f.Type = t
	if v.Kind() == reflect.Pointer {
		inner := reflect.New(t)
		if !w.form(n, f, form, inner.Elem()) {
			return false
		}
		for depth := v.Type(); depth.Elem() != t; depth = depth.Elem() {
			outer := reflect.New(inner.Type())
			outer.Elem().Set(inner)
			inner = outer
		}
		v.Set(inner)
		return true
	}
	return w.form(n, f, form, v)
}

// form is value for a type that is no pointer.
func (w *walker) form(n *yaml.Node, f shape.Field, form shape.Form, v reflect.Value) bool {
	switch form {
	case shape.Object:
		return w.structure(n, v)
	case shape.Map:
		return w.mapping(n, f, v)
	case shape.List:
		return w.list(n, f, v)
	case shape.Text:
		return w.text(n, f, v)
	case shape.JSON:
		return w.unmarshaled(n, v)
	case shape.Bytes:
		return w.bytes(n, v)
	case shape.Any:
		return w.free(n, v)
	default:
		return w.scalar(n, f, form, v)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// entry is one key of a mapping with its value.
type entry struct {
	key   *yaml.Node
	value *yaml.Node
}

// entries lists a mapping's keys, those that "<<" brings in last, and reports
// keys written twice and keys that are not strings.
func (w *walker) entries(n *yaml.Node) []entry {
	var list, merged []entry
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, w.merge(v)...)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			w.fault(k, "a key must be a string, not "+describe(k), "")
			continue
		}
		if earlier, found := first[k.Value]; found {
			line, column := w.place(earlier)
			if w.doc != nil && w.path.depth() == 0 && (k.Value == "apiVersion" || k.Value == "kind") {
				w.fault(k, "a second object begins here", `write a line "---" before it`)
				break // all keys are there twice from here
			}
			w.fault(k, "the key "+clip(k.Value)+" is there twice", "also at "+strconv.Itoa(line)+":"+strconv.Itoa(column))
			continue
		}
		first[k.Value] = k
		list = append(list, entry{k, v})
	}
	for _, e := range merged {
		if _, found := first[e.key.Value]; !found {
			first[e.key.Value] = e.key
			list = append(list, e)
		}
	}
	return list
}

// merge lists what a "<<" key stands for: a mapping, or a list of them of
// which the earlier win.
func (w *walker) merge(n *yaml.Node) (list []entry) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if !w.spend(n, len(n.Content)+1) {
		return nil
	}
	if w.following[n] {
		w.fault(n, "the merge key << contains itself", "write the values out")
		return nil
	}
	w.following[n] = true
	defer delete(w.following, n)
	switch n.Kind {
	case yaml.MappingNode:
		return w.entries(n)
	case yaml.SequenceNode:
		for _, child := range n.Content {
			list = append(list, w.merge(child)...)
		}
		return list
	}
	w.fault(n, "the merge key << needs a mapping", "")
	return nil
}

func (w *walker) structure(n *yaml.Node, v reflect.Value) bool {
	if !w.isMapping(n) {
		return false
	}
	t := v.Type()
	fields, found := w.fields[t]
	if !found {
		fields = shape.FieldsOf(t)
		w.fields[t] = fields
	}
	entries := w.entries(n)
	for _, e := range entries {
		name := e.key.Value
		before := w.path.enterField(name)
		if i := fieldNamed(fields, name); i >= 0 {
			w.value(e.value, fields[i], v.FieldByIndex(fields[i].Index))
		} else {
			w.unknown(e.key, t, fields)
		}
		w.path.leave(before)
	}
	for i := range fields {
		if fields[i].Required && !slices.ContainsFunc(entries, func(e entry) bool { return e.key.Value == fields[i].Name }) {
			w.fault(n, "the field "+fields[i].Name+" is missing", "")
		}
	}
	return true
}

// unknown reports a field that a struct does not have.
func (w *walker) unknown(key *yaml.Node, t reflect.Type, fields []shape.Field) {
	name := key.Value
	if w.path.isStatus() && (w.path.depth() == 1 || slices.Contains(statusFields(), name)) {
		return // What Sluice prints can be given back: it knows the status better.
	}
	hint := otherIngress(t, name)
	if hint == "" {
		hint = didYouMean(name, fieldNamesOf(fields))
	}
	w.fault(key, "unknown field", hint)
}

// statusFields are the fields that Sluice adds to every object's status.
var statusFields = sync.OnceValue(func() []string {
	return fieldNamesOf(shape.FieldsOf(reflect.TypeFor[api.ObjectStatus]()))
})

// cleanKey makes a key fit for a path in a one-line message.
func cleanKey(name string) string {
	if name == "" {
		return `""`
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f {
			return strconv.Quote(clip(name))
		}
	}
	return clip(name)
}

// fieldNamed returns the index of a field, -1 if there is none of the name.
func fieldNamed(fields []shape.Field, name string) int {
	return slices.IndexFunc(fields, func(f shape.Field) bool { return f.Name == name })
}

func fieldNamesOf(fields []shape.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// isMapping reports whether n is a mapping, and else says so. A value glued to
// its colon is the usual cause: "metadata:" with "name:web" below is a string.
func (w *walker) isMapping(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode {
		return true
	}
	if w.doc != nil && n.Kind == yaml.ScalarNode && n.Style == 0 {
		before := len(w.faults)
		from := 0
		if text := w.doc.split()[min(n.Line, len(w.doc.split()))-1]; n.Column > 1 {
			from = byteOffset(text, n.Column-1)
		}
		for i := n.Line; i <= min(len(w.doc.split()), n.Line+maxRepairs); i++ {
			text := w.doc.split()[i-1]
			// Elements of a list may be strings with a colon by right.
			f := w.doc.missingSpaceFault(text, w.doc.line+i, from, !w.path.inList())
			if f == nil || i > n.Line && !strings.Contains(n.Value, strings.TrimSpace(text)) {
				break
			}
			f.Column = w.doc.originalColumn(i, f.Column)
			f.File, f.Object = w.file, w.object
			w.faults = append(w.faults, *f)
			from = 0
		}
		if len(w.faults) > before {
			return false
		}
	}
	w.fault(n, "must be a mapping, not "+w.describe(n), "")
	return false
}

// byteOffset returns where the character of that number, from 0, starts.
func byteOffset(s string, chars int) int {
	for i := range s {
		if chars == 0 {
			return i
		}
		chars--
	}
	return len(s)
}

func (w *walker) mapping(n *yaml.Node, f shape.Field, v reflect.Value) bool {
	if !w.isMapping(n) {
		return false
	}
	entries := w.entries(n)
	element := f.Value()
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, e := range entries {
		before := w.path.enterKey(e.key.Value)
		// Zero where it is null: "label:" without a value is "", as Kubernetes reads it.
		value := reflect.New(element.Type).Elem()
		w.value(e.value, element, value)
		v.SetMapIndex(reflect.ValueOf(e.key.Value).Convert(v.Type().Key()), value)
		w.path.leave(before)
	}
	return true
}

func (w *walker) list(n *yaml.Node, f shape.Field, v reflect.Value) bool {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.MappingNode || n.Kind == yaml.ScalarNode {
			hint = `each element starts with "- "`
		}
		w.fault(n, "must be a list, not "+w.describe(n), hint)
		return false
	}
	if f.Max != nil && int64(len(n.Content)) > *f.Max {
		w.fault(n, fmt.Sprintf("has %d elements, at most %d are allowed", len(n.Content), *f.Max), "")
		return false
	}
	if f.Required && len(n.Content) == 0 {
		w.fault(n, "at least one element is needed", "")
	}
	element := f.Element()
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, child := range n.Content {
		before := w.path.enterIndex(i)
		w.value(child, element, v.Index(i))
		w.path.leave(before)
	}
	return true
}

// free takes anything.
func (w *walker) free(n *yaml.Node, v reflect.Value) bool {
	value := w.plain(n)
	if value == nil {
		return false
	}
	v.Set(reflect.ValueOf(value))
	return true
}

// plain returns anything as encoding/json would, but numbers as they are written; nil where it is
// null or at fault.
func (w *walker) plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		var m map[string]any
		w.mapping(n, shape.Field{Type: reflect.TypeFor[map[string]any]()}, reflect.ValueOf(&m).Elem())
		return m
	case yaml.SequenceNode:
		var list []any
		w.list(n, shape.Field{Type: reflect.TypeFor[[]any]()}, reflect.ValueOf(&list).Elem())
		return list
	default:
		return w.freeScalar(n)
	}
}

// describe is the function of that name, but says nothing of what a Secret holds.
func (w *walker) describe(n *yaml.Node) string {
	text := describe(n)
	if n.Kind != yaml.ScalarNode || !w.secret || !w.path.isIn("data", "stringData") {
		return text
	}
	for _, what := range []string{"the number", "the boolean", "the string"} {
		if strings.HasPrefix(text, what) {
			return "a" + what[len("the"):]
		}
	}
	return text
}

// describe says what a node is, for "must be …, not …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "the alias *" + clip(n.Value)
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return "the boolean " + clip(n.Value)
	default:
		return "the string " + strconv.Quote(clip(n.Value))
	}
}
