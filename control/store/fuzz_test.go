package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOpen: whatever a file holds, opening and reading it ends, with what was
// saved or with an error; nothing panics.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.db")
	b, err := OpenBolt(path)
	require.NoError(f, err)
	for i := range 4 {
		_, err := b.Save(set(fmt.Sprint("key", i), "value"), set("key", string(make([]byte, 3000*i))))
		require.NoError(f, err)
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
	}
	require.NoError(f, b.Close())
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "state.db")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		b, err := open(path)
		if err != nil {
			return
		}
		_, _, err = b.Load("")
		require.NoError(t, err)
		// bbolt may refuse to write to what only looks like its file, and says so.
		_, _ = b.Save(set("new", "value"))
		require.NoError(t, b.Close())
	})
}
