package archtest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is the root of this module, seen from this package.
var repository = os.DirFS("../..")

// TestRepository holds this module to its own rules, and prints every fault.
func TestRepository(t *testing.T) {
	tree, err := Read(repository)
	require.NoError(t, err)
	require.Greater(t, len(tree.Files), 10, "the module was not found where this package expects it")

	for _, row := range []struct {
		name  string
		check func(*Tree) []Fault
	}{
		{"imports point down", func(t *Tree) []Fault { return Imports(t, Layout) }},
		{"the core asks for no clock and no dice", func(t *Tree) []Fault { return Impure(t, PureFunction) }},
		{"one package comment", PackageComments},
		{"one subject a file", Long},
		{"formatted", Unformatted},
		{"no init functions", Inits},
		{"no cgo", Cgo},
		{"nothing unfinished", Unfinished},
	} {
		t.Run(row.name, func(t *testing.T) { report(t, row.check(tree)) })
	}
	t.Run("dependencies are explained", func(t *testing.T) {
		faults, err := Dependencies(tree, repository)
		require.NoError(t, err)
		report(t, faults)
	})
}

// TestLayoutIsWellFormed keeps the table itself readable: each row says why,
// names no package twice, and allows nothing that is in no row.
func TestLayoutIsWellFormed(t *testing.T) {
	var all []string
	for _, row := range Layout {
		require.True(t, strings.HasSuffix(row.Why, "."), "the why of %v is a sentence", row.Packages)
		all = append(all, row.Packages...)
	}
	for i, name := range all {
		require.NotContains(t, all[:i], name, "two rows are about one package")
	}
	for _, row := range Layout {
		for _, name := range row.Ours {
			_, found := matchAny(all, name)
			require.True(t, found || slices.Contains(all, name), "%v may import %s, which is in no row", row.Packages, name)
		}
	}
}

func report(t *testing.T, faults []Fault) {
	t.Helper()
	for _, line := range lines(faults) {
		t.Error(line)
	}
}

// lines returns the faults as sorted text.
func lines(faults []Fault) []string {
	out := make([]string, 0, len(faults))
	for _, f := range faults {
		out = append(out, f.String())
	}
	slices.Sort(out)
	return out
}
