package bundle

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// redacted stands where something secret was.
const redacted = "(redacted)"

// lastApplied is where kubectl keeps an object as it was given, in an annotation.
const lastApplied = "last-applied-configuration"

// scrubber takes out what is secret, three times over: fields of objects that hold
// secrets; the values that were found there, wherever else they come up; and what
// looks like a secret, in any text. All contents are learned first, then cleaned.
type scrubber struct {
	values   map[string]bool
	replacer *strings.Replacer // of values; nil: to be made
}

func newScrubber() *scrubber { return &scrubber{values: map[string]bool{}} }

// learn remembers the values of the secrets in a content, and returns the content
// as clean takes it: text, or a value as JSON knows it, numbers as they are written.
func (s *scrubber) learn(content any) (any, error) {
	switch v := content.(type) {
	case nil, string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	s.walk(v, func(v any) any { s.remember(v); return v }, func(text string) string { return text })
	return v, nil
}

func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// clean returns a content that was learned as a file without secrets; nil for nil.
func (s *scrubber) clean(content any) []byte {
	switch v := content.(type) {
	case nil:
		return nil
	case string:
		return []byte(s.text(v))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	v := s.walk(content, func(any) any { return redacted }, s.text)
	if err := e.Encode(v); err != nil {
		return []byte("can't be written: " + s.text(err.Error()) + "\n")
	}
	return b.Bytes()
}

// walk changes a decoded value: take is called for what is secret, text for all other
// strings.
func (s *scrubber) walk(v any, take func(any) any, text func(string) string) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		for i := range v {
			v[i] = s.walk(v[i], take, text)
		}
	case map[string]any:
		if kind, _ := v["kind"].(string); kind != "" {
			object(v, kind, take)
		}
		for name, value := range v {
			if secretField(name, v) {
				v[name] = take(value)
			} else {
				v[name] = s.walk(value, take, text)
			}
		}
	}
	return v
}

// object calls take for what is secret in an object for its kind. Of a Secret, what is
// known to be harmless stays, and no more: who mistyped a field wrote a secret into it.
func object(o map[string]any, kind string, take func(any) any) {
	_, stringData := o["stringData"]
	isSecret := stringData || strings.Contains(strings.ToLower(kind), "secret")
	for _, name := range []string{"data", "stringData"} {
		values, isMap := o[name].(map[string]any)
		for key := range values {
			values[key] = take(values[key])
		}
		if !isMap && o[name] != nil {
			o[name] = take(o[name])
		}
	}
	metadata, _ := o["metadata"].(map[string]any)
	delete(metadata, "managedFields")
	annotations, _ := metadata["annotations"].(map[string]any)
	for name, value := range annotations {
		if isSecret || strings.Contains(name, lastApplied) || secretName(name) {
			annotations[name] = take(value)
		}
	}
	if isSecret {
		delete(o, "diff") // of a change
		takeOthers(o, take, "apiVersion", "kind", "type", "immutable", "metadata", "data", "stringData", "status",
			"namespace", "name", "action", "warnings", "file", "line", "column")
		takeOthers(metadata, take, "name", "namespace", "labels", "annotations", "uid", "resourceVersion", "creationTimestamp")
	}
	if spec, isMap := o["spec"].(map[string]any); isMap {
		pod(spec, take)
	}
}

// takeOthers calls take for all fields but some.
func takeOthers(o map[string]any, take func(any) any, but ...string) {
	for name, value := range o {
		if !slices.Contains(but, name) {
			o[name] = take(value)
		}
	}
}

// pod takes out what containers are started with, which is nothing to a switch and
// where secrets are wont to be. Only values with a secret's name are remembered: the
// others are words that may well come up elsewhere.
func pod(spec map[string]any, take func(any) any) {
	for _, field := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[field].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			env, _ := container["env"].([]any)
			for _, e := range env {
				variable, _ := e.(map[string]any)
				if name, _ := variable["name"].(string); secretName(name) {
					variable["value"] = take(variable["value"])
				} else if variable["value"] != nil {
					variable["value"] = redacted
				}
			}
			for _, name := range []string{"args", "command", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"} {
				if container[name] != nil {
					container[name] = redacted
				}
			}
		}
	}
}

// shortest is how long a value must be to be looked for everywhere: shorter ones are
// words as well.
const shortest = 8

// remember remembers a secret, and all that it is made of.
func (s *scrubber) remember(v any) {
	switch v := v.(type) {
	case string:
		if object, err := decode([]byte(v)); err == nil {
			if _, isMap := object.(map[string]any); isMap {
				// kubectl's annotation: not all of it is secret.
				_, _ = s.learn(object) // it was JSON
				return
			}
		}
		s.rememberText(v)
		s.rememberText(base64.StdEncoding.EncodeToString([]byte(v)))
		if decoded, err := base64.StdEncoding.DecodeString(v); err == nil {
			s.rememberText(string(decoded))
		}
	case []any:
		for _, item := range v {
			s.remember(item)
		}
	case map[string]any:
		for _, item := range v {
			s.remember(item)
		}
	}
}

// rememberText remembers a text, and its lines, in the forms in which they may come up.
func (s *scrubber) rememberText(text string) {
	parts := []string{text}
	if strings.ContainsAny(text, "\r\n") {
		parts = append(parts, strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })...)
	}
	for _, part := range parts {
		part = strings.TrimSpace(part)
		quoted := strconv.Quote(part)
		encoded, _ := json.Marshal(part) // a string always can be
		for _, form := range []string{
			part, url.QueryEscape(part), url.PathEscape(part), quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]),
		} {
			if len(form) >= shortest && !s.values[form] {
				s.values[form], s.replacer = true, nil
			}
		}
	}
}

// text returns a text without secrets.
func (s *scrubber) text(text string) string {
	if s.replacer == nil {
		// The longest first: one that is part of another must not spoil that.
		byLength := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
		var pairs []string
		for _, value := range slices.SortedFunc(maps.Keys(s.values), byLength) {
			pairs = append(pairs, value, redacted)
		}
		s.replacer = strings.NewReplacer(pairs...)
	}
	return hideLooks(s.replacer.Replace(text))
}
