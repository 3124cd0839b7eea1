// Package shape says what the fields of an object's Go type may hold: the one
// source of the decoder, of the JSON schemas and of explain.
package shape

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Field is a field of a Go struct as documents see it.
type Field struct {
	Name     string
	Type     reflect.Type
	Owner    reflect.Type // the struct that has it, which may be embedded in the one asked about
	Index    []int        // of reflect.Value.FieldByIndex, in the one asked about
	Required bool         // must be given, and be neither null nor empty
	Network  bool         // a prefix has no host bits

	// Min and Max bound a number; Max the length of a list, too. Nil: the type's own.
	Min, Max *int64
	// Default is what a field that is not given means; empty: its type's zero, or what
	// the description says.
	Default string
	// Enum are the values of a string, or of a list's strings; nil: any.
	Enum []string
	// EmptyToo lets a string be empty all the same: one of an enumeration of Kubernetes', where
	// it means "not given", or an element of a list of such, where it may mean anything.
	EmptyToo bool
}

// Element returns what the elements of a list are. Null is none of them: it would be a zero value
// that passed no check.
func (f Field) Element() Field {
	_, list := FormOf(f.Type)
	return Field{
		Type: list.Elem(), Owner: f.Owner, Required: true, Network: f.Network, Enum: f.Enum,
		EmptyToo: f.Enum == nil && !native(f.Owner),
	}
}

// Value returns what the values of a map are.
func (f Field) Value() Field {
	_, mapping := FormOf(f.Type)
	return Field{Type: mapping.Elem(), Owner: f.Owner}
}

// native reports whether a type is this project's own.
func native(t reflect.Type) bool {
	return t != nil && strings.HasPrefix(t.PkgPath(), "github.com/sluice-net/sluice/")
}

// FieldsOf lists the fields of struct type t, those of embedded structs included,
// as encoding/json would.
func FieldsOf(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inline := f.Anonymous && name == "" || strings.Contains(options, "inline")
		switch {
		case name == "-":
		case inline && f.Type.Kind() == reflect.Struct:
			for _, inner := range FieldsOf(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				fields = append(fields, inner)
			}
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			fields = append(fields, newField(t, name, f, i))
		}
	}
	return fields
}

func newField(owner reflect.Type, name string, f reflect.StructField, index int) Field {
	field := Field{
		Name: name, Type: f.Type, Owner: owner, Index: []int{index},
		Required: f.Tag.Get("required") == "true",
		Network:  f.Tag.Get("form") == "network",
		Min:      bound(f.Tag.Get("min")), Max: bound(f.Tag.Get("max")),
		Default: strings.TrimPrefix(f.Tag.Get("default"), "-"),
	}
	kubernetes(&field)
	field.Enum = Enum(f.Type)
	field.EmptyToo = field.Enum != nil && !native(owner) && !field.Required && f.Type.Kind() == reflect.String
	return field
}

func bound(tag string) *int64 {
	if n, err := strconv.ParseInt(tag, 10, 64); err == nil {
		return &n
	}
	return nil
}

// Enum returns the values of a string type, also behind pointers and lists; nil if it may
// be any.
func Enum(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.String {
		return nil
	}
	if enum, ok := reflect.Zero(t).Interface().(interface{ Values() []string }); ok {
		return enum.Values()
	}
	return kubernetesEnums[t]
}

// Range returns the bounds of a field that is an integer: its own, else its type's.
func (f Field) Range() (low, high int64) {
	t := f.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	bits := t.Bits()
	if t.Kind() >= reflect.Uint {
		low, high = 0, math.MaxInt64
		if bits < 64 {
			high = 1<<bits - 1
		}
	} else {
		low, high = -1<<(bits-1), 1<<(bits-1)-1
	}
	if f.Min != nil {
		low = *f.Min
	}
	if f.Max != nil {
		high = *f.Max
	}
	return low, high
}

// Bounds returns the bounds of a field that is any number: its own, else infinite.
func (f Field) Bounds() (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if f.Min != nil {
		low = float64(*f.Min)
	}
	if f.Max != nil {
		high = float64(*f.Max)
	}
	return low, high
}

// Form is how a type is written in a document.
type Form uint8

// The forms.
const (
	Object  Form = iota // a struct: a mapping with known keys
	Map                 // a mapping with any keys
	List                // a list
	Text                // a string that the type reads itself
	JSON                // a value that the type reads itself
	Bytes               // a string in base64
	String              // a string
	Boolean             // true or false
	Integer             // a whole number
	Number              // a number
	Any                 // anything
	Neither             // can't be written
)

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// FormOf returns the form of a type and the type without pointers.
func FormOf(t reflect.Type) (Form, reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(jsonUnmarshaler):
		return JSON, t
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return Text, t
	}
	switch t.Kind() {
	case reflect.Struct:
		return Object, t
	case reflect.Map:
		return Map, t
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Bytes, t
		}
		return List, t
	case reflect.Interface:
		return Any, t
	case reflect.String:
		return String, t
	case reflect.Bool:
		return Boolean, t
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Integer, t
	case reflect.Float32, reflect.Float64:
		return Number, t
	}
	return Neither, t
}
