// Package storetest helps tests that open stores.
package storetest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// MemoryDir returns a folder in memory (/dev/shm, tmpfs) that goes with the test, or one on the disk
// where that is not to be had: for tests of what files hold, which a disk only makes slow.
func MemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sluice-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
