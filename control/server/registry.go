package server

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/schema"
)

// schemaPrefix is where an OpenAPI document has its schemas.
const schemaPrefix = "#/components/schemas/"

// The names of schemas that are not those of Go types.
const (
	shownObject   = "Object"   // as it is given: with a status
	writtenObject = "Document" // as it is taken
)

// registry has the schemas of an OpenAPI document: those of Go types, by huma, and
// those of the kinds of objects, by control/schema. It is a huma.Registry, for that of huma
// knows neither which words a type's values are nor that fields may be added.
type registry struct {
	schemas map[string]*huma.Schema
	types   map[string]reflect.Type
	kinds   map[string]any
}

func newRegistry() *registry {
	g := &registry{schemas: map[string]*huma.Schema{}, types: map[string]reflect.Type{}}
	var names []string
	g.kinds, names = schema.Definitions(schemaPrefix)
	written := &huma.Schema{Description: "An object of any kind."}
	for _, name := range names {
		written.AnyOf = append(written.AnyOf, &huma.Schema{Ref: schemaPrefix + name})
	}
	g.schemas[writtenObject] = written
	g.schemas[shownObject] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"apiVersion", "kind", "metadata"},
		Description: "An object as it was applied, with metadata.resourceVersion, metadata.creationTimestamp and a status. The values of a Secret are there for admins only.",
		Properties: map[string]*huma.Schema{
			"apiVersion": {Type: huma.TypeString}, "kind": {Type: huma.TypeString},
			"metadata": {Type: huma.TypeObject, Required: []string{"name"}, Properties: map[string]*huma.Schema{
				"name": {Type: huma.TypeString}, "namespace": {Type: huma.TypeString},
				"resourceVersion": {Type: huma.TypeString, Description: "The revision that changed it last."},
			}},
			"spec":   {Description: "As the schema of its kind says."},
			"status": g.Schema(reflect.TypeFor[api.ObjectStatus](), true, ""),
		},
	}
	return g
}

// enumerated is a type of a few words.
type enumerated interface{ Values() []string }

// Schema implements huma.Registry.
func (g *registry) Schema(t reflect.Type, allowRef bool, hint string) *huma.Schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		return &huma.Schema{Ref: schemaPrefix + shownObject}
	}
	if e, ok := reflect.Zero(t).Interface().(enumerated); ok {
		s := &huma.Schema{Type: huma.TypeString}
		for _, word := range e.Values() {
			s.Enum = append(s.Enum, word)
		}
		if t == reflect.TypeFor[api.PoolUsage]() {
			s.Enum = append(s.Enum, string(api.UsagePorts)) // nobody writes it, so it is not among the values
		}
		return s
	}
	if _, isText := reflect.New(t).Interface().(encoding.TextUnmarshaler); isText || t.Kind() != reflect.Struct || t.Name() == "" {
		s := huma.SchemaFromType(g, t)
		s.Nullable = false // nothing is null: what is not there is left away
		if t.Kind() == reflect.Struct {
			s.AdditionalProperties = nil // as below
		}
		return s
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if _, there := g.schemas[name]; !there {
		g.schemas[name], g.types[name] = &huma.Schema{}, t // it may refer to itself
		s := huma.SchemaFromType(g, t)
		s.AdditionalProperties = nil // a newer daemon may have more
		*g.schemas[name] = *s
	}
	if !allowRef {
		return g.schemas[name]
	}
	return &huma.Schema{Ref: schemaPrefix + name}
}

// SchemaFromRef implements huma.Registry.
func (g *registry) SchemaFromRef(ref string) *huma.Schema {
	return g.schemas[strings.TrimPrefix(ref, schemaPrefix)]
}

// TypeFromRef implements huma.Registry.
func (g *registry) TypeFromRef(ref string) reflect.Type {
	return g.types[strings.TrimPrefix(ref, schemaPrefix)]
}

// Map implements huma.Registry.
func (g *registry) Map() map[string]*huma.Schema { return g.schemas }

// RegisterTypeAlias implements huma.Registry. Nobody asks for it.
func (g *registry) RegisterTypeAlias(reflect.Type, reflect.Type) {}

// MarshalJSON implements json.Marshaler.
func (g *registry) MarshalJSON() ([]byte, error) {
	all := maps.Clone(g.kinds)
	for name, s := range g.schemas {
		all[name] = s
	}
	return json.Marshal(all)
}
