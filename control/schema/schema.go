// Package schema describes the kinds of objects to programs and people: as JSON Schema
// (draft 2020-12), and field by field. All of it comes from what the decoder reads by.
package schema

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/internal/shape"
)

// Draft is the version of JSON Schema.
const Draft = "https://json-schema.org/draft/2020-12/schema"

// Kind is a kind of objects.
type Kind struct {
	control.KindInfo
	Description string
	// NotImplemented says why objects are accepted and not put into effect; empty
	// for those that are.
	NotImplemented string
}

// Kinds returns the kinds that this version reads and keeps, in the order of control.Kinds.
func Kinds() (all []Kind) {
	for _, k := range control.Kinds() {
		all = append(all, newKind(k))
	}
	return all
}

// KindNamed finds a kind as control.KindNamed does.
func KindNamed(word string) (k Kind, found bool) {
	info, found := control.KindNamed(word)
	if !found {
		return Kind{}, false
	}
	return newKind(info), true
}

func newKind(k control.KindInfo) Kind {
	return Kind{KindInfo: k, Description: docOf(k.Type, ""), NotImplemented: control.NotImplemented(k.Kind)}
}

// JSON returns the schema of a kind's objects, in every version that is read, with all that it refers to
// under $defs. The caller owns it.
func JSON(kind string) (schema map[string]any, found bool) {
	b := builder{prefix: "#/$defs/", defs: map[string]any{}}
	var versions []any
	for _, k := range slices.Concat(control.Kinds(), control.Imports()) {
		if k.Kind == kind {
			versions = append(versions, b.kind(k))
		}
	}
	switch len(versions) {
	case 0:
		return nil, false
	case 1:
		schema = versions[0].(map[string]any)
	default:
		// The one that is kept comes first; the others are told by their apiVersion.
		schema = map[string]any{"title": kind, "anyOf": versions}
	}
	schema["$schema"] = Draft
	schema["$defs"] = b.defs
	return schema, true
}

// All returns the schema of an object of any kind, in every version that is read, or of a List of them.
func All() map[string]any {
	defs, kinds := Definitions("#/$defs/")
	var choices []any
	for _, name := range kinds {
		choices = append(choices, map[string]any{"$ref": "#/$defs/" + name})
	}
	defs["List"] = map[string]any{
		"type":        "object",
		"description": "Objects one after the other, as kubectl get -o yaml prints them.",
		"properties": map[string]any{
			"apiVersion": map[string]any{"const": "v1"},
			"kind":       map[string]any{"const": "List"},
			"items":      map[string]any{"type": []any{"array", "null"}, "items": map[string]any{"$ref": "#"}},
		},
		"required": []any{"apiVersion", "kind"},
	}
	choices = append(choices, map[string]any{"$ref": "#/$defs/List"})
	return map[string]any{"$schema": Draft, "title": "An object of Sluice", "anyOf": choices, "$defs": defs}
}

// Definitions returns the schemas of all kinds, in every version that is read, and of what they refer to,
// by names that fit an OpenAPI document's components, and the names of the kinds' own. Prefix
// goes before each reference: "#/components/schemas/".
func Definitions(prefix string) (defs map[string]any, kinds []string) {
	b := builder{prefix: prefix, defs: map[string]any{}}
	for _, k := range slices.Concat(control.Kinds(), control.Imports()) {
		name := defName(k.Type)
		b.defs[name] = b.kind(k)
		kinds = append(kinds, name)
	}
	return b.defs, kinds
}

// builder makes schemas, and collects what they refer to.
type builder struct {
	prefix string
	defs   map[string]any
}

// kind makes the schema of a kind's objects.
func (b *builder) kind(k control.KindInfo) map[string]any {
	schema := b.object(k.Type)
	properties := schema["properties"].(map[string]any)
	properties["apiVersion"] = map[string]any{"const": k.APIVersion, "description": docOf(reflect.TypeFor[api.TypeMeta](), "apiVersion")}
	properties["kind"] = map[string]any{"const": k.Kind, "description": docOf(reflect.TypeFor[api.TypeMeta](), "kind")}
	properties["metadata"] = b.metadata(k)
	properties["status"] = b.status(k.Type)
	required, _ := schema["required"].([]any)
	schema["required"] = append([]any{"apiVersion", "kind", "metadata"}, required...)
	schema["title"] = k.Kind
	return schema
}

// metadata needs a name, and no namespace where the kind has none.
func (b *builder) metadata(k control.KindInfo) map[string]any {
	properties := map[string]any{"name": map[string]any{"type": "string", "minLength": 1, "maxLength": 253}}
	if !k.Namespaced() {
		properties["namespace"] = map[string]any{"enum": []any{"", nil}}
	}
	return map[string]any{
		"$ref":       b.ref(reflect.TypeFor[api.ObjectMeta]()),
		"properties": properties, "required": []any{"name"},
	}
}

// status is what a kind's own is, with what Sluice adds; of a kind without one, anything, for it
// is not read.
func (b *builder) status(t reflect.Type) any {
	i := slices.IndexFunc(shape.FieldsOf(t), func(f shape.Field) bool { return f.Name == "status" })
	if i < 0 {
		return map[string]any{"description": docOf(reflect.TypeFor[api.ObjectStatus](), "")}
	}
	schema := b.object(shape.FieldsOf(t)[i].Type)
	properties := schema["properties"].(map[string]any)
	for _, f := range shape.FieldsOf(reflect.TypeFor[api.ObjectStatus]()) {
		if _, own := properties[f.Name]; !own {
			properties[f.Name] = map[string]any{"description": docOf(f.Owner, f.Name)}
		}
	}
	schema["type"] = []any{"object", "null"}
	return schema
}

// object makes the schema of a struct.
func (b *builder) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []any
	for _, f := range shape.FieldsOf(t) {
		properties[f.Name] = b.field(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	describe(schema, docOf(t, ""))
	return schema
}

func describe(schema map[string]any, text string) {
	if text != "" {
		schema["description"] = text
	}
}

// ref returns a reference to a struct's schema, which it makes if it is not there yet.
func (b *builder) ref(t reflect.Type) string {
	name := defName(t)
	if _, found := b.defs[name]; !found {
		b.defs[name] = nil // it may refer to itself
		b.defs[name] = b.object(t)
	}
	return b.prefix + name
}

// defName names a type: sluice.dev.v1.Segment, core.v1.PodSpec, meta.v1.ObjectMeta.
func defName(t reflect.Type) string {
	path := t.PkgPath()
	switch {
	case path == reflect.TypeFor[api.Segment]().PkgPath():
		return api.APIGroup + "." + api.Version + "." + t.Name()
	case strings.HasPrefix(path, "k8s.io/"):
		elements := strings.Split(path, "/")
		return strings.Join(elements[len(elements)-2:], ".") + "." + t.Name()
	}
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}
