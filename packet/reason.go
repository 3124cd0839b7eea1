package packet

// Reason says why a frame was dropped. It is one enumeration for metrics,
// logs, flow records, traces and mirrors: a drop without a Reason does not
// exist. Names follow Cilium's drop reasons where one fits.
//
// The order is not part of any format; names are.
type Reason uint8

const (
	// None marks a frame that is still alive.
	None Reason = iota

	// The frame itself.

	FrameTooShort     // shorter than an Ethernet header, or empty
	FrameTooLong      // longer than the port's buffer or MTU takes
	InvalidSourceMAC  // multicast or zero source address
	InvalidHeader     // a header contradicts itself: version, lengths, header length
	TruncatedHeader   // a header ends after the frame does
	InvalidExtension  // IPv6 extension header chain malformed or too long
	InvalidSourceIP   // source address that may never be one: multicast, broadcast, loopback on the wire
	InvalidIPChecksum // IPv4 header checksum wrong on a frame that had to be routed
	UnsupportedL2     // EtherType or link-layer form this segment does not carry
	VLANFiltered      // VLAN tag not allowed on this port
	UnknownSegment    // port belongs to no segment

	// Fragments.

	FragmentTiny    // RFC 1858: first fragment without the ports, or offset that could overwrite them
	FragmentNoFirst // waited for the first fragment in vain (Cilium: first logical datagram fragment not found)
	FragmentLimit   // fragment memory or the datagram's share of it is used up
	FragmentOverlap // RFC 5722: overlapping fragments

	// The port and the segment.

	SpoofGuard        // source MAC or IP not bound to the port
	MACLimit          // port has learned as many addresses as it may
	MACConflict       // address is bound to another port
	SplitHorizon      // would leave by the port it came in by
	NoDestination     // unknown unicast where flooding is off
	StormControl      // broadcast, multicast or unknown-unicast limit
	SuppressedARP     // ARP or ND answered here; the flood was not needed
	ReservedMulticast // link-local control frame (01:80:c2:00:00:0x) that a bridge does not forward

	// Routing.

	NoRoute             // FIB lookup failed
	TTLExceeded         // TTL or hop limit used up
	FragmentationNeeded // larger than the MTU and not to be fragmented
	NeighborUnresolved  // next hop did not answer ARP or ND
	NeighborQueueFull   // too many frames wait for this next hop
	NotForwardable      // link-local or otherwise not to be routed
	NoService           // addressed to the router itself, nobody listens

	// Sessions.

	SessionInvalid   // not a legal first packet, or outside the session's state or window
	SessionTableFull // no session could be made and none evicted
	SourceLimit      // the source has as many sessions as it may
	SessionUnrelated // ICMP error that belongs to no session

	// Policy, load balancing, QoS: set by the features.

	PolicyDenied
	PolicyRejected
	PortNotReady // closed until its policy is in force
	NoBackend
	NATExhausted
	RateLimited

	// The engine and the ports.

	NoBuffer      // buffer pool exhausted
	PortDown      // device is gone or administratively down
	PortUnknown   // next hop names a port that no longer exists
	TxQueueFull   // device did not take the frame
	Unsegmentable // super-frame that this port cannot take and software cannot cut
	InternalError // a stage panicked over this frame; it is kept for diagnosis
	Shutdown      // the worker stopped with the frame in hand

	// NumReasons is the number of reasons; counters are arrays of this length.
	NumReasons
)

var reasonNames = [NumReasons]string{
	None:                "NONE",
	FrameTooShort:       "FRAME_TOO_SHORT",
	FrameTooLong:        "FRAME_TOO_LONG",
	InvalidSourceMAC:    "INVALID_SOURCE_MAC",
	InvalidHeader:       "INVALID_HEADER",
	TruncatedHeader:     "TRUNCATED_HEADER",
	InvalidExtension:    "INVALID_IPV6_EXTENSION_HEADER",
	InvalidSourceIP:     "INVALID_SOURCE_IP",
	InvalidIPChecksum:   "INVALID_IP_CHECKSUM",
	UnsupportedL2:       "UNSUPPORTED_L2_PROTOCOL",
	VLANFiltered:        "VLAN_FILTERED",
	UnknownSegment:      "UNKNOWN_SEGMENT",
	FragmentTiny:        "FRAGMENT_TINY",
	FragmentNoFirst:     "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
	FragmentLimit:       "FRAGMENT_LIMIT",
	FragmentOverlap:     "FRAGMENT_OVERLAP",
	SpoofGuard:          "SPOOF_GUARD",
	MACLimit:            "MAC_LIMIT",
	MACConflict:         "MAC_CONFLICT",
	SplitHorizon:        "SPLIT_HORIZON",
	NoDestination:       "NO_DESTINATION",
	StormControl:        "STORM_CONTROL",
	SuppressedARP:       "ARP_SUPPRESSED",
	ReservedMulticast:   "RESERVED_MULTICAST",
	NoRoute:             "FIB_LOOKUP_FAILED",
	TTLExceeded:         "TTL_EXCEEDED",
	FragmentationNeeded: "FRAG_NEEDED",
	NeighborUnresolved:  "NEIGHBOR_UNRESOLVED",
	NeighborQueueFull:   "NEIGHBOR_QUEUE_FULL",
	NotForwardable:      "NOT_FORWARDABLE",
	NoService:           "NO_LOCAL_SERVICE",
	SessionInvalid:      "CT_INVALID",
	SessionTableFull:    "CT_TABLE_FULL",
	SourceLimit:         "CT_SOURCE_LIMIT",
	SessionUnrelated:    "CT_UNRELATED_ICMP_ERROR",
	PolicyDenied:        "POLICY_DENIED",
	PolicyRejected:      "POLICY_REJECTED",
	PortNotReady:        "EP_NOT_READY",
	NoBackend:           "SERVICE_BACKEND_NOT_FOUND",
	NATExhausted:        "NO_MAPPING_FOR_NAT",
	RateLimited:         "RATE_LIMITED",
	NoBuffer:            "NO_BUFFER",
	PortDown:            "PORT_DOWN",
	PortUnknown:         "PORT_UNKNOWN",
	TxQueueFull:         "TX_QUEUE_FULL",
	Unsegmentable:       "UNSEGMENTABLE",
	InternalError:       "INTERNAL_ERROR",
	Shutdown:            "SHUTDOWN",
}

// String returns the name that reports, metrics and logs carry.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "UNKNOWN_REASON"
}

// ReasonByName is the inverse of String.
func ReasonByName(name string) (r Reason, found bool) {
	for i, n := range reasonNames {
		if n == name {
			return Reason(i), true
		}
	}
	return None, false
}
