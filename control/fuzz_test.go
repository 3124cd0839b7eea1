package control

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// seed adds the files of testdata/faults, and the test's own.
func seed(f *testing.F) {
	archives, err := filepath.Glob("testdata/faults/*.txtar")
	require.NoError(f, err)
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(f, err)
		for _, file := range archive.Files {
			if !strings.HasSuffix(file.Name, ".faults") {
				f.Add(file.Data)
			}
		}
	}
	f.Add([]byte(site))
	f.Add([]byte(podYAML))
	for _, file := range []string{"testdata/kubectl.yaml", "testdata/walkthrough.yaml", "schema/testdata/everything.yaml"} {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		for doc := range strings.SplitSeq(string(data), "\n---\n") {
			f.Add([]byte(doc))
		}
	}
}

// FuzzDecode: no input panics, objects and faults exclude each other, every
// fault is a line with a place within the file, and the text is the same each
// time. An object that is printed as JSON and read again is the same. That accepted objects
// are valid by their schemas is FuzzAccepted's, in control/schema.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"a.yaml", "a.json"} {
			list, faults := Decode(name, data, Options{})
			require.True(t, len(faults) == 0 || list == nil)
			lines := bytes.Split(data, []byte("\n"))
			for _, fault := range faults {
				require.Equal(t, name, fault.File)
				require.GreaterOrEqual(t, fault.Line, 1)
				require.LessOrEqual(t, fault.Line, len(lines))
				require.GreaterOrEqual(t, fault.Column, 1)
				require.LessOrEqual(t, fault.Column, utf8.RuneCount(lines[fault.Line-1])+1)
				require.NotContains(t, fault.Error(), "\n")
				require.NotEmpty(t, fault.Message)
			}
			_, again := Decode(name, data, Options{})
			require.Equal(t, faults, again)
			for _, o := range list {
				_, line, column := o.Position("")
				require.Positive(t, line)
				require.Positive(t, column)
				printed, err := json.Marshal(o.Value)
				require.NoError(t, err)
				again, faults := NewObject(o.Value)
				require.NoError(t, faults.Err(), "%s", printed)
				require.Equal(t, o.Key(), again.Key())
				reprinted, err := json.Marshal(again.Value)
				require.NoError(t, err)
				require.Equal(t, string(printed), string(reprinted))
			}
		}
	})
}

// FuzzCompile: no objects panic it, a model and faults exclude each other, the
// order of the objects does not matter, and the model's own allocations do not
// change it.
func FuzzCompile(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		list, faults := Decode("a.yaml", data, Options{SkipUnknown: true})
		if len(faults) > 0 {
			return
		}
		m, faults := Compile(Input{Objects: list})
		require.Equal(t, len(faults) > 0, m == nil)
		slices.Reverse(list)
		m2, faults2 := Compile(Input{Objects: list})
		require.Equal(t, faults, faults2)
		require.Equal(t, m, m2)
		if m == nil {
			return
		}
		again, faults := Compile(Input{Objects: list, Previous: &m.Allocations})
		require.NoError(t, faults.Err())
		require.Equal(t, m, again)
	})
}
