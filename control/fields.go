package control

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// field is a field of a Go struct as YAML sees it.
type field struct {
	name     string
	typ      reflect.Type
	required bool
	network  bool // form:"network"
	min, max *int64
}

// fieldsOf lists the fields of struct type t, those of embedded structs
// included, as encoding/json would.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inline := f.Anonymous && name == "" || strings.Contains(options, "inline")
		switch {
		case name == "-":
		case inline && f.Type.Kind() == reflect.Struct:
			fields = append(fields, fieldsOf(f.Type)...)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			fields = append(fields, field{
				name: name, typ: f.Type,
				required: f.Tag.Get("required") == "true",
				network:  f.Tag.Get("form") == "network",
				min:      bound(f.Tag.Get("min")), max: bound(f.Tag.Get("max")),
			})
		}
	}
	return fields
}

func bound(tag string) *int64 {
	if n, err := strconv.ParseInt(tag, 10, 64); err == nil {
		return &n
	}
	return nil
}

// isFieldName reports whether some kind has a field of that name, at whatever
// depth.
func isFieldName(name string) bool { return fieldNames()[name] }

var fieldNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Array:
			visit(t.Elem())
		case reflect.Struct:
			if seen[t] {
				return
			}
			seen[t] = true
			for _, f := range fieldsOf(t) {
				names[f.name] = true
				visit(f.typ)
			}
		}
	}
	for _, k := range kinds {
		if k.Type != nil {
			visit(k.Type)
		}
	}
	return names
})
