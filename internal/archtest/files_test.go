package archtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// longFile has n lines.
func longFile(n int) string { return "package packet\n" + strings.Repeat("\n", n-2) + "type T int\n" }

func TestFiles(t *testing.T) {
	for _, row := range []struct {
		why   string
		check func(*Tree) []Fault
		files map[string]string
		want  []string
	}{
		{
			"the limit itself is allowed", Long,
			map[string]string{"packet/a.go": longFile(MaxLines)},
			nil,
		},
		{
			"one line more is a second subject", Long,
			map[string]string{"packet/a.go": longFile(MaxLines + 1)},
			[]string{"packet/a.go: 601 lines, at most 600: split it by subject"},
		},
		{
			"tests are files too", Long,
			map[string]string{"packet/a_test.go": longFile(MaxLines + 1)},
			[]string{"packet/a_test.go: 601 lines, at most 600: split it by subject"},
		},
		{
			"nobody reads what a program wrote", Long,
			map[string]string{"packet/a_gen.go": longFile(5000), "packet/b_string.go": longFile(5000)},
			nil,
		},
		{
			"gofmt's form is the only one", Unformatted,
			map[string]string{"packet/a.go": "package packet\n\nvar  x  int\n", "packet/b.go": "package packet\n"},
			[]string{"packet/a.go: not formatted: run make format"},
		},
		{
			"init hides work; a method of that name does not", Inits,
			map[string]string{"packet/a.go": "package packet\n\nfunc (T) init() {}\n\nfunc init() {}\n"},
			[]string{"packet/a.go:5: func init: do it in a constructor, with arguments"},
		},
		{
			"cgo would end the static binary", Cgo,
			map[string]string{"packet/a.go": "package packet\n\nimport \"C\"\n"},
			[]string{`packet/a.go:3: import "C": the binary is static and built without cgo`},
		},
		{
			"an unfinished mark counts in a comment, as a word, and nowhere else", Unfinished,
			map[string]string{"packet/a.go": "package packet\n\n// FIX" + "ME: later\nvar TODOs = \"TO" + "DO\" // XX" + "XX is a placeholder\n"},
			[]string{"packet/a.go:3: FIX" + "ME: finish it, or say in the docs what is not supported"},
		},
		{
			"one comment, well begun", PackageComments,
			map[string]string{
				"packet/a.go": "// Package packet is about packets.\npackage packet\n",
				"packet/b.go": "package packet\n",
				"cmd/x/a.go":  "// Command x does it.\npackage main\n",
			},
			nil,
		},
		{
			"a comment on a test is not the package's", PackageComments,
			map[string]string{"packet/a.go": "package packet\n", "packet/a_test.go": "// Package packet is tested.\npackage packet\n"},
			[]string{"packet: package packet has no package comment"},
		},
		{
			"a package of tests only has its comment on one of them", PackageComments,
			map[string]string{"bench/a_test.go": "// Package bench measures.\npackage bench\n", "lab/a_test.go": "package lab\n"},
			[]string{"lab: package lab has no package comment"},
		},
		{
			"two comments contradict each other sooner or later", PackageComments,
			map[string]string{"packet/a.go": "// Package packet is a.\npackage packet\n", "packet/b.go": "// Package packet is b.\npackage packet\n"},
			[]string{"packet/b.go:1: second package comment; the first is in packet/a.go"},
		},
		{
			"godoc's first words are fixed", PackageComments,
			map[string]string{"packet/a.go": "// Packets and more.\npackage packet\n", "cmd/x/a.go": "// Package main runs.\npackage main\n"},
			[]string{`cmd/x/a.go:1: the package comment begins "Command ..."`, `packet/a.go:1: the package comment begins "Package packet ..."`},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			require.Equal(t, row.want, nilIfEmpty(lines(row.check(module(t, row.files)))))
		})
	}
}

func TestImpure(t *testing.T) {
	const readsClock = "package p\n\nimport \"time\"\n\nvar now = time.Now\n"
	for _, row := range []struct {
		why   string
		files map[string]string
		want  []string
	}{
		{
			"the clock is read by the worker, in one file", map[string]string{"dataplane/clock.go": readsClock}, nil,
		},
		{
			"any other file of the engine is told the time",
			map[string]string{"dataplane/worker.go": readsClock},
			[]string{"dataplane/worker.go:5: time.Now: " + PureFunction.Why},
		},
		{
			"an import under another name hides nothing",
			map[string]string{"route/a.go": "package p\n\nimport clock \"time\"\n\nfunc age(t clock.Time) clock.Duration { return clock.Since(t) }\n"},
			[]string{"route/a.go:5: time.Since: " + PureFunction.Why},
		},
		{
			"dice with a seed of the caller's are an argument; the process's own are not",
			map[string]string{"lb/a.go": "package p\n\nimport \"math/rand/v2\"\n\nvar r = rand.New(rand.NewPCG(1, 2)).IntN(3)\n\nvar s = rand.IntN(3)\n"},
			[]string{"lb/a.go:7: math/rand/v2.IntN: " + PureFunction.Why},
		},
		{
			"durations are plain numbers", map[string]string{"qos/a.go": "package p\n\nimport \"time\"\n\nconst d = 5 * time.Second\n"}, nil,
		},
		{
			"tests and their helpers may look at the clock",
			map[string]string{"packet/a_test.go": readsClock, "packet/packettest/a.go": readsClock},
			nil,
		},
		{
			"above the engine time is free", map[string]string{"node/a.go": readsClock, "port/tap/a.go": readsClock}, nil,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			require.Equal(t, row.want, nilIfEmpty(lines(Impure(module(t, row.files), PureFunction))))
		})
	}
}

func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}
