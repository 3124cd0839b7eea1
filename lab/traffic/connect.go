package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Attempt is one attempt to reach somebody.
type Attempt struct {
	Protocol string // tcp or udp
	To       netip.AddrPort
	Patience time.Duration // after which it is Silent
}

// Result is what came of an attempt.
type Result struct {
	Outcome      Outcome `json:"outcome"`
	Milliseconds float64 `json:"milliseconds"`     // until it was known
	Detail       string  `json:"detail,omitempty"` // what the kernel says, and which ICMP message said so
}

// Connect makes the attempt: a handshake, which is then given up, or a datagram. The error is about this
// machine; what the other end or somebody on the way has done is in the result.
func Connect(ctx context.Context, a Attempt) (Result, error) {
	s, err := newProbe(a)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(s.fd)
	begin := time.Now()
	outcome, cause, err := s.reach(ctx, a, begin.Add(a.Patience))
	if err != nil {
		return Result{}, err
	}
	return Result{outcome, float64(time.Since(begin).Microseconds()) / 1000, cause}, nil
}

// probe is a socket whose error queue is kept. The net package closes a socket that could not be
// connected, and what ICMP has said with it: of code 13 (prohibited) no more than EHOSTUNREACH is left.
type probe struct {
	fd     int
	stream bool
}

// ErrProtocol is that an attempt is neither tcp nor udp.
var ErrProtocol = errors.New("want tcp or udp")

func newProbe(a Attempt) (*probe, error) {
	s := &probe{stream: a.Protocol == "tcp"}
	kind := unix.SOCK_STREAM
	if !s.stream {
		kind = unix.SOCK_DGRAM
	}
	if !s.stream && a.Protocol != "udp" {
		return nil, fmt.Errorf("%q: %w", a.Protocol, ErrProtocol)
	}
	family, level, option := unix.AF_INET, unix.SOL_IP, unix.IP_RECVERR
	if a.To.Addr().Is6() {
		family, level, option = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	var err error
	if s.fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(s.fd, level, option, 1); err != nil {
		unix.Close(s.fd)
		return nil, fmt.Errorf("ask for ICMP errors: %w", err)
	}
	return s, nil
}

// sockaddr is an address as system calls want it.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// reach sends, and waits for what comes of it.
func (s *probe) reach(ctx context.Context, a Attempt, deadline time.Time) (Outcome, string, error) {
	err := unix.Connect(s.fd, sockaddr(a.To))
	events := int16(unix.POLLOUT) // the handshake is over, either way
	if err == nil && !s.stream {
		_, err = unix.Write(s.fd, []byte("is anybody there?\n"))
		events = unix.POLLIN
	}
	if err == nil || errors.Is(err, unix.EINPROGRESS) {
		err = s.await(ctx, events, deadline)
	}
	if err == nil {
		if pending, e := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); e == nil && pending != 0 {
			err = syscall.Errno(pending)
		}
	}
	if outcome, message, found := s.icmp(); found {
		return outcome, fmt.Sprintf("%s: %s", detail(err), message), nil
	}
	outcome, known := outcomeOf(err)
	if !known {
		return "", "", fmt.Errorf("%s %s: %w", a.Protocol, a.To, err)
	}
	if outcome == Reset {
		outcome = Refused // nothing was open yet
	}
	return outcome, detail(err), nil
}

// await waits for events, or for an error to be there.
func (s *probe) await(ctx context.Context, events int16, deadline time.Time) error {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: events}}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		// In slices, so that somebody who interrupts it does not wait as long as it would.
		n, err := unix.Poll(fds, int(min(left, 100*time.Millisecond)/time.Millisecond)+1)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
	}
}

// sizeofExtendedErr is the size of struct sock_extended_err (linux/errqueue.h).
const sizeofExtendedErr = 16

// icmp reads the ICMP error that the socket has got, if any.
func (s *probe) icmp() (Outcome, string, bool) {
	data, control := make([]byte, 512), make([]byte, 512)
	_, n, _, _, err := unix.Recvmsg(s.fd, data, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return "", "", false // the queue is empty
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return "", "", false
	}
	for _, m := range messages {
		about := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !about || len(m.Data) < sizeofExtendedErr {
			continue
		}
		errno := syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		origin, kind, code := m.Data[4], m.Data[5], m.Data[6]
		if outcome, found := meaning(origin, kind, code); found {
			return outcome, fmt.Sprintf("ICMP type %d code %d (%v)", kind, code, errno), true
		}
	}
	return "", "", false
}

// meaning is what an ICMP error says, given as in struct sock_extended_err.
func meaning(origin, kind, code uint8) (Outcome, bool) {
	const unreachable4, unreachable6 = 3, 1 // RFC 792, RFC 4443
	switch {
	case origin == unix.SO_EE_ORIGIN_ICMP && kind == unreachable4:
		switch code {
		case 2, 3: // protocol, port
			return Refused, true
		case 9, 10, 13: // network, host, communication administratively prohibited
			return Prohibited, true
		}
	case origin == unix.SO_EE_ORIGIN_ICMP6 && kind == unreachable6:
		switch code {
		case 4: // port
			return Refused, true
		case 1, 5, 6: // administratively prohibited, source address failed policy, reject route
			return Prohibited, true
		}
	case origin != unix.SO_EE_ORIGIN_ICMP && origin != unix.SO_EE_ORIGIN_ICMP6:
		return "", false // the own kernel's; its errno says it all
	}
	return Unreachable, true
}
