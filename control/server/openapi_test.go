package server_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
)

// contract checks answers against the OpenAPI document.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex // of the compiler
}

// theContract is the document made stricter: no answer has a field that is not in it.
var theContract = sync.OnceValue(func() *contract {
	text, err := server.OpenAPI()
	if err != nil {
		panic(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		panic(err)
	}
	c := &contract{doc: parsed.(map[string]any), compiler: jsonschema.NewCompiler()}
	for name, s := range at(c.doc, "components", "schemas").(map[string]any) {
		s := s.(map[string]any)
		if s["properties"] != nil && s["additionalProperties"] == nil && name != "Object" && name != "ObjectStatus" && !strings.Contains(name, ".") {
			s["additionalProperties"] = false
		}
	}
	if err := c.compiler.AddResource("openapi.json", c.doc); err != nil {
		panic(err)
	}
	return c
})

// at is what is below a node; nil if it is not there.
func at(node any, path ...string) any {
	for _, name := range path {
		m, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = m[name]
	}
	return node
}

// compile returns the schema at a path of the document.
func (c *contract) compile(path ...string) (*jsonschema.Schema, error) {
	for i := range path {
		path[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(path[i]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compiler.Compile("openapi.json#/" + strings.Join(path, "/"))
}

// checkAnswer fails unless an answer is one that the document has.
func checkAnswer(t testing.TB, method, target string, status int, contentType, body string) {
	t.Helper()
	if method == "HEAD" {
		return
	}
	c := theContract()
	u, err := url.Parse(target)
	require.NoError(t, err)
	path := u.Path
	if rest, found := strings.CutPrefix(path, "/v1/history/"); found && !strings.Contains(rest, "/") {
		path = "/v1/history/{revision}"
	}
	media, _, err := mime.ParseMediaType(contentType)
	require.NoError(t, err, contentType)
	where := []string{"paths", path, strings.ToLower(method), "responses", strconv.Itoa(status), "content", contentType}
	if at(c.doc, where[:3]...) == nil || at(c.doc, where[:5]...) == nil && status == 405 {
		require.Contains(t, []int{403, 404, 405}, status, "%s %s: %s", method, target, body)
		require.Equal(t, "application/json", media)
		where = []string{"components", "schemas", "Failure"}
	} else {
		require.NotNil(t, at(c.doc, where...), "%s %s: %d %s is not in the document: %s", method, path, status, contentType, body)
		where = append(where, "schema")
	}
	s, err := c.compile(where...)
	require.NoError(t, err)
	if strings.HasPrefix(path, "/openapi") && status == 200 {
		return // TestOpenAPI
	}
	texts := []string{body}
	if media == "application/x-ndjson" {
		texts = strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	}
	if media != "application/json" && media != "application/x-ndjson" {
		return // a string
	}
	for _, text := range texts {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err, "%s %s: %s", method, target, text)
		require.NoError(t, s.Validate(v), "%s %s: %s", method, target, text)
	}
	if status >= 400 {
		var f api.Failure
		require.NoError(t, json.Unmarshal([]byte(body), &f))
		require.NotEmpty(t, f.Error)
		require.NotEmpty(t, f.Reason)
	}
}

// The document is one of OpenAPI 3.1: what it must have is there, once, and every reference
// leads to something.
func TestOpenAPI(t *testing.T) {
	text, err := server.OpenAPI()
	require.NoError(t, err)
	again, err := server.OpenAPI()
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "the same each time")
	var doc map[string]any
	require.NoError(t, json.Unmarshal(text, &doc))
	require.Equal(t, "3.1.0", doc["openapi"])
	require.NotEmpty(t, at(doc, "info", "title"))
	require.NotEmpty(t, at(doc, "info", "version"))
	refs := 0
	walk(doc, func(node map[string]any) {
		ref, ok := node["$ref"].(string)
		if !ok {
			return
		}
		refs++
		path, local := strings.CutPrefix(ref, "#/")
		require.True(t, local, ref)
		require.NotNil(t, at(doc, strings.Split(path, "/")...), "%s leads nowhere", ref)
	})
	require.Greater(t, refs, 500)
	for name := range at(doc, "components", "schemas").(map[string]any) {
		require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name)
		_, err := theContract().compile("components", "schemas", name)
		require.NoError(t, err, name)
	}
	ids := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			what := method + " " + path
			require.Contains(t, []string{"get", "post", "patch"}, method, what)
			id, _ := at(op, "operationId").(string)
			require.Regexp(t, `^[a-z]+[A-Z][A-Za-z]+$`, id)
			require.False(t, ids[id], id)
			ids[id] = true
			require.NotEmpty(t, at(op, "summary"), what)
			inPath := 0
			parameters, _ := at(op, "parameters").([]any)
			for _, p := range parameters {
				require.NotEmpty(t, at(p, "name"), what)
				require.NotEmpty(t, at(p, "description"), what)
				require.NotNil(t, at(p, "schema", "type"), what)
				if at(p, "in") == "path" {
					inPath++
					require.Equal(t, true, at(p, "required"))
					require.Contains(t, path, "{"+at(p, "name").(string)+"}")
				}
			}
			require.Equal(t, strings.Count(path, "{"), inPath, what)
			require.NotNil(t, at(op, "responses", "200"), what)
			for status, r := range at(op, "responses").(map[string]any) {
				require.Regexp(t, `^[2-5]\d\d$`, status)
				require.Greater(t, len(at(r, "description").(string)), 1, "%s %s", what, status)
				for media := range at(r, "content").(map[string]any) {
					_, err := theContract().compile("paths", path, method, "responses", status, "content", media, "schema")
					require.NoError(t, err, "%s %s", what, status)
				}
			}
			if body := at(op, "requestBody", "content"); body != nil {
				for media := range body.(map[string]any) {
					_, err := theContract().compile("paths", path, method, "requestBody", "content", media, "schema")
					require.NoError(t, err, what)
				}
			}
		}
	}
	require.Len(t, ids, len(server.Operations()))
}

func walk(node any, visit func(map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(node)
		for _, child := range node {
			walk(child, visit)
		}
	case []any:
		for _, child := range node {
			walk(child, visit)
		}
	}
}

// What the daemon serves is the document, in either form.
func TestOpenAPIIsServed(t *testing.T) {
	path := serving(t, server.Options{})
	want, err := server.OpenAPI()
	require.NoError(t, err)
	_, body := send(t, path, "GET", "/openapi.json", sent{})
	require.Equal(t, string(want), body)
	if testing.Short() {
		return // to read so much YAML takes seconds
	}
	_, body = send(t, path, "GET", "/openapi.yaml", sent{})
	got, err := yaml.YAMLToJSON([]byte(body))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

// Each argument that the document has is taken, and no other one.
func TestArguments(t *testing.T) {
	path := serving(t, server.Options{Objects: &scripted{}})
	all := []string{"none"}
	for _, o := range server.Operations() {
		all = append(all, o.Arguments...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	values := map[string]string{"limit": "1", "from": "1", "to": "1", "lines": "1", "before": "1", "l4Port": "1", "address": "10.0.0.1", "kind": "Port", "format": "json"}
	for _, o := range server.Operations() {
		if o.Path == "/healthz" || o.Path == "/readyz" {
			continue // whatever a probe adds is of no interest
		}
		target := strings.ReplaceAll(o.Path, "{revision}", "1")
		for _, name := range all {
			value := values[name]
			if value == "" {
				value = "true"
			}
			q := url.Values{name: {value}}
			// History wants the whole of an object's name.
			if o.Path == "/v1/history" && (name == "kind" || name == "name" || name == "namespace") {
				q = url.Values{"kind": {"Port"}, "name": {"a"}, name: {value}}
			}
			method := o.Method
			if o.Path == "/v1/watch" {
				method = "HEAD" // the answer has no end
			}
			answer, body := send(t, path, method, target+"?"+q.Encode(), sent{})
			refused := answer.StatusCode == 400 && (strings.Contains(body, fmt.Sprintf("%q", name)) || strings.Contains(body, `\"`+name+`\"`) || strings.Contains(body, "takes no query"))
			if method == "HEAD" {
				refused = answer.StatusCode == 400
			}
			require.Equal(t, slices.Contains(o.Arguments, name), !refused, "%s %s?%s: %s", method, target, q.Encode(), body)
		}
	}
}
