package netnstest

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Run runs a program in the namespace and returns its standard output. The test
// ends if it fails, and is skipped if there is no such program.
func (ns *NS) Run(command ...string) (stdout string) {
	ns.t.Helper()
	stdout, stderr, err := ns.Try(command...)
	if err != nil {
		ns.t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, stdout, stderr)
	}
	return stdout
}

// Try is Run for a program that may fail: err is an *exec.ExitError then.
func (ns *NS) Try(command ...string) (stdout, stderr string, err error) {
	ns.t.Helper()
	var out, errOut bytes.Buffer
	cmd := ns.command(command)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = ns.Do(cmd.Run) // forks on the thread that is in the namespace
	return out.String(), errOut.String(), err
}

// Program is a program that runs in a namespace.
type Program struct {
	cmd   *exec.Cmd
	out   safeBuffer
	ended chan struct{}
	err   error // valid when ended is closed
}

// Start starts a program in the namespace and goes on. It is killed, with the
// processes that it has started, when the test ends.
func (ns *NS) Start(command ...string) *Program {
	ns.t.Helper()
	p := &Program{cmd: ns.command(command), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	// A group of its own, by which its children can be found.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // a child that has left the group may hold the output open
	if err := ns.Do(p.cmd.Start); err != nil {
		ns.t.Fatalf("%s: %v", strings.Join(command, " "), err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	ns.t.Cleanup(p.Stop)
	return p
}

func (ns *NS) command(command []string) *exec.Cmd {
	ns.t.Helper()
	path, err := exec.LookPath(command[0])
	if errors.Is(err, exec.ErrNotFound) {
		ns.t.Skipf("this test needs the program %s: install it", command[0])
	}
	if err != nil {
		ns.t.Fatal(err)
	}
	return exec.Command(path, command[1:]...)
}

// PID is the process's number.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Output is what it has written so far, to both outputs.
func (p *Program) Output() string { return p.out.String() }

// Wait waits until it ends, and returns how.
func (p *Program) Wait() error {
	<-p.ended
	return p.err
}

// Stop kills it and waits for its end.
func (p *Program) Stop() {
	select {
	case <-p.ended:
	default:
		syscall.Kill(-p.PID(), syscall.SIGKILL) //nolint:errcheck // it may have ended just now
		<-p.ended
	}
}

// safeBuffer is a buffer that is written and read at the same time.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
