package packet

import "encoding/binary"

// Builders of small frames for tests. Each writes what it is told, also what is
// wrong; lengths that are 0 are filled in.

var (
	macA = MAC{0x0a, 0x58, 0xc0, 0xa8, 0, 1}
	macB = MAC{0x0a, 0x58, 0xc0, 0xa8, 0, 2}

	a4, b4 = addr("192.168.0.1"), addr("192.168.0.2")
	a6, b6 = addr("2001:db8::1"), addr("2001:db8::2")
)

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func eth(etherType uint16, payload ...[]byte) []byte {
	f := EthernetFields{Dst: macB, Src: macA, Type: etherType}
	b := make([]byte, EthernetSize)
	f.Put(b)
	return append(b, join(payload...)...)
}

// tag is a VLAN tag after its TPID.
func tag(id, next uint16) []byte {
	f := VLANFields{ID: id, Type: next}
	b := make([]byte, VLANSize)
	f.Put(b)
	return b
}

// ip4 is an IPv4 packet from a4 to b4.
func ip4(f IPv4Fields, payload ...[]byte) []byte {
	p := join(payload...)
	if f.Src == (Addr{}) {
		f.Src, f.Dst = a4, b4
	}
	if f.Length == 0 {
		f.Length = uint16(f.Size() + len(p))
	}
	f.TTL = 64
	b := make([]byte, f.Size())
	f.Put(b)
	return append(b, p...)
}

// ip6 is an IPv6 packet from a6 to b6.
func ip6(f IPv6Fields, payload ...[]byte) []byte {
	p := join(payload...)
	if f.Src == (Addr{}) {
		f.Src, f.Dst = a6, b6
	}
	if f.PayloadLen == 0 {
		f.PayloadLen = uint16(len(p))
	}
	f.HopLimit = 64
	b := make([]byte, IPv6Size)
	f.Put(b)
	return append(b, p...)
}

// ext is an IPv6 extension header of 8 bytes with its options padded.
func ext(next uint8) []byte { return []byte{next, 0, IPv6OptionPadN, 4, 0, 0, 0, 0} }

func frag6(f IPv6FragmentFields) []byte {
	b := make([]byte, IPv6FragmentSize)
	f.Put(b)
	return b
}

func udp(sport, dport uint16, payload ...byte) []byte {
	f := UDPFields{SrcPort: sport, DstPort: dport, Length: uint16(UDPSize + len(payload))}
	b := make([]byte, UDPSize)
	f.Put(b)
	return append(b, payload...)
}

func tcp(flags uint8, options ...byte) []byte {
	f := TCPFields{SrcPort: 1000, DstPort: 80, Seq: 1, Flags: flags, Window: 512, Options: options}
	b := make([]byte, f.Size())
	f.Put(b)
	return b
}

func sctp(chunks ...byte) []byte {
	f := SCTPFields{SrcPort: 1000, DstPort: 3868, Tag: 7}
	b := make([]byte, SCTPSize)
	f.Put(b)
	return append(b, chunks...)
}

// icmp is a message of either family; its checksum is 0.
func icmp(typ, code uint8, rest uint32, payload ...[]byte) []byte {
	f := ICMPFields{Type: typ, Code: code, Rest: rest}
	b := make([]byte, ICMPSize)
	f.Put(b)
	return append(b, join(payload...)...)
}

// jumbo is a hop-by-hop header with a jumbo payload option.
func jumbo(next uint8, size uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{next, 0, IPv6OptionJumbo, 4}, size)
}
