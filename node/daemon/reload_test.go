package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

func TestFollow(t *testing.T) {
	link := func(t *testing.T, target, name string) { require.NoError(t, os.Symlink(target, name)) }
	for _, tt := range []struct {
		why    string
		setup  func(t *testing.T, dir string) (paths []string) // port a is in force
		change func(t *testing.T, dir string)
		want   string
	}{
		{
			"a file is written in place",
			func(t *testing.T, dir string) []string {
				return []string{write(t, dir+"/s.yaml", segment+ports("a"))}
			},
			func(t *testing.T, dir string) { write(t, dir+"/s.yaml", segment+ports("a", "b")) },
			"a b",
		},
		{
			"an editor puts a new file in its place",
			func(t *testing.T, dir string) []string {
				return []string{write(t, dir+"/s.yaml", segment+ports("a"))}
			},
			func(t *testing.T, dir string) { replaceFile(t, dir+"/s.yaml", segment+ports("b")) },
			"b",
		},
		{
			"a file is removed for a while",
			func(t *testing.T, dir string) []string {
				return []string{write(t, dir+"/s.yaml", segment+ports("a"))}
			},
			func(t *testing.T, dir string) {
				require.NoError(t, os.Remove(dir+"/s.yaml"))
				write(t, dir+"/s.yaml", segment+ports("c"))
			},
			"c",
		},
		{
			"its folder is replaced, with all that is in it",
			func(t *testing.T, dir string) []string {
				return []string{write(t, dir+"/etc/s.yaml", segment+ports("a"))}
			},
			func(t *testing.T, dir string) {
				write(t, dir+"/new/s.yaml", segment+ports("d"))
				require.NoError(t, os.Rename(dir+"/etc", dir+"/old"))
				require.NoError(t, os.Rename(dir+"/new", dir+"/etc"))
			},
			"d",
		},
		{
			"a file is added to a folder",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/1.yaml", segment)
				write(t, dir+"/2.yml", ports("a"))
				return []string{dir}
			},
			func(t *testing.T, dir string) { write(t, dir+"/3.json", control3) },
			"a z",
		},
		{
			"a file of a folder is deleted",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/1.yaml", segment+ports("b"))
				write(t, dir+"/2.yaml", ports("a"))
				return []string{dir}
			},
			func(t *testing.T, dir string) { require.NoError(t, os.Remove(dir+"/2.yaml")) },
			"b",
		},
		{
			"a folder and a file besides",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/conf.d/2.yaml", ports("a"))
				return []string{write(t, dir+"/main.yaml", segment), dir + "/conf.d"}
			},
			func(t *testing.T, dir string) {
				write(t, dir+"/main.yaml", segment+ports("m"))
				write(t, dir+"/conf.d/3.yaml", ports("n"))
			},
			"a m n",
		},
		{
			"Kubernetes swaps the link of a ConfigMap, whose folder is given",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/..2026_1/s.yaml", segment+ports("a"))
				link(t, "..2026_1", dir+"/..data")
				link(t, "..data/s.yaml", dir+"/s.yaml")
				return []string{dir}
			},
			func(t *testing.T, dir string) {
				write(t, dir+"/..2026_2/s.yaml", segment+ports("k"))
				relink(t, "..2026_2", dir+"/..data")
				require.NoError(t, os.RemoveAll(dir+"/..2026_1"))
			},
			"k",
		},
		{
			"the same where the file is given",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/..2026_1/s.yaml", segment+ports("a"))
				link(t, "..2026_1", dir+"/..data")
				link(t, "..data/s.yaml", dir+"/s.yaml")
				return []string{dir + "/s.yaml"}
			},
			func(t *testing.T, dir string) {
				write(t, dir+"/..2026_2/s.yaml", segment+ports("k"))
				relink(t, "..2026_2", dir+"/..data")
			},
			"k",
		},
		{
			"a link to a file elsewhere, which is replaced there",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/store/v1.yaml", segment+ports("a"))
				require.NoError(t, os.Mkdir(dir+"/etc", 0o700))
				link(t, dir+"/store/v1.yaml", dir+"/etc/s.yaml")
				return []string{dir + "/etc"}
			},
			func(t *testing.T, dir string) { replaceFile(t, dir+"/store/v1.yaml", segment+ports("l")) },
			"l",
		},
		{
			"the given folder is itself a link, which is swapped",
			func(t *testing.T, dir string) []string {
				write(t, dir+"/v1/s.yaml", segment+ports("a"))
				link(t, "v1", dir+"/current")
				return []string{dir + "/current"}
			},
			func(t *testing.T, dir string) {
				write(t, dir+"/v2/s.yaml", segment+ports("v"))
				relink(t, "v2", dir+"/current")
			},
			"v",
		},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := start(t, Config{Paths: tt.setup(t, dir)})
			require.Contains(t, r.ports(), "a", tt.why)
			tt.change(t, dir)
			r.until(func() bool { return r.ports() == tt.want }, tt.why)
			// And after that again: what is watched has moved along.
			replaceLast(t, dir, r)
			r.stop()
		})
	}
}

// control3 is a port in JSON.
const control3 = `{"apiVersion": "sluice.dev/v1", "kind": "Port", "metadata": {"name": "z"}, "spec": {"segment": "web"}}`

// replaceLast changes whatever file is read now, and waits until it is noticed.
func replaceLast(t *testing.T, dir string, r *running) {
	t.Helper()
	objects, faults := control.Load(r.config.Paths, nil, control.Options{})
	require.NoError(t, faults.Err())
	file, _, _ := objects[len(objects)-1].Position("")
	real, err := filepath.EvalSymlinks(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(real, dir))
	data, err := os.ReadFile(real)
	require.NoError(t, err)
	before := r.Status().Revision
	if filepath.Ext(real) == ".json" {
		require.NoError(t, os.Remove(real))
	} else {
		replaceFile(t, real, string(data)+"\n---\n"+ports("again"))
	}
	r.until(func() bool { return r.Status().Revision > before }, "a second change")
}

func TestBadConfigurationKeepsTheOldOne(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	state := t.TempDir()
	r := start(t, Config{Paths: []string{path}, State: state})
	before := r.node.Status()

	replaceFile(t, path, segment+strings.Replace(ports("a", "b"), "kind: Port", "kind: Prot", 1)+"x: [")
	r.until(func() bool { return r.Status().LastError != "" }, "the fault is in the status")
	st := source{r.node, r.Daemon}.Status()
	require.Equal(t, before.Revision, st.Revision)
	require.Equal(t, before.Epoch, st.Epoch)
	require.True(t, st.Ready, "the old configuration works")
	require.Equal(t, "a", r.ports())
	require.Contains(t, st.LastError, path+":12:7: Prot a: unknown kind")
	require.Contains(t, st.LastError, path+":21:1: YAML:")
	require.False(t, st.LastErrorAt.IsZero())
	require.Equal(t, strings.Count(st.LastError, "\n")+1, r.lines("fault in the configuration", "line=", "column="), "a line for each")
	require.NotZero(t, r.lines("ERROR", "stays in force"))

	replaceFile(t, path, segment+ports("a"))
	r.until(func() bool { return r.Status().LastError == "" }, "what is in force is given again")
	require.Equal(t, before.Epoch, r.node.Status().Epoch, "and is no change")

	replaceFile(t, path, strings.Replace(segment, "1024", "2048", 1)+"kind: NetworkPolicy\n---\n"+ports("a", "b"))
	r.until(func() bool { return r.Status().LastError != "" }, "another fault")
	require.Equal(t, before.Digest, r.db.Digest(), "nothing of it is saved")
	require.NotContains(t, r.db.Allocations().Numbers, "b")
	r.stop()
}

// Settings that a node is made with wait, and the others do not wait for them.
func TestSettingsThatNeedARestart(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	state := t.TempDir()
	r := start(t, Config{Paths: []string{path}, State: state})
	replaceFile(t, path, strings.Replace(segment, "1024", "2048", 1)+ports("a", "b"))
	r.until(func() bool { return r.ports() == "a b" }, "the port is there at once")
	r.until(func() bool {
		return r.lines("WARN", "settings wait", "spec.limits.sessions: 1024, at the next start 2048") == 1
	}, "it is told")
	require.Equal(t, 1024, r.node.Status().Sessions.Capacity)
	status := func() api.Condition {
		e, found := r.db.Set().Get(control.Key{Kind: "NodeConfig", Name: "node"})
		require.True(t, found)
		return r.conditions(e)[1]
	}
	require.Equal(t, api.Condition{
		Type: api.ConditionProgrammed, Status: "False", Reason: "RestartRequired", Message: "spec.limits.sessions: 1024, at the next start 2048",
	}, status())
	revision := r.Status().Revision
	r.stop()

	r = start(t, Config{Paths: []string{path}, State: state})
	require.Equal(t, revision, r.Status().Revision, "nothing has changed since")
	require.Equal(t, 2048, r.node.Status().Sessions.Capacity)
	require.Equal(t, "True", status().Status)
	r.stop()
}

func TestReloadOfWhatIsUnchanged(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	r := start(t, Config{Paths: []string{path}})
	before := r.node.Status()
	r.signals <- syscall.SIGHUP
	r.until(func() bool { return r.lines("unchanged", "SIGHUP") == 1 }, "SIGHUP reads it again")
	replaceFile(t, path, "# a comment\n"+segment+ports("a"))
	r.until(func() bool { return r.lines("unchanged", "its files changed") == 1 }, "a comment is no change")
	require.Equal(t, before.Epoch, r.node.Status().Epoch)
	require.Equal(t, before.Revision, r.Status().Revision)
	r.stop()
}

func TestReloadBySignal(t *testing.T) {
	// Standard input can't be followed, nor read again.
	r := start(t, Config{Paths: []string{"-"}, Stdin: strings.NewReader(segment + ports("a"))})
	require.Equal(t, "a", r.ports())
	require.Nil(t, r.follow)
	r.signals <- syscall.SIGHUP
	r.until(func() bool { return r.lines("unchanged", "SIGHUP") == 1 }, "what was read is kept")
	r.stop()
}

func TestStartWithFaults(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, dir+"/s.yaml", segment+strings.ReplaceAll(ports("a", "b"), "segment: web", "segment: wbe"))
	for _, tt := range []struct {
		why   string
		paths []string
		want  []string
	}{
		{"all faults of a file", []string{bad}, []string{bad + ":14:", bad + ":19:", "did you mean web?"}},
		{"a file that is not there", []string{dir + "/absent.yaml"}, []string{dir + "/absent.yaml: no such file"}},
		{"a folder without a file", []string{t.TempDir()}, []string{"has no *.yaml"}},
	} {
		state := t.TempDir()
		r := begin(t, Config{Paths: tt.paths, State: state})
		err := r.end()
		for _, want := range tt.want {
			require.ErrorContains(t, err, want, tt.why)
		}
		require.ErrorAs(t, err, new(control.Faults), tt.why)
		require.False(t, r.Status().Ready, tt.why)
		// Everything was given back.
		r = start(t, Config{State: state})
		require.NotZero(t, r.lines("WARN", "there is no configuration"))
		r.stop()
	}
}
