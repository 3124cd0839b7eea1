package packet

import (
	"bufio"
	"encoding/binary"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// decoded is what one of the two decoders says of a frame. Fields of layers
// that were not reached are 0.
type decoded struct {
	EtherType uint16
	L3        int

	Src, Dst netip.Addr
	Proto    uint8
	TTL, TOS uint8
	L4       int
	FragOff  int
	FragID   uint32
	Fragment bool

	SrcPort, DstPort uint16 // or as in Key for ICMP queries; 0 where L4 is not looked into
	TCPFlags         uint8
}

// reference is gopacket's reading.
type reference struct {
	decoded
	version  uint8  // as the header says
	refused  string // gopacket's error in a header that Parse knows, if any
	refuser  gopacket.LayerType
	noPorts  bool // gopacket does not look into L4 here: fragments, ICMP
	icmpType int  // -1: no ICMP
}

// viaGopacket decodes frame and keeps what comes before the first layer that
// Parse does not know either.
func viaGopacket(frame []byte) (ref reference) {
	ref.icmpType = -1
	pkt := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	next := layers.LayerTypeEthernet // what Parse would look at next
	tags, l3 := 0, 0
	link := func(t layers.EthernetType) {
		ref.EtherType, ref.L3 = uint16(t), l3
		switch {
		case t == layers.EthernetTypeIPv4:
			next = layers.LayerTypeIPv4
		case t == layers.EthernetTypeIPv6:
			next = layers.LayerTypeIPv6
		case (t == layers.EthernetTypeDot1Q || t == layers.EthernetTypeQinQ) && tags < maxTags:
			next = layers.LayerTypeDot1Q
		default:
			next = gopacket.LayerTypeZero
		}
	}
	network := func(proto layers.IPProtocol, size int) {
		ref.Proto = uint8(proto)
		ref.L4 += size
		next = gopacket.LayerTypeZero
		v6 := ref.version == 6
		switch {
		case proto == layers.IPProtocolTCP, proto == layers.IPProtocolUDP, proto == layers.IPProtocolSCTP,
			proto == layers.IPProtocolICMPv4 && !v6, proto == layers.IPProtocolICMPv6 && v6,
			isExtension[uint8(proto)] && v6:
			if next = proto.LayerType(); next == gopacket.LayerTypeZero {
				ref.refused = "extension header unknown to gopacket"
			}
		}
	}
	// gopacket adds these layers also when it refuses them, with the error as the
	// layer after them; but that may also be the next header's error.
	refuse := func(l gopacket.DecodingLayer, b []byte, t gopacket.LayerType) bool {
		err := l.DecodeFromBytes(b, gopacket.NilDecodeFeedback)
		if err != nil {
			ref.refused, ref.refuser = err.Error(), t
		}
		return err != nil
	}
	for _, l := range pkt.Layers() {
		if next == gopacket.LayerTypeZero {
			return ref
		}
		switch l := l.(type) {
		case *gopacket.DecodeFailure:
			ref.refused, ref.refuser = l.Error().Error(), next
			return ref
		case *layers.Ethernet:
			l3 = EthernetSize
			t := l.EthernetType
			if t == layers.EthernetTypeLLC && binary.BigEndian.Uint16(frame[ethType:]) < MinEtherType {
				t = layers.EthernetType(l.Length)
			}
			link(t)
		case *layers.Dot1Q:
			tags++
			l3 += VLANSize
			link(l.Type)
		case *layers.IPv4:
			ref.version = l.Version
			if refuse(&layers.IPv4{}, frame[ref.L3:], layers.LayerTypeIPv4) {
				return ref
			}
			ref.Src, _ = netip.AddrFromSlice(l.SrcIP)
			ref.Dst, _ = netip.AddrFromSlice(l.DstIP)
			ref.TTL, ref.TOS = l.TTL, l.TOS
			ref.L4 = ref.L3
			network(l.Protocol, int(l.IHL)*4)
			if l.FragOffset != 0 || l.Flags&layers.IPv4MoreFragments != 0 {
				ref.Fragment, ref.FragOff, ref.FragID, ref.noPorts = true, int(l.FragOffset)*8, uint32(l.Id), true
				return ref
			}
		case *layers.IPv6:
			ref.version = l.Version
			if refuse(&layers.IPv6{}, frame[ref.L3:], layers.LayerTypeIPv6) {
				return ref
			}
			ref.Src, _ = netip.AddrFromSlice(l.SrcIP)
			ref.Dst, _ = netip.AddrFromSlice(l.DstIP)
			ref.TTL, ref.TOS = l.HopLimit, l.TrafficClass
			ref.L4 = ref.L3
			network(l.NextHeader, IPv6Size)
		case *layers.IPv6HopByHop:
			network(l.NextHeader, l.ActualLength)
		case *layers.IPv6Routing:
			network(l.NextHeader, l.ActualLength)
		case *layers.IPv6Destination:
			network(l.NextHeader, l.ActualLength)
		case *layers.IPSecAH:
			network(l.NextHeader, l.ActualLength)
		case *layers.IPv6Fragment:
			network(l.NextHeader, IPv6FragmentSize)
			ref.noPorts = true
			if l.MoreFragments || l.FragmentOffset != 0 {
				ref.Fragment, ref.FragOff, ref.FragID = true, int(l.FragmentOffset)*8, l.Identification
			}
			return ref
		case *layers.TCP:
			if refuse(&layers.TCP{}, append(l.Contents, l.Payload...), layers.LayerTypeTCP) {
				return ref
			}
			ref.SrcPort, ref.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			for i, set := range [...]bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG, l.ECE, l.CWR} {
				if set {
					ref.TCPFlags |= 1 << i
				}
			}
			return ref
		case *layers.UDP:
			if l.Length != 0 && l.Length < UDPSize {
				ref.refused, ref.refuser = "UDP packet too small", layers.LayerTypeUDP
				return ref
			}
			ref.SrcPort, ref.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			return ref
		case *layers.SCTP:
			ref.SrcPort, ref.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			return ref
		case *layers.ICMPv4:
			ref.icmp(l.TypeCode.Type(), l.Id)
			return ref
		case *layers.ICMPv6:
			ref.icmp(l.TypeCode.Type(), binary.BigEndian.Uint16(append(l.Payload, 0, 0)))
			return ref
		default:
			return ref
		}
	}
	return ref
}

// icmp notes a message's type, and the ports that stand for those of echo.
func (ref *reference) icmp(typ uint8, id uint16) {
	ref.icmpType = int(typ)
	switch typ {
	case layers.ICMPv4TypeEchoRequest, layers.ICMPv6TypeEchoRequest:
		ref.SrcPort, ref.DstPort = id, uint16(typ)<<8
	case layers.ICMPv4TypeEchoReply:
		ref.SrcPort, ref.DstPort = layers.ICMPv4TypeEchoRequest<<8, id
	case layers.ICMPv6TypeEchoReply:
		ref.SrcPort, ref.DstPort = layers.ICMPv6TypeEchoRequest<<8, id
	default:
		ref.noPorts = true
	}
}

// viaParse is Parse's reading in the same form.
func viaParse(frame []byte, in *Info) (d decoded) {
	d.EtherType, d.L3 = in.EtherType, int(in.L3)
	if !in.Has(IsIP) {
		return d
	}
	d.Src, d.Dst = in.Key.Src.Netip(), in.Key.Dst.Netip()
	d.SrcPort, d.DstPort = in.Key.SrcPort(), in.Key.DstPort()
	if in.Has(ICMPError) { // the key is the quoted packet's
		src, dst, _ := addrsAt(frame[in.L3:])
		d.Src, d.Dst, d.SrcPort, d.DstPort = src.Netip(), dst.Netip(), 0, 0
	}
	d.Proto, d.TTL, d.TOS, d.L4 = in.Proto, in.TTL, in.TOS, int(in.L4)
	d.FragOff, d.FragID, d.Fragment = int(in.FragOff), in.FragID, in.Has(IsFragment)
	d.TCPFlags = in.TCPFlags
	return d
}

// difference is a case in which the two may disagree.
type difference struct {
	why string
	is  func(frame []byte, ref *reference, in *Info, r Reason) bool
}

// intended differences; the first that fits counts.
var intended = []difference{
	{"gopacket decodes what there is of a packet that the frame does not hold whole; Parse drops it", func(frame []byte, ref *reference, in *Info, r Reason) bool {
		return r == TruncatedHeader && ref.refused == "" && in.Has(IsIP) && int(in.L3)+int(in.IPLen) > len(frame)
	}},
	{"gopacket does not judge source addresses; Parse drops group and zero MACs", func(_ []byte, _ *reference, _ *Info, r Reason) bool {
		return r == InvalidSourceMAC
	}},
	{"gopacket does not compare the IP version with the EtherType", func(_ []byte, ref *reference, in *Info, r Reason) bool {
		return r == InvalidHeader && !in.Has(IsIP) && ref.version != 4 && ref.version != 6 ||
			r == InvalidHeader && (ref.version == 6) != (in.EtherType == EtherTypeIPv6)
	}},
	{"gopacket takes IPv4 total length 0 for segmentation offload; Parse only where the length would not fit the field", func(frame []byte, ref *reference, in *Info, r Reason) bool {
		return r == InvalidHeader && in.Has(IsIPv4) && in.IPLen == 0
	}},
	{"gopacket refuses IPv6 payload length 0 without the jumbo option, which BIG TCP does without", func(frame []byte, ref *reference, in *Info, r Reason) bool {
		return r == None && ref.refuser == layers.LayerTypeIPv6 && in.IPLen > maxIPSize
	}},
	{"gopacket takes a UDP length past the IP packet for truncation, and 0 for a jumbogram", func(frame []byte, ref *reference, in *Info, r Reason) bool {
		if r != InvalidHeader || in.Proto != ProtoUDP || ref.refused != "" {
			return false
		}
		n := int(binary.BigEndian.Uint16(frame[int(in.L4)+udpLength:]))
		return n == 0 || n > int(in.L3)+int(in.IPLen)-int(in.L4)
	}},
	{"gopacket does not know mobility, HIP and shim6 headers", func(_ []byte, ref *reference, in *Info, r Reason) bool {
		return r == None && in.Has(IsIPv6) && (ref.Proto == ProtoMobility || ref.Proto == ProtoHIP || ref.Proto == ProtoShim6)
	}},
	{"gopacket refuses routing types that it does not know; Parse walks over them", func(_ []byte, ref *reference, in *Info, r Reason) bool {
		return r == None && in.Has(IsIPv6) && ref.Proto == ProtoRouting
	}},
	{"Parse leaves TCP options to their reader; gopacket refuses malformed ones", func(frame []byte, ref *reference, in *Info, r Reason) bool {
		return r == None && ref.refuser == layers.LayerTypeTCP && frame[int(in.L4)+tcpOffset]>>4 > 5
	}},
}

func TestParseAgreesWithGopacket(t *testing.T) {
	counts := make([]int, len(intended))
	files, frames, both, agreed := 0, 0, 0, 0
	eachCapture(t, func(path string, read func() (frame []byte, ok bool)) {
		files++
		for n := 0; ; n++ {
			frame, ok := read()
			if !ok {
				return
			}
			frames++
			var in Info
			r := Parse(frame, &in)
			ref := viaGopacket(frame)
			if r != None && ref.refused != "" {
				both++
				continue
			}
			got := viaParse(frame, &in)
			if ref.noPorts {
				got.SrcPort, got.DstPort, got.TCPFlags = 0, 0, 0
			}
			if r == None && ref.refused == "" && got == ref.decoded {
				agreed++
				continue
			}
			i := 0
			for i < len(intended) && !intended[i].is(frame, &ref, &in, r) {
				i++
			}
			if i == len(intended) {
				t.Errorf("%s frame %d: Parse %s %+v\n gopacket %q %+v\n% x", path, n, r, got, ref.refused, ref.decoded, frame[:min(len(frame), 96)])
				continue
			}
			counts[i]++
		}
	})
	require.NotZero(t, agreed)
	t.Logf("%d captures, %d frames: %d read alike, %d refused by both", files, frames, agreed, both)
	for i, d := range intended {
		t.Logf("%6d  %s", counts[i], d.why)
		require.NotZero(t, counts[i], "no capture has this difference any more: %s", d.why)
	}
}

// eachCapture calls f for every readable capture with a reader of its frames.
// IP packets without a link layer get an Ethernet header; other link types are
// left out.
func eachCapture(t *testing.T, f func(path string, read func() (frame []byte, ok bool))) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(sharedtest.Path(t, "captures"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		next, ok := openCapture(file)
		if !ok {
			return nil
		}
		f(path, func() ([]byte, bool) {
			for {
				data, link, err := next()
				if err != nil {
					return nil, false
				}
				if frame, ok := asEthernet(data, link); ok {
					return frame, true
				}
			}
		})
		return nil
	}))
}

// openCapture reads pcap or pcapng, whichever the file is.
func openCapture(file io.ReadSeeker) (next func() ([]byte, layers.LinkType, error), ok bool) {
	if r, err := pcapgo.NewReader(bufio.NewReader(file)); err == nil {
		return func() ([]byte, layers.LinkType, error) {
			data, _, err := r.ReadPacketData()
			return data, r.LinkType(), err
		}, true
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, false
	}
	r, err := pcapgo.NewNgReader(bufio.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, false
	}
	return func() ([]byte, layers.LinkType, error) {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			return nil, 0, err
		}
		link, _ := ci.AncillaryData[0].(layers.LinkType)
		return data, link, nil
	}, true
}

// asEthernet puts an Ethernet header before a packet of link type raw,
// loopback or Linux cooked.
func asEthernet(data []byte, link layers.LinkType) (frame []byte, ok bool) {
	skip := 0
	switch link {
	case layers.LinkTypeEthernet:
		return data, true
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, 12, 14: // LINKTYPE_RAW differs by system
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		skip = 4
	case layers.LinkTypeLinuxSLL:
		skip = 16
	default:
		return nil, false
	}
	if len(data) <= skip {
		return nil, false
	}
	switch data[skip] >> 4 {
	case 4:
		return eth(EtherTypeIPv4, data[skip:]), true
	case 6:
		return eth(EtherTypeIPv6, data[skip:]), true
	}
	return nil, false
}
