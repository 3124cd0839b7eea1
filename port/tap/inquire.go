package tap

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device is what is found under a name.
type device struct {
	exists     bool
	persistent bool // valid if it exists, as is the next
	multiQueue bool
}

// tunPath is the device file of the TUN driver.
const tunPath = "/dev/net/tun"

// inquire asks rtnetlink what has the name, and whether it can be what cfg
// wants. The kernel would say EINVAL to most of it.
func inquire(links *netlink.Handle, cfg Config) (device, error) {
	if cfg.Name == "" {
		return device{}, nil
	}
	link, err := links.LinkByName(cfg.Name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return device{}, nil
	}
	if err != nil {
		return device{}, fmt.Errorf("ask who has the name: %w", err)
	}
	tuntap, ok := link.(*netlink.Tuntap)
	several := ok && tuntap.Flags&netlink.TUNTAP_MULTI_QUEUE != 0
	switch {
	case !ok && link.Type() == "device": // lo, a NIC
		return device{}, fmt.Errorf("the name belongs to an interface that is no TAP: %s", useAnother)
	case !ok:
		return device{}, fmt.Errorf("the name belongs to an interface of kind %s: %s", link.Type(), useAnother)
	case tuntap.Mode != netlink.TUNTAP_MODE_TAP:
		return device{}, fmt.Errorf("the name belongs to a TUN device, which has no Ethernet frames: %s", useAnother)
	// The kernel would let us open further queues of one with several, and
	// deal frames to both of us.
	case tuntap.Queues+tuntap.DisabledQueues > 0:
		return device{}, explain(unix.EBUSY)
	case cfg.Queues > 1 && !several:
		return device{}, fmt.Errorf("it was made for one queue: %s: %w", askForOne, unix.EINVAL)
	}
	return device{exists: true, persistent: !tuntap.NonPersist, multiQueue: several}, nil
}

// mayOpen finds out whether a device can be opened before water tries, which
// leaves its descriptor open whenever the kernel refuses. What is left to go
// wrong after it is that somebody else is faster.
func mayOpen(name string, found device) error {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return explainOpen(err)
	}
	defer unix.Close(fd)
	if !found.exists {
		// To try would be to make it, and everybody who watches interfaces
		// would see it come and go.
		if !mayAdminister() {
			return explain(unix.EPERM)
		}
		return nil
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if found.multiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	_, err = attachTo(fd, name, flags)
	return explain(err)
}

// mayAdminister reports whether the thread has CAP_NET_ADMIN. In a namespace of
// another user that may not be enough, which the kernel says then.
func mayAdminister() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	if unix.Capget(&header, &sets[0]) != nil {
		return true // ask the kernel by trying
	}
	return sets[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// Remedies.
const (
	useAnother = "choose another name, or remove that interface"
	askForOne  = "ask for one, or make it anew (ip tuntap add dev NAME mode tap multi_queue)"
	getRights  = "run as root or give the program CAP_NET_ADMIN (setcap cap_net_admin+ep FILE), " +
		"or have the device made for this user (ip tuntap add dev NAME mode tap user USER)"
	getDevice = "load the driver (modprobe tun), or give the container the device (--device " + tunPath + ")"
)

// explainOpen says what to do about an error of opening tunPath.
func explainOpen(err error) error {
	switch err {
	case unix.ENOENT:
		return fmt.Errorf("%s is missing: %s: %w", tunPath, getDevice, err)
	case unix.ENODEV, unix.ENXIO:
		return fmt.Errorf("the kernel has no driver for %s: %s: %w", tunPath, getDevice, err)
	case unix.EACCES, unix.EPERM:
		return fmt.Errorf("no access to %s: run as root, or give the container the device (--device %s): %w", tunPath, tunPath, err)
	default:
		return fmt.Errorf("%s: %w", tunPath, err)
	}
}

// explain says what to do about an error of attaching to or changing a device.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("no right to make or change network devices: %s: %w", getRights, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("another program, or another port of this one, has it open: end that, or choose another name: %w", err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("the kernel gives the device no more queues: ask for fewer: %w", err)
	default:
		return err
	}
}
