package desired

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/aymanbagabas/go-udiff"
	"sigs.k8s.io/yaml"
)

// salt keys the digests that stand for values of Secrets, so that nobody finds out a value
// by trying. It is as old as the process.
type salt [16]byte

// diff returns a unified diff of the object's YAML.
func (c *Change) diff(secret salt) string {
	side := func(e Entry, letter string) (name, text string) {
		if e.Object == nil {
			return "/dev/null", ""
		}
		return letter + "/" + c.Key.String(), yamlOf(e, secret)
	}
	beforeName, before := side(c.Before, "before")
	afterName, after := side(c.After, "after")
	text, err := udiff.ToUnified(beforeName, afterName, before, udiff.Lines(before, after), udiff.DefaultContextLines)
	if err != nil {
		return fmt.Sprintf("# the changes can't be shown: %v\n", err)
	}
	return text
}

// yamlOf returns an object as YAML, without values of Secrets.
func yamlOf(e Entry, secret salt) string {
	text := e.text
	if e.Object.Kind == "Secret" {
		text = redact(text, secret)
	}
	data, err := yaml.JSONToYAML(text)
	if err != nil {
		return fmt.Sprintf("# %v can't be written as YAML: %v\n", e.Object.Key(), err)
	}
	return string(data)
}

// redact puts a digest in the place of each value of a Secret.
func redact(text []byte, secret salt) []byte {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return []byte(`"not shown"`)
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for name, value := range values {
			mac := hmac.New(sha256.New, secret[:])
			fmt.Fprint(mac, value)
			values[name] = fmt.Sprintf("(digest %x)", mac.Sum(nil)[:4])
		}
	}
	redacted, err := json.Marshal(object)
	if err != nil {
		return []byte(`"not shown"`)
	}
	return redacted
}
