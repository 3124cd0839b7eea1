package doctor

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// reader reads /proc and /sys. What is not there, or reads otherwise than
// expected, is left zero: containers hide a part of it.
type reader struct {
	root fs.FS
}

// text returns a file without the space around it.
func (r reader) text(name string) string {
	data, err := fs.ReadFile(r.root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (r reader) exists(name string) bool {
	_, err := fs.Stat(r.root, name)
	return err == nil
}

// fields returns the words of the line that begins with a key, without it.
func (r reader) fields(name, key string) []string {
	for line := range strings.Lines(r.text(name)) {
		if rest, found := strings.CutPrefix(line, key); found {
			return strings.Fields(rest)
		}
	}
	return nil
}

// first returns the first of some words as a number.
func first(words []string) uint64 {
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(words[0], 10, 64)
	return n
}

func (r reader) kernel() Kernel {
	k := Kernel{Release: r.text("proc/sys/kernel/osrelease")}
	// 6.18.44-cloud, 5.4-rc1
	_, _ = fmt.Sscanf(k.Release, "%d.%d", &k.Major, &k.Minor) // of what can't be read nothing is known
	return k
}

func (r reader) rights() Rights {
	var rights Rights
	if words := r.fields("proc/self/status", "CapEff:"); len(words) > 0 {
		rights.Effective, _ = strconv.ParseUint(words[0], 16, 64)
	}
	// The first user namespace maps all to itself (user_namespaces(7)).
	if words := strings.Fields(r.text("proc/self/uid_map")); len(words) == 3 {
		rights.UserNamespace = words[0] != "0" || words[1] != "0" || words[2] != "4294967295"
	}
	rights.Container = r.container()
	rights.OpenFiles = r.limit("Max open files")
	rights.LockedMemory = r.limit("Max locked memory")
	return rights
}

// container returns what says that this is one.
func (r reader) container() string {
	for _, mark := range [][2]string{{".dockerenv", "Docker"}, {"run/.containerenv", "Podman"}} {
		if r.exists(mark[0]) {
			return mark[1] + " (/" + mark[0] + ")"
		}
	}
	if r.exists("var/run/secrets/kubernetes.io/serviceaccount") {
		return "a Kubernetes pod (service account)"
	}
	group := r.text("proc/self/cgroup")
	for _, name := range []string{"kubepods", "docker", "containerd", "libpod", "lxc"} {
		if strings.Contains(group, "/"+name) {
			return name + " (/proc/self/cgroup)"
		}
	}
	return ""
}

func (r reader) limit(name string) (l Limit) {
	words := r.fields("proc/self/limits", name)
	for i, p := range []*uint64{&l.Soft, &l.Hard} {
		if i >= len(words) {
			return l
		}
		if words[i] == "unlimited" {
			*p = Unlimited
		} else {
			*p = first(words[i:])
		}
	}
	return l
}

func (r reader) machine() Machine {
	const cpu, clock = "sys/devices/system/cpu", "sys/devices/system/clocksource/clocksource0/current_clocksource"
	m := Machine{
		Online:      list(r.text(cpu + "/online")),
		Isolated:    list(r.text(cpu + "/isolated")),
		SMT:         r.text(cpu+"/smt/active") == "1",
		Nodes:       len(list(r.text("sys/devices/system/node/online"))),
		ClockSource: r.text(clock),

		MemoryTotal:     first(r.fields("proc/meminfo", "MemTotal:")) << 10,
		MemoryAvailable: first(r.fields("proc/meminfo", "MemAvailable:")) << 10,
		HugePages:       int(first(r.fields("proc/meminfo", "HugePages_Total:"))),
		HugeFree:        int(first(r.fields("proc/meminfo", "HugePages_Free:"))),
		HugePageSize:    first(r.fields("proc/meminfo", "Hugepagesize:")) << 10,
	}
	if words := r.fields("proc/self/status", "Cpus_allowed_list:"); len(words) > 0 {
		m.Allowed = list(words[0])
	}
	for _, c := range m.Online {
		g := r.text(fmt.Sprintf("%s/cpu%d/cpufreq/scaling_governor", cpu, c))
		if g != "" && g != "performance" {
			m.Slow, m.Governor = append(m.Slow, c), g
		}
	}
	// "always [madvise] never"
	_, rest, _ := strings.Cut(r.text("sys/kernel/mm/transparent_hugepage/enabled"), "[")
	m.TransparentHuge, _, _ = strings.Cut(rest, "]")
	r.controlGroups(&m)
	// A line for each processor; the second number is of frames dropped because the queue was full.
	for line := range strings.Lines(r.text("proc/net/softnet_stat")) {
		if words := strings.Fields(line); len(words) > 1 {
			n, _ := strconv.ParseUint(words[1], 16, 32)
			m.BacklogDropped += n
		}
	}
	return m
}

// list reads "0-3,8".
func list(text string) (numbers []int) {
	for _, part := range strings.Split(strings.TrimSpace(text), ",") {
		low, high, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(low)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(high); err != nil {
				continue
			}
		}
		const most = 1 << 14 // processors; Linux has 8192 at most
		for n := a; n <= b && len(numbers) < most; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// controlGroups finds the tightest bounds of the process's groups and of those
// above them (cgroups(7)), in version 2 and 1.
func (r reader) controlGroups(m *Machine) {
	for line := range strings.Lines(r.text("proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // HIERARCHY:CONTROLLERS:PATH
		if len(parts) != 3 {
			continue
		}
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			for _, controller := range strings.Split(parts[1], ",") {
				r.controlGroup(m, controller, dir)
			}
			if dir == "/" {
				break
			}
		}
	}
}

func (r reader) controlGroup(m *Machine, controller, dir string) {
	switch controller {
	case "": // version 2, where all controllers are in one folder
		base := path.Join("sys/fs/cgroup", dir)
		words := strings.Fields(r.text(base + "/cpu.max")) // "QUOTA PERIOD" or "max PERIOD"
		if len(words) == 2 {
			m.quota(float64(first(words)), float64(first(words[1:])), base+"/cpu.max", first(r.fields(base+"/cpu.stat", "nr_throttled")))
		}
		m.memory(r.text(base+"/memory.max"), r.text(base+"/memory.current"), base+"/memory.max")
	case "cpu":
		base := path.Join("sys/fs/cgroup/cpu", dir)
		quota := first(strings.Fields(r.text(base + "/cpu.cfs_quota_us"))) // -1 is none
		m.quota(float64(quota), float64(first(strings.Fields(r.text(base+"/cpu.cfs_period_us")))),
			base+"/cpu.cfs_quota_us", first(r.fields(base+"/cpu.stat", "nr_throttled")))
	case "memory":
		base := path.Join("sys/fs/cgroup/memory", dir)
		m.memory(r.text(base+"/memory.limit_in_bytes"), r.text(base+"/memory.usage_in_bytes"), base+"/memory.limit_in_bytes")
	}
}

// quota takes up a bound of a control group if it is tighter.
func (m *Machine) quota(quota, period float64, file string, throttled uint64) {
	if quota <= 0 || period <= 0 {
		return
	}
	if cpus := quota / period; m.Quota == 0 || cpus < m.Quota {
		m.Quota, m.QuotaFile, m.Throttled = cpus, "/"+file, throttled
	}
}

// memory takes up a bound of a control group if it is tighter.
func (m *Machine) memory(limit, usage, file string) {
	most, err := strconv.ParseUint(limit, 10, 64)
	if err != nil || most > math.MaxInt64/2 { // "max", and what version 1 writes for it
		return
	}
	used, _ := strconv.ParseUint(usage, 10, 64)
	if left := most - min(most, used); m.MemoryAvailable == 0 || left < m.MemoryAvailable {
		m.MemoryAvailable, m.MemoryLimited = left, "/"+file
	}
}
