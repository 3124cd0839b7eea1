package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/lab"
)

// TestKernel plays scenarios with a real node in real namespaces. The binary is
// built once for all of it.
func TestKernel(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("takes a minute and a half: left out by -short")
	case os.Geteuid() != 0:
		t.Skip("labs make network namespaces: run as root")
	}
	binary := filepath.Join(t.TempDir(), "sluice")
	// Under the race detector the switch is watched as well: a race is an exit
	// status of its own, and so a failure.
	race := fmt.Sprintf("-race=%t", underRace())
	// Such a program sleeps for a second before it ends. Labs start hundreds, and their networks are left alone meanwhile.
	t.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	output, err := exec.Command("go", "build", "-buildvcs=false", race, "-o", binary, "../cmd/sluice").CombinedOutput()
	require.NoError(t, err, "%s", output)

	shipped, err := lab.Shipped()
	require.NoError(t, err)
	for _, s := range shipped {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, program := range s.Needs {
				if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") != "true" {
					t.Skipf("%s is not installed: make setup", program)
				}
			}
			l := newLabs(t, binary)
			r := l.run("run", s.Name)
			require.Zero(t, r.status, "%s%s", r.out, r.err)
			l.nothingIsLeft(r)
		})
	}
	for _, row := range engineTests {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.test(t, newLabs(t, binary))
		})
	}
}

// underRace reports whether this test was built with -race.
func underRace() bool {
	info, found := debug.ReadBuildInfo()
	return found && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// labs is the command line with a folder of its own for labs.
type labs struct {
	t           *testing.T
	binary, dir string
}

func newLabs(t *testing.T, binary string) *labs {
	// Not t.TempDir: with the test's name in it, a socket's path would be too long.
	dir, err := os.MkdirTemp("", "lab-")
	require.NoError(t, err)
	l := &labs{t, binary, dir}
	t.Cleanup(func() {
		// What a failed test has left up.
		running, _ := lab.Running(dir)
		for _, s := range running {
			_, _ = lab.Down(dir, s.ID)
		}
		require.NoError(t, os.RemoveAll(dir))
	})
	return l
}

// scenario writes one of a body, and returns its file.
func (l *labs) scenario(name, body string) string {
	path := filepath.Join(l.dir, "."+name+".yaml")
	text := "name: " + name + "\nabout: A test.\n" + body
	require.NoError(l.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// outcome is what a run of the command leaves.
type outcome struct {
	status   int
	out, err string
	id       string // of the lab
}

func (l *labs) run(args ...string) outcome { return l.start(args...).wait() }

// running is a command that runs.
type running struct {
	l        *labs
	cmd      *exec.Cmd
	out, err bytes.Buffer
	cancel   context.CancelFunc
}

func (l *labs) start(args ...string) *running {
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	r := &running{l: l, cancel: cancel}
	args = append([]string{"lab", args[0], "--dir", l.dir}, args[1:]...)
	r.cmd = exec.CommandContext(ctx, l.binary, args...)
	// The lab takes down what it has made, if it is asked to.
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = 30 * time.Second
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	require.NoError(l.t, r.cmd.Start())
	return r
}

var idForm = regexp.MustCompile(`^[a-z0-9-]+ \(([a-z0-9]{4})\): `)

func (r *running) wait() outcome {
	defer r.cancel()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(r.l.t, err)
	}
	o := outcome{status: r.cmd.ProcessState.ExitCode(), out: r.out.String(), err: r.err.String()}
	if m := idForm.FindStringSubmatch(o.out); m != nil {
		o.id = m[1]
	}
	return o
}

// awaitLab waits until a lab has got as far as its namespaces and a program's
// output say.
func (l *labs) awaitLab(marker string) {
	require.Eventually(l.t, func() bool {
		found, _ := filepath.Glob(filepath.Join(l.dir, "*", marker))
		return len(found) > 0
	}, time.Minute, 20*time.Millisecond)
}

// nothingIsLeft: no folder, no namespace, no process.
func (l *labs) nothingIsLeft(o outcome) {
	l.t.Helper()
	left, err := lab.Running(l.dir)
	require.NoError(l.t, err)
	require.Empty(l.t, left)
	require.NotEmpty(l.t, o.id, "%s%s", o.out, o.err)
	names, err := netdev.ListNamespaces()
	require.NoError(l.t, err)
	for _, name := range names {
		require.False(l.t, strings.HasPrefix(name, "sl-"+o.id+"-"), "the namespace %s is left", name)
	}
	require.Empty(l.t, processesWith("SLUICE_LAB="+filepath.Join(l.dir, o.id)), "processes are left")
}

// processesWith returns the processes in whose environment a variable has a value.
func processesWith(assignment string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && bytes.Contains(data, []byte(assignment+"\x00")) {
			found = append(found, file)
		}
	}
	return found
}

const onePod = "pods: [{name: demo/a}]\n"

var engineTests = []struct {
	name string
	test func(t *testing.T, l *labs)
}{
	{"an interrupted run takes its lab down", func(t *testing.T, l *labs) {
		r := l.start("run", l.scenario("long", onePod+"steps: [{in: demo/a, run: 'touch $SLUICE_LAB/ready; sleep 60'}]"))
		l.awaitLab("ready")
		require.NoError(t, r.cmd.Process.Signal(syscall.SIGINT))
		o := r.wait()
		require.Equal(t, 130, o.status, o.err)
		require.Contains(t, o.err, "interrupted")
		l.nothingIsLeft(o)
	}},
	{"what a killed run leaves is removed by the next", func(t *testing.T, l *labs) {
		r := l.start("run", l.scenario("killed", onePod+"steps: [{in: demo/a, run: 'touch $SLUICE_LAB/ready; sleep 60'}]"))
		l.awaitLab("ready")
		require.NoError(t, r.cmd.Process.Kill())
		killed := r.wait()
		left, err := lab.Running(l.dir)
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.False(t, left[0].Alive)
		require.NotEmpty(t, processesWith("SLUICE_LAB="+filepath.Join(l.dir, left[0].ID)), "a program of the lab runs on")

		o := l.run("run", l.scenario("next", onePod+"steps: [{in: demo/a, run: 'true'}]"))
		require.Zero(t, o.status, o.out+o.err)
		require.Contains(t, o.err, "removed the lab "+left[0].ID+" (killed)")
		l.nothingIsLeft(o)
		killed.id = left[0].ID
		l.nothingIsLeft(killed)
	}},
	{"a run that goes on is left alone by others", func(t *testing.T, l *labs) {
		r := l.start("run", l.scenario("long", onePod+"steps: [{in: demo/a, run: 'touch $SLUICE_LAB/ready; while [ ! -e $SLUICE_LAB/../.go ]; do sleep 0.1; done'}]"))
		l.awaitLab("ready")
		o := l.run("run", l.scenario("other", onePod+"steps: [{in: demo/a, run: 'ping -c 1 -W 2 ${gateway:self}; touch $SLUICE_LAB/../.go'}]"))
		require.Zero(t, o.status, o.out+o.err)
		first := r.wait()
		require.Zero(t, first.status, first.out+first.err)
		require.NotEqual(t, first.id, o.id)
		l.nothingIsLeft(o)
		l.nothingIsLeft(first)
	}},
	{"a failure says what was wanted, what came, and what the node had to say", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("fails", onePod+`steps:
  - in: demo/a
    run: ping -c 1 -W 1 10.9.9.9; echo a word
    expect: {stdout: another word}
  - in: demo/a
    run: touch $SLUICE_LAB/../.ran
`))
		require.Equal(t, 1, o.status)
		for _, want := range []string{
			"FAIL ", "(line 5)", `demo/a: standard output: want "another word" in it`, "| a word",
			"dropped at demo/a: 1 FIB_LOOKUP_FAILED", "the node's last words:", "fails: FAILED, 2 steps",
		} {
			require.Contains(t, o.out, want)
		}
		require.NoFileExists(t, filepath.Join(l.dir, ".ran"), "steps after a failed one are not done")
		require.Contains(t, o.err, "1 of 1 scenarios failed: fails")
		l.nothingIsLeft(o)
	}},
	{"what came of an attempt, and of rules, is told when it is not as expected", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("attempts", `config: |
  {apiVersion: sluice.dev/v1, kind: SecurityPolicy, metadata: {name: p}, spec: {rules: [{name: r, action: REJECT, serviceEntries: [{l4Protocol: TCP, destinationPorts: ["7"]}]}]}}
pods:
  - name: demo/a
  - name: demo/b
    run: [{run: "sluice lab echo --ports 7,8", ready: {tcp: 8, udp: 8}}]
steps:
  - in: demo/a
    connect: ["tcp ${ip:demo/b}:8", "udp ${ip:demo/b}:8"]
    expect: {rules: {p: {packets: 0}}}
  - in: demo/a
    connect: "tcp ${ip:demo/b}:7"
    expect: {outcome: refused, rules: {p/r: {packets: 1}}, drops: {POLICY_REJECTED: 1}}
  - in: [demo/a, demo/b]
    connect: ["udp ${ip:demo/b}:9", "tcp ${ip:demo/b}:7"]
`))
		require.Equal(t, 1, o.status, o.out+o.err)
		require.Contains(t, o.out, "connect tcp ${ip:demo/b}:7")
		require.Regexp(t, `demo/a: udp [0-9.]+:9: want answered, got refused connection refused: ICMP type 3 code 3`, o.out)
		require.Regexp(t, `demo/a: tcp [0-9.]+:7: want answered, got refused`, o.out)
		require.NotContains(t, o.out, "demo/b: tcp", "its own kernel has not asked the switch")
		l.nothingIsLeft(o)
	}},
	{"a step is repeated as long as it may", func(t *testing.T, l *labs) {
		o := l.run("run", "-o", "json", l.scenario("again", onePod+`steps:
  - in: demo/a
    run: echo x >>$SLUICE_LAB/n; test $(wc -l <$SLUICE_LAB/n) -ge 3
    within: 30s
`))
		require.Zero(t, o.status, o.out+o.err)
		var r lab.Result
		require.NoError(t, json.Unmarshal([]byte(o.out), &r))
		require.True(t, r.OK)
		require.Equal(t, 3, r.Steps[1].Attempts)
		o.id = r.ID
		l.nothingIsLeft(o)
	}},
	{"a node that dies is found out", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("dies", onePod+"steps: [{in: node, run: 'kill -9 $(cat $SLUICE_LAB/state/sluice.pid)'}, {pause: 1s}]"))
		require.Equal(t, 1, o.status)
		require.Contains(t, o.out, "the node ended by itself, with status 137")
		l.nothingIsLeft(o)
	}},
	{"a lab that is kept stays until it is ended", func(t *testing.T, l *labs) {
		o := l.run("run", "--keep", l.scenario("kept", onePod+"steps: [{in: demo/a, run: 'false'}]"))
		require.Equal(t, 1, o.status)
		require.Contains(t, o.out, "ip netns exec sl-"+o.id+"-demo.a bash")
		require.Contains(t, l.run("list").out, o.id)
		require.Zero(t, l.run("run", l.scenario("next", onePod+"steps: [{in: demo/a, run: 'true'}]")).status)
		left, err := lab.Running(l.dir)
		require.NoError(t, err)
		require.Len(t, left, 1, "the next run sweeps it away")
		down := l.run("down", "kept")
		require.Zero(t, down.status, down.err)
		require.Equal(t, o.id+" (kept) is down\n", down.out)
		l.nothingIsLeft(o)
	}},
	{"up leaves the topology for a person", func(t *testing.T, l *labs) {
		o := l.run("up", l.scenario("by-hand", onePod+"steps: [{in: demo/a, run: 'false'}]"))
		require.Zero(t, o.status, o.out+o.err)
		ping := exec.Command("ip", "netns", "exec", "sl-"+o.id+"-demo.a", "ping", "-c", "1", "-W", "5", "10.244.0.1")
		answer, err := ping.CombinedOutput()
		require.NoError(t, err, "%s", answer)
		require.Zero(t, l.run("down").status)
		l.nothingIsLeft(o)
		require.Contains(t, l.run("down").err, "no lab is up")
	}},
	{"a configuration is changed, or refused and left as it was", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("edits", onePod+`steps:
  - config: {apply: "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: more}, spec: {subnets: [{cidr: 10.8.0.0/24}]}}"}
  - in: demo/a
    run: ping -c 1 -W 2 10.8.0.1
  - config: {apply: "{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: x}, spec: {segment: nowhere}}"}
    expect: {refused: there is no Segment nowhere}
  - config: {remove: [Segment more]}
  - in: demo/a
    run: ping -c 1 -W 1 10.8.0.1
    expect: {status: 1, drops: {FIB_LOOKUP_FAILED: 1}}
  - get: /v1/segments
    expect: {json: {"items[*]": 1}}
`))
		require.Zero(t, o.status, o.out+o.err)
		l.nothingIsLeft(o)
	}},
	{"programs that hide are ended as well", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("daemons", onePod+"steps: [{in: demo/a, run: 'setsid setsid sleep 600 >/dev/null 2>&1 & sleep 0.2'}]"))
		require.Zero(t, o.status, o.out+o.err)
		l.nothingIsLeft(o)
	}},
	{"faults are listed, and nothing is made", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("faulty", "podds: []\nsteps: [{in: x, run: 5}]"))
		require.Equal(t, 3, o.status)
		require.Contains(t, o.err, `.faulty.yaml:3:1: unknown field "podds"`)
	}},
	{"a program that is needed and missing is named", func(t *testing.T, l *labs) {
		o := l.run("run", l.scenario("needs", onePod+"needs: [no-such-program]"))
		require.Equal(t, 1, o.status)
		require.Contains(t, o.err, "there is no program no-such-program in PATH: install it")
		left, err := lab.Running(l.dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}},
}
