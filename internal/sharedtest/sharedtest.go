// Package sharedtest finds the reference data that tests read and that is not
// part of the repository: captures and vectors.
package sharedtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Variable names the folder of reference data, if it is not "shared" beside
// the repository.
const Variable = "SLUICE_SHARED"

// Path returns the path of a file or folder of the reference data, or skips the
// test if that is not there.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	folder := os.Getenv(Variable)
	if folder == "" {
		folder = filepath.Join(root(t), "..", "shared")
	}
	path := filepath.Join(append([]string{folder}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference data: set %s: %v", Variable, err)
	}
	return path
}

// root returns the repository's folder: tests run in that of their package.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no go.mod above the test: set %s", Variable)
		}
		dir = parent
	}
}
