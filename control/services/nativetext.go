package services

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// What objects of our own have in common: ports, times, names and networks as they are written.

const portsForm = `such as "80" or "8000-8010", 1 to 65535`

// parsePorts reads a port, or a range of them.
func parsePorts(text string) (r service.PortRange, message, hint string) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	switch {
	case err1 != nil || err2 != nil || first == 0 || last == 0:
		return r, strconv.Quote(clip(text)) + " is not a port or a range of ports", portsForm
	case last < first:
		return r, strconv.Quote(clip(text)) + " ends before it begins", fmt.Sprintf(`write "%d-%d"`, last, first)
	}
	return service.PortRange{First: uint16(first), Last: uint16(last)}, "", ""
}

// ports reads ports and ranges of them, of which no two have a port in common. It is as long as list, with the zero
// PortRange where there is a fault.
func (s *says) ports(path string, list []string) []service.PortRange {
	ranges := make([]service.PortRange, len(list))
	for i, text := range list {
		r, message, hint := parsePorts(text)
		if message != "" {
			s.fault(index(path, i), message, hint)
			continue
		}
		j := slices.IndexFunc(ranges[:i], func(o service.PortRange) bool { return r.First <= o.Last && o.First <= r.Last })
		if j >= 0 {
			s.fault(index(path, i), portsText(r)+" is there twice", "also in "+index(path, j))
			continue
		}
		ranges[i] = r
	}
	return ranges
}

func portsText(r service.PortRange) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// named refers to an object, if the name may be one's.
func (s *says) named(kind, path, name string) reference {
	if name == "" || strings.Count(name, "/") > 1 || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") {
		s.fault(path, strconv.Quote(clip(name))+" is not the name of a "+kind, "NAME, or NAMESPACE/NAME")
		return reference{}
	}
	return s.refer(kind, path, name)
}

// shortest is the shortest of the times that are written as seconds: below, they would be of the
// machine rather than of the network.
const shortest = 0.01

// nanoseconds returns a time in seconds, which is at least the shortest.
func (s *says) nanoseconds(path string, seconds float64) int64 {
	if seconds < shortest {
		s.fault(path, fmt.Sprintf("%g is out of range: at least %g", seconds, shortest), "")
	}
	return int64(seconds * 1e9)
}

// host checks the address of a host that others reach by it.
func (s *says) host(path string, a netip.Addr) bool {
	for _, row := range []struct {
		is   bool
		what string
	}{
		{a.IsUnspecified(), "unspecified"},
		{a.IsLoopback(), "a loopback address"},
		{a.IsLinkLocalUnicast(), "link-local"},
		{a.IsMulticast(), "multicast"},
		{a == netip.AddrFrom4([4]byte{255, 255, 255, 255}), "the broadcast address"},
	} {
		if row.is {
			s.fault(path, a.String()+" is "+row.what, "an address that other hosts reach it by")
			return false
		}
	}
	return true
}

// networks reads networks of one family, and returns how long its addresses are; 0 if there are none.
func (s *says) networks(path string, list []api.Network) (all []netip.Prefix, bits int) {
	for i, n := range list {
		p := n.Prefix()
		if bits == 0 {
			bits = p.Addr().BitLen()
		}
		if p.Addr().BitLen() != bits {
			s.fault(index(path, i), n.String()+" is not of the family of "+list[0].String(), "make it a rule of its own")
			continue
		}
		if j := slices.Index(all, p); j >= 0 {
			s.fault(index(path, i), n.String()+" is there twice", "")
			continue
		}
		all = append(all, p)
	}
	return all, bits
}

// protocolOf is an IP protocol number; TCP if none is written.
func protocolOf(p api.L4Protocol) uint8 {
	switch p {
	case api.L4UDP:
		return packet.ProtoUDP
	case api.L4SCTP:
		return packet.ProtoSCTP
	}
	return packet.ProtoTCP
}

// oneOf returns the number of a name among those that a type of package service has.
func oneOf(names []string, name string) int { return max(slices.Index(names, name), 0) }

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func familyName(bits int) string {
	if bits == 32 {
		return "IPv4"
	}
	return "IPv6"
}
