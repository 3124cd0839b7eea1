package netdev

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
)

// XDP is what a device's driver says that it can do with XDP programs and AF_XDP
// sockets, of which generic XDP, the kernel's own, is no part.
type XDP struct {
	Native      bool // runs programs itself, before the kernel makes a packet of the frame
	Redirect    bool // hands frames on as a program says, so AF_XDP sockets work
	Transmit    bool // takes frames that others redirect to it
	ZeroCopy    bool // AF_XDP sockets share their memory with it
	MultiBuffer bool // programs see frames of more than one buffer: large MTUs work

	// VLANTags says that programs can ask for the tag that was taken off a frame
	// (bpf_xdp_metadata_rx_vlan_tag, Linux 6.8).
	VLANTags bool

	ZeroCopySegments int  // most buffers of a frame in zero-copy mode
	TxChecksum       bool // fills in checksums of AF_XDP frames in hardware (in copy mode the kernel does)
}

// Numbers of include/uapi/linux/netdev.h.
const (
	netdevFamily      = "netdev"
	netdevDeviceGet   = 1
	netdevIndex       = 1
	netdevXDPFeatures = 3
	netdevZCSegments  = 4
	netdevRxMetadata  = 5
	netdevXSKFeatures = 6

	xdpBasic       = 1 << 0
	xdpRedirect    = 1 << 1
	xdpTransmit    = 1 << 2
	xdpZeroCopy    = 1 << 3
	xdpMultiBuffer = 1 << 5
	rxVLANTag      = 1 << 2
	xskTxChecksum  = 1 << 1
)

// XDPFeatures returns what a device's driver can do with XDP. ErrUnsupported is
// wrapped if the kernel can't tell (before Linux 6.3).
func XDPFeatures(netNS, name string) (x XDP, err error) {
	info, err := Link(netNS, name)
	if err != nil {
		return x, err
	}
	replies, err := generic(netNS, netdevFamily, netdevDeviceGet, nl.NewRtAttr(netdevIndex, nl.Uint32Attr(uint32(info.Index))))
	if err != nil {
		return x, fmt.Errorf("ask for the XDP features of %s: %w", where(netNS, name), err)
	}
	for _, reply := range replies {
		a, err := attributesOf(reply)
		if err != nil {
			return x, fmt.Errorf("XDP features of %s: %w", where(netNS, name), err)
		}
		f := number(a[netdevXDPFeatures])
		x = XDP{
			Native: f&xdpBasic != 0, Redirect: f&xdpRedirect != 0, Transmit: f&xdpTransmit != 0,
			ZeroCopy: f&xdpZeroCopy != 0, MultiBuffer: f&xdpMultiBuffer != 0,
			VLANTags:         number(a[netdevRxMetadata])&rxVLANTag != 0,
			ZeroCopySegments: int(number(a[netdevZCSegments])),
			TxChecksum:       number(a[netdevXSKFeatures])&xskTxChecksum != 0,
		}
	}
	return x, nil
}
