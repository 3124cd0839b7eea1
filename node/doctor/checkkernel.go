package doctor

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
)

func kernelVersion(f *Facts) []Finding {
	const name = "version"
	k := &f.Kernel
	switch {
	case k.Major == 0:
		return []Finding{inKernel.is(Warn, name, "unknown: "+orNone(k.Release),
			"nothing can be said of what the kernel can do", "# is /proc mounted?")}
	case !k.atLeast(5, 4):
		return []Finding{inKernel.is(Fail, name, k.Release,
			"Sluice is made for Linux 5.4 and newer", "# install a newer kernel")}
	case !k.atLeast(5, 10):
		return []Finding{inKernel.is(Warn, name, k.Release,
			"packet sockets and TAPs work; AF_XDP does not, and little is told of devices (5.18 and newer)", "# install a newer kernel")}
	}
	return []Finding{inKernel.ok(name, "%s", k.Release)}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func xdpSockets(f *Facts) []Finding {
	const name = "AF_XDP"
	k := &f.Kernel
	state := f.Want.missing(api.DeviceAFXDP)
	const cannot = "ports of type afxdp can't be opened, or only as packet sockets with allowFallback"
	switch {
	case errors.Is(k.XDPSocket, unix.EPERM):
		// What the kernel can do shows once there are rights.
		return []Finding{inKernel.is(state, name, "no right to try", cannot, "# run as root, or give the container CAP_NET_RAW")}
	case k.XDPSocket != nil:
		return []Finding{inKernel.is(state, name, "the kernel has none: "+reason(k.XDPSocket), cannot,
			"# use a kernel with CONFIG_XDP_SOCKETS=y, or the device type afpacket")}
	case !k.atLeast(5, 18):
		return []Finding{inKernel.is(state, name, "sockets, but no programs for frames of several buffers (Linux 5.18)", cannot,
			"# install a newer kernel, or use the device type afpacket")}
	}
	found := []Finding{inKernel.ok(name, "sockets can be made")}
	const checksums = "AF_XDP checksums"
	state = Info
	if f.Want.Given && f.Want.uses(api.DeviceAFXDP) {
		state = Warn
	}
	switch {
	case k.TxMetadata == nil:
		found = append(found, inKernel.ok(checksums, "the kernel fills them in (TX metadata)"))
	case errors.Is(k.TxMetadata, unix.ENOBUFS), errors.Is(k.TxMetadata, unix.ENOMEM):
		found = append(found, inKernel.is(state, checksums, "no locked memory left to try",
			"AF_XDP can't register the packet buffers either", "ulimit -l unlimited", "# systemd: LimitMEMLOCK=infinity"))
	default:
		found = append(found, inKernel.is(state, checksums, "no TX metadata ("+reason(k.TxMetadata)+"; Linux 6.8)",
			"what workloads leave to their device is computed by Sluice, which costs CPU", "# install a newer kernel"))
	}
	if !k.atLeast(6, 6) {
		found = append(found, inKernel.is(state, "AF_XDP large frames", "one buffer for each (several: Linux 6.6)",
			"MTUs above about 3500 do not work on ports of type afxdp", "# install a newer kernel, or lower the MTU"))
	}
	return found
}

// shielding is how ports keep the host's stack off their devices.
func shielding(f *Facts) []Finding {
	const name = "tcx"
	if f.Kernel.atLeast(6, 6) || f.Kernel.Major == 0 {
		return []Finding{inKernel.ok(name, "the host is kept off the devices of afpacket and afxdp ports, for as long as Sluice runs")}
	}
	return []Finding{inKernel.is(Info, name, "not there (Linux 6.6)",
		"the host is kept off the devices of afpacket and afxdp ports by settings that stay behind if Sluice is killed: a filter (afpacket), and its IPv6 is off",
		"tc qdisc delete dev DEVICE clsact  # after kill -9, to give the device back to the host",
		"sysctl -w net/ipv6/conf/DEVICE/disable_ipv6=0")}
}

func segmentation(f *Facts) []Finding {
	const name = "UDP super-frames"
	if f.Kernel.atLeast(6, 2) || f.Kernel.Major == 0 {
		return []Finding{inKernel.ok(name, "TAPs take them (USO)")}
	}
	return []Finding{inKernel.is(Info, name, "TAPs take none (Linux 6.2)", "large UDP transfers over TAPs are cut into packets by Sluice")}
}
