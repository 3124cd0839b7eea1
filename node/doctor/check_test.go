package doctor

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
)

// good is a machine and a configuration at which nothing is wrong: a port of
// each type.
func good() *Facts {
	port := func(name string, t api.DeviceType, device string) *control.Port {
		return &control.Port{Name: name, MTU: 1500, Device: control.Device{Type: t, Name: device, Queues: 1, Offload: true}}
	}
	f := &Facts{
		Want: Want{
			Given:    true,
			Ports:    []*control.Port{port("a", api.DeviceAFXDP, "xdp0"), port("b", api.DeviceAFPacket, "pkt0"), port("c", api.DeviceTAP, "tap0"), port("d", "", "")},
			Segments: []control.Segment{{Name: "web", Subnets: []control.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}}},
			Workers:  1, Sessions: 262144,
		},
		Kernel: Kernel{Release: "6.18.44", Major: 6, Minor: 18},
		Rights: Rights{Effective: 1<<41 - 1, OpenFiles: Limit{1024, 4096}, LockedMemory: Limit{8 << 20, 8 << 20}},
		Machine: Machine{
			Online: []int{0, 1}, Allowed: []int{0, 1}, Nodes: 1, MemoryTotal: 4 << 30, MemoryAvailable: 2 << 30,
			HugePageSize: 2 << 20, TransparentHuge: "madvise", ClockSource: "tsc",
		},
		Namespaces: map[string]Namespace{"": {Settings: map[string]string{
			"net/core/rmem_max": "212992", "net/core/wmem_max": "212992", "net/core/netdev_max_backlog": "1000",
			"net/ipv4/ip_forward": "0", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/all/arp_ignore": "0",
			"net/ipv4/conf/tap0/rp_filter": "2", "net/ipv4/conf/tap0/arp_ignore": "0",
			"net/netfilter/nf_conntrack_count": "10", "net/netfilter/nf_conntrack_max": "1000",
		}}},
	}
	for i := range f.Want.Ports[:3] {
		p := f.Want.Ports[i]
		d := Device{
			Port: p, Name: p.Device.Name,
			Info:     netdev.Info{Name: p.Device.Name, Index: i + 2, Driver: "ice", Ether: true, MTU: 1500, MaxMTU: 9702, Up: true, Carrier: true, RxQueues: 8},
			XDP:      netdev.XDP{Native: true, Redirect: true, ZeroCopy: true, MultiBuffer: true},
			Features: netdev.Features{}, Channels: netdev.Channels{Combined: 1, MaxCombined: 8},
		}
		if p.Device.Type == api.DeviceTAP {
			d.Info.Driver, d.Info.Kind = "tun", "tun"
		}
		f.Devices = append(f.Devices, d)
	}
	return f
}

func TestNothingWrong(t *testing.T) {
	r := Examine(good())
	for _, finding := range r.Findings {
		require.Equal(t, OK, finding.State, "%+v", finding)
		require.NotEmpty(t, finding.Found, "%+v", finding)
		require.Empty(t, finding.Means, "%+v", finding)
	}
	require.Equal(t, Summary{OK: len(r.Findings)}, r.Summary)
	require.Equal(t, "nothing to mend", r.Summary.String())
}

// Each row makes one thing worse, and says what is found then.
func TestChecks(t *testing.T) {
	const xdpDevice, packetDevice, tap = "device xdp0, port a", "device pkt0, port b", "device tap0, port c"
	without := func(capability int) func(*Facts) {
		return func(f *Facts) { f.Rights.Effective &^= 1 << capability }
	}
	set := func(name, value string) func(*Facts) {
		return func(f *Facts) { f.Namespaces[""].Settings[name] = value }
	}
	for _, row := range []struct {
		why         string
		worse       func(*Facts)
		group, name string
		state       State
		found, mend string // parts of them
	}{
		{"a kernel of 2018", func(f *Facts) { f.Kernel = Kernel{Release: "4.19.0", Major: 4, Minor: 19} }, "kernel", "version", Fail, "4.19.0", "newer kernel"},
		{"a kernel of 2020", func(f *Facts) { f.Kernel = Kernel{Release: "5.4.0", Major: 5, Minor: 4} }, "kernel", "version", Warn, "5.4.0", "newer kernel"},
		{"/proc is hidden", func(f *Facts) { f.Kernel = Kernel{} }, "kernel", "version", Warn, "unknown: none", "mounted"},
		{"a kernel without AF_XDP", func(f *Facts) { f.Kernel.XDPSocket = unix.EAFNOSUPPORT }, "kernel", "AF_XDP", Fail, "address family not supported", "CONFIG_XDP_SOCKETS"},
		{"AF_XDP that may not be tried", func(f *Facts) { f.Kernel.XDPSocket = unix.EPERM }, "kernel", "AF_XDP", Fail, "no right", "CAP_NET_RAW"},
		{"no AF_XDP, and nobody wants it", func(f *Facts) { f.Kernel.XDPSocket = unix.EAFNOSUPPORT; f.Want.Ports = f.Want.Ports[1:] }, "kernel", "AF_XDP", Info, "the kernel has none", "afpacket"},
		{"no AF_XDP, and nobody has said what they want", func(f *Facts) { f.Kernel.XDPSocket = unix.EAFNOSUPPORT; f.Want = Want{} }, "kernel", "AF_XDP", Warn, "the kernel has none", "afpacket"},
		{"AF_XDP without programs for several buffers", func(f *Facts) { f.Kernel.Major, f.Kernel.Minor = 5, 15 }, "kernel", "AF_XDP", Fail, "Linux 5.18", "newer kernel"},
		{"no TX metadata", func(f *Facts) { f.Kernel.TxMetadata = unix.EINVAL }, "kernel", "AF_XDP checksums", Warn, "Linux 6.8", "newer kernel"},
		{"no locked memory to try TX metadata with", func(f *Facts) { f.Kernel.TxMetadata = unix.ENOBUFS }, "kernel", "AF_XDP checksums", Warn, "no locked memory", "ulimit -l unlimited"},
		{"AF_XDP frames of one buffer", func(f *Facts) { f.Kernel.Minor = 5 }, "kernel", "AF_XDP large frames", Warn, "Linux 6.6", "lower the MTU"},
		{"no tcx", func(f *Facts) { f.Kernel.Minor = 5 }, "kernel", "tcx", Info, "Linux 6.6", "disable_ipv6=0"},
		{"TAPs without USO", func(f *Facts) { f.Kernel.Minor = 1 }, "kernel", "UDP super-frames", Info, "Linux 6.2", ""},

		{"no right to set up devices", without(unix.CAP_NET_ADMIN), "rights", "CAP_NET_ADMIN", Fail, "not given", "cap_net_admin+ep"},
		{"no right to raw sockets", without(unix.CAP_NET_RAW), "rights", "CAP_NET_RAW", Fail, "not given", "--cap-add=NET_RAW"},
		{"no right to BPF in one or the other way", func(f *Facts) { without(unix.CAP_BPF)(f); without(unix.CAP_SYS_ADMIN)(f) }, "rights", "CAP_BPF", Fail, "not given", "--cap-add=BPF"},
		{"CAP_SYS_ADMIN stands for CAP_BPF", without(unix.CAP_BPF), "rights", "CAP_BPF", OK, "given", ""},
		{"no right to enter namespaces, and none is to be entered", without(unix.CAP_SYS_ADMIN), "rights", "CAP_SYS_ADMIN", Info, "not needed", ""},
		{"no right to enter namespaces", func(f *Facts) { without(unix.CAP_SYS_ADMIN)(f); f.Want.Ports[1].Device.NetNS = "red" }, "rights", "CAP_SYS_ADMIN", Fail, "not given", "SYS_ADMIN"},
		{"no rights, and nobody has said for what", func(f *Facts) { f.Rights.Effective = 0; f.Want = Want{} }, "rights", "CAP_NET_RAW", Warn, "not given", "root"},
		{"a container", func(f *Facts) { f.Rights.Container = "Docker" }, "rights", "container", Info, "Docker", ""},
		{"a user namespace", func(f *Facts) { f.Rights.UserNamespace = true }, "rights", "user namespace", Warn, "not the machine's own", "root"},
		{"no TUN driver", func(f *Facts) { f.Rights.Tun = &fs.PathError{Op: "open", Path: "/dev/net/tun", Err: unix.ENOENT} }, "rights", "/dev/net/tun", Fail, "missing", "modprobe tun"},
		{"no access to TUN", func(f *Facts) { f.Rights.Tun = &fs.PathError{Op: "open", Path: "/dev/net/tun", Err: unix.EACCES} }, "rights", "/dev/net/tun", Fail, "no access: permission denied", "--device /dev/net/tun"},
		{"a TUN file without a driver", func(f *Facts) { f.Rights.Tun = unix.ENODEV }, "rights", "/dev/net/tun", Fail, "no such device", "modprobe tun"},
		{"no TUN, and no TAP is wanted", func(f *Facts) { f.Rights.Tun = unix.ENOENT; f.Want.Ports = f.Want.Ports[:2] }, "rights", "/dev/net/tun", Info, "missing", ""},
		{"fewer descriptors than queues", func(f *Facts) { f.Rights.OpenFiles = Limit{256, 256}; f.Want.Ports[0].Device.Queues = 64 }, "rights", "open files", Fail, "256, at most 256", "ulimit -Hn 920"},
		{"little locked memory, without the right to more", without(unix.CAP_IPC_LOCK), "rights", "locked memory", Fail, "8192 KiB", "LimitMEMLOCK=infinity"},
		{"much locked memory", func(f *Facts) { without(unix.CAP_IPC_LOCK)(f); f.Rights.LockedMemory = Limit{Unlimited, Unlimited} }, "rights", "locked memory", OK, "unlimited", ""},
		{"little locked memory, and no AF_XDP", func(f *Facts) { without(unix.CAP_IPC_LOCK)(f); f.Want.Ports = f.Want.Ports[1:] }, "rights", "locked memory", Info, "8192 KiB", ""},

		{"more workers than processors", func(f *Facts) { f.Want.Workers = 4 }, "machine", "processors", Warn, "2 processors", "spec.workers: 1"},
		{"a worker on each processor", func(f *Facts) { f.Want.Workers = 2 }, "machine", "processors", Warn, "2 processors", "spec.workers: 1"},
		{"a set of processors", func(f *Facts) { f.Machine.Allowed = []int{1} }, "machine", "processors", OK, "1 processor of 2 (taskset, cpuset)", ""},
		{"workers pinned to processors of others", func(f *Facts) { f.Want.CPUs = []int{1, 5} }, "machine", "pinned workers", Fail, "not for this process: 5", "of 0, 1"},
		{"workers pinned among others", func(f *Facts) { f.Want.CPUs = []int{1} }, "machine", "pinned workers", Info, "not isolated: 1", "isolcpus=1"},
		{"workers pinned as it should be", func(f *Facts) { f.Want.CPUs = []int{1}; f.Machine.Isolated = []int{1} }, "machine", "pinned workers", OK, "1, isolated", ""},
		{"a quota of less than the workers need", func(f *Facts) { f.Machine.Quota, f.Machine.QuotaFile = 1.5, "/sys/cpu.max" }, "machine", "CPU quota", Warn, "1.5 processors (/sys/cpu.max)", "CPUQuota="},
		{"a quota that has been used up", func(f *Facts) { f.Machine.Quota, f.Machine.Throttled = 8, 12 }, "machine", "CPU quota", Warn, "used up in 12 periods", "CPUQuota="},
		{"a quota that is large enough", func(f *Facts) { f.Machine.Quota = 2 }, "machine", "CPU quota", Info, "2 processors", ""},
		{"no room for the sessions", func(f *Facts) { f.Want.Sessions = 64 << 20 }, "machine", "memory", Fail, "23 GiB for sessions", "sessions: fewer"},
		{"little room", func(f *Facts) { f.Machine.MemoryAvailable, f.Machine.MemoryLimited = 300<<20, "/sys/memory.max" }, "machine", "memory", Warn, "300 MiB available (/sys/memory.max)", "sessions: fewer"},
		{"no huge pages of any kind", func(f *Facts) { f.Machine.TransparentHuge = "never" }, "machine", "huge pages", Info, "0 free; transparent ones: never", "vm.nr_hugepages="},
		{"reserved huge pages", func(f *Facts) { f.Machine.HugePages, f.Machine.HugeFree = 512, 500 }, "machine", "huge pages", OK, "500 of 512 free", ""},
		{"a kernel without huge pages", func(f *Facts) { f.Machine.HugePageSize = 0 }, "machine", "huge pages", Info, "none", ""},
		{"a slow clock", func(f *Facts) { f.Machine.ClockSource = "hpet" }, "machine", "clock", Warn, "hpet", "current_clocksource"},
		{"processors that sleep", func(f *Facts) { f.Machine.Slow, f.Machine.Governor = []int{0, 1}, "powersave" }, "machine", "governor", Info, "powersave on 2 processors", "cpupower"},

		{"a device that is not there", func(f *Facts) { f.Devices[1].Err = fmt.Errorf("device pkt0: %w", netdev.ErrNoDevice) }, packetDevice, "exists", Fail, "no such device", "ip link show"},
		{"a namespace that is not there", func(f *Facts) { f.Devices[1].Err, f.Devices[1].NetNS = netdev.ErrNoNamespace, "red" }, "device pkt0 in red, port b", "exists", Fail, "no such network namespace", "ip netns add red"},
		{"a device without Ethernet", func(f *Facts) { f.Devices[1].Info.Ether = false }, packetDevice, "exists", Fail, "NIC", "another device"},
		{"the machine's way out", func(f *Facts) { f.Devices[1].Info.DefaultRoute = true }, packetDevice, "use", Fail, "default route", "--takeover pkt0"},
		{"a bridge's device", func(f *Facts) { f.Devices[0].Info.Master = "br0" }, xdpDevice, "use", Fail, "part of br0", "ip link set xdp0 nomaster"},
		{"an address of the host", func(f *Facts) { f.Devices[0].Info.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")} }, xdpDevice, "use", Fail, "192.0.2.1/24", "ip address flush dev xdp0"},
		{"another program's frames", func(f *Facts) { f.Devices[0].Info.XDP = 77 }, xdpDevice, "use", Fail, "XDP program 77", "ip link set xdp0 xdp off"},
		{"the running daemon's program", func(f *Facts) { f.Devices[0].Info.XDP = 77; f.Leftovers.Socket = "/run/s" }, xdpDevice, "use", Info, "XDP program 77", ""},
		{"the way out of a namespace", func(f *Facts) { f.Devices[1].Info.DefaultRoute, f.Devices[1].NetNS = true, "red" }, "device pkt0 in red, port b", "use", Fail, "default route", "--takeover red/pkt0"},
		{"a device that is down", func(f *Facts) { f.Devices[0].Info.Up = false }, xdpDevice, "state", Info, "down", ""},
		{"no cable", func(f *Facts) { f.Devices[0].Info.Carrier = false }, xdpDevice, "state", Warn, "no carrier", "cable"},
		{"the other end is down", func(f *Facts) { f.Devices[0].Info.Carrier, f.Devices[0].Info.Kind = false, "veth" }, xdpDevice, "state", Warn, "no carrier", "PEER up"},
		{"a smaller MTU than the port's", func(f *Facts) { f.Want.Ports[1].MTU = 9000 }, packetDevice, "MTU", Fail, "1500, and the port's is 9000", "ip link set pkt0 mtu 9000"},
		{"an MTU that can't be reached", func(f *Facts) { f.Want.Ports[1].MTU = 60000 }, packetDevice, "MTU", Fail, "can't have more than 9702", "spec.mtu: 9702"},
		{"a larger MTU than the port's", func(f *Facts) { f.Devices[1].Info.MTU = 9000 }, packetDevice, "MTU", Info, "9000, and the port's is 1500", "spec.mtu: 9000"},
		{"a driver without native XDP", func(f *Facts) { f.Devices[0].XDP = netdev.XDP{} }, xdpDevice, "XDP", Fail, "generic only", "allowFallback: true"},
		{"generic XDP that is allowed", func(f *Facts) { f.Devices[0].XDP = netdev.XDP{}; f.Want.Ports[0].Device.AllowFallback = true }, xdpDevice, "XDP", Warn, "generic only", "afpacket"},
		{"a kernel that does not tell, and a driver that is known", func(f *Facts) { f.Devices[0].XDP, f.Devices[0].XDPErr = netdev.XDP{}, netdev.ErrUnsupported }, xdpDevice, "XDP", OK, "known to have it", ""},
		{"a kernel that does not tell, and a driver that is not known", func(f *Facts) { f.Devices[0].XDPErr = netdev.ErrUnsupported; f.Devices[0].Info.Driver = "ne2k" }, xdpDevice, "XDP", Warn, "the kernel does not tell", "allowFallback"},
		{"large frames without several buffers", func(f *Facts) { f.Devices[0].XDP.MultiBuffer = false; f.Devices[0].Info.MTU = 9000 }, xdpDevice, "XDP", Fail, "MTU 9000", "mtu 3498"},
		{"XDP on a veth", func(f *Facts) { f.Devices[0].Info.Kind = "veth"; f.Devices[0].XDP.ZeroCopy = false }, xdpDevice, "XDP", Info, "native, copies", ""},
		{"LRO", func(f *Facts) { f.Devices[0].Features["rx-lro"] = netdev.Feature{Active: true} }, xdpDevice, "offloads", Warn, "LRO is on", "ethtool -K xdp0 lro off"},
		{"hardware GRO", func(f *Facts) { f.Devices[0].Features["rx-gro-hw"] = netdev.Feature{Active: true} }, xdpDevice, "offloads", Warn, "GRO is on", "rx-gro-hw off"},
		{"VLAN tags taken off", func(f *Facts) { f.Devices[0].Features["rx-vlan-hw-parse"] = netdev.Feature{Active: true} }, xdpDevice, "offloads", Warn, "VLAN", "rxvlan off"},
		{"VLAN tags taken off, by a driver that hands them to programs", func(f *Facts) {
			f.Devices[0].Features["rx-vlan-hw-parse"] = netdev.Feature{Active: true}
			f.Devices[0].XDP.VLANTags = true
		}, xdpDevice, "offloads", OK, "none that hurts", ""},
		{"frames on queues that nobody serves", func(f *Facts) { f.Devices[0].Channels.Combined = 4 }, xdpDevice, "queues", Warn, "4 in use, and the port's are 1", "ethtool -L xdp0 combined 1"},
		{"queues that are not in use", func(f *Facts) { f.Want.Ports[0].Device.Queues = 4 }, xdpDevice, "queues", Fail, "1 in use, and the port's are 4", "ethtool -L xdp0 combined 4"},
		{"queues that there are not", func(f *Facts) { f.Want.Ports[0].Device.Queues = 16 }, xdpDevice, "queues", Fail, "1 in use, and the port's are 16", "queues: 8"},
		{"channels that the driver can't tell", func(f *Facts) {
			f.Devices[0].ChannelsErr = netdev.ErrUnsupported
			f.Devices[0].Channels = netdev.Channels{}
		}, xdpDevice, "queues", Warn, "8 in use", "queues: 8"},
		{"a TAP that is not there yet", func(f *Facts) { f.Devices[2].Err = netdev.ErrNoDevice }, tap, "exists", OK, "the port makes it", ""},
		{"a TAP in a namespace that is not there", func(f *Facts) { f.Devices[2].Err = netdev.ErrNoNamespace }, tap, "exists", Fail, "no such network namespace", "ip netns add"},
		{"a TAP's name that a NIC has", func(f *Facts) { f.Devices[2].Info.Driver, f.Devices[2].Info.Kind = "ice", "" }, tap, "exists", Fail, "ice", "ip link set tap0 name OTHER"},
		{"a TUN device", func(f *Facts) { f.Devices[2].Info.Ether = false }, tap, "exists", Fail, "TUN", "ip link delete tap0"},
		{"a TAP with a small MTU", func(f *Facts) { f.Devices[2].Info.MTU = 1400 }, tap, "MTU", Fail, "1400", "mtu 1500"},

		{"small socket buffers, without the right to more", without(unix.CAP_NET_ADMIN), "settings", "net.core.rmem_max", Warn, "212992", "sysctl -w net.core.rmem_max=4194304"},
		{"a short backlog", set("net/core/netdev_max_backlog", "300"), "settings", "net.core.netdev_max_backlog", Warn, "300", "=4000"},
		{"a backlog that was full", func(f *Facts) { f.Machine.BacklogDropped = 9 }, "settings", "net.core.netdev_max_backlog", Warn, "because it was full: 9", "=4000"},
		{"a host that forwards", set("net/ipv4/ip_forward", "1"), "settings", "net.ipv4.ip_forward", Info, "1", "net.ipv4.ip_forward=0"},
		{"strict reverse paths on a TAP", set("net/ipv4/conf/tap0/rp_filter", "1"), "settings", "rp_filter of tap0", Info, "strict", "net/ipv4/conf/tap0/rp_filter=2"},
		{"a host that answers for an address of the segment", func(f *Facts) {
			n := f.Namespaces[""]
			n.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("10.0.0.9/24")}
			f.Namespaces[""] = n
		}, "settings", "arp_ignore of tap0", Warn, "10.0.0.9/24, which is in segment web", "net/ipv4/conf/tap0/arp_ignore=1"},
		{"a bridge under the firewall", func(f *Facts) {
			set("net/bridge/bridge-nf-call-iptables", "1")(f)
			n := f.Namespaces[""]
			n.Bridge = true
			f.Namespaces[""] = n
		}, "settings", "net.bridge.bridge-nf-call-iptables", Info, "1", "=0"},
		{"rules of a firewall", func(f *Facts) {
			f.Namespaces["red"] = Namespace{Tables: []string{"inet a", "ip b", "ip c", "ip d", "ip e", "ip f", "ip g"}}
		}, "settings", "nftables in red", Info, "inet a, ip b, ip c, ip d, ip e, ip f and 1 more", "ip netns exec red nft list ruleset"},
		{"a full table of connections", set("net/netfilter/nf_conntrack_count", "990"), "settings", "nf_conntrack", Warn, "990 of 1000", "nf_conntrack_max=4000"},

		{"namespaces of tests", func(f *Facts) { f.Leftovers.Namespaces = []string{"sl-1-1", "sl-1-2"} }, "leftovers", "test namespaces", Warn, "sl-1-1, sl-1-2", "for n in sl-1-1 sl-1-2; do ip netns delete $n; done"},
		{"files of namespaces", func(f *Facts) { f.Leftovers.Dead = []string{"red"} }, "leftovers", "dead namespaces", Warn, "red", "for n in red; do ip netns delete"},
		{"a lab that was killed", func(f *Facts) { f.Leftovers.Labs = []Lab{{ID: "abcd", Scenario: "web"}} }, "leftovers", "lab abcd", Warn, "web, whose process has ended", "sluice lab down abcd"},
		{"a lab that was to stay", func(f *Facts) { f.Leftovers.Labs = []Lab{{ID: "abcd", Scenario: "web", Kept: true}} }, "leftovers", "lab abcd", Info, "web, which was to stay", "sluice lab down abcd"},
		{"a daemon that runs", func(f *Facts) { f.Leftovers.Socket = "/run/s" }, "leftovers", "daemon", Info, "/run/s", ""},
		{"a socket of a daemon that was killed", func(f *Facts) {
			f.Leftovers.Socket, f.Leftovers.SocketErr = "/run/s", fmt.Errorf("dial: %w", unix.ECONNREFUSED)
		}, "leftovers", "socket", Warn, "/run/s: connection refused", "rm /run/s"},
	} {
		t.Run(row.why, func(t *testing.T) {
			f := good()
			row.worse(f)
			r := Examine(f)
			var names []string
			for _, finding := range r.Findings {
				names = append(names, finding.Group+": "+finding.Name)
				if finding.Group != row.group || finding.Name != row.name {
					continue
				}
				require.Equal(t, row.state, finding.State, "%+v", finding)
				require.Contains(t, finding.Found, row.found)
				require.Contains(t, strings.Join(finding.Mend, "\n"), row.mend)
				if row.state == OK {
					require.Empty(t, finding.Mend)
				} else {
					require.NotEmpty(t, finding.Means)
				}
				if row.state == Warn || row.state == Fail {
					require.NotEmpty(t, finding.Mend, "what is wrong can be mended")
				}
				return
			}
			t.Fatalf("no finding %s: %s in %q", row.group, row.name, names)
		})
	}
}

// What is fine behind a TAP: an address on the TAP itself, ARP that is limited.
func TestHostBehindTAP(t *testing.T) {
	arp := func(f *Facts) bool {
		for _, finding := range Examine(f).Findings {
			if strings.HasPrefix(finding.Name, "arp_ignore") {
				return true
			}
		}
		return false
	}
	address := netip.MustParsePrefix("10.0.0.9/24")
	f := good()
	f.Namespaces[""] = Namespace{Settings: f.Namespaces[""].Settings, Addresses: []netip.Prefix{address}}
	require.True(t, arp(f))
	f.Devices[2].Info.Addresses = []netip.Prefix{address}
	require.False(t, arp(f), "it is the TAP's own")
	f.Devices[2].Info.Addresses = nil
	f.Namespaces[""].Settings["net/ipv4/conf/all/arp_ignore"] = "1"
	require.False(t, arp(f), "it is answered for on its own device only")
}

func TestSummary(t *testing.T) {
	for s, want := range map[Summary]string{
		{OK: 9}:                     "nothing to mend",
		{Info: 1}:                   "nothing to mend, 1 to know",
		{Warn: 1}:                   "1 thing should be mended",
		{Warn: 2, Info: 3}:          "2 things should be mended, 3 to know",
		{Fail: 1}:                   "1 thing must be mended",
		{Fail: 2, Warn: 1, OK: 1}:   "2 things must be mended, 1 should be",
		{Fail: 1, Warn: 2, Info: 1}: "1 thing must be mended, 2 should be, 1 to know",
	} {
		require.Equal(t, want, s.String())
	}
}

// Facts of which nothing could be found out must not make checks panic or cry.
func TestNothingKnown(t *testing.T) {
	r := Examine(&Facts{})
	for _, finding := range r.Findings {
		require.NotEqual(t, Fail, finding.State, "%+v", finding)
	}
}
