package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/sluice-net/sluice/control"
)

// compiled returns the schema of All as a validator.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	return compileSchema(t, All())
}

func compileSchema(t testing.TB, schema map[string]any) *jsonschema.Schema {
	t.Helper()
	// Through text, as an editor gets it.
	data, err := json.Marshal(schema)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("sluice.json", doc))
	s, err := c.Compile("sluice.json")
	require.NoError(t, err)
	return s
}

// documents returns the documents of a YAML text as JSON values, nil where they are empty.
func documents(t testing.TB, text string) (all []any) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			require.EqualError(t, err, "EOF")
			return all
		}
		all = append(all, plain(t, n.Content[0]))
	}
}

// plain makes the JSON value that a tree stands for. The YAML module's own would make times of dates.
func plain(t testing.TB, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.AliasNode:
		return plain(t, n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, child := range n.Content {
			list = append(list, plain(t, child))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(t, n.Content[i+1])
		}
		return m
	}
	if tag := n.ShortTag(); tag == "!!str" || tag == "!!timestamp" {
		return n.Value
	}
	var v any
	require.NoError(t, n.Decode(&v))
	if i, ok := v.(int); ok {
		return json.Number(fmt.Sprint(i))
	}
	return v
}

// corpus are the files of objects that are in the repository.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../../examples/*.yaml", "../testdata/*.yaml", "testdata/*.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			texts[file] = string(data)
		}
	}
	archives, err := filepath.Glob("../testdata/faults/*.txtar")
	require.NoError(t, err)
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(t, err)
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				texts[path+"/"+f.Name] = string(f.Data)
			}
		}
	}
	return texts
}

// TestCorpus: whatever the decoder takes is valid, by the schema of all kinds and by its own kind's.
func TestCorpus(t *testing.T) {
	all := compiled(t)
	ofKind := map[string]*jsonschema.Schema{}
	accepted := 0
	for name, text := range corpus(t) {
		objects, faults := control.Decode("a.yaml", []byte(text), control.Options{})
		if len(faults) > 0 {
			continue
		}
		accepted += len(objects)
		for _, d := range documents(t, text) {
			if d == nil {
				continue
			}
			require.NoError(t, all.Validate(d), name)
			if kind := d.(map[string]any)["kind"].(string); kind != "List" {
				if ofKind[kind] == nil {
					one, found := JSON(kind)
					require.True(t, found)
					ofKind[kind] = compileSchema(t, one)
				}
				require.NoError(t, ofKind[kind].Validate(d), name)
			}
		}
	}
	require.Greater(t, accepted, 60, "objects in the corpus")
}

// TestWhatIsKeptIsValid: an object as it is kept, and so as the API gives it, is valid.
func TestWhatIsKeptIsValid(t *testing.T) {
	all := compiled(t)
	for name, text := range corpus(t) {
		objects, _ := control.Decode("a.yaml", []byte(text), control.Options{})
		for _, o := range objects {
			data, err := json.Marshal(o.Value)
			require.NoError(t, err)
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
			require.NoError(t, err)
			require.NoError(t, all.Validate(v), "%s: %s", name, o.Key())
		}
	}
}

// change is one that makes a document wrong in its structure.
type change struct {
	why  string
	make func(m map[string]any, f Field) (done bool)
}

var changes = []change{
	{"another type", func(m map[string]any, f Field) bool {
		if f.Type == "anything" {
			return false
		}
		switch m[f.Name].(type) {
		case nil:
			return false
		case map[string]any, bool:
			m[f.Name] = "text"
		case []any:
			m[f.Name] = map[string]any{}
		default:
			if f.Type == "IntOrString" || f.Type == "Quantity" {
				m[f.Name] = []any{}
			} else {
				m[f.Name] = true
			}
		}
		return true
	}},
	{"a value that is not one of those", func(m map[string]any, f Field) bool {
		if _, ok := m[f.Name].(string); !ok || f.Enum == nil {
			return false
		}
		m[f.Name] = "of another kind"
		return true
	}},
	{"too small", func(m map[string]any, f Field) bool {
		if f.Minimum == nil || m[f.Name] == nil {
			return false
		}
		m[f.Name] = json.Number(fmt.Sprint(*f.Minimum - 1))
		return true
	}},
	{"too large", func(m map[string]any, f Field) bool {
		if f.Maximum == nil || m[f.Name] == nil || strings.HasPrefix(f.Type, "[]") {
			return false
		}
		m[f.Name] = json.Number(fmt.Sprint(*f.Maximum + 1))
		return true
	}},
	{"missing", func(m map[string]any, f Field) bool {
		if !f.Required || m[f.Name] == nil {
			return false
		}
		delete(m, f.Name)
		return true
	}},
	{"null where a value is needed", func(m map[string]any, f Field) bool {
		if !f.Required || m[f.Name] == nil {
			return false
		}
		m[f.Name] = nil
		return true
	}},
	{"empty where a value is needed", func(m map[string]any, f Field) bool {
		s, isText := m[f.Name].(string)
		list, isList := m[f.Name].([]any)
		switch {
		case f.Required && isText && s != "":
			m[f.Name] = ""
		case f.Required && isList && len(list) > 0:
			m[f.Name] = []any{}
		default:
			return false
		}
		return true
	}},
	{"an unknown field beside", func(m map[string]any, _ Field) bool {
		m["unheardOf"] = true
		return true
	}},
}

// TestWrongStructure: each field of the corpus, made wrong in each way, is refused by the decoder and
// by the schema.
func TestWrongStructure(t *testing.T) {
	all := compiled(t)
	tried := map[string]int{}
	files := []string{"testdata/everything.yaml", "../testdata/kubectl.yaml"}
	if testing.Short() {
		files = files[:1]
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, d := range documents(t, string(data)) {
			items := []any{d}
			if list, ok := d.(map[string]any)["items"]; ok {
				items = list.([]any)
			}
			for _, item := range items {
				object := item.(map[string]any)
				kind, found := KindNamed(object["kind"].(string))
				require.True(t, found)
				require.NoError(t, all.Validate(object))
				visit(object, kind.Root(), "", func(m map[string]any, f Field, path string) {
					if strings.HasPrefix(path, "status") && kind.Group() == "sluice.dev" {
						return // not read
					}
					for _, c := range changes {
						before, had := m[f.Name]
						if c.make(m, f) {
							tried[c.why]++
							why := fmt.Sprintf("%s %s: %s", kind.Kind, path, c.why)
							require.Error(t, all.Validate(object), "the schema takes %s", why)
							text, err := json.Marshal(object)
							require.NoError(t, err)
							_, faults := control.Decode("a.json", text, control.Options{})
							require.NotEmpty(t, faults, "the decoder takes %s", why)
						}
						delete(m, "unheardOf")
						if delete(m, f.Name); had {
							m[f.Name] = before
						}
					}
				})
			}
		}
	}
	for _, c := range changes {
		require.Greater(t, tried[c.why], 5, c.why)
	}
}

// visit calls see for each field that is written in an object, with the mapping that has it.
func visit(m map[string]any, f Field, path string, see func(m map[string]any, f Field, path string)) {
	for _, child := range f.Fields() {
		v, found := m[child.Name]
		if !found {
			continue
		}
		where := strings.TrimPrefix(path+"."+child.Name, ".")
		see(m, child, where)
		each(v, func(inner map[string]any) {
			if strings.HasPrefix(child.Type, "map[") {
				for _, v := range inner {
					each(v, func(inner map[string]any) { visit(inner, child, where, see) })
				}
				return
			}
			visit(inner, child, where, see)
		})
	}
}

// each calls see for the mappings that a value is or lists.
func each(v any, see func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		see(v)
	case []any:
		for _, e := range v {
			each(e, see)
		}
	}
}

// TestEveryFieldIsDescribed: native fields have comments; Kubernetes' are Kubernetes' business.
func TestEveryFieldIsDescribed(t *testing.T) {
	for _, k := range Kinds() {
		require.NotEmpty(t, k.Description, k.Kind)
		if k.Group() != "sluice.dev" {
			continue
		}
		var look func(f Field, path string)
		look = func(f Field, path string) {
			for _, child := range f.Fields() {
				where := path + "." + child.Name
				if child.Name == "metadata" || child.Name == "apiVersion" || child.Name == "kind" || child.Name == "status" {
					continue
				}
				if child.Name != "spec" {
					require.NotEmpty(t, child.Description, where)
				}
				look(child, where)
			}
		}
		look(k.Root(), k.Kind)
	}
}

func TestDefinitions(t *testing.T) {
	defs, kinds := Definitions("#/components/schemas/")
	require.Len(t, kinds, len(control.Kinds())+len(control.Imports()))
	text, err := json.Marshal(defs)
	require.NoError(t, err)
	for name := range defs {
		require.Regexp(t, `^[A-Za-z0-9._-]+$`, name, "OpenAPI's names of components")
	}
	for _, part := range strings.Split(string(text), `"$ref":"`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		name, found := strings.CutPrefix(ref, "#/components/schemas/")
		require.True(t, found, ref)
		require.NotNil(t, defs[name], ref)
	}
	_, found := JSON("Deployment")
	require.False(t, found)
}
