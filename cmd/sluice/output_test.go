package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseOutput(t *testing.T) {
	forms := func() []string { return []string{formTable, formName, formJSONPath, formColumns} }
	for _, row := range []struct{ why, text, fault string }{
		{"a form", "name", ""},
		{"a template in kubectl's dialect", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`, ""},
		{"an equals sign in a template", `jsonpath={.items[?(@.kind=="Pod")].metadata.name}`, ""},
		{"a template without its braces", "jsonpath=.metadata.name", ""},
		{"columns", "custom-columns=NAME:.metadata.name,A:{.spec.addresses[*].ip}", ""},

		{"a form that is none", "xml", "-o xml: want table, name, jsonpath=… or custom-columns=…"},
		{"a form that others take", "yaml", "-o yaml: want table"},
		{"a form with a template that takes none", "name=x", "-o name=x: want table"},
		{"no template", "jsonpath", "what of the objects? For example -o jsonpath="},
		{"no columns", "custom-columns=", "which columns? For example"},
		{"a template that does not end", "jsonpath={.items", "is no template of JSONPath (unclosed action)"},
		{"a column without a header", "custom-columns=.metadata.name", `".metadata.name" is no column; one is NAME:.metadata.name`},
		{"a column without a field", "custom-columns=NAME:", `"" is no field`},
		{"a column that is a program", "custom-columns=A:{range .items[*]}{.x}{end}", "is no field"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := parseOutput(row.text, forms()...)
			if row.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, row.fault)
			require.Equal(t, exitUsage, err.(*statusError).status)
		})
	}
}

func TestFields(t *testing.T) {
	v, err := decoded([]byte(`{"metadata":{"name":"a","labels":{"x.y/z":"1"}},"spec":{"mtu":9000,"rate":0.5,"on":true,"list":[{"ip":"::1"},{"ip":"::2"},{}],"nothing":null}}`))
	require.NoError(t, err)
	for _, row := range []struct{ why, path, want string }{
		{"text", ".metadata.name", "a"},
		{"without the first dot", "metadata.name", "a"},
		{"in braces, as kubectl has it, too", "{.metadata.name}", "a"},
		{"whole numbers stay whole", ".spec.mtu", "9000"},
		{"fractions", ".spec.rate", "0.5"},
		{"yes and no", ".spec.on", "true"},
		{"of each that has it", ".spec.list[*].ip", "::1,::2"},
		{"those for which something holds", ".spec.list[?(@.ip=='::2')].ip", "::2"},
		{"whole numbers are compared as such", ".spec[?(@==9000)]", ""},
		{"a key with dots", `.metadata.labels.x\.y/z`, "1"},
		{"parts are JSON", ".metadata.labels", `{"x.y/z":"1"}`},
		{"what is not there is nothing", ".spec.missing.deep", ""},
		{"nor is null", ".spec.nothing", ""},
		{"nor what can't be: a field of a number", ".spec.mtu.x", ""},
	} {
		f, err := parseField(row.path)
		require.NoError(t, err, row.why)
		require.Equal(t, row.want, f.text(v), row.why)
	}
}

// A list printed item by item is what a program reads as one.
func TestItemPrinter(t *testing.T) {
	items := []json.RawMessage{[]byte(`{"a":1}`), []byte(`{"b":[2]}`)}
	for n := range len(items) + 1 {
		for _, objects := range []bool{false, true} {
			printed := func(form string) string {
				var b bytes.Buffer
				p := itemPrinter{w: &b, form: form, objects: objects, revision: "7"}
				for _, raw := range items[:n] {
					require.NoError(t, p.print(raw))
				}
				require.NoError(t, p.end())
				return b.String()
			}
			want := map[string]any{"items": items[:n]}
			if objects {
				want["apiVersion"], want["kind"], want["metadata"] = "v1", "List", map[string]any{"resourceVersion": "7"}
			}
			raw, err := json.MarshalIndent(want, "", "  ")
			require.NoError(t, err)
			require.Equal(t, string(raw)+"\n", printed(formJSON))
			require.YAMLEq(t, string(raw), printed(formYAML))
		}
	}
}
