package export

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// contents returns what is in the files of a directory, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	m := map[string]string{}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		m[e.Name()] = string(b)
	}
	return m
}

func openRotated(t *testing.T, c RotateConfig) (dir string, f *RotatedFile) {
	t.Helper()
	dir = t.TempDir()
	f, err := OpenRotated(filepath.Join(dir, "log"), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return dir, f
}

func write(t *testing.T, f *RotatedFile, lines ...string) {
	t.Helper()
	for _, l := range lines {
		n, err := f.Write([]byte(l + "\n"))
		require.NoError(t, err)
		require.Equal(t, len(l)+1, n)
	}
}

func TestRotatedFileKeepsTheNewest(t *testing.T) {
	dir, f := openRotated(t, RotateConfig{Size: 8, Files: 3})
	write(t, f, "one", "two", "three", "four", "five", "six", "seven")
	require.Equal(t, map[string]string{"log": "seven\n", "log.1": "six\n", "log.2": "five\n"}, contents(t, dir))
	require.NoError(t, f.Close())

	dir, f = openRotated(t, RotateConfig{Size: 8, Files: 1})
	write(t, f, "one", "two", "three")
	require.Equal(t, map[string]string{"log": "three\n"}, contents(t, dir), "a single file begins anew")
}

func TestRotatedFileGoesOnWhereItWas(t *testing.T) {
	dir, f := openRotated(t, RotateConfig{Size: 100})
	write(t, f, "one")
	require.NoError(t, f.Close())
	f, err := OpenRotated(filepath.Join(dir, "log"), RotateConfig{Size: 100})
	require.NoError(t, err)
	write(t, f, "two")
	require.NoError(t, f.Close())
	require.Equal(t, map[string]string{"log": "one\ntwo\n"}, contents(t, dir))
}

func TestRotatedFileIsNotForOthers(t *testing.T) {
	dir, _ := openRotated(t, RotateConfig{})
	info, err := os.Stat(filepath.Join(dir, "log"))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o007)
}

func TestRotatedFileSurvivesLogrotate(t *testing.T) {
	dir, f := openRotated(t, RotateConfig{})
	log := filepath.Join(dir, "log")
	write(t, f, "one")
	require.NoError(t, os.Rename(log, log+"-old"))
	write(t, f, "two")
	require.Equal(t, map[string]string{"log-old": "one\n", "log": "two\n"}, contents(t, dir), "renamed: a new file")
	require.NoError(t, os.Truncate(log, 0))
	write(t, f, "three")
	require.Equal(t, "three\n", contents(t, dir)["log"], "emptied: from the beginning, without a hole")
	require.NoError(t, os.Remove(log))
	write(t, f, "four")
	require.Equal(t, "four\n", contents(t, dir)["log"], "removed: a new file")
	require.NoError(t, os.RemoveAll(dir))
	_, err := f.Write([]byte("five\n"))
	require.ErrorContains(t, err, "open log file")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	write(t, f, "six")
	require.Equal(t, map[string]string{"log": "six\n"}, contents(t, dir), "as soon as there is a place again")
}

func TestRotatedFileOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("sluice-test", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skip("no tmpfs can be mounted: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	f, err := OpenRotated(filepath.Join(dir, "log"), RotateConfig{})
	require.NoError(t, err)
	line := strings.Repeat("x", 2999) + "\n"
	for _, want := range []error{nil, nil, syscall.ENOSPC, syscall.ENOSPC} {
		_, err := f.Write([]byte(line))
		require.ErrorIs(t, err, want)
	}
	require.Equal(t, strings.Repeat(line, 2), contents(t, dir)["log"], "no line is there in part")
	require.NoError(t, os.Truncate(filepath.Join(dir, "log"), 0))
	write(t, f, "room again")
	require.Equal(t, "room again\n", contents(t, dir)["log"])
	require.NoError(t, f.Close())
}

func TestOpenRotatedNamesTheFile(t *testing.T) {
	_, err := OpenRotated("/nowhere/at/all/log", RotateConfig{})
	require.ErrorContains(t, err, "/nowhere/at/all/log")
}
