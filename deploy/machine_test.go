package deploy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// need skips a test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// output runs a program in the root of the sources.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// groups makes control groups for a machine, and returns the files by which processes
// join them.
func groups(t *testing.T) (joins []string) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	hierarchies := []string{root}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil { // version 1
		hierarchies = []string{root + "/systemd", root + "/devices", root + "/pids"}
	}
	for _, h := range hierarchies {
		group := filepath.Join(h, "sl-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Skipf("no control groups can be made: %v", err)
		}
		t.Cleanup(func() { removeGroup(t, group) })
		joins = append(joins, filepath.Join(group, "cgroup.procs"))
	}
	return joins
}

// removeGroup removes a control group and all below it, once no process is in them.
func removeGroup(t *testing.T, group string) {
	require.Eventually(t, func() bool {
		var folders []string
		_ = filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for i := len(folders) - 1; i >= 0; i-- { // those below first
			_ = os.Remove(folders[i])
		}
		_, err := os.Stat(group)
		return os.IsNotExist(err)
	}, 10*time.Second, 50*time.Millisecond, group)
}

// testMachine installs the package on a machine of its own, whose first process is
// systemd, and lives its whole life there: installed, reloaded, upgraded, killed, removed.
func testMachine(t *testing.T, binary string) {
	if os.Getuid() != 0 {
		t.Skip("it needs root")
	}
	need(t, "unshare", "dpkg-deb", "dpkg", "systemctl", "deb-systemd-helper", "ip", "ping")
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("systemd is not installed")
	}
	dir := t.TempDir()
	probe := filepath.Join(dir, "probe")
	for _, folder := range []string{probe, filepath.Join(dir, "disk")} {
		require.NoError(t, os.Mkdir(folder, 0o755))
	}
	for from, to := range map[string]string{
		packageOf(t, binary, "v1.0.0"): "first.deb", packageOf(t, binary, "v1.0.1"): "second.deb",
		"testdata/probe.sh": "probe", "testdata/ports.yaml": "ports.yaml",
	} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(probe, to), data, 0o755))
	}
	boot, err := filepath.Abs("testdata/boot.sh")
	require.NoError(t, err)
	join := ""
	for _, file := range groups(t) {
		join += "echo $$ >" + file + "; "
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e; "+join+`exec unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup --propagation private "$@"`, "boot", boot, dir)
	console, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 77 {
		t.Skipf("no machine can be made here: %s", console)
	}
	log, err := os.ReadFile(filepath.Join(probe, "log"))
	require.NoError(t, err, "it did not come up: %s", console)
	require.Regexp(t, `(?m)^PASSED\n\z`, string(log))
}
