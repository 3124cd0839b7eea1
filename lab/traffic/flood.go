package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
)

// Flood is packets that nobody asked for: first packets of ever other sessions.
type Flood struct {
	Kind string // syn: TCP handshakes that are never completed; udp: datagrams
	To   netip.AddrPort

	// From are the sources: addresses of this network, one after the other, with ports that differ. A single
	// address makes all packets the same source's.
	From netip.Prefix

	// SourcePort is that of all packets; 0: they differ. With a single address and a port all
	// packets are of one session.
	SourcePort uint16

	Rate     int // packets per second
	Duration time.Duration
}

// Sent is what a flood has come to.
type Sent struct {
	Packets int `json:"packets"`
	Failed  int `json:"failed"` // that the own kernel would not take: its interface was down, or it knew no way
}

// MaxFlood is how many packets a flood may have in all: they are made before it begins.
const MaxFlood = 500_000

// Run sends until the duration is over or ctx is done.
func (f *Flood) Run(ctx context.Context) (Sent, error) {
	packets, err := f.packets()
	if err != nil {
		return Sent{}, err
	}
	family := unix.AF_INET
	if f.To.Addr().Is6() {
		family = unix.AF_INET6
	}
	// IPPROTO_RAW: the packet begins with its IP header (raw(7), ipv6(7)).
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return Sent{}, fmt.Errorf("raw socket: %w; a flood needs root", err)
	}
	defer unix.Close(fd)
	to := sockaddr(netip.AddrPortFrom(f.To.Addr(), 0)) // raw sockets of IPv6 refuse a port
	var sent Sent
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for begin := time.Now(); sent.Packets+sent.Failed < len(packets); {
		due := min(int(time.Since(begin).Seconds()*float64(f.Rate))+1, len(packets))
		for i := sent.Packets + sent.Failed; i < due; i++ {
			switch err := unix.Sendto(fd, packets[i], 0, to); {
			case err == nil:
				sent.Packets++
			case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH),
				errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR), errors.Is(err, unix.EADDRNOTAVAIL):
				sent.Failed++
			default:
				return sent, fmt.Errorf("send: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return sent, nil
		case <-ticker.C:
		}
	}
	return sent, nil
}

// firstPort is the first source port of floods whose ports differ.
const firstPort = 1024

// packets makes all of them, without Ethernet headers.
func (f *Flood) packets() ([][]byte, error) {
	n := int(f.Duration.Seconds() * float64(f.Rate))
	switch {
	case f.Kind != "syn" && f.Kind != "udp":
		return nil, fmt.Errorf("%q: want syn or udp", f.Kind)
	case n < 1 || n > MaxFlood:
		return nil, fmt.Errorf("%d packets are not between 1 and %d", n, MaxFlood)
	case !f.From.IsValid() || f.From.Addr().Is4() != f.To.Addr().Is4():
		return nil, fmt.Errorf("sources %s and target %s are not of one family", f.From, f.To.Addr())
	}
	const ethernet = 14
	packets := make([][]byte, n)
	source, port := f.From.Masked().Addr(), firstPort
	for i := range packets {
		at := port
		if f.SourcePort != 0 {
			at = int(f.SourcePort)
		}
		line := fmt.Sprintf("udp %s > %s len 16", netip.AddrPortFrom(source, uint16(at)), f.To)
		if f.Kind == "syn" {
			line = fmt.Sprintf("tcp %s > %s S seq %d win 64240 mss 1460", netip.AddrPortFrom(source, uint16(at)), f.To, uint32(i)*2654435761)
		}
		frame, err := frametext.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		packets[i] = frame[ethernet:]
		// All addresses with one port, then all of them with the next.
		if source = source.Next(); !f.From.Contains(source) {
			source = f.From.Masked().Addr()
			if port++; port > 65535 {
				port = firstPort
			}
		}
	}
	return packets, nil
}
