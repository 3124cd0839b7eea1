package netdev

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrUnsupported is wrapped by errors about what a kernel or a driver can't do or tell.
var ErrUnsupported = errors.New("not supported by the kernel or the device's driver")

// generic sends a command of a generic netlink family in a namespace and returns
// the attributes of each reply.
func generic(netNS, family string, command uint8, attributes ...*nl.RtAttr) (replies [][]byte, err error) {
	err = In(netNS, func() error {
		id, err := familyID(family)
		if err != nil {
			return fmt.Errorf("generic netlink family %s: %w", family, err)
		}
		replies, err = executeGeneric(id, command, attributes...)
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return err
	})
	return replies, err
}

// familyID asks for the number of a generic netlink family, which differs
// between kernels.
func familyID(family string) (int, error) {
	replies, err := executeGeneric(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, nl.NewRtAttr(unix.CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(family)))
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrUnsupported
	}
	if err != nil {
		return 0, err
	}
	for _, reply := range replies {
		a, err := attributesOf(reply)
		if err != nil {
			return 0, err
		}
		if id := a[unix.CTRL_ATTR_FAMILY_ID]; len(id) == 2 {
			return int(nl.NativeEndian().Uint16(id)), nil
		}
	}
	return 0, fmt.Errorf("the kernel's answer names no family: %w", ErrUnsupported)
}

// genericHeader is struct genlmsghdr: command, version, 2 reserved bytes that
// newer families want to be zero. The library's own has two bytes and reads what follows
// them in memory.
type genericHeader [unix.GENL_HDRLEN]byte

func (h *genericHeader) Len() int          { return len(h) }
func (h *genericHeader) Serialize() []byte { return h[:] }

// executeGeneric is to be called in the namespace.
func executeGeneric(family int, command uint8, attributes ...*nl.RtAttr) (replies [][]byte, err error) {
	r := nl.NewNetlinkRequest(family, unix.NLM_F_ACK)
	const version = 1 // of each family that is asked here
	r.AddData(&genericHeader{command, version})
	for _, a := range attributes {
		r.AddData(a)
	}
	messages, err := r.Execute(unix.NETLINK_GENERIC, 0)
	for _, m := range messages {
		if len(m) >= unix.GENL_HDRLEN {
			replies = append(replies, m[unix.GENL_HDRLEN:])
		}
	}
	return replies, err
}

// attributesOf returns the attributes of a netlink message by type; of several of one type the last. Bits
// of the type that say how the value is built are left out.
func attributesOf(b []byte) (map[uint16][]byte, error) {
	all, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil, err
	}
	m := make(map[uint16][]byte, len(all))
	for _, a := range all {
		m[a.Attr.Type&nl.NLA_TYPE_MASK] = a.Value
	}
	return m, nil
}

// number returns a value of 4 or 8 bytes, 0 for any other.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(nl.NativeEndian().Uint32(b))
	case 8:
		return nl.NativeEndian().Uint64(b)
	}
	return 0
}
