package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNoXDP is wrapped by errors of Open about a device or a kernel that can't do
// what the port needs, whatever the rights: a packet socket may do instead.
var ErrNoXDP = errors.New("AF_XDP is not possible here")

// Remedies.
const (
	getRights = "run as root, or give the program CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF " +
		"(CAP_SYS_ADMIN before Linux 5.8; a container needs them granted too)"
	useFallback = "use the device type afpacket, or allow generic XDP, which is no faster than that (allowFallback: true)"
	useAfpacket = "use the device type afpacket"
	moreMemlock = "give the program CAP_IPC_LOCK, or raise the limit on locked memory " +
		"(ulimit -l unlimited; LimitMEMLOCK=infinity in a systemd unit)"
)

// explainBPF says what to do about an error of bpf(2).
func explainBPF(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		// The library's words go with it: they tell a program's author what to call.
		return fmt.Errorf("no right to load BPF programs: %s; before Linux 5.11 it may be the limit on locked memory: %s: %w", getRights, moreMemlock, unix.EPERM)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel has no BPF: %s: %w", ErrNoXDP, useAfpacket, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: the kernel does not take it; Linux 5.18 with CONFIG_XDP_SOCKETS is needed: %s: %w", ErrNoXDP, useAfpacket, err)
	default:
		return err
	}
}

// explainSocket says what to do about an error of making an AF_XDP socket.
func explainSocket(err error) error {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ESOCKTNOSUPPORT):
		return fmt.Errorf("%w: the kernel has no AF_XDP (CONFIG_XDP_SOCKETS): %s: %w", ErrNoXDP, useAfpacket, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("no right to make AF_XDP sockets: %s: %w", getRights, err)
	default:
		return fmt.Errorf("make an AF_XDP socket: %w", err)
	}
}

// explainAttach says what to do about an error of attaching the program to the
// device in native mode.
func explainAttach(d *device, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		// What a BPF link holds ends with the link, and no command takes it off.
		return fmt.Errorf("another XDP program%s is on the device: end the program that has loaded it (bpftool link names the one that holds it), "+
			"or, where no BPF link holds it, take it off (%s): %w", d.programNote(), d.command("ip link set %s xdp off", d.info.Name), err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: the driver %q has no native XDP: %s: %w", ErrNoXDP, d.info.Driver, useFallback, err)
	case errors.Is(err, unix.ERANGE), errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("MTU %d is too large for the driver's native XDP: lower it (%s), also at the other end of a veth, or %s: %w",
			d.info.MTU, d.command("ip link set %s mtu 1500", d.info.Name), useAfpacket, err)
	case errors.Is(err, unix.ENOSPC) && d.veth():
		return fmt.Errorf("the other end of the veth has more transmit queues in use than %s has receive queues (%d): "+
			"make them equal (%s, and queues: N): %w", d.info.Name, d.rxQueues, d.command("ethtool -L %s rx N tx N", d.info.Name), err)
	case errors.Is(err, unix.EINVAL):
		// Drivers say so of an MTU, a queue layout or an offload (LRO) that XDP can't have.
		return fmt.Errorf("%w: the driver %q refuses native XDP as the device is set up (MTU %d, %d receive queues); the kernel's log may say why (dmesg): "+
			"lower the MTU, turn LRO off (%s), or %s: %w", ErrNoXDP, d.info.Driver, d.info.MTU, d.rxQueues, d.command("ethtool -K %s lro off", d.info.Name), useAfpacket, err)
	default:
		return fmt.Errorf("attach the XDP program: %w", explainBPF(err))
	}
}

// explainBind says what to do about an error of binding a socket to a queue.
func explainBind(d *device, queue int, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("another AF_XDP socket has queue %d: end the program that has opened %s: %w", queue, d.info.Name, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("the device was removed: %w", err)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("the device is down: %s: %w", d.command("ip link set %s up", d.info.Name), err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("no right to bind to queue %d: %s: %w", queue, getRights, err)
	default:
		return fmt.Errorf("bind an AF_XDP socket to queue %d: %w", queue, err)
	}
}
