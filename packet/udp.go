package packet

// UDPSize is the size in bytes of a UDP header.
const UDPSize = 8

const (
	udpLength = 4
)
