package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/internal/netdev"
)

// process is a program that the lab has started in a namespace. Its outputs are
// files: it can outlive the lab's own process, and nobody has to empty a pipe.
type process struct {
	what  string // for messages
	cmd   *exec.Cmd
	files string // path of its outputs, without .out and .err
	begun time.Time
	done  chan struct{} // closed when it has ended
	err   error         // of Wait; once done is closed

	// expected: somebody has told it to end.
	expected atomic.Bool
}

// start starts a program in a namespace, in a session of its own, so that the
// terminal's interrupts are the lab's alone and one signal reaches all that it starts.
func (l *Lab) start(ns *namespace, self, what string, argv []string) (*process, error) {
	path, err := l.lookPath(argv[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	p := &process{
		what: what, files: filepath.Join(l.dir, "out", fmt.Sprintf("%04d-%s", l.nextOutput(), fileName(what))),
		done: make(chan struct{}), begun: time.Now(),
	}
	stdout, err := os.Create(p.files + ".out")
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(p.files + ".err")
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	p.cmd = &exec.Cmd{
		Path: path, Args: argv, Dir: l.workDir(), Env: l.environment(self), Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := netdev.In(ns.netns, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// fileName makes a word of a text.
func fileName(text string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, strings.ToLower(text))
	return word[:min(len(word), 40)]
}

// lookPath finds a program, "sluice" being the one under test.
func (l *Lab) lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(l.searchPath()) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in PATH: install it (apt-get install %s, or the package that has it)", name, name)
}

func (l *Lab) searchPath() string {
	// Programs such as udhcpc are in sbin, which not every user's PATH has.
	return filepath.Join(l.dir, "bin") + ":" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
}

func (l *Lab) environment(self string) []string {
	env := []string{
		"PATH=" + l.searchPath(), "HOME=" + l.dir, "LC_ALL=C.UTF-8",
		"SLUICE_LAB=" + l.dir, "SLUICE_POD=" + self, "SLUICE_API=unix:" + l.socket(),
	}
	// What developers tell Go's runtime is meant for the node.
	for _, name := range []string{"GODEBUG", "GORACE", "GOTRACEBACK", "GOCOVERDIR"} {
		if value, given := os.LookupEnv(name); given {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// ended reports whether it has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends a signal to it and all that it has started.
func (p *process) signal(s syscall.Signal) {
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // it may just have ended
	}
}

// kill ends it, and waits until it has.
func (p *process) kill() {
	p.expected.Store(true)
	p.signal(syscall.SIGKILL)
	<-p.done
}

// wait waits for its end; when ctx is done first it is killed, and the error
// says so.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%s was killed after %s: %w", p.what, time.Since(p.begun).Round(100*time.Millisecond), context.Cause(ctx))
	}
}

// stop asks it to end, and waits.
func (p *process) stop(ctx context.Context) error {
	p.expected.Store(true)
	p.signal(syscall.SIGTERM)
	return p.wait(ctx)
}

// status is its exit status, as a shell would say: 128 and the signal's number
// if one ended it.
func (p *process) status() int {
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0
	case errors.As(p.err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	return 255
}

// maxOutput is what of an output is looked at, bytes.
const maxOutput = 4 << 20

func (p *process) stdout() string { return readSome(p.files+".out", 0) }
func (p *process) stderr() string { return readSome(p.files+".err", 0) }

// readSome returns a file's text from an offset on, or the beginning of it if it is too long.
func readSome(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, offset, maxOutput))
	if err != nil {
		return ""
	}
	return string(data)
}

// awaitReady waits until the program listens as it is to, or has ended.
func (p *process) awaitReady(ctx context.Context, r Ready) error {
	for _, want := range []struct {
		protocol string
		port     int
	}{{"tcp", r.TCP}, {"udp", r.UDP}} {
		for want.port != 0 && !listens(p.cmd.Process.Pid, want.protocol, want.port) {
			select {
			case <-p.done:
				return fmt.Errorf("%s ended with status %d before it listened on %s port %d:\n%s%s",
					p.what, p.status(), want.protocol, want.port, p.stdout(), p.stderr())
			case <-ctx.Done():
				return fmt.Errorf("%s does not listen on %s port %d: %w", p.what, want.protocol, want.port, context.Cause(ctx))
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

// listens reports whether somebody in the process's network namespace listens on a
// port. It asks the kernel's table (proc(5), /proc/net/tcp): a connection to
// try would be traffic in the lab.
func listens(pid int, protocol string, port int) bool {
	const listening, unconnected = "0A", "07" // TCP_LISTEN; of UDP sockets TCP_CLOSE
	for _, family := range []string{"", "6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s%s", pid, protocol, family))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line) // sl local_address rem_address st …
			if len(fields) < 4 || fields[3] != listening && (protocol != "udp" || fields[3] != unconnected) {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				return true
			}
		}
	}
	return false
}

// killWithin kills all processes in network namespaces, given by their names,
// and returns when there are none.
func killWithin(namespaces []string) error {
	ids := map[uint64]bool{}
	for _, name := range namespaces {
		if id, err := netdev.NamespaceID(name); err == nil {
			ids[id] = true
		}
	}
	if own, err := netdev.NamespaceID(""); err != nil || ids[own] {
		return errors.New("the lab's namespaces can't be told from the own: nothing is killed")
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := processesIn(ids)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the lab do not end", left)
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processesIn lists the processes in the namespaces.
func processesIn(ids map[uint64]bool) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A zombie has none any more: it is its parent's.
		if id, err := netdev.NamespaceID(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && ids[id] {
			pids = append(pids, pid)
		}
	}
	return pids
}
