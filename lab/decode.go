package lab

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/control"
)

// place is where something is written: line and column, from 1.
type place struct{ line, column int }

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

// decoder fills Go values from YAML nodes. Unlike yaml's own Decode it goes on
// after a fault, knows each fault's column, and takes nothing for granted: an
// unknown field, a field given twice, a number where text belongs are faults.
type decoder struct {
	file   string
	lines  []string // of the file
	faults control.Faults
}

// ownForm is implemented by types that can be written in several forms.
type ownForm interface {
	decode(d *decoder, n *yaml.Node, path string)
}

func (d *decoder) fault(n *yaml.Node, path, message, hint string) {
	d.faultAt(placeOf(n), path, message, hint)
}

func (d *decoder) faultAt(at place, path, message, hint string) {
	if path != "" {
		message = path + ": " + message
	}
	d.faults = append(d.faults, control.Fault{File: d.file, Line: at.line, Column: at.column, Message: message, Hint: hint})
}

// value decodes n into v, which can be set. path is for messages.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		d.fault(n, path, "aliases are not read here", "write it out")
		return
	}
	if v.Type() == reflect.TypeFor[*yaml.Node]() {
		v.Set(reflect.ValueOf(n))
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
		return
	}
	switch form := v.Addr().Interface().(type) {
	case ownForm:
		form.decode(d, n, path)
		return
	case encoding.TextUnmarshaler:
		if n.Kind != yaml.ScalarNode {
			d.fault(n, path, "must be one value, not "+describe(n), "")
		} else if err := form.UnmarshalText([]byte(n.Value)); err != nil || n.Value == "" {
			d.fault(n, path, strconv.Quote(n.Value)+" is not "+formName(v.Type()), "")
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func formName(t reflect.Type) string {
	switch t.Name() {
	case "Addr":
		return "an IP address"
	case "Prefix":
		return "an address with a prefix length, such as 192.0.2.1/24"
	case "MAC":
		return "a MAC address such as 0a:58:0a:f4:01:0a"
	}
	return "a " + t.Name()
}

// into decodes a mapping into what v points to, a structure.
func (d *decoder) into(n *yaml.Node, v any, path string) {
	d.structure(n, reflect.ValueOf(v).Elem(), path)
}

// structure decodes a mapping with known fields.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping, not "+describe(n), "")
		return
	}
	known := map[string]structField{}
	for _, f := range fieldsOf(v) {
		known[f.name] = f
		if f.name == "-" && f.value.Type() == reflect.TypeFor[place]() {
			f.value.Set(reflect.ValueOf(placeOf(n)))
		}
	}
	delete(known, "-")
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, found := known[key.Value]
		switch {
		case seen[key.Value]:
			d.fault(key, path, "the field "+key.Value+" is given twice", "")
		case !found || key.Kind != yaml.ScalarNode:
			d.fault(key, path, "unknown field "+strconv.Quote(key.Value), "known: "+strings.Join(sortedNames(known), ", "))
		case isNull(value):
			// as if it were not written
		default:
			d.value(value, f.value, under(path, key.Value))
			d.bounds(value, f, under(path, key.Value))
		}
		seen[key.Value] = true
	}
	for _, name := range sortedNames(known) {
		if known[name].tag.Get("required") == "true" && !seen[name] {
			d.fault(n, path, "the field "+name+" is missing", "")
		}
	}
}

type structField struct {
	name  string
	tag   reflect.StructTag
	value reflect.Value
}

// fieldsOf lists a structure's fields, those of inlined ones included.
func fieldsOf(v reflect.Value) (fields []structField) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			fields = append(fields, fieldsOf(v.Field(i))...)
		case name != "":
			fields = append(fields, structField{name, f.Tag, v.Field(i)})
		}
	}
	return fields
}

func sortedNames[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// bounds checks the tags min, max and oneof.
func (d *decoder) bounds(n *yaml.Node, f structField, path string) {
	if f.value.CanInt() && n.Kind == yaml.ScalarNode {
		low, errLow := strconv.ParseInt(f.tag.Get("min"), 10, 64)
		high, errHigh := strconv.ParseInt(f.tag.Get("max"), 10, 64)
		if v := f.value.Int(); errLow == nil && errHigh == nil && (v < low || v > high) {
			d.fault(n, path, fmt.Sprintf("%s is not between %d and %d", n.Value, low, high), "")
		}
	}
	if words := strings.Fields(f.tag.Get("oneof")); len(words) > 0 && !slices.Contains(words, f.value.String()) {
		d.fault(n, path, strconv.Quote(f.value.String())+" is not one of "+strings.Join(words, ", "), "")
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list, not "+describe(n), `each element starts with "- "`)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping, not "+describe(n), "")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := reflect.ValueOf(n.Content[i].Value)
		if v.MapIndex(key).IsValid() {
			d.fault(n.Content[i], path, "the field "+n.Content[i].Value+" is given twice", "")
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], item, under(path, n.Content[i].Value))
		v.SetMapIndex(key, item)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "must be one value, not "+describe(n), "")
		return
	}
	switch v.Kind() {
	case reflect.String:
		// A map's values may look like numbers: sysctls do.
		v.SetString(n.Value)
	case reflect.Int:
		number, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || n.ShortTag() != "!!int" {
			d.fault(n, path, "must be a whole number, not "+describe(n), "")
			return
		}
		v.SetInt(number)
	case reflect.Bool:
		if n.ShortTag() != "!!bool" {
			d.fault(n, path, "must be true or false, not "+describe(n), "")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	default:
		d.fault(n, path, "can't be given in a file", "")
	}
}

func under(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is, for "must be …, not …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if isNull(n) {
		return "nothing"
	}
	return strconv.Quote(shorten(n.Value, 40))
}

// shorten keeps a text to one readable line.
func shorten(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
