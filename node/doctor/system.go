package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// System is where facts come from; Host is the machine. No function may be nil.
type System struct {
	Root fs.FS // of /proc, /sys, /run: proc/meminfo

	XDPSocket  func() error
	TxMetadata func() error
	Tun        func() error

	Links      func(netNS string) ([]netdev.Info, error)
	Link       func(netNS, name string) (netdev.Info, error)
	XDP        func(netNS, name string) (netdev.XDP, error)
	Features   func(netNS, name string) (netdev.Features, error)
	Channels   func(netNS, name string) (netdev.Channels, error)
	Setting    func(netNS, name string) (string, error)
	Tables     func(netNS string) ([]string, error)
	Namespaces func() ([]string, error)
	Namespace  func(name string) error // whether it can be entered

	Connect func(socket string) error
	State   func(folder string) StateFolder
}

// Host returns the machine.
func Host() *System {
	return &System{
		Root:      os.DirFS("/"),
		XDPSocket: tryXDPSocket, TxMetadata: tryTxMetadata, Tun: tryTun,
		Links: netdev.Links, Link: netdev.Link, XDP: netdev.XDPFeatures, Features: netdev.DeviceFeatures,
		Channels: netdev.DeviceChannels, Setting: netdev.Sysctl, Tables: netdev.FirewallTables,
		Namespaces: netdev.ListNamespaces,
		Namespace: func(name string) error {
			_, err := netdev.NamespaceID(name)
			return err
		},
		Connect: func(socket string) error {
			c, err := net.Dial("unix", socket)
			if err == nil {
				c.Close()
			}
			return err
		},
		State: lookAtState,
	}
}

func tryXDPSocket() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// txMetadata is the room before a frame in which AF_XDP takes what a checksum
// needs: struct xsk_tx_metadata of linux/if_xdp.h.
const txMetadata = 24

// tryTxMetadata registers two chunks as a UMEM with room for metadata, on a
// socket that is bound to no device.
func tryTxMetadata() error {
	const chunk = 4096
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	memory, err := unix.Mmap(-1, 0, 2*chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(memory) //nolint:errcheck // what was mapped can be unmapped
	umem := unix.XDPUmemReg{
		Addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), Len: 2 * chunk, Size: chunk,
		Flags: unix.XDP_UMEM_TX_METADATA_LEN, Tx_metadata_len: txMetadata,
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&umem)), unsafe.Sizeof(umem))
	return unix.SetsockoptString(fd, unix.SOL_XDP, unix.XDP_UMEM_REG, string(b))
}

func tryTun() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// reason is an error without the path in it, for a finding names it already.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Sprint(err)
}
