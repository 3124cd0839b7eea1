package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/port/pcap"
)

var update = flag.Bool("update", false, "write what replays give into testdata; read the difference")

// digest is the configuration's; a new field of any object changes it.
var digest = regexp.MustCompile(`"digest": "[0-9a-f]{16,64}"`)

// TestReplays runs the files of testdata/replay. Each holds a command line
// (args), the files it reads, among them NAME.frames for a capture NAME.pcap,
// and all that it gives: stdout, stderr, and the files of the folder result, its
// captures as lines of frametext, each behind the second it was sent in.
func TestReplays(t *testing.T) {
	archives, err := filepath.Glob("testdata/replay/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, path := range archives {
		path, err := filepath.Abs(path)
		require.NoError(t, err)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { replayArchive(t, path) })
	}
}

func replayArchive(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	given := &txtar.Archive{Comment: archive.Comment}
	var args []string
	want := map[string]string{}
	for _, f := range archive.Files {
		name, isFrames := strings.CutSuffix(f.Name, ".frames")
		switch {
		case f.Name == "args":
			args = strings.Fields(string(f.Data))
		case isFrames:
			capture(t, ".", name+".pcap", string(f.Data))
		case strings.HasSuffix(f.Name, ".yaml"):
			write(t, ".", f.Name, string(f.Data))
		default:
			want[f.Name] = string(f.Data)
			continue
		}
		given.Files = append(given.Files, f)
	}
	require.NotEmpty(t, args)

	got := sluice(t, args...)
	results := []txtar.File{
		{Name: "stdout", Data: []byte(got.out)},
		{Name: "stderr", Data: fmt.Appendf(nil, "%sexit status %d\n", got.err, got.status)},
	}
	entries, err := os.ReadDir("result")
	require.NoError(t, err)
	for _, e := range entries {
		results = append(results, txtar.File{Name: "result/" + e.Name(), Data: readResult(t, filepath.Join("result", e.Name()))})
	}
	if *update {
		given.Files = append(given.Files, results...)
		require.NoError(t, os.WriteFile(path, txtar.Format(given), 0o644))
		return
	}
	for _, f := range results {
		expected, found := want[f.Name]
		require.True(t, found, "%s was not expected:\n%s", f.Name, f.Data)
		require.Equal(t, expected, string(f.Data), f.Name)
		delete(want, f.Name)
	}
	require.Empty(t, want, "files that were not written")
}

// readResult returns a file as text.
func readResult(t *testing.T, path string) []byte {
	if filepath.Ext(path) != ".pcap" {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return digest.ReplaceAll(b, []byte(`"digest": "DIGEST"`))
	}
	r, err := pcap.Open(path)
	require.NoError(t, err)
	defer r.Close()
	var b bytes.Buffer
	var f pcap.Frame
	for r.Next(&f) == nil {
		fmt.Fprintf(&b, "%g %s\n", float64(f.Time-captureStart)/1e9, frametext.Format(f.Data))
	}
	return b.Bytes()
}
