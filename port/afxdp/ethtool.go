package afxdp

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// channels is struct ethtool_channels (linux/ethtool.h).
type channels struct {
	cmd                                         uint32
	maxRx, maxTx, maxOther, maxCombined         uint32
	rxCount, txCount, otherCount, combinedCount uint32
}

// flagValue is struct ethtool_value.
type flagValue struct{ cmd, data uint32 }

// flagRxVLAN is ETH_FLAG_RXVLAN: the device takes VLAN tags off received frames.
const flagRxVLAN = 1 << 8

// ethtoolRequest is struct ifreq (linux/if.h) with a pointer.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// ethtool makes one request by a socket that is in the device's namespace. value
// is one of the structs above; the kernel writes its answer there.
func ethtool(socket int, name string, value unsafe.Pointer) error {
	r := &ethtoolRequest{data: value}
	copy(r.name[:len(r.name)-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(r)
	if errno != 0 {
		return errno
	}
	return nil
}

// queuesOf returns how many receive and transmit queues are in use.
func queuesOf(socket int, name string) (rx, tx int, err error) {
	c := &channels{cmd: unix.ETHTOOL_GCHANNELS}
	if err := ethtool(socket, name, unsafe.Pointer(c)); err != nil {
		return 0, 0, err
	}
	return int(c.rxCount + c.combinedCount), int(c.txCount + c.combinedCount), nil
}

// keepVLANTags makes the device leave VLAN tags in received frames, and reports
// whether that was a change. A device without the feature leaves them anyway.
func keepVLANTags(socket int, name string) (changed bool) {
	v := &flagValue{cmd: unix.ETHTOOL_GFLAGS}
	if ethtool(socket, name, unsafe.Pointer(v)) != nil || v.data&flagRxVLAN == 0 {
		return false
	}
	v.cmd, v.data = unix.ETHTOOL_SFLAGS, v.data&^flagRxVLAN
	return ethtool(socket, name, unsafe.Pointer(v)) == nil
}

// takeVLANTags undoes keepVLANTags.
func takeVLANTags(socket int, name string) error {
	v := &flagValue{cmd: unix.ETHTOOL_GFLAGS}
	if err := ethtool(socket, name, unsafe.Pointer(v)); err != nil {
		return err
	}
	v.cmd, v.data = unix.ETHTOOL_SFLAGS, v.data|flagRxVLAN
	return ethtool(socket, name, unsafe.Pointer(v))
}
