package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// wanted is a desired state that says whatever a test wants.
type wanted struct {
	objects []api.Object
	history []api.RevisionView
}

func (w *wanted) Objects(*api.ObjectFilter, bool) (uint64, iter.Seq[api.Object], error) {
	return 1, slices.Values(w.objects), nil
}

func (w *wanted) Change(context.Context, *desired.Request) (*api.ChangeResult, error) {
	return nil, errors.New("nobody changes it")
}

func (w *wanted) History(*api.HistoryFilter) ([]api.RevisionView, error) { return w.history, nil }

func (w *wanted) Revision(n uint64) (*api.RevisionView, error) {
	for i := range w.history {
		if w.history[i].Revision == n {
			return &w.history[i], nil
		}
	}
	return nil, api.ErrNotFound
}

func (w *wanted) Watch(context.Context, *api.ObjectFilter, uint64, bool) iter.Seq2[api.Event, error] {
	return func(func(api.Event, error) bool) {}
}

// asked returns options for a daemon that serves a source.
func asked(t *testing.T, source *servertest.Source, w *wanted, logs *servertest.Logs) Options {
	t.Helper()
	path := servertest.Socket(t)
	servertest.StartAt(t, source, server.Options{Socket: path, Objects: w, Logs: logs})
	return at(t, "unix:"+path)
}

// at returns options for whoever is at an address, on a machine that has next to nothing.
func at(t *testing.T, address string) Options {
	t.Helper()
	c, err := client.New(address)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return Options{
		Client: c, API: address, Version: map[string]string{"version": "v1"}, Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Root: machine(nil),
	}
}

// machine has next to nothing, and some more files. The daemon is the test's process.
func machine(more fstest.MapFS) fstest.MapFS {
	process := fmt.Sprintf("proc/%d/", os.Getpid())
	root := fstest.MapFS{
		"proc/meminfo":                                 {Data: []byte("MemTotal: 1 kB\n")},
		"proc/cpuinfo":                                 {Data: []byte("processor\t: 0\nflags\t: avx\n\nprocessor\t: 1\n")},
		"proc/self/cgroup":                             {Data: []byte("0::/\n")},
		process + "cgroup":                             {Data: []byte("4:memory:/m\n0::/a/b\n")},
		"sys/fs/cgroup/a/cpu.max":                      {Data: []byte("50000 100000\n")},
		"sys/fs/cgroup/a/b/pids.max":                   {Data: []byte("max\n")},
		"sys/fs/cgroup/memory/m/memory.limit_in_bytes": {Data: []byte("4096\n")},
		process + "cmdline":                            {Data: []byte("sluice\x00run\x00")},
		process + "status":                             {Data: []byte("Name:\tsluice\n")},
		process + "fd/0":                               {},
		process + "task/11/stat":                       {Data: []byte("11 (sluice) S 1\n")},
	}
	maps.Copy(root, more)
	return root
}

// collect makes a bundle and returns its files by their names, without the folder.
func collect(t *testing.T, o Options) (Report, map[string]string) {
	t.Helper()
	var b bytes.Buffer
	r, err := Write(t.Context(), &b, o)
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range unpack(t, b.Bytes()) {
		folder, name, _ := strings.Cut(f.header.Name, "/")
		require.Equal(t, Name(o.Now), folder)
		require.Equal(t, int64(0o600), f.header.Mode)
		require.NotContains(t, files, name)
		files[name] = f.content
	}
	return r, files
}

type file struct {
	header  *tar.Header
	content string
}

func unpack(t *testing.T, archive []byte) (files []file) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		files = append(files, file{h, string(content)})
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	o := asked(t, servertest.Small(), &wanted{}, &servertest.Logs{Lines: []string{"level=INFO msg=ready"}})
	r, files := collect(t, o)
	require.NoError(t, r.Daemon)
	require.Empty(t, r.Failed())
	require.Equal(t, "level=INFO msg=ready\n", files["daemon/log.txt"])
	require.Contains(t, files["daemon/ports.json"], `"demo/web-1"`)
	require.Contains(t, files["daemon/workers.json"], `"framesPerVector": 12.34`)
	for file, want := range map[string]string{
		"machine/memory.txt":  "/proc/meminfo: MemTotal: 1 kB\n",
		"machine/cpu.txt":     "processors: 2; the first:\nprocessor\t: 0\nflags\t: avx\n\n",
		"process/process.txt": "command: sluice run\n/proc/" + strconv.Itoa(os.Getpid()) + "/status: Name:\tsluice\nopen files: 1\n",
		"process/threads.txt": "11 (sluice) S 1 ?\n",
		"process/cgroup.txt":  "/sys/fs/cgroup/memory/m/memory.limit_in_bytes: 4096\n/sys/fs/cgroup/a/b/pids.max: max\n/sys/fs/cgroup/a/cpu.max: 50000 100000\n",
	} {
		require.Contains(t, files[file], want)
	}
	require.NotContains(t, files, "daemon/sessions.json", "addresses of everybody are there only if asked for")
	require.JSONEq(t, `{"program": {"version": "v1"}, "daemon": "`+servertest.Small().Node.Version+`"}`, files["version.json"])

	for _, p := range r.Parts {
		require.Contains(t, files[manifest], p.File+" ", "the manifest knows each part")
		require.Equal(t, p.Size > 0, files[p.File] != "")
	}
	require.Len(t, files, 1+len(slices.DeleteFunc(slices.Clone(r.Parts), func(p Part) bool { return p.Size == 0 })), "nothing else is in it")

	var again, once bytes.Buffer
	for _, b := range []*bytes.Buffer{&once, &again} {
		_, err := Write(t.Context(), b, o)
		require.NoError(t, err)
	}
	names := func(b *bytes.Buffer) (names []string) {
		for _, f := range unpack(t, b.Bytes()) {
			names = append(names, f.header.Name)
		}
		return names
	}
	require.Equal(t, names(&once), names(&again), "the order is always the same")
	require.True(t, strings.HasSuffix(names(&once)[0], "/"+manifest), "what it is comes first")
}

func TestSessions(t *testing.T) {
	t.Parallel()
	source := servertest.Small()
	source.Sessions = nil
	for i := range 100 {
		v := api.SessionView{ID: uint32(i), Protocol: "TCP", State: "ESTABLISHED", Segment: "web"}
		v.Original.Bytes, v.Reply.Bytes = uint64(i*7%100), 1000
		v.Original.Packets = 1
		if i%10 == 0 {
			v.Protocol, v.State, v.Segment, v.Uplink = "UDP", "FIRST", "", "uplink"
		}
		source.Sessions = append(source.Sessions, v)
	}
	o := asked(t, source, &wanted{}, nil)
	o.Sessions = true
	_, files := collect(t, o)
	var s sessionSummary
	require.NoError(t, json.Unmarshal([]byte(files["daemon/sessions-summary.json"]), &s))
	require.Equal(t, 100, s.Total)
	require.Equal(t, uint64(100), s.Packets)
	require.Equal(t, uint64(100*1000+99*100/2), s.Bytes)
	require.Equal(t, map[string]int{"ESTABLISHED": 90, "FIRST": 10}, s.ByState)
	require.Equal(t, map[string]int{"TCP": 90, "UDP": 10}, s.ByProtocol)
	require.Equal(t, map[string]int{"web": 90, "uplink uplink": 10}, s.BySegment)
	require.Len(t, s.Largest, largest)
	for i, v := range s.Largest {
		require.Equal(t, uint64(1099-i), bytesOf(&v))
	}
	require.Equal(t, 100, strings.Count(files["daemon/sessions.json"], `"id":`))
}

func TestDeadDaemon(t *testing.T) {
	t.Parallel()
	o := at(t, "unix:/nowhere/s.sock")
	dir := t.TempDir()
	o.Config = []string{filepath.Join(dir, "etc"), filepath.Join(dir, "absent")}
	require.NoError(t, os.Mkdir(o.Config[0], 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(o.Config[0], "a.yaml"), []byte("apiVersion: sluice.dev/v1\nkind: Segment # c0mment\nmetadata: {name: web}\nspec: {mtu: 7}\n"), 0o600))
	r, files := collect(t, o)
	require.ErrorIs(t, r.Daemon, client.ErrNoDaemon)
	require.Empty(t, r.Failed(), "that the daemon is dead is said once")
	require.Contains(t, files[manifest], "ONLY WHAT THE MACHINE SAYS IS IN IT")
	for name := range files {
		require.False(t, strings.HasPrefix(name, "daemon/"), name)
	}
	name := "files/" + strings.Trim(odd.ReplaceAllString(o.Config[0], "-"), "-")
	require.Contains(t, files[name+".json"], `"kind": "Segment"`)
	require.NotContains(t, files[name+".json"], "c0mment")
	require.Contains(t, files[name+".faults.txt"], "mtu")
	require.Contains(t, files, "machine/memory.txt")
}

func TestDaemonThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	path := servertest.Socket(t)
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() }) // it accepts by its backlog, and says nothing
	o := at(t, "unix:"+path)
	o.PartTimeout = 50 * time.Millisecond
	r, files := collect(t, o)
	require.EqualError(t, r.Daemon, "the daemon on unix:"+path+" does not answer in time")
	require.Contains(t, files, "machine/memory.txt")
	require.NotEmpty(t, r.Failed())
	require.Contains(t, files["daemon/status.json.error"], "not there after 50ms")
}

func TestPartsThatGoWrong(t *testing.T) {
	t.Parallel()
	c := &collector{Options: Options{PartTimeout: 20 * time.Millisecond}, scrub: newScrubber()}
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	rows := []struct {
		why     string
		collect func(context.Context) (any, error)
		content any
		err     string
	}{
		{"it is there", func(context.Context) (any, error) { return "x", nil }, "x", ""},
		{"an error leaves what there is of it", func(context.Context) (any, error) { return "x", errors.New("bad") }, "x", "bad"},
		{"a panic is contained", func(context.Context) (any, error) { panic("ouch") }, nil, "a defect, please report it: ouch"},
		{"what takes too long is ended", func(ctx context.Context) (any, error) { <-ctx.Done(); return "half", ctx.Err() }, "half", "not there after 20ms"},
		{"or left behind", func(context.Context) (any, error) { <-block; return "late", nil }, nil, "not there after 20ms"},
	}
	for _, row := range rows {
		content, err := c.collect(t.Context(), source{"f", "w", false, row.collect})
		require.Equal(t, row.content, content, row.why)
		if row.err == "" {
			require.NoError(t, err, row.why)
		} else {
			require.EqualError(t, err, row.err, row.why)
		}
	}
}

func TestPartsAreBounded(t *testing.T) {
	t.Parallel()
	o := asked(t, servertest.Small(), &wanted{}, &servertest.Logs{Lines: slices.Repeat([]string{"level=INFO msg=ready"}, 1000)})
	o.MostBytes = 2000
	r, files := collect(t, o)
	require.Len(t, files["daemon/log.txt"], 2000)
	require.Contains(t, files["daemon/log.txt.error"], "it is longer than")
	at := slices.IndexFunc(r.Parts, func(p Part) bool { return p.File == "daemon/ports.json" })
	require.True(t, r.Parts[at].Cut)
	require.Contains(t, files[manifest], "ports, at most 5000; cut at that length")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := at(t, "unix:/nowhere/s.sock")
	o.Progress = func(what string) {
		if what == "the kernel" {
			cancel()
		}
	}
	_, err := Write(ctx, io.Discard, o)
	require.ErrorIs(t, err, context.Canceled)
}

// TestNoSecretGetsIn plants a marker wherever a secret may be, and looks for all of
// them in everything.
func TestNoSecretGetsIn(t *testing.T) {
	t.Parallel()
	const mark = "M4RK3R"
	n := 0
	marker := func() string { n++; return fmt.Sprintf("%s-%d-of-a-secret", mark, n) }
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	inSecret, inString, inNative, older := marker(), marker(), marker(), marker()
	pem := "-----BEGIN EC PRIVATE KEY-----\n" + b64(marker()+marker()) + "\n-----END EC PRIVATE KEY-----\n"
	applied := func(s string) string {
		return fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"},"data":{"p":%q},"stringData":{"q":%q}}`, b64(s), s)
	}
	object := func(text string, args ...any) api.Object { return api.Object(fmt.Sprintf(text, args...)) }
	objects := []api.Object{
		object(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"tls","namespace":"web","annotations":{"kubectl.kubernetes.io/last-applied-configuration":%q}},"data":{"tls.key":%q,"p":%q},"stringData":{"q":%q}}`,
			applied(older), b64(pem), b64(inSecret), inString),
		object(`{"apiVersion":"sluice.dev/v1","kind":"VirtualServer","metadata":{"name":"v","annotations":{"x/api-token":%q}},"spec":{"password":%q,"auth":{"preSharedKey":%q,"tokens":[%q]},"key":%q,"monitors":[{"name":"m","secret":%q}]}}`,
			marker(), inNative, marker(), marker(), marker(), marker()),
		object(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"kubectl.kubernetes.io/last-applied-configuration":%q}},"spec":{"containers":[{"name":"c","env":[{"name":"DB_PASSWORD","value":%q},{"name":"X","value":%q}],"args":["--token",%q],"command":[%q]}]}}`,
			fmt.Sprintf(`{"kind":"Pod","spec":{"containers":[{"env":[{"name":"TOKEN","value":%q}]}]}}`, marker()), marker(), marker(), marker(), marker()),
	}
	source := servertest.Small()
	for _, o := range objects {
		source.Objects = append(source.Objects, o)
	}
	source.Node.LastError = "a.yaml:3:1: Secret web/tls: data.p " + fmt.Sprintf("%q", marker()) + " is not base64\nb.yaml:1: VirtualServer v: spec.password: " + inNative
	source.Node.First = []api.CrashStatus{{Value: "index out of range: password=" + marker(), Frame: append(make([]byte, 96), marker()...)}}
	history := []api.RevisionView{{
		Revision: 7, Message: "rotate " + inString, Changes: []api.ObjectChange{
			{ObjectRef: api.ObjectRef{Kind: "Secret", Namespace: "web", Name: "tls"}, Action: api.ActionConfigured, Diff: "-  p: " + b64(marker()) + "\n+  p: " + marker()},
			{ObjectRef: api.ObjectRef{Kind: "VirtualServer", Name: "v"}, Action: api.ActionConfigured, Diff: "   spec:\n-    password: " + marker() + " and " + marker() + "\n+    password: |-\n+      " + marker() + "\n+      " + marker() + "\n     mtu: 1500\n"},
		},
	}}
	logs := &servertest.Logs{Lines: []string{
		"level=INFO msg=ready",
		fmt.Sprintf(`level=ERROR msg="fault in the configuration" fault="a.yaml:3:1: Secret web/tls: stringData.q %s is bad" file=a.yaml`, marker()),
		fmt.Sprintf(`{"level":"ERROR","msg":"fault","fault":"Secret web/other: data.z \"%s\" is not base64","file":"a.yaml"}`, marker()),
		fmt.Sprintf(`level=WARN msg="refused" value=%q`, inSecret),
		fmt.Sprintf(`level=WARN msg="refused" value=%q`, b64(inSecret)),
		fmt.Sprintf(`level=WARN msg="refused" body="{\"token\":\"%s\"}" url=https://u:%s@h/`, marker(), marker()),
		fmt.Sprintf(`level=WARN msg="refused" header="Authorization: Bearer %s"`, marker()),
		fmt.Sprintf(`level=WARN msg="refused" key=%q`, pem),
	}}
	o := asked(t, source, &wanted{objects, history}, logs)
	o.Sessions = true
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secret.yaml": "# " + marker() + "\napiVersion: v1\nkind: Secret\nmetadata: {name: f}\nstringData: {a: " + marker() + "}\n",
		"broken.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: g}\ndata:\n  a: \"" + marker() + "\n  b: [" + marker() + "\n",
		"faulty.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: h, x: " + marker() + "}\ndata: {a: " + marker() + ", b: [" + marker() + "]}\nstringdata: {c: " + marker() + "}\n",
		"native.yaml": "apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: web}\nspec: {password: " + marker() + "}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	o.Config = []string{dir}
	o.State = "/state"
	o.Root = machine(fstest.MapFS{
		"state/state.db": {Data: []byte(marker())},
		"proc/cmdline":   {Data: []byte("quiet root_password=" + marker())},
		fmt.Sprintf("proc/%d/cmdline", os.Getpid()): {Data: []byte("sluice\x00run\x00--token=" + marker())},
		fmt.Sprintf("proc/%d/environ", os.Getpid()): {Data: []byte("A=" + marker())},
	})
	require.Greater(t, n, 40, "markers are planted")

	r, files := collect(t, o)
	require.NoError(t, r.Daemon)
	searched := []string{mark}
	for shift := range 3 { // wherever it begins in what is encoded
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + mark))
		searched = append(searched, encoded[shift+1:len(encoded)-2])
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, text := range searched {
			if at := strings.Index(files[name], text); at >= 0 {
				t.Errorf("%s has a secret (%s): … %q …", name, text, files[name][max(0, at-200):min(len(files[name]), at+100)])
			}
		}
	}
	for file, texts := range map[string][]string{
		"daemon/config.json":  {`"tls.key": "(redacted)"`, `"VirtualServer"`, `"name": "v"`},
		"daemon/objects.json": {`"stringData"`, `"DB_PASSWORD"`},
		"daemon/history.json": {"rotate (redacted)", "mtu: 1500"},
		"daemon/log.txt":      {"msg=ready", `msg="refused" value="(redacted)"`, "Secret web/tls"},
		"state.txt":           {"/state/state.db"},
		"process/process.txt": {"sluice run --token=(redacted)"},
	} {
		for _, text := range texts {
			require.Contains(t, files[file], text, "what is not secret is there: %s", file)
		}
	}
}
