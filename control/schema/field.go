package schema

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/internal/shape"
)

// Field is a field of an object, or the object itself, as explain shows it.
type Field struct {
	Name        string // of the object itself: its kind
	Type        string // string, integer, []Subnet, map[string]string, Object, …
	Description string
	Required    bool
	Default     string
	Enum        []string
	Minimum     *int64 // of a number
	Maximum     *int64 // of a number, or of the length of a list

	of   reflect.Type // the struct that Fields lists; nil: it has none
	root bool         // the object itself
}

// Root returns a kind as the field that has all others.
func (k Kind) Root() Field {
	return Field{Name: k.Kind, Type: "Object", Description: k.Description, of: k.Type, root: true}
}

// Fields returns the fields below, in the order of the Go type; of a list or mapping, those of its
// elements.
func (f Field) Fields() (all []Field) {
	if f.of == nil {
		return nil
	}
	for _, s := range shape.FieldsOf(f.of) {
		all = append(all, newField(s))
	}
	if !f.root {
		return all
	}
	for i := range all {
		switch all[i].Name {
		case "apiVersion", "kind", "metadata":
			all[i].Required = true
		}
	}
	if !slices.ContainsFunc(all, func(f Field) bool { return f.Name == "status" }) {
		status := reflect.TypeFor[api.ObjectStatus]()
		all = append(all, Field{Name: "status", Type: "ObjectStatus", Description: docOf(status, ""), of: status})
	}
	return all
}

func newField(s shape.Field) Field {
	f := Field{
		Name: s.Name, Type: typeName(s.Type), Description: docOf(s.Owner, s.Name),
		Required: s.Required, Default: s.Default, Enum: s.Enum, of: structOf(s.Type),
	}
	if f.Description == "" && f.of != nil {
		f.Description = docOf(f.of, "")
	}
	switch form, _ := shape.FormOf(s.Type); {
	case form == shape.Integer || form == shape.Number:
		f.Minimum, f.Maximum = s.Min, s.Max
	case form == shape.List:
		f.Maximum = s.Max
	}
	return f
}

// structOf returns the struct that a type consists of, through pointers, lists and mappings; nil
// if it does of none.
func structOf(t reflect.Type) reflect.Type {
	for {
		switch form, inner := shape.FormOf(t); form {
		case shape.Object:
			return inner
		case shape.List, shape.Map:
			t = inner.Elem()
		default:
			return nil
		}
	}
}

// typeName is how explain writes a type.
func typeName(t reflect.Type) string {
	form, t := shape.FormOf(t)
	switch form {
	case shape.Object:
		return t.Name()
	case shape.List:
		return "[]" + typeName(t.Elem())
	case shape.Map:
		return "map[string]" + typeName(t.Elem())
	case shape.Bytes:
		return "base64"
	case shape.String:
		return "string"
	case shape.Boolean:
		return "boolean"
	case shape.Integer:
		return "integer"
	case shape.Number:
		return "number"
	}
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "IP address"
	case reflect.TypeFor[netip.Prefix]():
		return "IP prefix"
	case reflect.TypeFor[api.Network]():
		return "IP address or prefix"
	case reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[any]():
		return "anything"
	}
	return t.Name()
}

// Find returns the field at a path below, and how far the path leads if it does not lead to
// one: the field that has none of the name which comes next.
func (f Field) Find(path []string) (field Field, depth int, found bool) {
	for i, name := range path {
		all := f.Fields()
		j := slices.IndexFunc(all, func(f Field) bool { return f.Name == name })
		if j < 0 {
			return f, i, false
		}
		f = all[j]
	}
	return f, len(path), true
}

// Hint names the field below that was probably meant by a name that none has.
func (f Field) Hint(name string) string {
	var names []string
	for _, field := range f.Fields() {
		names = append(names, field.Name)
	}
	if len(names) == 0 {
		return f.Name + " has no fields"
	}
	if near := control.Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "it has " + strings.Join(names, ", ")
}
