package daemon

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// AutoWorkers, as a number of workers, is one less than there are CPUs for the
// process, for there are other threads, and at least 1.
const AutoWorkers = -1

// workerNice lets workers go before the programs whose frames they carry: one TCP
// stream over packet sockets gets 5 % more on a machine with two processors.
const workerNice = -5

// Bounds of the arena: it is below 4 GiB, and an ordinary buffer has 2 KiB, a
// super-frame's 68 KiB.
const (
	minBuffers = 16384
	maxBuffers = 1 << 20
	minSupers  = 256
	maxSupers  = 1 << 14

	bufferSize = 2 << 10
	superSize  = 68 << 10
)

// workers returns the number of workers that was asked for; 0 is the
// configuration's.
func workers(asked int) int {
	if asked != AutoWorkers {
		return asked
	}
	// NumCPU is the affinity mask, GOMAXPROCS also knows the cgroup's quota.
	return max(1, min(runtime.NumCPU(), runtime.GOMAXPROCS(0))-1)
}

// Memory is how many frames may be in flight.
type Memory struct {
	Buffers, Supers int
}

// Bytes is what the arena takes.
func (m Memory) Bytes() uint64 { return uint64(m.Buffers)*bufferSize + uint64(m.Supers)*superSize }

// MemoryFor sizes the arena: for the queues of a model, with as much again for
// ports that come later, and within an eighth of the memory that is available, in bytes. It
// is taken once: ports come and go while the node lives.
func MemoryFor(m *control.Model, available uint64) Memory {
	const (
		inRings   = 4096 // of an AF_XDP queue: receive and transmit ring
		inTransit = 128  // of any other: what is being received, and sent
	)
	buffers, supers := minBuffers, minSupers
	for i := range m.Ports {
		d := &m.Ports[i].Device
		queues := max(d.Queues, 1)
		switch {
		case d.Type == "":
			continue
		case d.Type == api.DeviceAFXDP:
			buffers += 2 * inRings * queues
		default:
			buffers += 2 * inTransit * queues
		}
		if d.Offload {
			supers += 4 * queues
		}
	}
	bound := available / 8
	buffers = min(buffers, maxBuffers, int(min(bound/bufferSize, math.MaxInt32)))
	supers = min(supers, maxSupers, int(min(bound/8/superSize, math.MaxInt32)))
	return Memory{max(buffers, minBuffers), max(supers, minSupers)}
}

// availableMemory returns the bytes that the process may still take: what the
// machine has, and what the limits of its control groups (cgroups(7), both versions) leave. 0 is
// unknown.
func availableMemory(root fs.FS) uint64 {
	available := uint64(math.MaxUint64)
	if data, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) >= 2 && fields[0] == "MemAvailable:" {
				if kib, err := strconv.ParseUint(fields[1], 10, 54); err == nil {
					available = kib << 10
				}
			}
		}
	}
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err == nil {
		scanner := bufio.NewScanner(bytes.NewReader(data))
		for scanner.Scan() { // HIERARCHY:CONTROLLERS:PATH
			parts := strings.SplitN(scanner.Text(), ":", 3)
			if len(parts) != 3 {
				continue
			}
			switch parts[1] {
			case "":
				available = min(available, groupMemory(root, "sys/fs/cgroup", parts[2], "memory.max", "memory.current"))
			case "memory":
				available = min(available, groupMemory(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes", "memory.usage_in_bytes"))
			}
		}
	}
	if available == math.MaxUint64 {
		return 0
	}
	return available
}

// groupMemory returns what a control group and those above it leave.
func groupMemory(root fs.FS, mount, group, limitFile, usageFile string) uint64 {
	available := uint64(math.MaxUint64)
	for dir := path.Join("/", group); ; dir = path.Dir(dir) {
		limit, limited := readNumber(root, path.Join(mount, dir, limitFile))
		usage, _ := readNumber(root, path.Join(mount, dir, usageFile))
		// Version 1 writes "no limit" as a number beyond all memory.
		if limited && limit < 1<<60 {
			available = min(available, limit-min(limit, usage))
		}
		if dir == "/" {
			return available
		}
	}
}

func readNumber(root fs.FS, name string) (uint64, bool) {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil // "max" is no limit
}

// residentMemory returns the process's resident set, bytes; 0 if unknown.
func residentMemory() uint64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 40)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// tuneRuntime sets the Go runtime up for pollers: what the environment says
// (GOGC, GOMEMLIMIT, GOMAXPROCS) stands. Each collection stops the pollers for a
// moment, several times; the heap is small, since frames and tables lie outside, so
// it may grow to five times what is in use before one. A poller holds its
// processor: one more is left to all other goroutines.
func tuneRuntime(workers int, available uint64, getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if getenv("GOMEMLIMIT") == "" && available != 0 {
		debug.SetMemoryLimit(int64(min(available/4, math.MaxInt64)))
	}
	if getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < workers+1 {
		runtime.GOMAXPROCS(workers + 1)
	}
}
