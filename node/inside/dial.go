package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/lb/health"
)

// Dial connects to an address by way of the router of an address space. network is tcp, udp, or icmp, whose
// connections are those of health.DialEcho. Only the socket is made on the namespace's thread; any number may wait.
func (n *Network) Dial(ctx context.Context, scope uint32, network string, to netip.AddrPort) (c net.Conn, err error) {
	defer func() {
		if err != nil {
			err = &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
		}
	}()
	kind := unix.SOCK_STREAM
	switch network {
	case "tcp":
	case "udp":
		kind = unix.SOCK_DGRAM
	case "icmp":
		err = n.Do(func() (err error) {
			c, err = health.DialEcho(to.Addr(), func(fd int) error { return bind(fd, scope) })
			return err
		})
		return c, err
	default:
		return nil, fmt.Errorf("network %q: want tcp, udp or icmp", network)
	}
	family, sa := socketAddress(to)
	var f *os.File
	err = n.Do(func() error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		if err := bind(fd, scope); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			_ = unix.Close(fd) // the first error says more
			return os.NewSyscallError("connect", err)
		}
		f = os.NewFile(uintptr(fd), network)
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer f.Close() // FileConn has a descriptor of its own
	if err := connected(ctx, f); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

func socketAddress(to netip.AddrPort) (family int, sa unix.Sockaddr) {
	a := to.Addr().Unmap()
	if a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
}

// bind has a socket use the device of a router only.
func bind(fd int, scope uint32) error {
	name := control.InsideDevice(scope)
	err := unix.BindToDevice(fd, name)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the node's own port of this router (device %s) is not open: see the port's status: %w", name, err)
	}
	return os.NewSyscallError("bind to device "+name, err)
}

// connected waits until a socket that is connecting is connected, or is not going to be.
func connected(ctx context.Context, f *os.File) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := f.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			failed = os.NewSyscallError("getsockopt", err)
		case code != 0:
			failed = os.NewSyscallError("connect", syscall.Errno(code))
		default:
			// Writable sockets may be connecting still: the poller wakes for anything.
			_, err := unix.Getpeername(int(fd))
			return err == nil
		}
		return true
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil:
		return failed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case err != nil:
		return err
	}
	return f.SetDeadline(time.Time{})
}

// Listen listens for TCP connections that come in by the port of the router of an address space, of both IP versions. The
// listener ends when that port's device is opened anew, for it could not hear any more.
func (n *Network) Listen(scope uint32, port uint16) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var bound error
		if err := raw.Control(func(fd uintptr) { bound = bind(int(fd), scope) }); err != nil {
			return err
		}
		return bound
	}}
	l := &listener{network: n, device: control.InsideDevice(scope)}
	err := n.Do(func() (err error) {
		l.Listener, err = c.Listen(context.Background(), "tcp", ":"+strconv.Itoa(int(port)))
		return err
	})
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[l.device] == nil {
		n.listeners[l.device] = map[net.Listener]struct{}{}
	}
	n.listeners[l.device][l] = struct{}{}
	return l, nil
}

// listener is one that the network can end.
type listener struct {
	net.Listener
	network *Network
	device  string
}

func (l *listener) Close() error {
	l.network.mu.Lock()
	delete(l.network.listeners[l.device], l)
	l.network.mu.Unlock()
	return l.Listener.Close()
}

// deafen ends the listeners on a device that is another now.
func (n *Network) deafen(device string) {
	n.mu.Lock()
	gone := n.listeners[device]
	delete(n.listeners, device)
	n.mu.Unlock()
	for l := range gone {
		_ = l.Close() // it hears nothing in any case
	}
}
