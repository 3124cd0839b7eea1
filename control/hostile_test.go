package control

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostileDocuments: whatever a document is made of, reading it takes memory in proportion to
// its size. What takes no memory takes no time that matters either: nothing here loops without
// making something.
func TestHostileDocuments(t *testing.T) {
	size := 1 << 18
	if testing.Short() {
		size = 1 << 14
	}
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	namespace := func(annotations string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations:\n" + annotations
	}
	fields := func(flow string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, managedFields: [{fieldsV1: " + flow + "}]}\n"
	}
	for _, row := range []struct {
		why, text string
		want      string // "" is accepted
	}{
		{"a key of a megabyte", namespace("    ? " + fill("k") + "\n    : v\n"), ""},
		{"an unknown field of that size", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n? " + fill("k") + "\n: v\n", "unknown field"},
		{"a value of that size", namespace("    k: " + fill("v") + "\n"), ""},
		{"a number of that size", fields(fill("9")), ""},
		{"keys without end", namespace(manyLines("    k%d: v\n", size)), ""},
		{"the same key without end", namespace(fill("    k: v\n")), "is there twice"},
		{"deep mappings", fields(strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000)), "nested more than 200 deep"},
		{"deep lists", fields(strings.Repeat("[", 5000) + strings.Repeat("]", 5000)), "nested more than 200 deep"},
		{"deeper than the parser goes", fields(fill("[")), "exceeded max depth"},
		{"mappings of mappings as keys", fields(fill("? ")), "YAML: "},
		{"glued lines without end", fill("kind:Pod\n"), "a space is missing after the colon"},
		{"glued lines under a key", "apiVersion: v1\nkind: Namespace\nmetadata:\n" + fill("  a:b\n"), "a space is missing after the colon"},
		{"tabs without end", "a:\n" + fill("\tb: c\n"), "indented with a tab"},
		{"templates without end", fill("{{ x }}\n"), "{{ of a template"},
		{"documents without end", fill("---\n{}\n"), "the field kind is missing"},
		{"merges without end", "a: &a {b: c}\n" + fill("<<: *a\n"), "the field kind is missing"},
		{"aliases without end", "a: &a [b, b, b, b]\nc: [" + fill("*a, ") + "]\n", "the field kind is missing"},
		{"a List in itself", "&a {apiVersion: v1, kind: List, items: [*a, *a]}\n", "Lists in Lists without end"},
		{
			"objects repeated without end", "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Namespace, metadata: {name: a, annotations: {" +
				manyLines("k%d: v, ", size/2) + "}}}\n" + strings.Repeat("- *a\n", size/10),
			"aliases make the document too large",
		},
		{
			"objects of an unknown kind repeated without end", "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Unknown, " +
				manyLines("k%d: v, ", size/2) + "}\n" + strings.Repeat("- *a\n", size/10),
			"aliases make the document too large",
		},
		{"quotation marks without end", fill(`"" `), "YAML: "},
		{"control characters", fill("\x01"), "is not allowed"},
	} {
		t.Run(row.why, func(t *testing.T) {
			used := allocated(func() {
				objects, faults := Decode("a.yaml", []byte(row.text), Options{})
				if row.want == "" {
					require.NoError(t, faults.Err())
					require.Len(t, objects, 1)
					return
				}
				require.ErrorContains(t, faults.Err(), row.want)
				for _, f := range faults {
					require.Less(t, len(f.Error()), 2000, "a fault is a line to read")
				}
			})
			require.Less(t, used, uint64(2000*size)+64<<20, "bytes allocated")
		})
	}
}

func manyLines(format string, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// allocated returns how many bytes are allocated while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
