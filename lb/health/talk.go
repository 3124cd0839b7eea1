package health

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/sluice-net/sluice/lb/service"
)

// talk says what a monitor has to say on a connection to a member, and listens until the deadline, which the
// connection has. answer is a good answer in words; an error is a bad one, or none.
type talk func(c net.Conn, deadline time.Time) (answer string, err error)

// networks are what is dialled, by type.
var networks = [...]string{
	service.MonitorICMP: "icmp", service.MonitorTCP: "tcp", service.MonitorUDP: "udp",
	service.MonitorHTTP: "tcp", service.MonitorHTTPS: "tcp",
}

// talkOf makes the talk of a monitor with an address; seed is for pings.
func talkOf(m *service.Monitor, to netip.AddrPort, seed uint64) talk {
	switch m.Type {
	case service.MonitorICMP:
		return newEcho(to.Addr(), seed).talk
	case service.MonitorTCP:
		return func(c net.Conn, _ time.Time) (string, error) { return talkTCP(c, m) }
	case service.MonitorUDP:
		return func(c net.Conn, _ time.Time) (string, error) { return talkUDP(c, m) }
	case service.MonitorHTTP:
		return newExchange(m, to).talk
	case service.MonitorHTTPS:
		return newSecureExchange(m, to).talk
	}
	return func(net.Conn, time.Time) (string, error) {
		return "", unexpectedf("monitors of type %s are not known", m.Type)
	}
}

// talkTCP is content with a connection, unless an answer is asked for.
func talkTCP(c net.Conn, m *service.Monitor) (string, error) {
	if len(m.Send) > 0 {
		if _, err := c.Write(m.Send); err != nil {
			return "", err
		}
	}
	if len(m.Receive) == 0 {
		return "connected", nil
	}
	got := make([]byte, len(m.Receive))
	n, err := io.ReadFull(c, got)
	return compare(got[:n], err, m)
}

// talkUDP is content with silence if no answer is asked for: a host that has nobody at the port says so, by an ICMP error
// that the socket reports as refused.
func talkUDP(c net.Conn, m *service.Monitor) (string, error) {
	if _, err := c.Write(m.Send); err != nil {
		return "", err
	}
	got := make([]byte, max(len(m.Receive), 1))
	n, err := c.Read(got)
	if len(m.Receive) > 0 {
		return compare(got[:n], err, m)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no error in the time", nil
	case err != nil:
		return "", err
	}
	return "answered", nil
}

// compare judges an answer that has to begin in a certain way.
func compare(got []byte, err error, m *service.Monitor) (string, error) {
	switch {
	case bytes.Equal(got, m.Receive):
		return "answered as expected", nil
	case len(got) > 0 && !bytes.HasPrefix(m.Receive, got):
		return "", unexpectedf("answered %.64q, want it to begin with %.64q", got, m.Receive)
	case err != nil:
		return "", err
	}
	return "", unexpectedf("answered %.64q, want all of %.64q", got, m.Receive)
}
