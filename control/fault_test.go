package control

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the faults found into testdata")

// TestFaults runs the rows of testdata/faults: a file of objects, then the
// exact faults that decoding, or else compiling it gives.
func TestFaults(t *testing.T) {
	archives, err := filepath.Glob("testdata/faults/*.txtar")
	require.NoError(t, err)
	rows := 0
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(t, err)
		want := map[string]string{}
		out := &txtar.Archive{Comment: archive.Comment}
		for _, f := range archive.Files {
			if name, isFaults := strings.CutSuffix(f.Name, ".faults"); isFaults {
				want[name] = string(f.Data)
			}
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".faults") {
				continue
			}
			rows++
			objects, faults := Decode(f.Name, f.Data, Options{})
			if len(faults) == 0 {
				var m *Model
				m, faults = Compile(Input{Objects: objects})
				require.Equal(t, len(faults) > 0, m == nil, "%s: a model or faults, not both", f.Name)
			}
			got := ""
			if len(faults) > 0 {
				got = faults.Error() + "\n"
			}
			if !*update {
				why, _, _ := bytes.Cut(f.Data, []byte("\n"))
				require.Equal(t, want[f.Name], got, "%s: %s: %s", filepath.Base(path), f.Name, why)
				require.NotEmpty(t, got, "%s: a row without a fault proves nothing", f.Name)
			}
			out.Files = append(out.Files, f, txtar.File{Name: f.Name + ".faults", Data: []byte(got)})
		}
		if *update {
			require.NoError(t, os.WriteFile(path, txtar.Format(out), 0o644))
		}
	}
	require.GreaterOrEqual(t, rows, 75)
}
