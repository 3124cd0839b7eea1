package packet

// Flags classify a frame; set by Parse.
type Flags uint16

const (
	IsIPv4          Flags = 1 << iota // Key is an IPv4 packet's
	IsIPv6                            // Key is an IPv6 packet's
	HasPorts                          // L4 is the offset of a whole TCP, UDP or SCTP header, or ICMP query
	IsFragment                        // any fragment, also the first
	IsLaterFragment                   // fragment offset > 0: no L4 header, ports in Key are 0
	ICMPError                         // Key is the reverse of the quoted packet's; see Key
	BadIPChecksum                     // IPv4 header checksum is wrong (and not left to an offload)
	HasIPOptions                      // IPv4 options or IPv6 extension headers present
	ToMulticast                       // destination MAC has the group bit, broadcast included
	ToBroadcast                       // destination MAC is ff:ff:ff:ff:ff:ff
	HasVLAN                           // an 802.1Q/802.1ad tag precedes EtherType
)

// IsIP is either version.
const IsIP = IsIPv4 | IsIPv6

// Info is what Parse learns about a frame: one cache line, so that a vector's
// Infos are 64 lines of the first-level cache.
//
//	 0  Key        the flow; zone 0, filled in by the pipeline
//	40  offsets and lengths, from the start of the frame
//	48  bytes copied from headers
type Info struct {
	Key Key

	EtherType uint16 // the innermost, after VLAN tags; values below 0x600 are an 802.3 length
	L3        uint16 // offset of the network header; the frame's length if there is none
	L4        uint16 // offset of the transport header; valid iff the packet is IP
	_         uint16
	IPLen     uint32 // length of the IP packet with its header, as the header says; valid iff IP
	FragID    uint32 // identification; valid iff IsFragment

	Flags    Flags
	FragOff  uint16 // offset in bytes; valid iff IsFragment
	Proto    uint8  // final protocol after extension headers; of the packet itself, also for an ICMP error
	TCPFlags uint8  // valid iff Proto is TCP and HasPorts
	TTL      uint8  // TTL or hop limit; valid iff IP
	TOS      uint8  // TOS or traffic class; valid iff IP
}

// Has reports whether any of the flags f is set.
func (in *Info) Has(f Flags) bool { return in.Flags&f != 0 }

// Addresses returns the source and destination of the IP packet in a frame that Parse has made in of. Of an
// ICMP error these are its own, where Key has those of what it quotes.
func Addresses(frame []byte, in *Info) (src, dst Addr) {
	if int(in.L3) > len(frame) {
		return Addr{}, Addr{}
	}
	if in.Has(IsIPv4) {
		if ip, ok := AsIPv4(frame[in.L3:]); ok {
			return ip.Src(), ip.Dst()
		}
	} else if ip, ok := AsIPv6(frame[in.L3:]); ok {
		return ip.Src(), ip.Dst()
	}
	return Addr{}, Addr{}
}
