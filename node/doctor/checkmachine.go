package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/node/daemon"
)

// sessionSize is the memory of a session with its part of the table, bytes.
const sessionSize = 368

// arena is the memory of packet buffers that a node takes if there is enough.
func (w *Want) arena() uint64 {
	return daemon.MemoryFor(&control.Model{Ports: w.Ports}, math.MaxUint64).Bytes()
}

// leastArena is what it takes in any case.
func leastArena() uint64 { return daemon.MemoryFor(&control.Model{}, 0).Bytes() }

const defaultSessions = 262144

// sessions is the memory of the flow table.
func (w *Want) sessions() uint64 {
	if w.Sessions == 0 {
		return defaultSessions * sessionSize
	}
	return uint64(w.Sessions) * sessionSize
}

func processors(f *Facts) (found []Finding) {
	const name = "processors"
	m, w := &f.Machine, &f.Want
	allowed := m.Allowed
	if len(allowed) == 0 {
		allowed = m.Online
	}
	if len(allowed) == 0 {
		return nil // unknown
	}
	text := plural(len(allowed), "processor")
	if len(allowed) < len(m.Online) {
		text += fmt.Sprintf(" of %d (taskset, cpuset)", len(m.Online))
	}
	if m.Nodes > 1 {
		text += fmt.Sprintf(", %d NUMA nodes", m.Nodes)
	}
	if m.SMT {
		text += ", SMT"
	}
	workers := max(w.Workers, 1)
	switch {
	case workers > len(allowed):
		found = append(found, inMachine.is(Warn, name, text,
			fmt.Sprintf("%d workers take turns on them, and each stops for milliseconds while another runs", workers),
			fmt.Sprintf("# NodeConfig: spec.workers: %d", max(len(allowed)-1, 1))))
	case workers == len(allowed) && workers > 1:
		found = append(found, inMachine.is(Warn, name, text,
			"workers take all of them; everything else on the machine interrupts one",
			fmt.Sprintf("# NodeConfig: spec.workers: %d", workers-1)))
	default:
		found = append(found, inMachine.ok(name, "%s", text))
	}
	return append(found, pinning(m, w, allowed)...)
}

func pinning(m *Machine, w *Want, allowed []int) []Finding {
	const name = "pinned workers"
	if len(w.CPUs) == 0 {
		return nil
	}
	var absent, shared []int
	for _, c := range w.CPUs {
		switch {
		case !slices.Contains(allowed, c):
			absent = append(absent, c)
		case !slices.Contains(m.Isolated, c):
			shared = append(shared, c)
		}
	}
	switch {
	case len(absent) > 0:
		return []Finding{inMachine.is(Fail, name, "not for this process: "+join(absent), "workers can't be pinned to them",
			"# NodeConfig: spec.cpus: of "+join(allowed), "# or widen the process's set (taskset, cpuset, CPUAffinity=)")}
	case len(shared) > 0:
		return []Finding{inMachine.is(Info, name, "not isolated: "+join(shared),
			"a worker that is pinned can't move away from what else runs there",
			"# kernel command line: isolcpus="+strings.ReplaceAll(join(w.CPUs), " ", ""))}
	}
	return []Finding{inMachine.ok(name, "%s, isolated", join(w.CPUs))}
}

func join(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// quota: the kernel stops all of a group's threads once it has used up its part of
// a period (100 ms by default), and goes on with the next.
func quota(f *Facts) []Finding {
	const name = "CPU quota"
	m, workers := &f.Machine, max(f.Want.Workers, 1)
	if m.Quota == 0 {
		return []Finding{inMachine.ok(name, "none")}
	}
	text := fmt.Sprintf("%.4g processors (%s)", m.Quota, m.QuotaFile)
	if m.Throttled > 0 {
		text += fmt.Sprintf(", used up in %d periods", m.Throttled)
	}
	if m.Quota < float64(workers+1) || m.Throttled > 0 {
		return []Finding{inMachine.is(Warn, name, text,
			"when it is used up, every port stands still for the rest of the period, up to 100 ms, and frames are lost",
			"# Kubernetes: give the pod integer requests equal to its limits under the static CPU manager, or no CPU limit",
			"# systemd: CPUQuota=   docker: without --cpus")}
	}
	return []Finding{inMachine.is(Info, name, text, "enough for the workers and the rest of the daemon, as long as nothing else is in the group")}
}

func memory(f *Facts) []Finding {
	const name = "memory"
	m := &f.Machine
	if m.MemoryAvailable == 0 {
		return nil // unknown
	}
	arena, sessions := f.Want.arena(), f.Want.sessions()
	text := size(m.MemoryAvailable) + " available"
	if m.MemoryLimited != "" {
		text += " (" + m.MemoryLimited + ")"
	}
	text += fmt.Sprintf("; wanted: %s for packets, %s for sessions", size(arena), size(sessions))
	const spare = 128 << 20 // the program itself and what else is in tables
	least := leastArena() + sessions + spare
	switch {
	case m.MemoryAvailable < least:
		return []Finding{inMachine.is(Fail, name, text, "it is taken at the start, and the kernel would end the daemon",
			"# NodeConfig: spec.limits.sessions: fewer", "# or give the machine or the container more")}
	case m.MemoryAvailable < least+arena:
		return []Finding{inMachine.is(Warn, name, text, "little is left for anything else; queues get fewer buffers",
			"# NodeConfig: spec.limits.sessions: fewer")}
	}
	return []Finding{inMachine.ok(name, "%s", text)}
}

func hugePages(f *Facts) []Finding {
	const name = "huge pages"
	m := &f.Machine
	if m.HugePageSize == 0 {
		return []Finding{inMachine.is(Info, name, "the kernel has none", "large tables cost more TLB misses")}
	}
	need := int((f.Want.arena() + m.HugePageSize - 1) / m.HugePageSize)
	switch {
	case m.HugeFree >= need:
		return []Finding{inMachine.ok(name, "%d of %d free, %s each", m.HugeFree, m.HugePages, size(m.HugePageSize))}
	case m.TransparentHuge == "always", m.TransparentHuge == "madvise":
		return []Finding{inMachine.ok(name, "transparent (%s); %d reserved ones free, %d would hold all packets", m.TransparentHuge, m.HugeFree, need)}
	}
	return []Finding{inMachine.is(Info, name, fmt.Sprintf("%d free; transparent ones: %s", m.HugeFree, orNone(m.TransparentHuge)),
		"large tables cost more TLB misses, a few percent of the speed",
		"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", fmt.Sprintf("sysctl -w vm.nr_hugepages=%d", m.HugePages-m.HugeFree+need))}
}

func clockSource(f *Facts) []Finding {
	const name = "clock"
	switch s := f.Machine.ClockSource; s {
	case "":
		return nil
	case "hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit", "xen":
		return []Finding{inMachine.is(Warn, name, s, "to read the time is a system call of a microsecond or more, and each vector reads it once",
			"cat /sys/devices/system/clocksource/clocksource0/available_clocksource",
			"echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource  # if it is among them")}
	default:
		return []Finding{inMachine.ok(name, "%s", s)}
	}
}

func frequency(f *Facts) []Finding {
	const name = "governor"
	m := &f.Machine
	if len(m.Slow) == 0 {
		return nil // it is performance, or the machine has none to choose
	}
	return []Finding{inMachine.is(Info, name, fmt.Sprintf("%s on %s", m.Governor, plural(len(m.Slow), "processor")),
		"a processor that has slept runs slowly for a while: the first packets take longer",
		"cpupower frequency-set -g performance")}
}

// backlog is the queue between a veth or TAP and the host's stack.
func backlog(f *Facts) []Finding {
	const name = "net.core.netdev_max_backlog"
	own := f.Namespaces[""]
	n, known := own.number("net/core/netdev_max_backlog")
	dropped := f.Machine.BacklogDropped
	switch {
	case !known || !f.Want.uses(api.DeviceTAP, api.DeviceAFPacket):
		return nil
	case n < 1000 || dropped > 0:
		return []Finding{inSettings.is(Warn, name, fmt.Sprintf("%d; frames dropped because it was full: %d", n, dropped),
			"frames to containers and the host wait there, up to 64 at a time from each worker",
			fmt.Sprintf("sysctl -w net.core.netdev_max_backlog=%d", max(4*n, 4000)))}
	}
	return []Finding{inSettings.ok(name, "%d", n)}
}
