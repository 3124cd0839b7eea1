package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/schema"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	output            string
	recursive, schema bool
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [KIND[.FIELD…]]",
		Short: "Say what kinds of objects there are, and what their fields mean",
		Long: `Explain says what an object's fields mean, what they may hold and what they are where
they are not given. Without a kind it lists the kinds. It needs no daemon.

Editors check files by the schema of all kinds: sluice explain --schema > FILE.`,
		Example: `  sluice explain
  sluice explain segment
  sluice explain svc.spec.ports --recursive
  sluice explain segment --schema`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(newScreen(cmd.OutOrStdout()), args)
		},
		ValidArgsFunction: completeExplain,
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", formText, "text or json")
	f.BoolVar(&o.recursive, "recursive", false, "show the fields of fields, too")
	f.BoolVar(&o.schema, "schema", false, "print the JSON Schema (draft 2020-12) of the kind, or of all")
	completeWords(cmd, "output", formText, formJSON)
	return cmd
}

const formText = "text"

func (o *explainOptions) run(out *screen, args []string) error {
	if o.output != formText && o.output != formJSON {
		return withStatus(exitUsage, fmt.Errorf("-o %s: want text or json", o.output))
	}
	if len(args) == 0 {
		if o.schema {
			return printJSON(out.w, schema.All())
		}
		return explainKinds(out.w, o.output)
	}
	kind, path, err := explainPath(args[0])
	if err != nil {
		return withStatus(exitUsage, err)
	}
	if o.schema {
		if len(path) > 0 {
			return withStatus(exitUsage, fmt.Errorf("--schema is of a kind: want %s", kind.Kind))
		}
		s, _ := schema.JSON(kind.Kind)
		return printJSON(out.w, s)
	}
	field, depth, found := kind.Root().Find(path)
	if !found {
		where := strings.Join(append([]string{kind.Kind}, path[:depth]...), ".")
		return withStatus(exitUsage, fmt.Errorf("%s has no field %s: %s", where, path[depth], field.Hint(path[depth])))
	}
	if o.output == formJSON {
		return printJSON(out.w, explained{
			Kind: kind.Kind, APIVersion: kind.APIVersion, Path: strings.Join(path, "."), NotImplemented: kind.NotImplemented,
			explainedField: explainField(field, o.recursive),
		})
	}
	e := explainer{width: min(out.width, maxExplainWidth), recursive: o.recursive}
	if e.width < minExplainWidth {
		e.width = minExplainWidth
	}
	e.page(kind, path, field)
	_, err = io.WriteString(out.w, e.b.String())
	return withStatus(exitFailure, err)
}

// element matches an element's place in a path as faults have it: spec.ports[0].
var element = regexp.MustCompile(`\[[^\]]*\]`)

// explainPath finds the kind that a path begins with, which may have its group:
// ingresses.networking.k8s.io.spec.
func explainPath(text string) (kind schema.Kind, path []string, err error) {
	words := strings.Split(strings.TrimSuffix(element.ReplaceAllString(text, ""), "."), ".")
	for n := len(words); n > 0; n-- {
		if kind, found := schema.KindNamed(strings.Join(words[:n], ".")); found {
			return kind, words[n:], nil
		}
	}
	return schema.Kind{}, nil, fmt.Errorf("no kind %s: %s", words[0], control.KindHint(words[0]))
}

// explained is what -o json prints.
type explained struct {
	Kind           string `json:"kind"`
	APIVersion     string `json:"apiVersion"`
	Path           string `json:"path"`                     // of the field; empty for the object
	NotImplemented string `json:"notImplemented,omitempty"` // why objects of the kind change nothing
	explainedField
}

type explainedField struct {
	Name        string           `json:"name"`
	Type        string           `json:"type"`
	Description string           `json:"description,omitempty"`
	Required    bool             `json:"required,omitempty"`
	Default     string           `json:"default,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Minimum     *int64           `json:"minimum,omitempty"`
	Maximum     *int64           `json:"maximum,omitempty"`
	Fields      []explainedField `json:"fields,omitempty"`
}

// explainField returns a field with those below it; all the way down if recursive.
func explainField(f schema.Field, recursive bool) explainedField {
	e := plainField(f)
	for _, child := range f.Fields() {
		if recursive {
			e.Fields = append(e.Fields, explainField(child, true))
		} else {
			e.Fields = append(e.Fields, plainField(child))
		}
	}
	return e
}

func plainField(f schema.Field) explainedField {
	return explainedField{
		Name: f.Name, Type: f.Type, Description: f.Description, Required: f.Required,
		Default: f.Default, Enum: f.Enum, Minimum: f.Minimum, Maximum: f.Maximum,
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return withStatus(exitFailure, e.Encode(v))
}

// completeExplain proposes kinds, then the fields at the path so far.
func completeExplain(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dot := strings.LastIndexByte(toComplete, '.')
	if dot < 0 {
		var names []string
		for _, k := range schema.Kinds() {
			names = append(names, k.Plural)
		}
		return names, directive
	}
	kind, path, err := explainPath(toComplete[:dot])
	if err != nil {
		return nil, directive
	}
	field, _, found := kind.Root().Find(path)
	if !found {
		return nil, directive
	}
	var names []string
	for _, child := range field.Fields() {
		if strings.HasPrefix(child.Name, toComplete[dot+1:]) {
			names = append(names, toComplete[:dot+1]+child.Name)
		}
	}
	return names, directive
}

// explainedKind is a row of the list of kinds.
type explainedKind struct {
	Name           string   `json:"name"`
	ShortNames     []string `json:"shortNames,omitempty"`
	APIVersion     string   `json:"apiVersion"`
	Namespaced     bool     `json:"namespaced"`
	Kind           string   `json:"kind"`
	NotImplemented string   `json:"notImplemented,omitempty"`
}

func explainKinds(w io.Writer, output string) error {
	var rows []explainedKind
	for _, k := range schema.Kinds() {
		rows = append(rows, explainedKind{k.Plural, k.Short, k.APIVersion, k.Namespaced(), k.Kind, k.NotImplemented})
	}
	if output == formJSON {
		return printJSON(w, map[string]any{"items": rows})
	}
	if len(rows) == 0 {
		return withStatus(exitFailure, errors.New("this version has no kinds"))
	}
	return withStatus(exitFailure, printKinds(w, rows))
}
