package packet

// ICMPv6 types (IANA, "Internet Control Message Protocol version 6 Parameters").
const (
	ICMPv6Unreachable           = 1
	ICMPv6PacketTooBig          = 2
	ICMPv6TimeExceeded          = 3
	ICMPv6ParameterProblem      = 4
	ICMPv6Echo                  = 128
	ICMPv6EchoReply             = 129
	ICMPv6MulticastQuery        = 130 // MLD, RFC 2710
	ICMPv6MulticastReport       = 131
	ICMPv6MulticastDone         = 132
	ICMPv6RouterSolicitation    = 133 // neighbour discovery, RFC 4861
	ICMPv6RouterAdvertisement   = 134
	ICMPv6NeighborSolicitation  = 135
	ICMPv6NeighborAdvertisement = 136
	ICMPv6Redirect              = 137
	ICMPv6MulticastReportV2     = 143 // RFC 3810
	ICMPv6ExtendedEcho          = 160 // RFC 8335
	ICMPv6ExtendedEchoReply     = 161
)

// Codes of ICMPv6Unreachable and ICMPv6TimeExceeded (RFC 4443).
const (
	ICMPv6CodeNoRoute           = 0
	ICMPv6CodeAdminProhibited   = 1
	ICMPv6CodeAddress           = 3
	ICMPv6CodePort              = 4
	ICMPv6CodeHopLimitInTransit = 0
	ICMPv6CodeReassembly        = 1
)
