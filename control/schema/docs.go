package schema

import (
	"reflect"
	"strings"
)

//go:generate go run ./docgen ../../api docs_gen.go

// docOf returns what is known about a type, or about a field of it if one is named.
func docOf(t reflect.Type, field string) string {
	if strings.HasPrefix(t.PkgPath(), "github.com/sluice-net/sluice/") {
		key := t.Name()
		if field != "" {
			key += "." + field
		}
		return nativeDocs[key]
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	// Kubernetes generates these from its comments; the type's own is under "".
	documented, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string })
	if !ok {
		return ""
	}
	return documented.SwaggerDoc()[field]
}
