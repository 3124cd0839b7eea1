package doctor

import (
	"net/netip"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
)

// Facts are what checks judge: all that was read and tried, and what is wanted.
// What could not be found out is zero, or has an error beside it.
type Facts struct {
	Want Want

	Kernel  Kernel
	Rights  Rights
	Machine Machine
	State   StateFolder

	Devices    []Device             // that ports name; without a configuration all
	Namespaces map[string]Namespace // that ports' devices are in, "" being the own
	Leftovers  Leftovers
}

// Want is what a configuration asks for.
type Want struct {
	Given    bool // there is a configuration
	Ports    []*control.Port
	Segments []control.Segment
	Workers  int
	CPUs     []int // that workers are pinned to
	Sessions int
}

// uses reports whether a port is of one of the types, or whether any might be:
// without a configuration nothing is ruled out.
func (w *Want) uses(types ...api.DeviceType) bool {
	if !w.Given {
		return true
	}
	for i := range w.Ports {
		for _, t := range types {
			if w.Ports[i].Device.Type == t {
				return true
			}
		}
	}
	return false
}

// otherNamespaces reports whether a port's device is in another namespace.
func (w *Want) otherNamespaces() bool {
	for i := range w.Ports {
		if w.Ports[i].Device.NetNS != "" {
			return true
		}
	}
	return false
}

// queues is the number of receive queues of all real devices.
func (w *Want) queues() (n int) {
	for i := range w.Ports {
		if isReal(w.Ports[i].Device.Type) {
			n += max(w.Ports[i].Device.Queues, 1)
		}
	}
	return n
}

// isReal reports whether the kernel has the device.
func isReal(t api.DeviceType) bool {
	return t == api.DeviceTAP || t == api.DeviceAFPacket || t == api.DeviceAFXDP
}

// missing is how bad it is that something is not possible: as bad as can be if
// it is asked for, and no more than a warning if nobody knows.
func (w *Want) missing(types ...api.DeviceType) State {
	switch {
	case !w.Given:
		return Warn
	case w.uses(types...):
		return Fail
	}
	return Info
}

// Kernel is what the kernel can do.
type Kernel struct {
	Release      string
	Major, Minor int

	XDPSocket  error // of socket(AF_XDP)
	TxMetadata error // of a UMEM with room for what a frame's checksum needs
}

// atLeast compares versions.
func (k *Kernel) atLeast(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

// Rights are what the process may do.
type Rights struct {
	Effective     uint64 // capabilities, a bit each
	UserNamespace bool   // not the first: capabilities hold within it only
	Container     string // what says that this is one; "" if nothing does
	Tun           error  // of opening /dev/net/tun
	OpenFiles     Limit
	LockedMemory  Limit // bytes
}

func (r *Rights) may(capability int) bool { return r.Effective&(1<<capability) != 0 }

// Limit is a resource limit; 0 is unknown, Unlimited is none.
type Limit struct {
	Soft, Hard uint64
}

// Unlimited is a Limit's value that is none.
const Unlimited = ^uint64(0)

// Machine is processors and memory.
type Machine struct {
	Online   []int // processors
	Allowed  []int // of them, for this process
	Isolated []int // by isolcpus
	SMT      bool  // two of them may share a core
	Nodes    int   // NUMA nodes
	Slow     []int // processors whose governor is not performance
	Governor string

	Quota     float64 // processors that the control group allows; 0 is no quota
	QuotaFile string  // that says so
	Throttled uint64  // periods in which it ran out

	MemoryTotal, MemoryAvailable uint64 // bytes, 0 is unknown
	MemoryLimited                string // the control group's file that bounds it; "" if none does

	HugePages, HugeFree int
	HugePageSize        uint64 // bytes
	TransparentHuge     string // always, madvise, never; "" is unknown

	ClockSource string

	BacklogDropped uint64 // frames, since the machine started (softnet_stat)
}

// Device is a network device that a port wants, or that there is.
type Device struct {
	Port  *control.Port // nil without a configuration
	NetNS string
	Name  string

	Info netdev.Info
	Err  error // of asking for it

	XDP         netdev.XDP
	XDPErr      error
	Features    netdev.Features
	Channels    netdev.Channels
	ChannelsErr error
}

// Namespace is what matters of a network namespace.
type Namespace struct {
	Err       error // it can't be entered
	Settings  map[string]string
	Addresses []netip.Prefix
	Bridge    bool // there is one
	Tables    []string
}

// Leftovers are what others have left behind.
type Leftovers struct {
	Namespaces []string // of tests whose process has ended
	Dead       []string // files of NamespaceDir that stand for no namespace
	Labs       []Lab
	Socket     string // the path of the API socket, if there is one
	SocketErr  error  // of connecting to it
}

// running reports whether a daemon answers.
func (l *Leftovers) running() bool { return l.Socket != "" && l.SocketErr == nil }

// Lab is one whose process has ended without ending it.
type Lab struct {
	ID, Scenario string
	Kept         bool // it was to stay
}
