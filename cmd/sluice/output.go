package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// The forms in which results are printed.
const (
	formTable    = "table"
	formWide     = "wide"
	formJSON     = "json"
	formYAML     = "yaml"
	formName     = "name"
	formJSONPath = "jsonpath"
	formColumns  = "custom-columns"
)

// output is what the flag -o says.
type output struct {
	form     string
	template string // of jsonpath and custom-columns
}

// parseOutput reads a flag -o that may be one of some forms.
func parseOutput(text string, forms ...string) (output, error) {
	form, template, hasTemplate := strings.Cut(text, "=")
	takes := form == formJSONPath || form == formColumns
	switch {
	case !slices.Contains(forms, form) || hasTemplate && !takes:
		forms = slices.Clone(forms)
		for i, f := range forms {
			if f == formJSONPath || f == formColumns {
				forms[i] = f + "=…"
			}
		}
		last := len(forms) - 1
		return output{}, withStatus(exitUsage, fmt.Errorf("-o %s: want %s or %s", text, strings.Join(forms[:last], ", "), forms[last]))
	case takes && template == "" && form == formJSONPath:
		return output{}, withStatus(exitUsage, fmt.Errorf("-o %s: what of the objects? For example -o jsonpath='{.items[*].metadata.name}'", text))
	case takes && template == "":
		return output{}, withStatus(exitUsage, fmt.Errorf("-o %s: which columns? For example -o custom-columns=NAME:.metadata.name,MTU:.spec.mtu", text))
	}
	o := output{form, template}
	var err error
	switch form {
	case formJSONPath:
		_, err = parsePath(template)
	case formColumns:
		_, err = o.columns()
	}
	return o, withStatus(exitUsage, err)
}

// isTable reports whether rows are printed, not the objects themselves.
func (o output) isTable() bool { return o.form == formTable || o.form == formWide }

// printValue prints an object.
func printValue(w io.Writer, form string, raw []byte) error {
	text, err := inForm(form, raw, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(bytes.TrimRight(text, "\n"), '\n'))
	return err
}

// printAs prints a value of this program.
func printAs(w io.Writer, form string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return printValue(w, form, raw)
}

// inForm makes JSON readable, or YAML of it; prefix begins all lines but the first.
func inForm(form string, raw []byte, prefix string) ([]byte, error) {
	if form == formYAML {
		text, err := yaml.JSONToYAML(raw)
		text = bytes.TrimRight(text, "\n")
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\n"+prefix)), err
	}
	var b bytes.Buffer
	err := json.Indent(&b, raw, prefix, "  ")
	return b.Bytes(), err
}

// itemPrinter prints a list, one item at a time.
type itemPrinter struct {
	w        io.Writer
	form     string
	objects  bool   // it is a List as Kubernetes has it
	revision string // of a List: what it is of

	n int
}

func (p *itemPrinter) print(raw []byte) error {
	between, prefix := ",\n    ", "    "
	if p.form == formYAML {
		between, prefix = "\n- ", "  "
	}
	text, err := inForm(p.form, raw, prefix)
	if err != nil {
		return err
	}
	if p.n++; p.n == 1 {
		between = p.begin() + strings.TrimPrefix(between, ",")
	}
	_, err = p.w.Write(append([]byte(between), text...))
	return err
}

func (p *itemPrinter) begin() string {
	switch {
	case p.form == formYAML && p.objects:
		return "apiVersion: v1\nitems:"
	case p.form == formYAML:
		return "items:"
	case p.objects:
		return "{\n  \"apiVersion\": \"v1\",\n  \"items\": ["
	}
	return "{\n  \"items\": ["
}

func (p *itemPrinter) end() error {
	text := ""
	if p.n == 0 {
		text = p.begin()
	}
	switch {
	case p.form == formYAML && p.n == 0:
		text += " []\n"
	case p.form == formYAML:
		text += "\n"
	case p.n == 0:
		text += "]"
	default:
		text += "\n  ]"
	}
	switch {
	case p.objects && p.form == formYAML:
		text += fmt.Sprintf("kind: List\nmetadata:\n  resourceVersion: %q\n", p.revision)
	case p.objects:
		text += fmt.Sprintf(",\n  \"kind\": \"List\",\n  \"metadata\": {\n    \"resourceVersion\": %q\n  }", p.revision)
	}
	if p.form != formYAML {
		text += "\n}\n"
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// printList prints a list of values of this program.
func printList[T any](w io.Writer, form string, list []T) error {
	p := itemPrinter{w: w, form: form}
	for i := range list {
		raw, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		if err := p.print(raw); err != nil {
			return err
		}
	}
	return p.end()
}

// parsePath reads a template of JSONPath in kubectl's dialect; one expression may go without
// its braces. A template can be executed once.
func parsePath(template string) (*jsonpath.JSONPath, error) {
	if !strings.Contains(template, "{") {
		template = "{." + strings.TrimPrefix(template, ".") + "}"
	}
	p := jsonpath.New("").AllowMissingKeys(true)
	if err := p.Parse(template); err != nil {
		return nil, fmt.Errorf("%s is no template of JSONPath (%w); one is '{.items[*].metadata.name}'", template, err)
	}
	return p, nil
}

// field is a place in objects, by a simple expression of JSONPath.
type field struct{ path *jsonpath.JSONPath }

func parseField(expression string) (field, error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(expression, "{"), "}")
	if inner == "" || strings.ContainsAny(inner, "{}") {
		return field{}, fmt.Errorf("%q is no field; one is .metadata.name", expression)
	}
	path, err := parsePath(inner)
	return field{path}, err
}

// values returns what a decoded object has there.
func (f field) values(v any) (found []any, err error) {
	results, err := f.path.FindResults(v)
	for _, list := range results {
		for _, r := range list {
			if r.IsValid() && r.CanInterface() && r.Interface() != nil {
				found = append(found, r.Interface())
			}
		}
	}
	return found, err
}

// text is what an object has there, for a cell.
func (f field) text(v any) string {
	values, err := f.values(v)
	if err != nil {
		return ""
	}
	return joined(values, func(v any) string {
		switch v.(type) {
		case map[string]any, []any:
			raw, err := json.Marshal(v)
			if err == nil {
				return string(raw)
			}
		}
		return fmt.Sprint(v)
	})
}

// columns are those of custom-columns.
func (o output) columns() ([]column[any], error) {
	var list []column[any]
	for _, part := range strings.Split(o.template, ",") {
		header, expression, found := strings.Cut(part, ":")
		if !found || header == "" {
			return nil, fmt.Errorf("-o custom-columns: %q is no column; one is NAME:.metadata.name", part)
		}
		f, err := parseField(expression)
		if err != nil {
			return nil, fmt.Errorf("-o custom-columns: %w", err)
		}
		list = append(list, column[any]{header, false, func(v *any) string { return f.text(*v) }})
	}
	return list, nil
}

// decoded is JSON as templates take it: whole numbers are int64s.
func decoded(raw []byte) (v any, err error) {
	err = utiljson.Unmarshal(raw, &v)
	return v, err
}
