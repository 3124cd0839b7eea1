package sharedtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// probe tells how a test that asked for a path ended.
func probe(t *testing.T, elem ...string) (path string, skipped bool) {
	t.Run("probe", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		path = Path(t, elem...)
	})
	return path, skipped
}

func TestPath(t *testing.T) {
	top := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(top, "main", "a", "b"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(top, "shared", "captures"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(top, "other", "vectors"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(top, "main", "go.mod"), nil, 0o600))
	t.Chdir(filepath.Join(top, "main", "a", "b"))

	t.Setenv(Variable, "")
	path, skipped := probe(t, "captures")
	require.False(t, skipped)
	require.Equal(t, filepath.Join(top, "shared", "captures"), path, "beside the repository, however deep the package")
	_, skipped = probe(t, "vectors", "none.json")
	require.True(t, skipped, "a test without its data says so and does not fail")

	t.Setenv(Variable, filepath.Join(top, "other"))
	path, skipped = probe(t, "vectors")
	require.False(t, skipped)
	require.Equal(t, filepath.Join(top, "other", "vectors"), path)
	_, skipped = probe(t, "captures")
	require.True(t, skipped, "the variable's folder is the only one looked into")
}
