package doctor

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// files makes a tree of /proc and /sys.
func files(content map[string]string) reader {
	root := fstest.MapFS{}
	for name, text := range content {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return reader{root}
}

func TestReadKernel(t *testing.T) {
	for _, row := range []struct {
		why, release string
		major, minor int
	}{
		{"a distribution's", "6.1.0-18-amd64", 6, 1},
		{"a candidate", "7.0-rc1", 7, 0},
		{"two digits", "5.15.167.4-microsoft-standard-WSL2", 5, 15},
		{"no number", "custom", 0, 0},
		{"nothing", "", 0, 0},
	} {
		k := files(map[string]string{"proc/sys/kernel/osrelease": row.release + "\n"}).kernel()
		require.Equal(t, [2]int{row.major, row.minor}, [2]int{k.Major, k.Minor}, row.why)
		require.Equal(t, row.release, k.Release, row.why)
	}
	k := Kernel{Major: 6, Minor: 1}
	require.True(t, k.atLeast(5, 18) && k.atLeast(6, 1))
	require.False(t, k.atLeast(6, 2) || k.atLeast(7, 0))
}

func TestReadRights(t *testing.T) {
	r := files(map[string]string{
		"proc/self/status":  "Name:\tx\nCapEff:\t0000000000003000\nCpus_allowed_list:\t0\n",
		"proc/self/uid_map": "         0     100000      65536\n",
		"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max open files            1024                 524288               files     \n" +
			"Max locked memory         unlimited            unlimited            bytes     \n",
		"proc/self/cgroup": "0::/kubepods.slice/x\n",
	}).rights()
	require.Equal(t, Rights{
		Effective: 1<<12 | 1<<13, UserNamespace: true, Container: "kubepods (/proc/self/cgroup)",
		OpenFiles: Limit{1024, 524288}, LockedMemory: Limit{Unlimited, Unlimited},
	}, r)
	require.True(t, r.may(12))
	require.False(t, r.may(14))

	require.Equal(t, Rights{}, files(nil).rights(), "nothing can be read")
	for file, want := range map[string]string{
		".dockerenv":         "Docker (/.dockerenv)",
		"run/.containerenv":  "Podman (/run/.containerenv)",
		"proc/self/cgroup":   "",
		"etc/something-else": "",
	} {
		require.Equal(t, want, files(map[string]string{file: "0::/user.slice\n"}).rights().Container, file)
	}
	host := files(map[string]string{"proc/self/uid_map": "0 0 4294967295"}).rights()
	require.False(t, host.UserNamespace)
}

func TestReadMachine(t *testing.T) {
	m := files(map[string]string{
		"sys/devices/system/cpu/online":                                   "0-3\n",
		"sys/devices/system/cpu/isolated":                                 "2-3\n",
		"sys/devices/system/cpu/smt/active":                               "1\n",
		"sys/devices/system/node/online":                                  "0-1\n",
		"proc/self/status":                                                "Cpus_allowed_list:\t0,2-3\n",
		"proc/meminfo":                                                    "MemTotal:       16384 kB\nMemAvailable:    8192 kB\nHugePages_Total:      10\nHugePages_Free:        4\nHugepagesize:       2048 kB\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                      "always [madvise] never\n",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":            "performance\n",
		"sys/devices/system/cpu/cpu1/cpufreq/scaling_governor":            "powersave\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"proc/net/softnet_stat":                                           "0038b1dc 00000010 00000000\n0078ace1 00000001 00000000\n",
	}).machine()
	require.Equal(t, Machine{
		Online: []int{0, 1, 2, 3}, Allowed: []int{0, 2, 3}, Isolated: []int{2, 3}, SMT: true, Nodes: 2,
		Slow: []int{1}, Governor: "powersave",
		MemoryTotal: 16 << 20, MemoryAvailable: 8 << 20, HugePages: 10, HugeFree: 4, HugePageSize: 2 << 20,
		TransparentHuge: "madvise", ClockSource: "tsc", BacklogDropped: 17,
	}, m)
	require.Equal(t, Machine{}, files(nil).machine(), "nothing can be read")
}

func TestReadControlGroups(t *testing.T) {
	const gib = 1 << 30
	meminfo := "MemAvailable: 16777216 kB\n"
	for _, row := range []struct {
		why       string
		files     map[string]string
		quota     float64
		throttled uint64
		available uint64
	}{
		{"version 2: the tightest of the group and those above it", map[string]string{
			"proc/self/cgroup":                  "0::/a/b\n",
			"sys/fs/cgroup/a/b/cpu.max":         "400000 100000\n",
			"sys/fs/cgroup/a/cpu.max":           "150000 100000\n",
			"sys/fs/cgroup/a/cpu.stat":          "usage_usec 5\nnr_throttled 7\n",
			"sys/fs/cgroup/a/b/memory.max":      "4294967296\n",
			"sys/fs/cgroup/a/b/memory.current":  "1073741824\n",
			"sys/fs/cgroup/a/memory.max":        "max\n",
			"sys/fs/cgroup/cpu.max":             "max 100000\n",
			"sys/fs/cgroup/a/b/cpu.stat":        "nr_throttled 1\n",
			"sys/fs/cgroup/a/b/unrelated":       "",
			"sys/fs/cgroup/memory.max":          "max\n",
			"sys/fs/cgroup/not-ours/cpu.max":    "1000 100000\n",
			"sys/fs/cgroup/not-ours/memory.max": "1\n",
		}, 1.5, 7, 3 * gib},
		{"version 1", map[string]string{
			"proc/self/cgroup":                             "4:memory:/m\n2:cpu,cpuacct:/c\n1:name=systemd:/\n",
			"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us":         "50000\n",
			"sys/fs/cgroup/cpu/c/cpu.cfs_period_us":        "100000\n",
			"sys/fs/cgroup/cpu/c/cpu.stat":                 "nr_periods 9\nnr_throttled 3\n",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "2147483648\n",
			"sys/fs/cgroup/memory/m/memory.usage_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":           "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":          "100000\n",
		}, 0.5, 3, 1 * gib},
		{"no bounds", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 0, 0, 16 * gib},
		{"more in use than is allowed", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1024\n", "sys/fs/cgroup/memory.current": "2048\n",
		}, 0, 0, 0},
		{"lines that can't be read", map[string]string{"proc/self/cgroup": "what\n:::\n0:cpu\n\n"}, 0, 0, 16 * gib},
		{"a path that leads out", map[string]string{"proc/self/cgroup": "0::/../../a\n"}, 0, 0, 16 * gib},
	} {
		row.files["proc/meminfo"] = meminfo
		m := files(row.files).machine()
		require.InDelta(t, row.quota, m.Quota, 0.001, row.why)
		require.Equal(t, row.throttled, m.Throttled, row.why)
		require.Equal(t, row.available, m.MemoryAvailable, row.why)
	}
}

func TestList(t *testing.T) {
	for text, want := range map[string][]int{
		"0-3,8": {0, 1, 2, 3, 8}, "5": {5}, "": nil, "\n": nil, "3-1": nil, "a-b,7": {7}, "1-x": nil,
	} {
		require.Equal(t, want, list(text), text)
	}
	require.Len(t, list("0-99999999"), 1<<14)
}

func TestLabs(t *testing.T) {
	r := files(map[string]string{
		"run/sluice/lab/aaaa/state.json": `{"id":"aaaa","scenario":"web","pid":100}`,
		"run/sluice/lab/bbbb/state.json": `{"id":"bbbb","scenario":"db","pid":200}`,
		"run/sluice/lab/cccc/state.json": `{"id":"cccc","scenario":"kept","pid":300,"kept":true}`,
		"run/sluice/lab/dddd/state.json": `what`,
		"run/sluice/lab/eeee/other":      ``,
		"proc/200/stat":                  ``,
	})
	require.Equal(t, []Lab{{ID: "aaaa", Scenario: "web"}, {ID: "cccc", Scenario: "kept", Kept: true}}, r.labs())
	require.Empty(t, files(nil).labs())
}
