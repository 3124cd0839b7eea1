package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/client"
)

// asChild is set in a process of this test's program that is to be sluice.
const asChild = "SLUICE_TEST_AS_CHILD"

// TestChild is sluice itself, in the process that TestRunOutlivesItsLog makes.
func TestChild(t *testing.T) {
	args := os.Getenv(asChild)
	if args == "" {
		t.Skip("it is for a child process")
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	os.Exit(run(ctx, strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
}

// TestRunOutlivesItsLog: who reads standard error goes away, or does not read, and the
// switch goes on.
func TestRunOutlivesItsLog(t *testing.T) {
	for _, tt := range []struct {
		why  string
		read func(t *testing.T, r *os.File)
	}{
		{"the reader is gone", func(t *testing.T, r *os.File) { require.NoError(t, r.Close()) }},
		{"the reader is stuck, and the pipe is full", func(t *testing.T, r *os.File) { t.Cleanup(func() { _ = r.Close() }) }},
	} {
		t.Run(tt.why, func(t *testing.T) {
			dir := t.TempDir()
			address := "unix:" + filepath.Join(dir, "s.sock")
			r, w, err := os.Pipe()
			require.NoError(t, err)
			config := write(t, dir, "site.yaml", site)
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), asChild+"="+strings.Join([]string{
				"run", "--ephemeral", "--config", config, "--api", address, "--log-level", "debug",
			}, "\n"))
			cmd.Stderr = w
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			first, err := bufio.NewReader(r).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, first, "level=")
			tt.read(t, r)
			fd := int(w.Fd())
			require.NoError(t, syscall.SetNonblock(fd, true))
			for err = nil; err == nil; { // until the pipe is full, or broken
				_, err = syscall.Write(fd, make([]byte, 1024))
			}
			require.NoError(t, syscall.SetNonblock(fd, false))

			c, err := client.New(address)
			require.NoError(t, err)
			defer c.Close()
			revision := func() uint64 {
				st, err := c.Status(t.Context())
				if err != nil {
					return 0
				}
				return st.Revision
			}
			require.Eventually(t, func() bool { return revision() != 0 }, 30*time.Second, 5*time.Millisecond)
			before := revision()
			write(t, dir, "site.yaml", strings.ReplaceAll(site, "10.0.2.", "10.0.3."))
			require.Eventually(t, func() bool { return revision() > before }, 30*time.Second, 5*time.Millisecond,
				"it goes on, and takes changes, each of which it logs")
		})
	}
}
