package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
)

// OpenAPI returns the API's description, OpenAPI 3.1 in JSON. It needs no daemon: what it
// says follows from the table of operations and from the Go types of what they
// take and give.
//
// huma makes the document, and does not serve: its router would read bodies as a
// whole before their bounds are known, has no streams of documents, and says what is wrong
// in another form.
func OpenAPI() ([]byte, error) {
	g := newRegistry()
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Sluice", Version: api.ViewVersion,
			Description: "The API of a Sluice daemon. Within " + api.ViewVersion + ", operations and fields may be added, and nothing else changes: clients pass over what they do not know.",
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers: []*huma.Server{
			{URL: "http://sluice", Description: "By a unix socket: " + api.DefaultAPI + ". The host is of no meaning; who asks is known by its user and groups."},
			{URL: "https://{daemon}", Description: "By TLS, if that is configured.", Variables: map[string]*huma.ServerVariable{
				"daemon": {Default: "localhost:8443", Description: "Host and port."},
			}},
		},
		Components: &huma.Components{Schemas: g, SecuritySchemes: map[string]*huma.SecurityScheme{
			"certificate": {Type: "mutualTLS", Description: "A certificate whose organization is " + viewerOrganization + " or " + adminOrganization + "."},
		}},
		Security: []map[string][]string{{"certificate": {}}, {}},
	}
	for _, o := range operations() {
		doc.AddOperation(o.document(g))
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return text, nil
}

func (s *Server) openAPI(w *response, r *request) error {
	text, media := s.json, mediaJSON
	if strings.HasSuffix(r.URL.Path, ".yaml") {
		text, media = s.yaml, mediaYAML
	}
	document, err := text()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(document) // the client is gone: nobody hears of it
	return nil
}

// openAPIYAML is OpenAPI in YAML.
func openAPIYAML() ([]byte, error) {
	text, err := OpenAPI()
	if err != nil {
		return nil, err
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return text, nil
}

// document describes an operation.
func (o *operation) document(g *registry) *huma.Operation {
	d := &huma.Operation{
		Method: o.method, Path: o.path, OperationID: o.id(), Summary: o.summary, Description: "For " + string(o.role) + "s.",
		Responses: map[string]*huma.Response{"200": {Description: "It is done.", Content: o.content(g)}},
	}
	if before, param, found := strings.Cut(o.path, "{"); found {
		d.Parameters = append(d.Parameters, &huma.Param{
			Name: strings.TrimSuffix(param, "}"), In: "path", Required: true, Description: "Of " + before,
			Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: new(float64)},
		})
	}
	for _, a := range o.query {
		d.Parameters = append(d.Parameters, a.document())
	}
	if o.body != nil {
		d.RequestBody = &huma.RequestBody{Required: true, Content: o.accepts(g)}
	}
	failure := map[string]*huma.MediaType{mediaJSON: {Schema: g.Schema(reflect.TypeFor[api.Failure](), true, "")}}
	for _, status := range o.statuses() {
		d.Responses[strconv.Itoa(status)] = &huma.Response{Description: meanings[status] + ".", Content: failure}
	}
	return d
}

// id is a name for code that is generated: getLogLevels.
func (o *operation) id() string {
	id := strings.ToLower(o.method)
	for _, word := range strings.FieldsFunc(strings.TrimPrefix(o.path, "/v1"), func(r rune) bool { return strings.ContainsRune("/{}.", r) }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

// meanings say what the statuses are for.
var meanings = map[int]string{
	http.StatusBadRequest:            "The question makes no sense",
	http.StatusForbidden:             "The role does not allow it",
	http.StatusNotFound:              "What is named is not there",
	http.StatusRequestTimeout:        "The body comes too slowly",
	http.StatusConflict:              "An object belongs to a file, or was changed meanwhile",
	http.StatusGone:                  "The revision is too old to be known",
	http.StatusRequestEntityTooLarge: "The body is too large",
	http.StatusUnprocessableEntity:   "The documents have faults, which are all listed",
	http.StatusInternalServerError:   "A defect of the daemon, or of what is below it",
	http.StatusNotImplemented:        "This daemon does not serve it",
	http.StatusServiceUnavailable:    "There is no room now, or frames do not pass",
}

// statuses are those of an operation's failures.
func (o *operation) statuses() []int {
	all := append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable}, o.fails...)
	if o.body != nil {
		all = append(all, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// content is what an operation answers.
func (o *operation) content(g *registry) map[string]*huma.MediaType {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	switch {
	case o.media == mediaLines:
		return map[string]*huma.MediaType{mediaLines: {Schema: &huma.Schema{
			Description: "A line for each. A Failure is the last.",
			AnyOf:       []*huma.Schema{g.Schema(reflect.TypeOf(o.answer), true, ""), g.Schema(reflect.TypeFor[api.Failure](), true, "")},
		}}}
	case o.media != "":
		return map[string]*huma.MediaType{o.media: text}
	}
	s := &huma.Schema{Type: huma.TypeObject}
	if o.answer != nil {
		s = g.Schema(reflect.TypeOf(o.answer), true, "")
	}
	content := map[string]*huma.MediaType{mediaJSON: {Schema: s}}
	if slices.ContainsFunc(o.query, func(a argument) bool { return slices.Contains(a.words, "yaml") }) {
		content[mediaYAML] = text
	}
	return content
}

// accepts is what an operation's body may be.
func (o *operation) accepts(g *registry) map[string]*huma.MediaType {
	document := &huma.Schema{Ref: schemaPrefix + writtenObject}
	if _, ok := o.body.(map[string]string); ok {
		return map[string]*huma.MediaType{mediaJSON: {Schema: g.Schema(reflect.TypeOf(o.body), true, "")}}
	}
	json := document
	if _, ok := o.body.(documents); !ok {
		json = &huma.Schema{AnyOf: []*huma.Schema{g.Schema(reflect.TypeOf(o.body), true, ""), document}}
	}
	stream := "A stream of documents, each of this form."
	return map[string]*huma.MediaType{
		mediaJSON: {Schema: json},
		mediaYAML: {Schema: &huma.Schema{Description: stream, AllOf: []*huma.Schema{document}}},
		"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Description: "A part for each file, whose filename is what faults call it.",
			Properties: map[string]*huma.Schema{"file": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}
}

// document describes an argument.
func (a *argument) document() *huma.Param {
	p := &huma.Param{Name: a.name, In: "query", Description: a.doc, Required: a.required, Schema: &huma.Schema{Type: huma.TypeString}}
	switch a.form {
	case formFlag:
		p.Schema.Type = huma.TypeBoolean
	case formNumber:
		p.Schema.Type, p.Schema.Minimum = huma.TypeInteger, new(float64)
	case formTexts:
		p.Schema = &huma.Schema{Type: huma.TypeArray, Items: p.Schema}
	case formWord:
		for _, word := range a.words {
			p.Schema.Enum = append(p.Schema.Enum, word)
		}
	}
	return p
}
