// Package pcap makes capture files ports: frames come out of pcap and pcapng
// files under a virtual clock and go into them.
//
// # Why not pcapgo
//
// The readers here are our own. google/gopacket's pcapgo (v1.1.19) was tried
// first; replaying strangers' files needs more than it gives:
//
//   - pcapng: an if_tsresol of 2^-64 or 10^-64 divides by zero, an option
//     without a value has the one before's, a block length below 8 wraps around.
//     With powers of two up to half of the fraction of a second is lost (2^-29).
//   - pcapng: a file that ends inside a block ends with plain io.EOF, as if whole.
//   - pcap: the buffer is as large as the header's snapshot length claims (4 GiB
//     if it likes); the link type is not separated from the FCS bits above it;
//     frames longer than the snapshot length, which dpkt and others write, end
//     the file; a subsecond field above 4.29 million wraps around.
//   - neither says where in the file it stopped, nor can it leave room for a
//     link-layer header in front of the frame.
//
// Its NgWriter writes no packet comments, so the writers are ours as well. The
// tests read what they write with pcapgo.
//
// # What is carried
//
// The switch speaks Ethernet. Frames of other link types get an Ethernet header
// made from what is known (see LinkType.Carried):
//
//	source       the link layer's own address if it has one of six bytes, else
//	             0a:58 and the last four bytes of the IP source address, the
//	             address that a port has by default
//	destination  the group address of an IP group (RFC 1112 section 6.4, RFC 2464
//	             section 7), broadcast if the link layer says so, else packet.GatewayMAC:
//	             a packet without a link layer goes to the router
//	EtherType    from the link layer, or from the IP version
//
// pcap: draft-ietf-opsawg-pcap. pcapng: draft-ietf-opsawg-pcapng.
package pcap

import "errors"

// MaxCapture is the longest frame that a file may hold, in bytes, as in libpcap
// (MAXIMUM_SNAPLEN). A length above it means that the file is damaged.
const MaxCapture = 262144

// maxInterfaces bounds the memory that a pcapng section's interfaces take.
const maxInterfaces = 1 << 16

var (
	// ErrNotCapture is wrapped by errors about files that are no capture at all,
	// or of a format or version that is not read.
	ErrNotCapture = errors.New("not a pcap or pcapng file")

	// ErrTruncated is wrapped by errors about files that end in the middle of
	// something. All frames before it have been returned.
	ErrTruncated = errors.New("file is truncated")
)

// Frame is one frame of a capture.
type Frame struct {
	Time    int64  // nanoseconds since 1970 UTC; may be negative
	Data    []byte // Ethernet, without FCS; valid until the next call of Next
	OrigLen int    // length on the wire in bytes, at least len(Data); counted with the made header

	Index    int64    // number in its file, from 0; frames that are not carried count
	LinkType LinkType // of the file; Data is Ethernet whatever it says
}

// Source yields frames one after another: a Reader or a Queue. Next returns
// io.EOF when there is none; f is then unchanged.
type Source interface {
	Next(f *Frame) error
}
