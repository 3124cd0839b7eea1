package archtest

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// module returns the tree of a small module m.test/m made of files, given as
// path and source.
func module(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	tree, err := Read(fsOf(files))
	require.NoError(t, err)
	return tree
}

func fsOf(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module m.test/m\n\ngo 1.26\n")}}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

// importing is a file of the package in dir that imports paths; those that
// begin with a slash are the module's own.
func importing(dir string, paths ...string) string {
	var b strings.Builder
	b.WriteString("package " + dir[strings.LastIndex(dir, "/")+1:] + "\n\n")
	for _, p := range paths {
		if strings.HasPrefix(p, "/") {
			p = "m.test/m" + p
		}
		b.WriteString("import _ \"" + p + "\"\n")
	}
	return b.String()
}

func TestImports(t *testing.T) {
	const (
		packetWhy   = "Whoever depends on packet depends on nothing else."
		featuresWhy = "Features meet in the flow entry and in node, never in each other"
	)
	for _, row := range []struct {
		why     string
		file    string
		imports []string
		want    string // part of the one fault; empty is none
	}{
		{"packet lives on the standard library", "packet/a.go", []string{"net/netip", "unsafe"}, ""},
		{"packet takes no module, however small", "packet/a.go", []string{"golang.org/x/sys/unix"}, packetWhy},
		{"packet knows nothing above it", "packet/a.go", []string{"/flowtable"}, packetWhy},
		{"packet's own parts may use packet", "packet/pcapng/a.go", []string{"/packet"}, ""},
		{"a test of packet may compare with gopacket", "packet/a_test.go", []string{"github.com/google/gopacket/layers"}, ""},
		{"flowtable stands on packet", "flowtable/a.go", []string{"/packet"}, ""},
		{"flowtable does not know the engine that polls it", "flowtable/a.go", []string{"/dataplane"}, "flowtable may not import m.test/m/dataplane"},
		{"the engine waits on descriptors", "dataplane/a.go", []string{"/packet", "/flowtable", "golang.org/x/sys/unix"}, ""},
		{"a neighbour of an allowed module is another module", "dataplane/a.go", []string{"golang.org/x/system"}, "dataplane may not import golang.org/x/system"},
		{"the engine knows no feature", "dataplane/a.go", []string{"/firewall"}, "without knowing which"},
		{"a feature stands on the engine", "lb/a.go", []string{"/dataplane", "/flowtable", "/packet", "github.com/cespare/xxhash/v2"}, ""},
		{"a feature below its folder is bound by the same row", "lb/http/a.go", []string{"/lb", "/qos"}, featuresWhy},
		{"features never import each other", "mirror/a.go", []string{"/qos"}, featuresWhy},
		{"a feature does not read what users write", "firewall/a.go", []string{"/api"}, featuresWhy},
		{"a package whose name only begins like another's is a stranger", "qos/a.go", []string{"/packetry"}, featuresWhy},
		{"no feature decodes with gopacket", "trace/a.go", []string{"github.com/google/gopacket"}, "allocates for each layer"},
		{"a driver moves frames", "port/pcap/a.go", []string{"/packet", "/dataplane", "github.com/google/gopacket/pcapgo"}, ""},
		{"drivers are strangers to each other", "port/tap/a.go", []string{"/port/mem"}, "nor is any other driver"},
		{"a driver has no business with sessions", "port/tap/a.go", []string{"/flowtable"}, "not its business"},
		{"the objects know names of reasons", "api/a.go", []string{"/packet", "k8s.io/api/core/v1"}, ""},
		{"the objects do not know their store", "api/a.go", []string{"/control"}, "must not change because an engine did"},
		{"control reads the objects", "control/a.go", []string{"/api", "go.etcd.io/bbolt"}, ""},
		{"control never reaches into the engine", "control/a.go", []string{"/dataplane"}, "a process of its own"},
		{"control never reaches into a feature", "control/store/a.go", []string{"/firewall"}, "a process of its own"},
		{"node wires everything", "node/a.go", []string{"/control", "/firewall", "/lb", "/port/tap", "/export", "/dataplane"}, ""},
		{"node does not know its command line", "node/a.go", []string{"/cmd/sluice"}, "The one place that knows all parts"},
		{"node carries no gopacket", "node/a.go", []string{"github.com/google/gopacket"}, "allocates for each layer"},
		{"a command asks the node", "cmd/sluice/a.go", []string{"/node", "/control", "/api", "github.com/spf13/cobra"}, ""},
		{"a command does not reach past the node", "cmd/sluice/a.go", []string{"/lb"}, "does not reach past it"},
		{"a leaf may know packets", "internal/wheel/a.go", []string{"/packet"}, ""},
		{"a leaf may know nothing else", "internal/wheel/a.go", []string{"/flowtable"}, "Leaves"},
		{"leaves do not grow on leaves", "internal/wheel/a.go", []string{"/internal/mark"}, "Leaves"},
		{"an assertion library has no place in the product", "node/a.go", []string{"github.com/stretchr/testify/require"}, "it is for tests"},
		{"helpers of tests may assert", "packet/packettest/a.go", []string{"/packet", "github.com/stretchr/testify/require"}, ""},
		{"only tests use the helpers of tests", "lb/a.go", []string{"/packet/packettest"}, "only tests import packages that help tests"},
		{"tests do", "lb/a_test.go", []string{"/packet/packettest"}, ""},
		{"a new folder needs a row before it has a place", "util/a.go", nil, "no row of archtest.Layout"},
	} {
		t.Run(row.why, func(t *testing.T) {
			dir := row.file[:strings.LastIndex(row.file, "/")]
			got := lines(Imports(module(t, map[string]string{row.file: importing(dir, row.imports...)}), Layout))
			if row.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], row.want)
		})
	}
}

func TestImportsNamesTheLine(t *testing.T) {
	tree := module(t, map[string]string{"packet/a.go": importing("packet", "net", "/lb", "/qos")})
	got := lines(Imports(tree, Layout))
	require.Len(t, got, 2, "all faults of a file are told at once")
	require.True(t, strings.HasPrefix(got[0], "packet/a.go:4: packet may not import m.test/m/lb: "), got[0])
	require.True(t, strings.HasPrefix(got[1], "packet/a.go:5: packet may not import m.test/m/qos: "), got[1])
}

func TestReadLeavesOutWhatGoLeavesOut(t *testing.T) {
	const broken = "this is not Go"
	tree := module(t, map[string]string{
		"packet/a.go":            "package packet\n",
		"packet/a_windows.go":    "package packet\n", // every platform is read
		"packet/testdata/bad.go": broken,
		"vendor/x/bad.go":        broken,
		"_attic/bad.go":          broken,
		".git/bad.go":            broken,
		"packet/_draft.go":       broken,
		"tools/go.mod":           "module m.test/m/tools\n",
		"tools/bad.go":           broken,
	})
	var paths []string
	for _, f := range tree.Files {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"packet/a.go", "packet/a_windows.go"}, paths)

	_, err := Read(fsOf(map[string]string{"packet/a.go": broken}))
	require.ErrorContains(t, err, "packet/a.go:1:1", "a file that does not parse is an error, not a file without faults")
}
