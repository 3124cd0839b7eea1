package control

import (
	"reflect"
	"sync"

	"github.com/sluice-net/sluice/control/internal/shape"
)

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
			for _, f := range shape.FieldsOf(t) {
				names[f.Name] = true
				visit(f.Type)
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
