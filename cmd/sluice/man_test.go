package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/manpage"
)

// manual writes the manual pages into a folder of the test.
func manual(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1767323045")
	require.Equal(t, outcome{}, sluice(t, "gen", "man", dir))
	return dir
}

func TestManual(t *testing.T) {
	dir := manual(t)
	for _, c := range manpage.Commands(newRoot()) {
		text, err := os.ReadFile(filepath.Join(dir, manpage.File(c)))
		require.NoError(t, err)
		require.Contains(t, string(text), " 1 2026-01-02 ", "the date is the sources'")
		for _, status := range []string{"0", "1", "2", "3", "4", "5", "130"} {
			require.Contains(t, string(text), "\n.TP\n\\fB"+status+"\\fR\n", "%s: every exit status is explained", c.CommandPath())
		}
		require.Equal(t, c.Example != "", strings.Contains(string(text), ".SH EXAMPLES"), c.CommandPath())
		require.NotEmpty(t, c.Short, c.CommandPath())
	}
	_, err := os.Stat(filepath.Join(dir, "sluice-gen.1"))
	require.ErrorIs(t, err, os.ErrNotExist, "what users don't need has no page")
}

// TestManualIsClean: formatters have nothing to say about the pages.
func TestManualIsClean(t *testing.T) {
	for _, formatter := range [][]string{
		{"groff", "-ww", "-man", "-Tutf8", "-K", "utf8", "-z"},
		{"mandoc", "-Tlint", "-Wwarning"},
	} {
		t.Run(formatter[0], func(t *testing.T) {
			if _, err := exec.LookPath(formatter[0]); err != nil {
				t.Skipf("%s is not installed", formatter[0])
			}
			if formatter[0] == "groff" {
				if out, err := exec.Command("groff", "-man", "-Tutf8", "-z", "/dev/null").CombinedOutput(); err != nil || len(out) > 0 {
					t.Skipf("groff is not whole: %s", out)
				}
			}
			pages, err := filepath.Glob(filepath.Join(manual(t), "*.1"))
			require.NoError(t, err)
			require.Greater(t, len(pages), 20)
			for _, page := range pages {
				out, err := exec.Command(formatter[0], append(slices.Clone(formatter[1:]), page)...).CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Empty(t, string(out))
			}
		})
	}
}

// TestCompletions: each shell takes its file.
func TestCompletions(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, outcome{}, sluice(t, "gen", "completion", dir))
	for _, shell := range []struct{ name, file string }{
		{"bash", "bash/sluice"}, {"zsh", "zsh/_sluice"}, {"fish", "fish/sluice.fish"},
	} {
		t.Run(shell.name, func(t *testing.T) {
			file := filepath.Join(dir, shell.file)
			require.FileExists(t, file)
			if _, err := exec.LookPath(shell.name); err != nil {
				t.Skipf("%s is not installed", shell.name)
			}
			out, err := exec.Command(shell.name, "-n", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Empty(t, string(out))
		})
	}
}

func TestSourceDate(t *testing.T) {
	now := time.Unix(1000, 0)
	got, err := sourceDate("", now)
	require.NoError(t, err)
	require.Equal(t, now, got)
	got, err = sourceDate("7", now)
	require.NoError(t, err)
	require.Equal(t, int64(7), got.Unix())
	_, err = sourceDate("today", now)
	require.EqualError(t, err, `SOURCE_DATE_EPOCH is "today": want seconds since 1970, or unset it`)
}
