package flowtable

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// alikePacket is a packet of a protocol of which only the direction matters;
// for ICMP the first byte of its transport header is typ.
func alikePacket(proto, typ uint8) (packet.Info, []byte) {
	frame := make([]byte, packet.EthernetSize+packet.IPv4MinSize+8)
	frame[len(frame)-8] = typ
	in := packet.Info{
		L3: packet.EthernetSize, L4: packet.EthernetSize + packet.IPv4MinSize, IPLen: packet.IPv4MinSize + 8,
		Flags: packet.IsIPv4, Proto: proto,
	}
	switch proto {
	case packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6:
		in.Flags |= packet.HasPorts
	}
	return in, frame
}

func TestSessionsOfAlikePackets(t *testing.T) {
	type step struct {
		dir     Dir
		want    string
		class   class
		changes change
		settled [2]bool
	}
	const o, r = Original, Reply
	rows := []struct {
		why        string
		proto, typ uint8
		steps      []step
	}{
		{why: "UDP both ways", proto: packet.ProtoUDP, steps: []step{
			{o, "FIRST", classEmbryonic, 0, [2]bool{}},
			{o, "SINGLE", classEmbryonic, timeoutShortened, [2]bool{true, false}},
			{o, "SINGLE", classEmbryonic, 0, [2]bool{true, false}},
			{r, "MULTIPLE", classEstablished, classChanged | sessionAnswered, [2]bool{true, true}},
			{o, "MULTIPLE", classEstablished, 0, [2]bool{true, true}},
		}},
		{why: "UDP answered at once", proto: packet.ProtoUDP, steps: []step{
			{o, "FIRST", classEmbryonic, 0, [2]bool{}},
			{r, "MULTIPLE", classEstablished, classChanged | sessionAnswered, [2]bool{true, true}},
		}},
		{why: "other protocols, here GRE, as UDP", proto: packet.ProtoGRE, steps: []step{
			{o, "FIRST", classEmbryonic, 0, [2]bool{}},
			{o, "SINGLE", classEmbryonic, timeoutShortened, [2]bool{true, false}},
			{r, "MULTIPLE", classEstablished, classChanged | sessionAnswered, [2]bool{true, true}},
		}},
		{why: "ping", proto: packet.ProtoICMP, typ: packet.ICMPEcho, steps: []step{
			{o, "FIRST", classEmbryonic, 0, [2]bool{true, false}},
			{o, "FIRST", classEmbryonic, 0, [2]bool{true, false}},
			{r, "REPLIED", classEstablished, classChanged | sessionAnswered, [2]bool{true, true}},
			{o, "REPLIED", classEstablished, 0, [2]bool{true, true}},
		}},
	}
	tr := newTracker([]Timers{DefaultTimers()})
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			in, frame := alikePacket(row.proto, row.typ)
			s := session{table: 77}
			for i, step := range row.steps {
				var c change
				reason := packet.None
				if i == 0 {
					reason = s.begin(false, &in, frame, 1234)
				} else {
					c, reason = s.track(tr, step.dir, &in, frame)
				}
				require.Equal(t, packet.None, reason)
				require.Equal(t, step.want, s.state().String(), "step %d", i+1)
				require.Equal(t, step.class, s.class(), "step %d", i+1)
				require.Equal(t, step.changes, c, "step %d", i+1)
				require.Equal(t, step.settled, [2]bool{s.settled(o), s.settled(r)}, "step %d", i+1)
			}
			require.EqualValues(t, 1234, s.start)
			require.EqualValues(t, 77, s.table, "the table's word is the table's")
		})
	}
}

func TestTrackable(t *testing.T) {
	in := func(proto uint8, f packet.Flags) packet.Info { return packet.Info{Proto: proto, Flags: f} }
	rows := []struct {
		why  string
		in   packet.Info
		want bool
	}{
		{"TCP", in(packet.ProtoTCP, packet.IsIPv4|packet.HasPorts), true},
		{"UDP over IPv6", in(packet.ProtoUDP, packet.IsIPv6|packet.HasPorts), true},
		{"GRE", in(packet.ProtoGRE, packet.IsIPv4), true},
		{"an ICMP query or reply", in(packet.ProtoICMP, packet.IsIPv4|packet.HasPorts), true},
		{"the rest of a long ping", in(packet.ProtoICMP, packet.IsIPv4|packet.IsFragment|packet.IsLaterFragment), true},
		{"an ICMP error", in(packet.ProtoICMP, packet.IsIPv4|packet.ICMPError), false},
		{"neighbour discovery", in(packet.ProtoICMPv6, packet.IsIPv6), false},
		{"router discovery", in(packet.ProtoICMP, packet.IsIPv4), false},
		{"IGMP", in(packet.ProtoIGMP, packet.IsIPv4), false},
		{"ARP", in(0, 0), false},
	}
	for _, r := range rows {
		require.Equal(t, r.want, Trackable(&r.in), r.why)
		if !r.want {
			var s session
			require.Equal(t, packet.SessionInvalid, s.begin(false, &r.in, make([]byte, 64), 1), r.why)
			require.Zero(t, *s.words(), r.why)
		}
	}
}

// Only a query begins an ICMP session; a reply without one is invalid.
func TestICMPBeginsWithQueries(t *testing.T) {
	queries := map[uint8][]uint8{
		packet.ProtoICMP:   {packet.ICMPEcho, packet.ICMPTimestamp, packet.ICMPInformation, packet.ICMPAddressMask, packet.ICMPExtendedEcho},
		packet.ProtoICMPv6: {packet.ICMPv6Echo, packet.ICMPv6ExtendedEcho},
	}
	for proto, types := range queries {
		began := 0
		for typ := range 256 {
			in, frame := alikePacket(proto, uint8(typ))
			var s session
			if s.begin(false, &in, frame, 1) == packet.None {
				require.Contains(t, types, uint8(typ), "protocol %d", proto)
				began++
			}
			require.Equal(t, packet.SessionInvalid, s.begin(false, &in, frame[:in.L4], 1), "no ICMP in the frame")
		}
		require.Equal(t, len(types), began)
	}
}

// Later fragments have no transport header: they begin nothing, except of
// protocols that have no ports, and change nothing.
func TestLaterFragments(t *testing.T) {
	tr := newTracker([]Timers{DefaultTimers()})
	for proto, want := range map[uint8]packet.Reason{
		packet.ProtoUDP: packet.SessionInvalid, packet.ProtoTCP: packet.SessionInvalid,
		packet.ProtoSCTP: packet.SessionInvalid, packet.ProtoICMP: packet.SessionInvalid,
		packet.ProtoESP: packet.None,
	} {
		in, frame := alikePacket(proto, packet.ICMPEcho)
		in.Flags = packet.IsIPv4 | packet.IsFragment | packet.IsLaterFragment
		var s session
		require.Equal(t, want, s.begin(false, &in, frame, 1), "protocol %d", proto)
	}
	in, frame := alikePacket(packet.ProtoUDP, 0)
	var s session
	require.Equal(t, packet.None, s.begin(false, &in, frame, 1))
	in.Flags = packet.IsIPv4 | packet.IsFragment | packet.IsLaterFragment
	c, r := s.track(tr, Reply, &in, nil)
	require.Equal(t, packet.None, r)
	require.Zero(t, c)
	require.Equal(t, StateUDPFirst, s.state())
}

// The two directions are polled by two workers, at the same time, and a third
// looks on. Run with the race detector.
func TestDirectionsAtOnce(t *testing.T) {
	c := newConversation(true)
	c.run(t, handshake)
	s, tr := c.s, c.t
	const n = 5000
	var wg sync.WaitGroup
	var invalid [2]int
	for d := range Dir(2) {
		wg.Go(func() {
			var p tcpPacket
			own := uint32(1 + 1000*uint32(d))
			peer := uint32(1 + 1000*uint32(d.peer()))
			for i := range uint32(n) {
				f := tcpFields{flags: packet.TCPAck, seq: own + i, ack: peer, win: 60000, length: 1}
				if i == n-1 {
					f.flags |= packet.TCPFin
				}
				p.fill(&f)
				if _, r := s.track(tr, d, &p.in, p.frame); r != packet.None {
					invalid[d]++
				}
			}
		})
	}
	wg.Go(func() {
		in, frame := alikePacket(packet.ProtoTCP, 0)
		for range n {
			s.settled(Original)
			s.class()
			s.timeout(tr)
			s.relatedError(Reply, frame[in.L4:])
		}
	})
	wg.Wait()
	require.Equal(t, [2]int{}, invalid)
	require.Equal(t, StateTCPLastAck, s.state())
	c.run(t, []string{
		fmt.Sprintf("o . %d:%d(0) ack %d => LAST_ACK", 1+n+1, 1+n+1, 1001+n+1),
		fmt.Sprintf("r . %d:%d(0) ack %d => TIME_WAIT", 1001+n+1, 1001+n+1, 1+n+1),
	})
}

// UDP's first answer and second question at once: both are seen, one changes
// the class.
func TestTransitionsAtOnce(t *testing.T) {
	tr := newTracker([]Timers{DefaultTimers()})
	in, frame := alikePacket(packet.ProtoUDP, 0)
	for range 200 {
		var s session
		require.Equal(t, packet.None, s.begin(false, &in, frame, 1))
		var wg sync.WaitGroup
		var changes [2]change
		for d := range Dir(2) {
			wg.Go(func() { changes[d], _ = s.track(tr, d, &in, frame) })
		}
		wg.Wait()
		require.Equal(t, StateUDPMultiple, s.state())
		require.NotZero(t, (changes[0]|changes[1])&classChanged)
		require.Zero(t, changes[0]&changes[1]&classChanged)
	}
}

func TestTrackDoesNotAllocate(t *testing.T) {
	c := newConversation(false)
	c.run(t, handshake)
	texts := []string{
		"o P. 1:1001(1000) ack 1001 <ts>", "r . 1001:1001(0) ack 1001 <sack 1:500>",
		"o S 99:99(0) <wscale 7>", "r R 5:5(0)", "o . 1:1(0) ack 1001", "r F. 1001:1001(0) ack 1001",
	}
	var packets []tcpPacket
	for _, text := range texts {
		packets = append(packets, parseTCP(t, text))
	}
	var other session
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range packets {
			p := &packets[i]
			c.s.track(c.t, p.dir, &p.in, p.frame)
			other.begin(false, &p.in, p.frame, 1)
			c.s.relatedError(p.dir, p.frame[p.in.L4:])
		}
	}))
}
