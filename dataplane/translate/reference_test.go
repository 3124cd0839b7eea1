package translate

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

func parse(t testing.TB, frame []byte) (*packet.Info, bool) {
	t.Helper()
	var in packet.Info
	return &in, packet.Parse(frame, &in) == packet.None
}

// translate does to a frame what the stage does.
func translate(frame []byte, in *packet.Info, m packet.Meta, peer *packet.Key) packet.Reason {
	if !m.CsumPartial && m.GSOType == packet.GSONone && plain(frame, in, peer) {
		return packet.None
	}
	return rewrite(frame, in, partial(&m, in), peer)
}

// tuple is a random end of a session: its own address and port, and another's.
type tuple struct{ src, dst netip.AddrPort }

func randomTuple(r *rand.Rand, v6 bool) (t tuple) {
	for _, ap := range []*netip.AddrPort{&t.src, &t.dst} {
		var a [16]byte
		for i := range a {
			a[i] = byte(r.UintN(4) * 85) // also words of zeros and ones
		}
		a[0], a[12] = 0x20, 10
		ip := netip.AddrFrom16(a)
		if !v6 {
			ip = netip.AddrFrom4([4]byte(a[12:]))
		}
		*ap = netip.AddrPortFrom(ip, uint16([]uint{0, 1, 0xffff, r.UintN(1 << 16)}[r.UintN(4)]))
	}
	return t
}

// packetText writes a random packet with a tuple; the same random numbers give the same but for the tuple.
func (t tuple) packetText(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	v6 := t.src.Addr().Is6()
	var b strings.Builder
	addrs := fmt.Sprintf("%s > %s", t.src.Addr(), t.dst.Addr())
	icmp := "icmp"
	if v6 {
		icmp = "icmp6"
	}
	switch r.UintN(6) {
	case 0, 1:
		fmt.Fprintf(&b, "tcp %s > %s A seq %d ack %d len %d", t.src, t.dst, r.Uint32(), r.Uint32(), r.UintN(60))
		if r.UintN(3) == 0 {
			b.WriteString(" ts 1 2")
		}
	case 2:
		fmt.Fprintf(&b, "udp %s > %s len %d", t.src, t.dst, r.UintN(60))
		if r.UintN(4) == 0 {
			b.WriteString(" nocsum")
		}
	case 3:
		fmt.Fprintf(&b, "sctp %s > %s data tag %d tsn %d len %d", t.src, t.dst, r.Uint32(), r.Uint32(), 16+r.UintN(3000))
	case 4: // the other end's port is the type
		message, id := "echo", t.src.Port()
		if r.UintN(2) == 0 {
			message, id = "reply", t.dst.Port()
		}
		fmt.Fprintf(&b, "%s %s %s id %d seq %d len %d", icmp, addrs, message, id, r.UintN(1<<16), r.UintN(60))
	case 5:
		fmt.Fprintf(&b, "ip %s proto 47 len %d", addrs, 8+r.UintN(60))
	}
	if r.UintN(3) == 0 {
		fmt.Fprintf(&b, " options %d", 8*(1+r.UintN(4)))
	}
	if v6 && r.UintN(4) == 0 {
		b.WriteString(" hbh 8")
	}
	fmt.Fprintf(&b, " ttl %d tos %d", 2+r.UintN(250), r.UintN(256))
	return b.String()
}

// TestAgainstReference builds random packets with both tuples, from nothing, and translates one to the other.
func TestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for k := range 3000 {
		v6 := k%2 == 1
		was, is, seed := randomTuple(r, v6), randomTuple(r, v6), r.Uint64()
		if r.UintN(2) == 0 {
			is.src = was.src
		}
		in, out := was.packetText(seed), is.packetText(seed)
		if k%3 == 0 { // an error about it, which goes the other way
			cut := 28 + r.UintN(2)*(12+r.UintN(80)) // a checksum is whole, or not there
			if v6 {
				cut = 40 + 8 + 20 + r.UintN(80) // checksums are whole
			}
			kind, from := "icmp", netip.MustParseAddr("172.16.0.1")
			if v6 {
				kind, from = "icmp6", netip.MustParseAddr("2001:db8::99")
			}
			if strings.Contains(in, "options") {
				cut += 32
			}
			by := [2]netip.Addr{from, from}
			if r.UintN(2) == 0 {
				by = [2]netip.Addr{was.dst.Addr(), is.dst.Addr()}
			}
			in = fmt.Sprintf("%s %s > %s unreachable host quote { %s cut %d }", kind, by[0], was.src.Addr(), in, cut)
			out = fmt.Sprintf("%s %s > %s unreachable host quote { %s cut %d }", kind, by[1], is.src.Addr(), out, cut)
		}
		frame, want := frameOf(t, in), frameOf(t, out)
		x, ok := parse(t, frame)
		require.True(t, ok, in)
		key := keyOf(t, out)
		peer := key.Reverse()
		require.Equal(t, packet.None, translate(frame, x, packet.Meta{}, &peer))
		same(t, out, frame[12:], "%s\n%s", in, out)
		require.Equal(t, want[12:], frame[12:])
	}
}

// sums returns where the checksums of a frame are, as 16-bit words.
func sums(in *packet.Info) (at []int) {
	if in.Has(packet.IsIPv4) {
		at = append(at, int(in.L3)+ip4Checksum)
	}
	switch in.Proto {
	case packet.ProtoTCP:
		at = append(at, int(in.L4)+16)
	case packet.ProtoUDP:
		at = append(at, int(in.L4)+6)
	case packet.ProtoICMP, packet.ProtoICMPv6:
		at = append(at, int(in.L4)+icmpSum)
	}
	return at
}

// TestWrongChecksumsStayWrong: the difference from the right one is what it was.
func TestWrongChecksumsStayWrong(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for k := range 3000 {
		was, is, seed := randomTuple(r, k%2 == 1), randomTuple(r, k%2 == 1), r.Uint64()
		text := was.packetText(seed)
		frame, want := frameOf(t, text), frameOf(t, is.packetText(seed))
		x, _ := parse(t, frame)
		if x.Proto == packet.ProtoSCTP {
			crc := int(x.L4) + sctpCRC
			frame[crc], want[crc] = frame[crc]^0x55, want[crc]^0x55
		}
		by := uint32(1 + r.UintN(0xfffd))
		places := sums(x)
		if strings.Contains(text, "nocsum") {
			places = places[:len(places)-1]
		}
		for _, at := range places {
			binary.BigEndian.PutUint16(frame[at:], packet.Fold(uint32(binary.BigEndian.Uint16(frame[at:]))+by))
			binary.BigEndian.PutUint16(want[at:], packet.Fold(uint32(binary.BigEndian.Uint16(want[at:]))+by))
		}
		if _, ok := parse(t, frame); !ok {
			continue
		}
		var y packet.Info
		require.Equal(t, packet.None, packet.Parse(want, &y))
		if x.Proto == packet.ProtoUDP && len(places) > 0 && binary.BigEndian.Uint16(frame[places[len(places)-1]:]) == 0 {
			continue // there is none now
		}
		peer := y.Key.Reverse()
		translate(frame, x, packet.Meta{}, &peer)
		for _, at := range places { // both zeros are one number
			got, expected := binary.BigEndian.Uint16(frame[at:]), binary.BigEndian.Uint16(want[at:])
			require.Equal(t, expected%0xffff, got%0xffff, text)
			frame[at], frame[at+1] = want[at], want[at+1]
		}
		require.Equal(t, want[12:], frame[12:], text)
	}
}
