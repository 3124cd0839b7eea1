package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/node/bench"
	"github.com/sluice-net/sluice/node/replay"
)

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "site.yaml", site)
	in := "web/a=" + capture(t, dir, "a.pcap", question)
	faulty := write(t, dir, "faulty.yaml", "apiVersion:v1\nkind: Port\n")
	file := write(t, dir, "file", "hello")
	for _, row := range []struct {
		why    string
		args   []string
		status int
		says   []string // on the standard error
	}{
		{"a replay that works", []string{"replay", "--config", config, "--in", in}, 0, nil},
		{"help is what was asked for", []string{"--help"}, 0, nil},
		{"no command at all shows what there is", nil, 0, nil},

		{"results that can't be written", []string{"replay", "--config", config, "--in", in, "--out", file + "/x"}, 1, []string{"not a directory"}},

		{"an unknown command", []string{"rpelay"}, 2, []string{`unknown command "rpelay"`, "replay"}},
		{"an unknown flag", []string{"replay", "--confg", config}, 2, []string{"unknown flag: --confg"}},
		{"a flag's value of the wrong type", []string{"replay", "--workers", "many"}, 2, []string{"--workers", `"many"`}},
		{"an argument where none is wanted", []string{"replay", "--config", config, "--in", in, "more"}, 2, []string{`"more"`}},
		{"another format than there are", []string{"version", "-o", "xml"}, 2, []string{"-o xml: want json"}},

		{"faults of the configuration", []string{"replay", "--config", faulty, "--in", in}, 3, []string{faulty + ":1:11: a space is missing after the colon"}},
		{"a configuration that is not there", []string{"replay", "--config", dir + "/none.yaml", "--in", in}, 3, []string{"none.yaml: no such file"}},
		{"a folder without a configuration", []string{"replay", "--config", t.TempDir(), "--in", in}, 3, []string{"no *.yaml, *.yml or *.json file"}},

		{"a capture that is not there", []string{"replay", "--config", config, "--in", "web/a=" + dir + "/none.pcap"}, 4, []string{"none.pcap", "no such file"}},
		{"a file that is no capture", []string{"replay", "--config", config, "--in", "web/a=" + file}, 4, []string{"not a pcap"}},
		{"a capture for a port that does not exist", []string{"replay", "--config", config, "--in", "web/x=" + dir + "/a.pcap"}, 4, []string{`no port "web/x"`}},
		{"a benchmark of a file that is no capture", []string{"bench", "--pcap", file}, 4, []string{"not a pcap"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := sluice(t, row.args...)
			require.Equal(t, row.status, got.status, got.err)
			for _, s := range row.says {
				require.Contains(t, got.err, s)
			}
			if row.status == exitOK {
				require.Empty(t, got.err)
				require.NotEmpty(t, got.out)
			} else {
				require.Regexp(t, "(?m)^sluice: ", got.err)
				require.Empty(t, got.out)
			}
		})
	}
}

// A node that crashes or loses frames can't be made to order, so the step from
// a replay's end to the status is tested apart.
func TestVerdict(t *testing.T) {
	lost := &replay.Report{Ledger: dataplane.Ledger{Unexplained: -2}}
	for _, row := range []struct {
		why    string
		report *replay.Report
		err    error
		status int
	}{
		{"all is well", &replay.Report{}, nil, exitOK},
		{"frames are lost", lost, nil, exitLedger},
		{"lost frames say more than the panic that lost them", &replay.Report{Crashes: 1, Ledger: lost.Ledger}, nil, exitLedger},
		{"panics were contained", &replay.Report{Crashes: 1}, nil, exitFailure},
		{"a capture ends early", &replay.Report{}, fmt.Errorf("%w: frame 2", replay.ErrInput), exitInput},
		{"a benchmark's capture", nil, fmt.Errorf("%w: empty", bench.ErrInput), exitInput},
		{"stopped by a signal", nil, fmt.Errorf("frame 7: %w", context.Canceled), exitInterrupted},
		{"the disk is full", nil, errors.New("no space left on device"), exitFailure},
	} {
		err := verdict(row.report, row.err)
		if row.status == exitOK {
			require.NoError(t, err, row.why)
			continue
		}
		se, ok := errors.AsType[*statusError](err)
		require.True(t, ok, row.why)
		require.Equal(t, row.status, se.status, row.why)
		if row.err != nil {
			require.ErrorIs(t, err, row.err, row.why)
		}
	}
}

// All faults of all files are told at once, each with its place.
func TestFaultsAreAllListed(t *testing.T) {
	dir := t.TempDir()
	one := write(t, dir, "one.yaml", "apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: web}\nspec: {subnet: x, mtu: 100}\n")
	two := write(t, dir, "two.yaml", "apiVersion: sluice.dev/v1\nkind: Sgment\nmetadata: {name: web}\n")
	got := sluice(t, "replay", "--config", one, "--config", two, "--in", "web/a=a.pcap")
	require.Equal(t, exitConfig, got.status)
	require.Empty(t, got.out)
	lines := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
	require.Len(t, lines, 4, got.err)
	for i, want := range []string{
		one + ":4:8: Segment web: spec.subnet: unknown field (did you mean subnets?)",
		one + ":4:24: Segment web: spec.mtu: 100 is out of range",
		two + ":2:7: ",
		"sluice: faults in the configuration: 3",
	} {
		require.True(t, strings.HasPrefix(lines[i], want), "want %s\ngot  %s", want, lines[i])
	}
}

// What can't be put into effect is refused before anything is written.
func TestUnsupportedConfiguration(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "ingress.yaml", site+"---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\nspec: {defaultBackend: {service: {name: shop, port: {number: 80}}}}\n")
	out := filepath.Join(dir, "out")
	got := sluice(t, "replay", "--config", config, "--in", "web/a="+capture(t, dir, "a.pcap", question), "--out", out)
	require.Equal(t, exitConfig, got.status)
	require.True(t, strings.HasPrefix(got.err, "sluice: Ingress default/shop is not supported by this version: "), got.err)
	require.NoDirExists(t, out)
}

func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"replay", "--config", write(t, dir, "site.yaml", site), "--in", "web/a=" + capture(t, dir, "a.pcap", question)},
		{"bench", "--duration", "1h", "--flows", "1"},
	} {
		got := sluiceWith(t, ctx, "", args...)
		require.Equal(t, exitInterrupted, got.status, got.err)
		require.Empty(t, got.out)
		require.Contains(t, got.err, "canceled")
	}
}

// brokenPipe is a standard output that nobody reads any more.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatCantBeWritten(t *testing.T) {
	for _, args := range [][]string{
		{"version"},
		{"version", "-o", "json"},
		{"bench", "--duration", "1ms", "--flows", "1", "-o", "json"},
	} {
		require.Equal(t, exitFailure, run(context.Background(), args, strings.NewReader(""), brokenPipe{}, io.Discard), args)
	}
}

func TestVersion(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "v1.2.3-4-gabcdef0"
	text := sluice(t, "version")
	require.Equal(t, outcome{out: fmt.Sprintf("sluice v1.2.3-4-gabcdef0 %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)}, text)

	got := sluice(t, "version", "--output", "json")
	require.Zero(t, got.status)
	var v map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.out), &v))
	delete(v, "commit") // a build from a work tree knows it, a test need not
	require.Equal(t, map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}, v)

	version = ""
	require.NotContains(t, sluice(t, "version").out, "sluice  ", "a build without the Makefile has a version too")
}

func TestCompletion(t *testing.T) {
	for shell, mark := range map[string]string{"bash": "complete -o default", "zsh": "#compdef sluice", "fish": "complete -c sluice"} {
		got := sluice(t, "completion", shell)
		require.Zero(t, got.status, shell)
		require.Empty(t, got.err, shell)
		require.Contains(t, got.out, mark, shell)
	}
	// What the scripts call.
	got := sluice(t, "__complete", "re")
	require.Zero(t, got.status)
	require.Contains(t, got.out, "replay\t")
}

func TestHelpSaysWhatStatusesMean(t *testing.T) {
	var paths [][]string
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		paths = append(paths, path)
		for _, sub := range c.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	root := newRoot()
	root.InitDefaultCompletionCmd()
	walk(root, nil)
	require.Greater(t, len(paths), 4)
	for _, path := range paths {
		got := sluice(t, append(path, "--help")...)
		require.Zero(t, got.status, path)
		require.Equal(t, 1, strings.Count(got.out, exitHelp), "%v:\n%s", path, got.out)
	}
	for _, status := range []int{exitOK, exitFailure, exitUsage, exitConfig, exitInput, exitLedger, exitInterrupted} {
		require.Contains(t, exitHelp, fmt.Sprintf("\n%5d  ", status))
	}
}

// The examples that the help shows are command lines that parse.
func TestExamplesOfTheHelpParse(t *testing.T) {
	n := 0
	for _, c := range newRoot().Commands() {
		for line := range strings.Lines(c.Example) {
			words := shellWords(line)
			if len(words) == 0 {
				continue
			}
			n++
			require.Equal(t, []string{"sluice", c.Name()}, words[:2])
			fresh, args, err := newRoot().Find(words[1:])
			require.NoError(t, err)
			require.NoError(t, fresh.ParseFlags(args), line)
			require.NoError(t, fresh.ValidateRequiredFlags(), line)
			require.NoError(t, fresh.ValidateArgs(fresh.Flags().Args()), line)
		}
	}
	require.GreaterOrEqual(t, n, 4)
}

// shellWords splits a line of an example as a shell does, and returns the part of a pipe that is
// ours, without where its output goes.
func shellWords(line string) (words []string) {
	for i, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '"' || r == '\'' }) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	words = words[max(0, slices.Index(words, "sluice")):]
	if end := slices.IndexFunc(words, func(word string) bool { return strings.Contains("|>#", word) }); end >= 0 {
		words = words[:end]
	}
	return words
}
