package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	for _, row := range []struct {
		why  string
		in   []string
		want string
		ok   bool
	}{
		{
			"leaves are counted, a passed test's output is not shown, the package's line is go test's own",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"run","Package":"m/a","Test":"T/x"}`,
				`{"Action":"output","Package":"m/a","Test":"T/x","Output":"chatter\n"}`,
				`{"Action":"run","Package":"m/a","Test":"T/y"}`,
				`{"Action":"pass","Package":"m/a","Test":"T/x"}`,
				`{"Action":"pass","Package":"m/a","Test":"T/y"}`,
				`{"Action":"pass","Package":"m/a","Test":"T"}`,
				`{"Action":"output","Package":"m/a","Output":"PASS\n"}`,
				`{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}`,
				`{"Action":"pass","Package":"m/a"}`,
			},
			"ok  \tm/a\t0.1s\ntests: 2 passed, 0 failed, 0 skipped\n", true,
		},
		{
			"a failed test is shown whole, and its package is named once more at the end",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"output","Package":"m/a","Test":"T","Output":"=== RUN   T\n"}`,
				`{"Action":"output","Package":"m/a","Test":"T","Output":"    a_test.go:3: want 1, got 2\n"}`,
				`{"Action":"output","Package":"m/a","Test":"T","Output":"--- FAIL: T (0.00s)\n"}`,
				`{"Action":"fail","Package":"m/a","Test":"T"}`,
				`{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}`,
				`{"Action":"fail","Package":"m/a"}`,
			},
			"=== RUN   T\n    a_test.go:3: want 1, got 2\n--- FAIL: T (0.00s)\nFAIL\tm/a\t0.1s\nfailed: m/a\ntests: 0 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"a test that fails by its subtest is one failure; one that fails after them is another",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"run","Package":"m/a","Test":"T/x"}`,
				`{"Action":"fail","Package":"m/a","Test":"T/x"}`,
				`{"Action":"fail","Package":"m/a","Test":"T"}`,
				`{"Action":"run","Package":"m/a","Test":"U"}`,
				`{"Action":"run","Package":"m/a","Test":"U/x"}`,
				`{"Action":"pass","Package":"m/a","Test":"U/x"}`,
				`{"Action":"fail","Package":"m/a","Test":"U"}`,
				`{"Action":"fail","Package":"m/a"}`,
			},
			"failed: m/a\ntests: 1 passed, 2 failed, 0 skipped\n", false,
		},
		{
			"skipped tests are grouped by their reason, so that nobody takes them for passed",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"pass","Package":"m/a","Test":"T"}`,
				`{"Action":"output","Package":"m/a","Test":"U","Output":"=== RUN   U\n"}`,
				`{"Action":"output","Package":"m/a","Test":"U","Output":"    a_test.go:9: no folder: set SLUICE_SHARED\n"}`,
				`{"Action":"output","Package":"m/a","Test":"U","Output":"--- SKIP: U (0.00s)\n"}`,
				`{"Action":"skip","Package":"m/a","Test":"U"}`,
				`{"Action":"output","Package":"m/a","Test":"V","Output":"    b_test.go:12: no folder: set SLUICE_SHARED\n"}`,
				`{"Action":"skip","Package":"m/a","Test":"V"}`,
				`{"Action":"pass","Package":"m/a"}`,
			},
			"skipped    2: no folder: set SLUICE_SHARED\ntests: 1 passed, 0 failed, 2 skipped\n", true,
		},
		{
			"a package that does not build has failed, with the compiler's words",
			[]string{
				`{"ImportPath":"m/a [m/a.test]","Action":"build-output","Output":"# m/a\n"}`,
				`{"ImportPath":"m/a [m/a.test]","Action":"build-output","Output":"a/a.go:1:1: expected declaration\n"}`,
				`{"ImportPath":"m/a [m/a.test]","Action":"build-fail"}`,
				`{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}`,
				`{"Action":"fail","Package":"m/a","FailedBuild":"m/a [m/a.test]"}`,
			},
			"# m/a\na/a.go:1:1: expected declaration\nFAIL\tm/a [build failed]\nfailed: m/a\ntests: 0 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"a package that does not build counts beside the tests that fail elsewhere",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"fail","Package":"m/a","Test":"T"}`,
				`{"Action":"fail","Package":"m/a"}`,
				`{"Action":"fail","Package":"m/b","FailedBuild":"m/b"}`,
			},
			"failed: m/a\nfailed: m/b\ntests: 0 passed, 2 failed, 0 skipped\n", false,
		},
		{
			"a test that was running when the process died is shown though it has no result",
			[]string{
				`{"Action":"run","Package":"m/a","Test":"T"}`,
				`{"Action":"output","Package":"m/a","Test":"T","Output":"panic: boom\n"}`,
				`{"Action":"fail","Package":"m/a"}`,
			},
			"panic: boom\nfailed: m/a\ntests: 0 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"nothing tested is not success",
			[]string{`{"Action":"skip","Package":"m/a"}`},
			"no test ran\ntests: 0 passed, 0 failed, 0 skipped\n", false,
		},
		{
			"what is no event is passed on",
			[]string{"go: downloading example.com/x v1.0.0", `{"Action":"run","Package":"m/a","Test":"T"}`, `{"Action":"pass","Package":"m/a","Test":"T"}`},
			"go: downloading example.com/x v1.0.0\ntests: 1 passed, 0 failed, 0 skipped\n", true,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			var out strings.Builder
			r := report{out: &out}
			require.NoError(t, r.read(strings.NewReader(strings.Join(row.in, "\n")+"\n")))
			ok := r.close("tests")
			require.Equal(t, row.want, out.String())
			require.Equal(t, row.ok, ok)
		})
	}
}

func TestAgain(t *testing.T) {
	fail := func(name string) []string {
		return []string{`{"Action":"run","Package":"m/a","Test":"` + name + `"}`, `{"Action":"fail","Package":"m/a","Test":"` + name + `"}`}
	}
	say := func(name, words string) []string {
		return []string{`{"Action":"output","Package":"m/a","Test":"` + name + `","Output":"` + words + `\n"}`}
	}
	for _, row := range []struct {
		why  string
		in   [][]string
		want string
	}{
		{"nothing failed", nil, ""},
		{"a test, named without what failed in it", [][]string{fail("T"), fail("T/x"), fail("U")}, "m/a T\nm/a U\n"},
		{"many have a reason in common", [][]string{fail("A"), fail("B"), fail("C"), fail("D")}, ""},
		{"a race is one, however rarely it shows", [][]string{say("T", "WARNING: DATA RACE"), fail("T")}, ""},
		{"so is a panic", [][]string{say("T", "panic: boom"), fail("T")}, ""},
		{"and what does not build", [][]string{fail("T"), {`{"Action":"fail","Package":"m/b"}`}}, ""},
	} {
		var r report
		r.out = io.Discard
		var lines []string
		for _, part := range row.in {
			lines = append(lines, part...)
		}
		require.NoError(t, r.read(strings.NewReader(strings.Join(lines, "\n"))), row.why)
		require.Equal(t, row.want, r.again(), row.why)
	}
}
