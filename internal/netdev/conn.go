package netdev

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// conn is netlink sockets in one namespace. They are opened there and used from
// anywhere; close ends them.
type conn struct {
	*netlink.Handle
	netNS string
}

// dial opens rtnetlink in a namespace ("" is the own).
func dial(netNS string) (*conn, error) {
	c := &conn{netNS: netNS}
	err := In(netNS, func() (err error) {
		if c.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// use dials, calls f, and closes.
func use(netNS string, f func(c *conn) error) error {
	c, err := dial(netNS)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// dump repeats a listing that a change in between has made inconsistent. In the
// end an inconsistent one is taken: whoever watches is told of the change.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 4
	for range attempts - 1 {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	all, err := list()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return all, err
}

// link finds a device to change.
func (c *conn) link(name string) (netlink.Link, error) {
	l, err := c.LinkByName(name)
	if isNotFound(err) {
		return nil, c.noDevice(name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where(c.netNS, name), err)
	}
	return l, nil
}

func isNotFound(err error) bool {
	_, missing := errors.AsType[netlink.LinkNotFoundError](err)
	return missing || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

// where names a device, and its namespace if it is not the own one.
func where(netNS, name string) string {
	if netNS == "" {
		return "device " + name
	}
	return fmt.Sprintf("device %s in network namespace %s", name, netNS)
}

// request executes a netlink request in a namespace on a socket of its own and
// returns the messages of type reply (0 for any).
func request(netNS string, protocol int, r *nl.NetlinkRequest, reply uint16) (messages [][]byte, err error) {
	err = In(netNS, func() error {
		messages, err = r.Execute(protocol, reply)
		return err
	})
	return messages, err
}
