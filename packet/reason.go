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
	VLANFiltered      // VLAN tag not allowed on this port, or none where one is needed
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
	NoDestination     // nobody to send it to: unknown unicast where flooding is off, or a segment without other ports
	StormControl      // broadcast, multicast or unknown-unicast limit
	ReservedMulticast // link-local control frame (01:80:c2:00:00:0x) that a bridge does not forward
	DHCPServerBlocked // to a DHCP client, from a port where no server may be
	DHCPClientBlocked // to a DHCP server, from a port where no client may be
	RAGuard           // RFC 6105: IPv6 router advertisement, or what may hide one
	NoAddress         // DHCP client that no address of its port is for
	NonIPBlocked      // not IPv4, IPv6 or ARP where nothing else may be, or IP where filters cannot read it

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
	RuleLimit        // the firewall rule that allows it has as many sessions as it may, in all or of this source
	FloodLimit       // flood protection of the sender's or the receiver's port allows no more sessions of its kind
	SessionUnrelated // ICMP error that belongs to no session

	// Policy, load balancing, QoS: set by the features.

	PolicyDenied
	PolicyRejected
	NoBackend
	ServiceLimit  // the virtual server has as many connections as it may, at a time or per second
	ServiceSource // the client may not use the virtual server
	NATExhausted
	RateLimited

	// The engine and the ports.

	NoBuffer      // buffer pool exhausted
	PortDown      // device is gone or administratively down
	PortUnknown   // next hop names a port that no longer exists
	TxQueueFull   // device did not take the frame
	Unsegmentable // super-frame that this port cannot take and software cannot cut
	InternalError // a stage panicked over this frame; it is kept for diagnosis

	// NumReasons is the number of reasons; counters are arrays of this length.
	NumReasons
)

// reasons has a row for each Reason: its name, the component that a trace names,
// and what it means, as `docs/drop-reasons.md` has it.
var reasons = [NumReasons]struct{ name, component, meaning string }{
	None:                {"NONE", "", "not dropped"},
	FrameTooShort:       {"FRAME_TOO_SHORT", "Parser", "shorter than an Ethernet header, or empty"},
	FrameTooLong:        {"FRAME_TOO_LONG", "Parser", "longer than the port's buffer or MTU takes"},
	InvalidSourceMAC:    {"INVALID_SOURCE_MAC", "Parser", "multicast or zero source address"},
	InvalidHeader:       {"INVALID_HEADER", "Parser", "a header contradicts itself: version, lengths, header length"},
	TruncatedHeader:     {"TRUNCATED_HEADER", "Parser", "a header ends after the frame does"},
	InvalidExtension:    {"INVALID_IPV6_EXTENSION_HEADER", "Parser", "IPv6 extension header chain malformed or too long"},
	InvalidSourceIP:     {"INVALID_SOURCE_IP", "Parser", "source address that may never be one: multicast, broadcast, loopback on the wire"},
	InvalidIPChecksum:   {"INVALID_IP_CHECKSUM", "Routing", "IPv4 header checksum wrong on a frame that had to be routed"},
	UnsupportedL2:       {"UNSUPPORTED_L2_PROTOCOL", "Forwarding", "EtherType or link-layer form this segment does not carry"},
	VLANFiltered:        {"VLAN_FILTERED", "Forwarding", "VLAN tag not allowed on this port, or none where one is needed"},
	UnknownSegment:      {"UNKNOWN_SEGMENT", "Forwarding", "port belongs to no segment"},
	FragmentTiny:        {"FRAGMENT_TINY", "Fragments", "RFC 1858: first fragment without the ports, or offset that could overwrite them"},
	FragmentNoFirst:     {"FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND", "Fragments", "waited for the first fragment in vain (Cilium: first logical datagram fragment not found)"},
	FragmentLimit:       {"FRAGMENT_LIMIT", "Fragments", "fragment memory or the datagram's share of it is used up"},
	FragmentOverlap:     {"FRAGMENT_OVERLAP", "Fragments", "RFC 5722: overlapping fragments"},
	SpoofGuard:          {"SPOOF_GUARD", "SpoofGuard", "source MAC or IP not bound to the port"},
	MACLimit:            {"MAC_LIMIT", "Forwarding", "port has learned as many addresses as it may"},
	MACConflict:         {"MAC_CONFLICT", "SpoofGuard", "address is bound to another port"},
	SplitHorizon:        {"SPLIT_HORIZON", "Forwarding", "would leave by the port it came in by"},
	NoDestination:       {"NO_DESTINATION", "Forwarding", "nobody to send it to: unknown unicast where flooding is off, or a segment without other ports"},
	StormControl:        {"STORM_CONTROL", "Forwarding", "broadcast, multicast or unknown-unicast limit"},
	ReservedMulticast:   {"RESERVED_MULTICAST", "Forwarding", "link-local control frame (01:80:c2:00:00:0x) that a bridge does not forward"},
	DHCPServerBlocked:   {"DHCP_SERVER_BLOCKED", "SegmentSecurity", "to a DHCP client, from a port where no server may be"},
	DHCPClientBlocked:   {"DHCP_CLIENT_BLOCKED", "SegmentSecurity", "to a DHCP server, from a port where no client may be"},
	RAGuard:             {"RA_GUARD", "SegmentSecurity", "IPv6 router advertisement, or an unknown next header that may hide one (RFC 6105, RFC 7113)"},
	NoAddress:           {"DHCP_NO_ADDRESS", "DHCP", "from a DHCP client for whose MAC address no address of the segment is bound to the port"},
	NonIPBlocked:        {"NON_IP_BLOCKED", "SegmentSecurity", "not IPv4, IPv6, ARP or a link-local control frame; or IP in an LLC header, where filters cannot read it"},
	NoRoute:             {"FIB_LOOKUP_FAILED", "Routing", "FIB lookup failed"},
	TTLExceeded:         {"TTL_EXCEEDED", "Routing", "TTL or hop limit used up"},
	FragmentationNeeded: {"FRAG_NEEDED", "Routing", "larger than the MTU and not to be fragmented"},
	NeighborUnresolved:  {"NEIGHBOR_UNRESOLVED", "Routing", "next hop did not answer ARP or ND"},
	NeighborQueueFull:   {"NEIGHBOR_QUEUE_FULL", "Routing", "too many frames wait for this next hop"},
	NotForwardable:      {"NOT_FORWARDABLE", "Routing", "link-local or otherwise not to be routed"},
	NoService:           {"NO_LOCAL_SERVICE", "Routing", "addressed to the router itself, nobody listens"},
	SessionInvalid:      {"CT_INVALID", "Sessions", "not a legal first packet, or outside the session's state or window"},
	SessionTableFull:    {"CT_TABLE_FULL", "Sessions", "no session could be made and none evicted"},
	SourceLimit:         {"CT_SOURCE_LIMIT", "Sessions", "the source has as many sessions as it may"},
	RuleLimit:           {"CT_RULE_LIMIT", "Sessions", "the firewall rule that allows it has as many sessions as it may, in all or of this source"},
	FloodLimit:          {"CT_FLOOD_LIMIT", "Sessions", "flood protection of the sender's or the receiver's port allows no more sessions of its kind (half-open TCP, UDP, ICMP, other)"},
	SessionUnrelated:    {"CT_UNRELATED_ICMP_ERROR", "Sessions", "ICMP error that belongs to no session"},
	PolicyDenied:        {"POLICY_DENIED", "NetworkPolicy", "a firewall rule drops it"},
	PolicyRejected:      {"POLICY_REJECTED", "NetworkPolicy", "a firewall rule rejects it; the sender was told"},
	NoBackend:           {"SERVICE_BACKEND_NOT_FOUND", "LB", "the virtual server has no member to take it"},
	ServiceLimit:        {"SERVICE_LIMIT", "LB", "the virtual server has as many connections as it may, at a time or per second"},
	ServiceSource:       {"NOT_IN_SRC_RANGE", "LB", "the client is not in the networks that may use the virtual server"},
	NATExhausted:        {"NO_MAPPING_FOR_NAT", "NAT", "no address and port left in the NAT pool"},
	RateLimited:         {"RATE_LIMITED", "QoS", "over its meter"},
	NoBuffer:            {"NO_BUFFER", "Port", "buffer pool exhausted"},
	PortDown:            {"PORT_DOWN", "Port", "device is gone or administratively down"},
	PortUnknown:         {"PORT_UNKNOWN", "Port", "next hop names a port that no longer exists"},
	TxQueueFull:         {"TX_QUEUE_FULL", "Port", "device did not take the frame"},
	Unsegmentable:       {"UNSEGMENTABLE", "Port", "super-frame that this port cannot take and software cannot cut"},
	InternalError:       {"INTERNAL_ERROR", "Engine", "a stage panicked over this frame; it is kept for diagnosis"},
}

// String returns the name that reports, metrics and logs carry.
func (r Reason) String() string {
	if r < NumReasons {
		return reasons[r].name
	}
	return "UNKNOWN_REASON"
}

// Component returns the part of the switch that drops for this reason, by
// Antrea's component names where one fits.
func (r Reason) Component() string {
	if r < NumReasons {
		return reasons[r].component
	}
	return ""
}

// Meaning returns the reason in words.
func (r Reason) Meaning() string {
	if r < NumReasons {
		return reasons[r].meaning
	}
	return ""
}

// ReasonByName is the inverse of String.
func ReasonByName(name string) (r Reason, found bool) {
	for i := range reasons {
		if reasons[i].name == name {
			return Reason(i), true
		}
	}
	return None, false
}
