// Package deploy has what an installation is made of: the unit, an example, what the
// Debian package does. These are its tests.
package deploy

import (
	"crypto/md5" //nolint:gosec // what dpkg compares by
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
)

// calls are the system calls that a daemon was seen to make (strace -f of lab scenarios
// with ports of all kinds, and of the API), and those that need a state of affairs that
// none of them had.
const calls = `accept4 arch_prctl bind bpf capget chown clone close connect copy_file_range dup3 epoll_create1 epoll_ctl
epoll_pwait eventfd2 execve exit exit_group fallocate fchmod fchmodat fchownat fcntl fdatasync flock fstat fsync ftruncate futex
getdents64 getpeername getpid getrandom getsockname getsockopt gettid getuid inotify_add_watch inotify_init1
inotify_rm_watch ioctl kill linkat listen lseek madvise memfd_create mkdirat mlock mmap mprotect munmap nanosleep newfstatat openat
pipe2 ppoll prctl pread64 prlimit64 pwrite64 read readlinkat readv recvfrom recvmmsg recvmsg renameat rt_sigaction rt_sigprocmask
rt_sigreturn sched_getaffinity sched_setaffinity sched_yield sendmmsg sendmsg sendto setitimer setns setpriority setsockopt shutdown
sigaltstack socket socketpair statx tgkill timer_create timer_delete timer_settime uname unlinkat wait4 waitid write writev`

// unit returns the lines NAME=VALUE of the unit with that name.
func unit(t *testing.T, name string) (values []string) {
	t.Helper()
	text, err := os.ReadFile("sluice.service")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		values = append(values, m[1])
	}
	return values
}

// TestSystemCalls: the filter lets the daemon do what it does, and keeps it from what
// it must not.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	allowed := map[string]bool{}
	var set func(name string, to bool)
	set = func(name string, to bool) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = to
			return
		}
		out, err := exec.Command("systemd-analyze", "syscall-filter", name).Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			if member := strings.TrimSpace(line); member != name && member != "" && !strings.HasPrefix(member, "#") {
				set(member, to)
			}
		}
	}
	for _, value := range unit(t, "SystemCallFilter") {
		names, denies := strings.CutPrefix(value, "~")
		for name := range strings.FieldsSeq(names) {
			set(name, !denies)
		}
	}
	for call := range strings.FieldsSeq(calls) {
		require.True(t, allowed[call], "%s is needed", call)
	}
	for call := range strings.FieldsSeq("mount umount2 pivot_root chroot init_module finit_module kexec_load reboot settimeofday ptrace add_key io_uring_setup setuid perf_event_open process_vm_readv") {
		require.False(t, allowed[call], "%s is not", call)
	}
}

// TestNoMountNamespace: none of the settings by which systemd gives a service a mount
// namespace (exec_needs_mount_namespace in its src/core/execute.c): in one, network
// namespaces that others delete stay alive.
func TestNoMountNamespace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
		"ProtectControlGroups", "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "ReadWritePaths", "ReadOnlyPaths",
		"InaccessiblePaths", "ExecPaths", "NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "MountFlags", "MountAPIVFS",
		"RootDirectory", "RootImage", "DynamicUser", "LoadCredential", "SetCredential", "ExtensionImages", "PrivateNetwork", "PrivateUsers",
	} {
		require.Empty(t, unit(t, name), name)
	}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	text, err := os.ReadFile("sluice.service")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "sluice.service")
	// The binary need not be installed for that.
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/sluice", "/bin/sh")), 0o600))
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "/dev/null").CombinedOutput(); err != nil && strings.Contains(string(out), "unrecognized option") {
		t.Skip("systemd-analyze is too old")
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))

	// 10 is nothing forbidden; what is left is what a switch is for.
	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=60", "--no-pager", file).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("systemd-analyze can't judge files: it is older than 250")
	}
	require.NoError(t, err, "%s", out)
}

// TestExample: the example is a configuration, and so it is with all comments that begin
// objects taken away.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("sluice.yaml")
	require.NoError(t, err)
	head, objects, _ := strings.Cut(string(text), "# ---\n")
	whole := head + "---\n" + regexp.MustCompile(`(?m)^# (# )?`).ReplaceAllStringFunc(objects, func(prefix string) string {
		return strings.TrimPrefix(prefix, "# ")
	})
	for why, documents := range map[string]string{"as it is": string(text), "with all in it": whole} {
		decoded, faults := control.Decode("sluice.yaml", []byte(documents), control.Options{})
		require.NoError(t, faults.Err(), why)
		m, faults := control.Compile(control.Input{Objects: decoded, Revision: 1})
		require.NoError(t, faults.Err(), why)
		if why == "as it is" {
			require.Empty(t, m.Ports, "it touches no device")
		} else {
			require.Len(t, m.Ports, 3)
		}
	}
}

// tree are the files below a folder.
func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	}))
	return files
}

// TestInstallation builds the program once, and puts it into places in each way.
func TestInstallation(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	need(t, "go", "gzip", "install")
	binary := filepath.Join(t.TempDir(), "sluice")
	output(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "./cmd/sluice")
	t.Run("install", func(t *testing.T) { testInstall(t, binary) })
	t.Run("package", func(t *testing.T) { testPackage(t, binary) })
	t.Run("machine", func(t *testing.T) { testMachine(t, binary) })
}

func testInstall(t *testing.T, binary string) {
	dir := t.TempDir()
	env := []string{"SLUICE=" + binary, "DESTDIR=" + dir, "PREFIX=/opt/sluice"}
	install := func(what string) string { return output(t, env, "scripts/install.sh", what) }
	read := func(name string) string {
		text, err := os.ReadFile(dir + name)
		require.NoError(t, err)
		return string(text)
	}
	require.Empty(t, install("install"))
	files := tree(t, dir)
	for _, want := range []string{
		"/opt/sluice/bin/sluice", "/opt/sluice/lib/systemd/system/sluice.service", "/opt/sluice/share/man/man1/sluice-run.1.gz",
		"/opt/sluice/share/bash-completion/completions/sluice", "/opt/sluice/share/zsh/site-functions/_sluice",
		"/opt/sluice/share/fish/vendor_completions.d/sluice.fish", "/opt/sluice/share/doc/sluice/operations.md",
		"/etc/sluice/sluice.yaml", "/etc/default/sluice",
	} {
		require.Contains(t, files, want)
	}
	require.Contains(t, read("/opt/sluice/lib/systemd/system/sluice.service"), "\nExecStart=/opt/sluice/bin/sluice run ")

	for _, name := range []string{"/etc/sluice/sluice.yaml", "/etc/default/sluice"} {
		require.NoError(t, os.WriteFile(dir+name, []byte("# mine"), 0o600))
	}
	require.Equal(t, "kept as it is: "+dir+"/etc/sluice\nkept as it is: "+dir+"/etc/default/sluice\n", install("install"))
	require.Equal(t, files, tree(t, dir), "a second time changes nothing")
	require.Equal(t, "# mine", read("/etc/sluice/sluice.yaml"))
	require.Equal(t, "# mine", read("/etc/default/sluice"))
	require.NoError(t, os.Rename(dir+"/etc/sluice/sluice.yaml", dir+"/etc/sluice/site.yaml"))
	install("install")
	require.NoFileExists(t, dir+"/etc/sluice/sluice.yaml", "an example beside a configuration would be part of it")

	require.Equal(t, "left there: "+dir+"/etc/sluice\nleft there: "+dir+"/etc/default/sluice\n", install("uninstall"))
	require.Equal(t, []string{"/etc/default/sluice", "/etc/sluice/site.yaml"}, tree(t, dir))
	install("uninstall")
}

// packageOf makes a package of a version.
func packageOf(t *testing.T, binary, version string) string {
	t.Helper()
	dir := t.TempDir()
	output(t, []string{"SOURCE_DATE_EPOCH=1767323045", "SLUICE=" + binary}, "scripts/deb.sh", version, dir)
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func testPackage(t *testing.T, binary string) {
	need(t, "dpkg-deb")
	deb := packageOf(t, binary, "v1.2.3-4-gabcdef")
	require.True(t, strings.HasPrefix(filepath.Base(deb), "sluice_1.2.3+4.gabcdef_"))
	first, err := os.ReadFile(deb)
	require.NoError(t, err)
	again, err := os.ReadFile(packageOf(t, binary, "v1.2.3-4-gabcdef"))
	require.NoError(t, err)
	require.Equal(t, md5.Sum(first), md5.Sum(again), "the same sources make the same bytes")

	dir := t.TempDir()
	output(t, nil, "dpkg-deb", "--raw-extract", deb, dir)
	control, err := os.ReadFile(dir + "/DEBIAN/control")
	require.NoError(t, err)
	require.Contains(t, string(control), "Package: sluice\nVersion: 1.2.3+4.gabcdef\n")
	conffiles, err := os.ReadFile(dir + "/DEBIAN/conffiles")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"/etc/default/sluice", "/etc/sluice/sluice.yaml"}, strings.Fields(string(conffiles)))
	sums, err := os.ReadFile(dir + "/DEBIAN/md5sums")
	require.NoError(t, err)
	var summed []string
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got := md5.Sum(content)
		require.Equal(t, hex.EncodeToString(got[:]), sum, name)
		summed = append(summed, "/"+name)
	}
	for _, name := range tree(t, dir) {
		if !strings.HasPrefix(name, "/DEBIAN/") && !strings.HasPrefix(name, "/etc/") {
			require.Contains(t, summed, name)
		}
	}
	if _, err := exec.LookPath("lintian"); err == nil {
		require.Empty(t, output(t, nil, "lintian", "--allow-root", "--fail-on=error,warning", deb))
	}
}

func TestPackageVersions(t *testing.T) {
	t.Parallel()
	need(t, "go")
	rows := []struct{ why, described, want string }{
		{"a release", "v1.2.3", "1.2.3"},
		{"before a release", "v1.2.3-rc1", "1.2.3~rc1"},
		{"commits after a release", "v1.2.3-4-gabc123", "1.2.3+4.gabc123"},
		{"after what is before one", "v1.2.3-rc1-4-gabc123", "1.2.3~rc1+4.gabc123"},
		{"before there is any", "abc123", "0~20260102.abc123"},
		{"with changes", "v1.2.3-4-gabc123-dirty", "1.2.3+4.gabc123+dirty"},
		{"without git", "unversioned", "0~20260102.unversioned"},
	}
	for _, row := range rows {
		require.Equal(t, row.want, output(t, []string{"SOURCE_DATE_EPOCH=1767323045"}, "scripts/deb.sh", "--version", row.described), row.why)
	}
}
