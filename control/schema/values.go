package schema

import (
	"net/netip"
	"reflect"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/internal/shape"
)

// field makes the schema of a field. Null is "not given" wherever a field need not be.
func (b *builder) field(f shape.Field) map[string]any {
	schema := b.value(f)
	if !f.Required {
		schema = orNull(schema)
	}
	if f.Name != "" {
		describe(schema, docOf(f.Owner, f.Name))
	}
	if f.Default != "" {
		schema["default"] = defaultOf(f)
	}
	return schema
}

func orNull(schema map[string]any) map[string]any {
	if ref, found := schema["$ref"]; found {
		return map[string]any{"anyOf": []any{map[string]any{"$ref": ref}, map[string]any{"type": "null"}}}
	}
	if enum, found := schema["enum"].([]any); found {
		schema["enum"] = append(enum, nil)
	}
	switch t := schema["type"].(type) {
	case string:
		schema["type"] = []any{t, "null"}
	case []any:
		schema["type"] = append(t, "null")
	}
	return schema
}

func (b *builder) value(f shape.Field) map[string]any {
	form, t := shape.FormOf(f.Type)
	switch form {
	case shape.Object:
		return map[string]any{"$ref": b.ref(t)}
	case shape.Map:
		return map[string]any{"type": "object", "additionalProperties": b.field(f.Value())}
	case shape.List:
		schema := map[string]any{"type": "array", "items": b.field(f.Element())}
		if f.Required {
			schema["minItems"] = 1
		}
		if f.Max != nil {
			schema["maxItems"] = *f.Max
		}
		return schema
	case shape.Text:
		return textSchema(t)
	case shape.JSON:
		return jsonSchema(t)
	case shape.Bytes:
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case shape.String:
		return stringSchema(f)
	case shape.Boolean:
		return map[string]any{"type": "boolean"}
	case shape.Integer:
		low, high := f.Range()
		return map[string]any{"type": "integer", "minimum": low, "maximum": high}
	case shape.Number:
		schema := map[string]any{"type": "number"}
		if f.Min != nil {
			schema["minimum"] = *f.Min
		}
		if f.Max != nil {
			schema["maximum"] = *f.Max
		}
		return schema
	}
	return map[string]any{}
}

func stringSchema(f shape.Field) map[string]any {
	schema := map[string]any{"type": "string"}
	if f.Enum != nil {
		var values []any
		for _, v := range f.Enum {
			values = append(values, v)
		}
		if f.EmptyToo {
			values = append(values, "")
		}
		schema["enum"] = values
	} else if f.Required && !f.EmptyToo {
		schema["minLength"] = 1
	}
	return schema
}

// textSchema is that of a type which reads itself from a string. The pattern lets whatever
// is right pass, and most of what is not fail.
func textSchema(t reflect.Type) map[string]any {
	schema := map[string]any{"type": "string"}
	switch t {
	case reflect.TypeFor[netip.Addr]():
		schema["pattern"] = `^[0-9A-Fa-f.:]+$`
		schema["anyOf"] = []any{map[string]any{"format": "ipv4"}, map[string]any{"format": "ipv6"}}
	case reflect.TypeFor[netip.Prefix]():
		schema["pattern"] = `^[0-9A-Fa-f.:]+/[0-9]+$`
	case reflect.TypeFor[api.Network]():
		schema["pattern"] = `^[0-9A-Fa-f.:]+(/[0-9]+)?$`
	case reflect.TypeFor[api.MAC]():
		schema["pattern"] = `^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$|^[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}$`
	}
	return schema
}

// jsonSchema is that of a type of Kubernetes' which reads itself from JSON.
func jsonSchema(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[metav1.Duration]():
		return map[string]any{"type": "string"}
	case reflect.TypeFor[resource.Quantity]():
		return map[string]any{"type": []any{"string", "number"}}
	case reflect.TypeFor[intstr.IntOrString]():
		return map[string]any{"type": []any{"integer", "string"}, "x-kubernetes-int-or-string": true}
	}
	return map[string]any{}
}

// defaultOf returns a default as the JSON that a document would have.
func defaultOf(f shape.Field) any {
	form, _ := shape.FormOf(f.Type)
	switch form {
	case shape.Integer:
		if n, err := strconv.ParseInt(f.Default, 10, 64); err == nil {
			return n
		}
	case shape.Number:
		if x, err := strconv.ParseFloat(f.Default, 64); err == nil {
			return x
		}
	case shape.Boolean:
		return f.Default == "true"
	}
	return f.Default
}
