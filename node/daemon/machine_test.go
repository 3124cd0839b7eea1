package daemon

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

func TestAvailableMemory(t *testing.T) {
	const mib = 1 << 20
	meminfo := "MemTotal:        8388608 kB\nMemFree: 100 kB\nMemAvailable:    4194304 kB\n"
	for _, tt := range []struct {
		why   string
		files map[string]string
		want  uint64
	}{
		{"the machine's", map[string]string{"proc/meminfo": meminfo}, 4096 * mib},
		{
			"what a control group leaves",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
				"sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/b/memory.current": "73741824\n",
			},
			1000000000,
		},
		{
			"one above it is tighter",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
				"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1048576\n",
			},
			mib,
		},
		{
			"in a container the namespace's root is the group",
			map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2097152\n"},
			2 * mib,
		},
		{
			"version 1, without a limit",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/x\n0::/\n",
				"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
			},
			4096 * mib,
		},
		{
			"version 1, with one that is used up",
			map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/x\n",
				"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n", "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "2000\n",
			},
			0,
		},
		{"nothing is known", nil, 0},
		{"nonsense is nothing", map[string]string{"proc/meminfo": "MemAvailable: x kB\nMemAvailable:\n", "proc/self/cgroup": "a\n:\n"}, 0},
	} {
		root := fstest.MapFS{}
		for name, content := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(content)}
		}
		require.Equal(t, tt.want, availableMemory(root), tt.why)
	}
}

func TestMemoryFor(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		why       string
		queues    []int // of ports; 0: no device
		offload   bool
		available uint64
		want      Memory
	}{
		{"without ports the least", nil, false, 8 * gib, Memory{16384, 256}},
		{"ports without devices need none", []int{0, 0}, true, 8 * gib, Memory{16384, 256}},
		{"by queues, whose rings hold buffers", []int{1, 4}, false, 8 * gib, Memory{16384 + 5*8192, 256}},
		{"super-frames for those that have them", []int{1, 1}, true, 8 * gib, Memory{16384 + 2*8192, 256 + 8}},
		{"within an eighth of the memory", []int{256, 256}, true, gib, Memory{65536, 256}},
		{"but the least in any case", []int{256}, true, 1 << 20, Memory{16384, 256}},
		{"and no more than an arena holds", []int{256, 256, 256, 256}, false, 1 << 50, Memory{1 << 20, 256}},
		{"unknown memory is little", []int{256}, false, 0, Memory{16384, 256}},
	} {
		m := &control.Model{}
		for _, q := range tt.queues {
			d := control.Device{Queues: q, Offload: tt.offload}
			if q > 0 {
				d.Type = api.DeviceAFXDP
			}
			m.Ports = append(m.Ports, &control.Port{Device: d})
		}
		got := MemoryFor(m, tt.available)
		require.Equal(t, tt.want, got, tt.why)
		require.Less(t, got.Bytes(), uint64(4*gib), tt.why)
	}
}

func TestMemoryForSockets(t *testing.T) {
	m := &control.Model{Ports: make([]*control.Port, 200)}
	for i := range m.Ports {
		m.Ports[i] = &control.Port{Device: control.Device{Type: api.DeviceAFPacket, Queues: 1, Offload: true}}
	}
	require.Equal(t, Memory{16384 + 200*256, 256 + 200*4}, MemoryFor(m, 64<<30), "packet sockets keep no rings")
}

func TestWorkers(t *testing.T) {
	require.Equal(t, 3, workers(3))
	require.Zero(t, workers(0), "the configuration's")
	require.GreaterOrEqual(t, workers(AutoWorkers), 1)
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etc/a.yaml", "")
	for _, tt := range []struct {
		why   string
		paths []string
		want  string // directories, relative, with names
	}{
		{"a file", []string{dir + "/etc/a.yaml"}, "etc: a.yaml"},
		{"a folder, which may be replaced itself", []string{dir + "/etc"}, ".: etc; etc: *"},
		{"what does not exist is waited for where it would be", []string{dir + "/no/such/file.yaml"}, ".: no"},
		{"dots and slashes", []string{dir + "/etc/..//etc/./a.yaml"}, "etc: a.yaml"},
		{"standard input is nowhere", []string{"-"}, ""},
	} {
		p := placesOf(tt.paths)
		var parts []string
		for _, name := range []string{".", "etc"} {
			in := p[strings.TrimSuffix(dir+"/"+name, "/.")]
			if in == nil {
				continue
			}
			words := sortedNames(in)
			parts = append(parts, name+": "+strings.Join(words, " "))
		}
		require.Equal(t, tt.want, strings.Join(parts, "; "), tt.why)
		require.Len(t, p, len(parts), tt.why)
	}
}

func TestPlacesOfALoop(t *testing.T) {
	dir := t.TempDir()
	relink(t, "b", dir+"/a")
	relink(t, "a", dir+"/b")
	require.NotEmpty(t, placesOf([]string{dir + "/a"}), "it ends, and is watched: the loop may be mended")
}

func sortedNames(in *place) (names []string) {
	for name := range in.names {
		names = append(names, name)
	}
	slices.Sort(names)
	if in.folder {
		names = append(names, "*")
	}
	return names
}
