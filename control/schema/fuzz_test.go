package schema

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
)

// FuzzAccepted: what the decoder takes, the schema takes.
func FuzzAccepted(f *testing.F) {
	for _, file := range []string{"testdata/everything.yaml", "../testdata/kubectl.yaml", "../testdata/walkthrough.yaml"} {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		for _, d := range documents(f, string(data)) {
			text, err := json.Marshal(d)
			require.NoError(f, err)
			f.Add(text)
		}
	}
	all := compiled(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		if _, faults := control.Decode("a.json", data, control.Options{}); len(faults) > 0 {
			return
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err)
		if v != nil {
			require.NoError(t, all.Validate(v), "%s", data)
		}
	})
}

// TestRandomObjects: of random objects of each kind, those that the decoder takes are valid.
func TestRandomObjects(t *testing.T) {
	all := compiled(t)
	accepted := map[string]int{}
	n, enough := 1500, 5
	if testing.Short() {
		n, enough = 300, 0
	}
	for _, k := range Kinds() {
		r := rand.New(rand.NewPCG(1, xxhash.Sum64String(k.Kind))) // another kind more changes nothing of this one
		for range n {
			object := randomFields(r, k.Root(), 0)
			object["apiVersion"], object["kind"] = k.APIVersion, k.Kind
			object["metadata"] = map[string]any{"name": "default"} // as a BaselineAdminNetworkPolicy has to be
			data, err := json.Marshal(object)
			require.NoError(t, err)
			if _, faults := control.Decode("a.json", data, control.Options{}); len(faults) > 0 {
				continue
			}
			accepted[k.Kind]++
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
			require.NoError(t, err)
			require.NoError(t, all.Validate(v), "%s", data)
		}
	}
	for _, k := range Kinds() {
		require.Greater(t, accepted[k.Kind], enough, "of %s; so few prove little: %v", k.Kind, accepted)
	}
}

// randomFields fills some of the fields of an object, mostly with what fits.
func randomFields(r *rand.Rand, f Field, depth int) map[string]any {
	m := map[string]any{}
	for _, child := range f.Fields() {
		if !child.Required && r.IntN(3+2*depth) > 0 {
			continue
		}
		if r.IntN(40) == 0 {
			m[child.Name] = []any{nil, true, 7, "", "text", []any{}, map[string]any{}}[r.IntN(7)]
			continue
		}
		m[child.Name] = randomValue(r, child, child.Type, depth)
	}
	return m
}

func randomValue(r *rand.Rand, f Field, kind string, depth int) any {
	if element, isList := strings.CutPrefix(kind, "[]"); isList {
		list := []any{}
		for range 1 + r.IntN(2) {
			list = append(list, randomValue(r, f, element, depth))
		}
		return list
	}
	if element, isMap := strings.CutPrefix(kind, "map[string]"); isMap {
		return map[string]any{"key": randomValue(r, f, element, depth)}
	}
	pick := func(values ...any) any { return values[r.IntN(len(values))] }
	switch kind {
	case "string":
		if f.Enum != nil {
			return f.Enum[r.IntN(len(f.Enum))]
		}
		return pick("web", "web", "http", "10.0.0.1", "10.0.0.0/8", "/a")
	case "integer":
		if f.Minimum != nil {
			return *f.Minimum + r.Int64N(min(100, *f.Maximum-*f.Minimum)+1)
		}
		return pick(0, 1, 80, 1500)
	case "boolean":
		return pick(true, false)
	case "number":
		return pick(1, 0.5)
	case "base64":
		return pick("", "YQ==")
	case "MAC":
		return pick("02:00:00:00:00:01", "02-00-00-00-00-02")
	case "IP address":
		return pick("10.0.0.1", "fd00::1")
	case "IP prefix":
		return pick("10.0.0.0/8", "fd00::/64")
	case "IntOrString":
		return pick(80, "http")
	case "Time", "MicroTime":
		return pick("2026-11-23T10:00:00Z", nil)
	case "Quantity":
		return pick("1Gi", 2)
	case "anything":
		return pick("a", 1, map[string]any{})
	}
	return randomFields(r, f, depth+1)
}
