package packet

// EtherTypes (IANA, "IEEE 802 Numbers").
const (
	EtherTypeIPv4       = 0x0800
	EtherTypeARP        = 0x0806
	EtherTypeVLAN       = 0x8100 // 802.1Q C-tag
	EtherTypeIPv6       = 0x86dd
	EtherTypeMACControl = 0x8808 // MAC control, PAUSE (IEEE 802.3 clause 31)
	EtherTypeQinQ       = 0x88a8 // 802.1ad S-tag
	EtherTypeQinQ1      = 0x9100 // S-tag before 802.1ad
	EtherTypeLLDP       = 0x88cc
	EtherTypeTEB        = 0x6558 // transparent Ethernet bridging, inside GRE and Geneve
)

// IP protocol numbers (IANA, "Assigned Internet Protocol Numbers").
const (
	ProtoHopByHop = 0
	ProtoICMP     = 1
	ProtoIGMP     = 2
	ProtoIPIP     = 4
	ProtoTCP      = 6
	ProtoUDP      = 17
	ProtoIPv6     = 41
	ProtoRouting  = 43
	ProtoFragment = 44
	ProtoGRE      = 47
	ProtoESP      = 50
	ProtoAH       = 51
	ProtoICMPv6   = 58
	ProtoNoNext   = 59
	ProtoDestOpts = 60
	ProtoSCTP     = 132
	ProtoMobility = 135
	ProtoHIP      = 139
	ProtoShim6    = 140

	// ProtoMax is the largest number that is assigned, but for the two for
	// experiments and the reserved 255.
	ProtoMax = 147
)

// TCP flags (RFC 9293 section 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
)
