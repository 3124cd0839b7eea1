package packet

// SetIPLength makes an IP header say that its packet ends where p does, and its checksum right. Of a packet that is longer
// than the field can say, which only a super-frame is, the length is 0 (BIG TCP).
func SetIPLength(p []byte) {
	n := len(p)
	if p[0]>>4 == 6 {
		n -= IPv6Size
	}
	if n > maxIPSize {
		n = 0
	}
	if p[0]>>4 == 6 {
		IPv6(p).SetPayloadLen(uint16(n))
		return
	}
	IPv4(p).SetLength(uint16(n))
	IPv4(p).UpdateChecksum()
}
