package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/client"
)

// bundleFiles are the files of a bundle by their names, without the folder.
func bundleFiles(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(content)
	}
}

// TestSupportBundle: a daemon that has a Secret, and was given one with faults, and what
// it says of both, with markers for values.
func TestSupportBundle(t *testing.T) {
	const mark = "M4RK3R"
	dir := t.TempDir()
	address := "unix:" + filepath.Join(dir, "s.sock")
	secret := func(name, value string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\ndata: {a: " + value + "}\nstringData: {b: " + mark + "-string}\n"
	}
	config := filepath.Join(dir, "etc")
	require.NoError(t, os.Mkdir(config, 0o700))
	write(t, config, "site.yaml", site)
	write(t, config, "secret.yaml", secret("one", base64.StdEncoding.EncodeToString([]byte(mark+"-in-base64"))))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan outcome, 1)
	go func() {
		ended <- sluiceWith(t, ctx, "", "run", "--config", config, "--state", filepath.Join(dir, "state"), "--api", address)
	}()
	c, err := client.New(address)
	require.NoError(t, err)
	defer c.Close()
	status := func(done func(ready bool, lastError string) bool) {
		require.Eventually(t, func() bool {
			st, err := c.Status(t.Context())
			return err == nil && done(st.Ready, st.LastError)
		}, 30*time.Second, 5*time.Millisecond)
	}
	status(func(ready bool, _ string) bool { return ready })
	write(t, config, "bad.yaml", secret("two", mark+"-is-not-base64!"))
	status(func(_ bool, lastError string) bool { return lastError != "" })

	args := []string{"support-bundle", "--api", address, "--config", config, "--state", filepath.Join(dir, "state"), "--sessions"}
	name := filepath.Join(dir, "b.tar.gz")
	got := sluice(t, append(args, "-o", name)...)
	require.Equal(t, exitOK, got.status, got.err)
	require.Equal(t, name+"\n", got.out)
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	archive, err := os.ReadFile(name)
	require.NoError(t, err)
	noMarks := func(archive []byte) map[string]string {
		files := bundleFiles(t, archive)
		for name, text := range files {
			for _, m := range []string{mark, base64.StdEncoding.EncodeToString([]byte(mark))} {
				require.NotContains(t, text, m, name)
			}
		}
		return files
	}
	files := noMarks(archive)
	require.Contains(t, files["daemon/config.json"], `"kind": "Secret"`)
	require.Contains(t, files["daemon/status.json"], "bad.yaml")
	require.Contains(t, files["daemon/ports.json"], `"web/a"`)
	require.Contains(t, files["state.txt"], "state.db")
	require.Contains(t, files["process/process.txt"], "/status")

	got = sluice(t, append(args, "-o", name)...)
	require.Equal(t, outcome{exitUsage, "", "sluice: " + name + " is there already: remove it, or name another file (-o)\n"}, got)

	cancel()
	run := <-ended
	require.Equal(t, exitOK, run.status, run.err)
	got = sluice(t, append(args, "-o", "-")...)
	require.Equal(t, exitOK, got.status)
	require.Contains(t, got.err, "no daemon answers on "+address)
	require.Contains(t, got.err, "the bundle has what the machine says, no more\n")
	files = noMarks([]byte(got.out))
	require.Contains(t, files["MANIFEST.txt"], "ONLY WHAT THE MACHINE SAYS")

	require.Equal(t, outcome{exitUsage, "", "sluice: --timeout 0s: want a time above 0\n"}, sluice(t, append(args, "--timeout", "0")...))
	got = sluice(t, append(args, "-o", filepath.Join(dir, "absent", "b"))...)
	require.Equal(t, exitFailure, got.status)
}
