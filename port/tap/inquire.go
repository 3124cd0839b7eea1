package tap

import (
	"bytes"
	"errors"
	"fmt"

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

// inquire finds out whether a device can be opened before water tries, for two
// reasons: water leaves its descriptor open whenever the kernel refuses, and it ends
// the persistence of any device that it is not told to keep. What is left to
// go wrong after it is that somebody else is faster.
func inquire(ctl int, name string, severalQueues bool) (device, error) {
	exists, err := existsAsTAP(ctl, name)
	if err != nil {
		return device{}, err
	}
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return device{}, explainOpen(err)
	}
	defer unix.Close(fd)
	if !exists {
		// To try would be to make it, and everybody who watches interfaces
		// would see it come and go.
		if !mayAdminister() {
			return device{}, explain(unix.EPERM)
		}
		return device{}, nil
	}
	d := device{exists: true, multiQueue: severalQueues}
	err = try(fd, name, &d)
	if err == unix.EINVAL && !severalQueues {
		// One queue of a device that was made for several is all right.
		d.multiQueue = true
		err = try(fd, name, &d)
	}
	if err == unix.EINVAL && severalQueues {
		return device{}, fmt.Errorf("it was made for one queue: %s: %w", askForOne, err)
	}
	return d, explain(err)
}

// try attaches fd to the device and asks what it is. On EINVAL it may be tried again.
func try(fd int, name string, d *device) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if d.multiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return err
	}
	d.persistent = ifr.Uint16()&unix.IFF_PERSIST != 0
	return nil
}

// existsAsTAP reports whether there is an interface of that name. One that is
// no TAP is an error.
func existsAsTAP(ctl int, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	info, err := unix.IoctlGetEthtoolDrvinfo(ctl, name)
	switch {
	case err == unix.ENODEV:
		return false, nil
	case err == unix.EOPNOTSUPP: // lo has no driver to name, TAPs have
		return false, fmt.Errorf("the name belongs to an interface that is no TAP: %s", useAnother)
	case err != nil:
		return false, fmt.Errorf("ask who has the name: %w", err)
	}
	driver, bus := cString(info.Driver[:]), cString(info.Bus_info[:])
	switch {
	case driver != "tun":
		return false, fmt.Errorf("the name belongs to an interface of kind %s: %s", driver, useAnother)
	case bus != "tap":
		return false, fmt.Errorf("the name belongs to a TUN device, which has no Ethernet frames: %s", useAnother)
	}
	return true, nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
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
		return fmt.Errorf("no queue is left, others have some of the device's open: ask for fewer: %w", err)
	default:
		return err
	}
}
