package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluice-net/sluice/control/client"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// TestScripts runs the scripts of testdata/script: the command line against a daemon whose
// ports have no devices. Beside testscript's commands there are:
//
//	daemon [FLAG…]       starts `sluice run` with the folder state for its state, and waits for it
//	daemon stop|kill     ends it by SIGTERM, by SIGKILL
//	mask stdout FILE     writes what a command has said to a file, without times; -update then writes
//	                     what cmp compares it with
//	fails STATUS COMMAND ARG…
//	                     runs a command that ends with this exit status
//	until FILE TEXT…     waits until a file has texts, one after the other
//	faulty N FILE        writes documents with N faults
//	large MIB FILE       writes documents of so many MiB
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			dir, err := os.MkdirTemp("", "sl") // a socket's path must be short
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(dir) })
			d := &scriptDaemon{address: "unix:" + filepath.Join(dir, "api"), state: filepath.Join(e.WorkDir, "state")}
			e.Values[daemonKey{}] = d
			e.Defer(d.end)
			e.Setenv("SLUICE_API", d.address)
			e.Setenv("TERM", "xterm")
			e.Setenv("TMPDIR", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each process of the race detector takes a second to end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": scriptRun,
			"mask":   scriptMask,
			"fails":  scriptFails,
			"until":  scriptUntil,
			"faulty": scriptFaulty,
			"large":  scriptLarge,
		},
	})
}

type daemonKey struct{}

func scriptRun(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(daemonKey{}).(*scriptDaemon)
	switch {
	case neg:
		ts.Fatalf("usage: daemon [FLAG…], daemon stop, daemon kill")
	case len(args) == 1 && args[0] == "stop":
		ts.Check(d.signal(syscall.SIGTERM))
	case len(args) == 1 && args[0] == "kill":
		ts.Check(d.signal(syscall.SIGKILL))
	default:
		ts.Check(d.start(ts.MkAbs("."), args))
	}
}

// patience is how long a script waits for what should be there at once.
const patience = 60 * time.Second

// scriptDaemon is the daemon of a script.
type scriptDaemon struct {
	address, state string
	process        *exec.Cmd // nil: it does not run
	ended          chan error
	log            bytes.Buffer // valid once it has ended
}

func (d *scriptDaemon) start(dir string, flags []string) error {
	if d.process != nil {
		return errors.New("the daemon runs already")
	}
	program, err := exec.LookPath("sluice") // testscript.Main has put it there
	if err != nil {
		return err
	}
	d.process = exec.Command(program, append([]string{"run", "--api", d.address, "--state", d.state, "--populate=false", "--workers", "1"}, flags...)...)
	d.process.Dir = dir
	d.process.Stderr = &d.log
	if err := d.process.Start(); err != nil {
		return err
	}
	d.ended = make(chan error, 1)
	go func(p *exec.Cmd, ended chan<- error) { ended <- p.Wait() }(d.process, d.ended)
	return d.wait()
}

// wait waits until frames would pass.
func (d *scriptDaemon) wait() error {
	c, err := client.New(d.address)
	if err != nil {
		return err
	}
	defer c.Close()
	for deadline := time.Now().Add(patience); ; {
		st, err := c.Status(context.Background())
		if err == nil && st.Ready {
			return nil
		}
		select {
		case <-d.ended:
			d.process = nil
			return fmt.Errorf("the daemon has ended: %s", d.log.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon is not ready: %v", err)
		}
	}
}

func (d *scriptDaemon) signal(s syscall.Signal) error {
	if d.process == nil {
		return errors.New("no daemon runs")
	}
	if err := d.process.Process.Signal(s); err != nil {
		return err
	}
	err := <-d.ended
	d.process = nil
	if s == syscall.SIGTERM && err != nil {
		return fmt.Errorf("the daemon: %w\n%s", err, d.log.String())
	}
	return nil
}

func (d *scriptDaemon) end() {
	if d.process != nil {
		_ = d.process.Process.Kill() // it may have ended
		<-d.ended
	}
}

// masks are what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`live after [\d.]+ ?(µs|ms|s)`), "live after LATENCY"},
	{regexp.MustCompile(`"liveAfterSeconds": [\d.e-]+`), `"liveAfterSeconds": LATENCY`},
	{regexp.MustCompile(`liveAfterSeconds: [\d.e-]+`), `liveAfterSeconds: LATENCY`},
	{regexp.MustCompile(`\b\d+m?s\b( ago)?`), "AGE$1"},
	{regexp.MustCompile(`\S+@unix|\bunix\b`), "SOMEBODY@unix"},
	{regexp.MustCompile(`sluice-edit-\d+`), "sluice-edit-N"},
	{regexp.MustCompile(`unix:/\S+/api`), "unix:SOCKET"},
	{regexp.MustCompile(`(\S) {3,}`), "$1   "}, // columns are as wide as what stands in them
}

// masked is a text without them.
func masked(text, work string) string {
	text = strings.ReplaceAll(text, work, "$WORK")
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.text)
	}
	return text
}

func scriptMask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mask stdout|stderr|FILE FILE")
	}
	text := masked(ts.ReadFile(args[0]), ts.Getenv("WORK"))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func scriptFails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS COMMAND ARG…")
	}
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		status = exit.ExitCode()
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("the exit status is %d", status)
	}
}

func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until FILE TEXT…")
	}
	deadline := time.Now().Add(patience)
	for {
		text, _ := os.ReadFile(ts.MkAbs(args[0])) // it may not be there yet
		rest, found := string(text), true
		for _, part := range args[1:] {
			if _, rest, found = strings.Cut(rest, part); !found {
				break
			}
		}
		if found {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has no %q, one after the other:\n%s", args[0], args[1:], text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func scriptFaulty(ts *testscript.TestScript, neg bool, args []string) {
	n, path := scriptSize(ts, neg, args)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: s%02d}\nspec: {mtu: %d}\n", i, i)
	}
	ts.Check(os.WriteFile(path, []byte(b.String()), 0o600))
}

func scriptLarge(ts *testscript.TestScript, neg bool, args []string) {
	n, path := scriptSize(ts, neg, args)
	var b bytes.Buffer
	note := strings.Repeat("lorem ipsum ", 2000)
	for i := 0; b.Len() < n<<20; i++ {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata:\n  name: s%d\n  annotations: {note: %q}\n", i, note)
	}
	ts.Check(os.WriteFile(path, b.Bytes(), 0o600))
}

func scriptSize(ts *testscript.TestScript, neg bool, args []string) (n int, path string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	return n, ts.MkAbs(args[1])
}
