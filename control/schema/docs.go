package schema

import "reflect"

//go:generate go run ./docgen docs_gen.go github.com/sluice-net/sluice/api sigs.k8s.io/network-policy-api/apis/v1alpha1 sigs.k8s.io/network-policy-api/apis/v1alpha2

// docOf returns what is known about a type, or about a field of it if one is named.
func docOf(t reflect.Type, field string) string {
	if docs, found := typeDocs[t.PkgPath()]; found {
		key := t.Name()
		if field != "" {
			key += "." + field
		}
		return docs[key]
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
