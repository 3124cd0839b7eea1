package health

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// DialEcho returns a connection whose messages are ICMP's to one host and from it, without IP headers. Where the sysctl
// net.ipv4.ping_group_range does not allow ping sockets it has a raw one, and what comes may be for others. setup, if
// not nil, is given the socket before that is connected. The socket is of the calling thread's network
// namespace.
func DialEcho(to netip.Addr, setup func(fd int) error) (net.Conn, error) {
	to = to.Unmap()
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	family, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	if to.Is4() {
		sa = &unix.SockaddrInet4{Addr: to.As4()}
		family, protocol = unix.AF_INET, unix.IPPROTO_ICMP
	}
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	raw := false
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|flags, protocol)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		raw = true
		fd, err = unix.Socket(family, unix.SOCK_RAW|flags, protocol)
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("socket for ICMP: give the program CAP_NET_RAW, or allow ping sockets (sysctl net.ipv4.ping_group_range): %w", err)
	case err != nil:
		return nil, os.NewSyscallError("socket for ICMP", err)
	}
	f := os.NewFile(uintptr(fd), "icmp")
	defer f.Close() // FileConn has a descriptor of its own
	if setup != nil {
		if err := setup(fd); err != nil {
			return nil, err
		}
	}
	if err := unix.Connect(fd, sa); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if raw && to.Is4() {
		return withoutHeader{c}, nil
	}
	return c, nil
}

// withoutHeader is a raw socket of IPv4, which gives packets with their headers (raw(7)).
type withoutHeader struct{ net.Conn }

func (c withoutHeader) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil || n == 0 {
		return n, err
	}
	header := min(int(b[0]&0xf)*4, n)
	return copy(b, b[header:n]), nil
}

// echo asks one host to answer (RFC 792; RFC 4443, section 4).
type echo struct {
	request, reply uint8 // types
	summed         bool  // the checksum is ours: IPv6's is the kernel's, as it needs the addresses
	sequence       atomic.Uint32
	mark           [8]byte // in the data, that tells our answers from others'
}

// echoSize is the ICMP header, and data that is the mark twice.
const echoSize = 8 + 2*8

func newEcho(to netip.Addr, seed uint64) *echo {
	e := &echo{request: packet.ICMPv6Echo, reply: packet.ICMPv6EchoReply}
	if to.Unmap().Is4() {
		e.request, e.reply, e.summed = packet.ICMPEcho, packet.ICMPEchoReply, true
	}
	binary.BigEndian.PutUint64(e.mark[:], seed)
	return e
}

// talk sends a request and waits for its answer. A ping socket has an identifier of its own, by which the kernel gives
// it its answers; the sequence and the data tell them from others' on a raw one, and from late ones.
func (e *echo) talk(c net.Conn, _ time.Time) (string, error) {
	var out [echoSize]byte
	out[0] = e.request
	copy(out[4:6], e.mark[:])
	binary.BigEndian.PutUint16(out[6:], uint16(e.sequence.Add(1)))
	copy(out[8:], e.mark[:])
	copy(out[16:], e.mark[:])
	if e.summed {
		binary.BigEndian.PutUint16(out[2:], packet.Checksum(out[:]))
	}
	if _, err := c.Write(out[:]); err != nil {
		return "", err
	}
	in := make([]byte, 1500)
	for {
		n, err := c.Read(in)
		if err != nil {
			return "", err
		}
		if n == echoSize && in[0] == e.reply && bytes.Equal(in[6:n], out[6:]) {
			return "answered", nil
		}
	}
}
