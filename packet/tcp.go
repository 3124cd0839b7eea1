package packet

// TCPMinSize is the size in bytes of a TCP header without options.
const TCPMinSize = 20

const (
	tcpOffset = 12
	tcpFlags  = 13
)
