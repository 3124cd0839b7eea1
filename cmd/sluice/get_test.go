package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// TestGet compares what get prints about servertest.Small with testdata/get.txtar:
// each file's name is a command line, its content what comes out, what is said on the
// standard error behind "! ", and the exit status if it is not 0.
func TestGet(t *testing.T) {
	const path = "testdata/get.txtar"
	archive, err := txtar.ParseFile(path)
	require.NoError(t, err)
	require.NotEmpty(t, archive.Files)
	address := servertest.Start(t, servertest.Small())
	for i := range archive.Files {
		f := &archive.Files[i]
		t.Run(f.Name, func(t *testing.T) {
			got := sluice(t, append(strings.Fields(f.Name), "--api", address)...)
			var b strings.Builder
			b.WriteString(got.out)
			for line := range strings.Lines(got.err) {
				fmt.Fprintf(&b, "! %s", line)
			}
			if got.status != 0 {
				fmt.Fprintf(&b, "exit status %d\n", got.status)
			}
			if *update {
				f.Data = []byte(b.String())
				return
			}
			require.Equal(t, string(f.Data), b.String())
			for line := range strings.Lines(got.out) {
				require.NotRegexp(t, ` \n$`, line, "no line ends in spaces")
			}
		})
	}
	if *update {
		require.NoError(t, os.WriteFile(path, txtar.Format(archive), 0o600))
	}
}

// A node that has nothing of a kind says so, apart from what scripts read.
func TestGetNothing(t *testing.T) {
	address := servertest.Start(t, &servertest.Source{})
	for _, k := range api.ViewKinds() {
		got := sluice(t, "get", k.Name, "--api", address)
		require.Equal(t, outcome{0, "", "no " + plural(k) + "\n"}, got, k.Name)
		if hasObjects(k.Name) {
			continue // other forms show objects, which this node has not got
		}
		got = sluice(t, "get", k.Name, "--api", address, "-o", "json")
		require.Equal(t, outcome{0, "{\n  \"items\": []\n}\n", ""}, got, k.Name)
		got = sluice(t, "get", k.Name, "--api", address, "-o", "yaml")
		require.Equal(t, outcome{0, "items: []\n", ""}, got, k.Name)
	}
}

func TestGetWithoutADaemon(t *testing.T) {
	path := filepath.Join(filepath.Dir(servertest.Socket(t)), "none")
	for _, command := range [][]string{{"get", "ports"}, {"get", "status"}, {"get", "config"}, {"top", "--once"}} {
		got := sluice(t, append(command, "--api", "unix:"+path)...)
		require.Equal(t, outcome{
			1, "", "sluice: no daemon answers on unix:" + path + ": start one (sluice run), or name its socket (--api)\n",
		}, got)
		got = sluice(t, append(command, "--api", path)...)
		require.Equal(t, 2, got.status)
		require.Contains(t, got.err, "want unix:PATH")
	}
}

// Flags reach the daemon as a filter.
func TestGetFilters(t *testing.T) {
	source := servertest.Small()
	address := servertest.Start(t, source)
	got := sluice(t, "get", "sess", "--api", address, "--segment", "demo", "--port", "demo/web-1", "--address", "10.0.1.10",
		"--protocol", "tcp", "--l4-port", "80", "--state", "established", "--limit", "7")
	require.Zero(t, got.status, got.err)
	f, err := api.ParseAddress("10.0.1.10")
	require.NoError(t, err)
	require.Equal(t, api.Filter{
		Segment: "demo", Port: "demo/web-1", Address: f, Protocol: "tcp", L4Port: 80, State: "established", Limit: 7,
	}, source.Filter())
	got = sluice(t, "get", "rules", "1000", "--api", address, "--id", "1001,2", "--section", "web", "--unused", "--port", "demo/web-1", "--state", "drop")
	require.Zero(t, got.status, got.err)
	require.Equal(t, api.Filter{
		Names: []string{"1000", "1001", "2"}, Section: "web", Unused: true, Port: "demo/web-1", State: "drop",
	}, source.Filter())
}

func TestGetCompletes(t *testing.T) {
	address := servertest.Start(t, servertest.Small())
	for _, row := range []struct {
		why, line string
		want      string
	}{
		{"kinds come first", "get p", "pods policies pools ports"},
		{"then names", "get ports --api " + address + " demo/", "demo/web-1 demo/web-2"},
		{"that were not given yet", "get ports --api " + address + " demo/web-1 demo/", "demo/web-2"},
		{"each once", "get routes --api " + address + " 10.", "10.0.1.0/24 10.9.0.0/16"},
		{"of short names too", "get neigh --api " + address + " 192", "192.0.2.254"},
		{"sessions have none", "get sessions --api " + address + " ", ""},
		{"a kind that is none has none", "get nothing --api " + address + " ", ""},
		{"without a daemon there are none", "get ports --api unix:/nonexistent ", ""},
		{"forms", "get ports -o w", "wide"},
	} {
		t.Run(row.why, func(t *testing.T) {
			args := strings.Split(row.line, " ")
			got := sluice(t, append([]string{cobra.ShellCompNoDescRequestCmd}, args...)...)
			require.Zero(t, got.status, got.err)
			lines := strings.Fields(strings.Split(got.out, ":4")[0])
			var fitting []string
			for _, l := range lines {
				if strings.HasPrefix(l, args[len(args)-1]) {
					fitting = append(fitting, l)
				}
			}
			require.Equal(t, row.want, strings.Join(fitting, " "))
			require.Contains(t, got.out, ":4\n", "no file names")
		})
	}
}
