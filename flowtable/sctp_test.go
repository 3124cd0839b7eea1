package flowtable

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// SCTP packets are written as "o TAG CHUNK…": the end that sends it, the
// verification tag, and chunks by name; INIT and INIT-ACK with the tag they
// announce, as INIT:7, and a trailing ' is the T flag.
var chunkNames = map[string]uint8{
	"DATA": chunkData, "INIT": chunkInit, "INIT-ACK": chunkInitAck, "SACK": 3, "HEARTBEAT": chunkHeartbeat,
	"HEARTBEAT-ACK": chunkHeartbeatAck, "ABORT": chunkAbort, "SHUTDOWN": chunkShutdown,
	"SHUTDOWN-ACK": chunkShutdownAck, "ERROR": chunkError, "COOKIE-ECHO": chunkCookieEcho,
	"COOKIE-ACK": chunkCookieAck, "SHUTDOWN-COMPLETE": chunkShutdownComplete, "ASCONF": 0xc1,
}

func parseSCTP(t *testing.T, text string) tcpPacket {
	words := strings.Fields(text)
	p := tcpPacket{dir: Original}
	if words[0] == "r" {
		p.dir = Reply
	}
	const l4 = packet.EthernetSize + packet.IPv4MinSize
	p.frame = make([]byte, l4+sctpHeaderSize)
	binary.BigEndian.PutUint32(p.frame[l4+4:], parseTag(t, words[1]))
	for _, w := range words[2:] {
		name, tag, _ := strings.Cut(w, ":")
		name, reflected := strings.CutSuffix(name, "'")
		typ, found := chunkNames[name]
		require.True(t, found, "chunk %q in %q", name, text)
		value := make([]byte, 5)
		if tag != "" {
			value = make([]byte, 16)
			binary.BigEndian.PutUint32(value, parseTag(t, tag))
		}
		flags := byte(0)
		if reflected {
			flags = chunkFlagT
		}
		p.frame = append(p.frame, typ, flags, 0, byte(chunkHeaderSize+len(value)))
		p.frame = append(p.frame, value...)
		for len(p.frame)%4 != l4%4 {
			p.frame = append(p.frame, 0)
		}
	}
	p.in = packet.Info{
		L3: packet.EthernetSize, L4: l4, IPLen: uint32(len(p.frame) - packet.EthernetSize),
		Flags: packet.IsIPv4 | packet.HasPorts, Proto: packet.ProtoSCTP,
	}
	return p
}

func parseTag(t *testing.T, s string) (tag uint32) {
	for _, c := range s {
		require.True(t, c >= '0' && c <= '9', "tag %q", s)
		tag = tag*10 + uint32(c-'0')
	}
	return tag
}

func (c *conversation) runSCTP(t *testing.T, steps []string) {
	for i, step := range steps {
		text, want, _ := strings.Cut(step, "=>")
		p := parseSCTP(t, text)
		require.Equal(t, strings.TrimSpace(want), c.take(&p), "step %d: %s", i+1, step)
	}
}

func TestSCTPConversations(t *testing.T) {
	association := []string{ // r's packets carry 7, o's carry 9
		"o 0 INIT:7 => COOKIE_WAIT",
		"r 7 INIT-ACK:9 => COOKIE_WAIT",
		"o 9 COOKIE-ECHO DATA => COOKIE_ECHOED",
		"r 7 COOKIE-ACK SACK => ESTABLISHED",
	}
	rows := []struct {
		why    string
		strict bool
		before []string
		steps  []string
	}{
		{why: "an association and its end, closed by the originator", strict: true, before: association, steps: []string{
			"o 9 DATA => ESTABLISHED",
			"r 7 SACK => ESTABLISHED",
			"r 7 HEARTBEAT => ESTABLISHED",
			"o 9 HEARTBEAT-ACK => ESTABLISHED",
			"o 9 SHUTDOWN => SHUTDOWN_SENT",
			"r 7 SHUTDOWN-ACK => SHUTDOWN_ACK_SENT",
			"o 9 SHUTDOWN-COMPLETE => CLOSED",
		}},
		{why: "closed by the responder, with data under way", before: association, steps: []string{
			"r 7 SACK SHUTDOWN => SHUTDOWN_RECD",
			"o 9 DATA => SHUTDOWN_RECD",
			"r 7 SACK SHUTDOWN => SHUTDOWN_RECD",
			"o 9 SHUTDOWN-ACK => SHUTDOWN_ACK_SENT",
			"r 7 SHUTDOWN-COMPLETE => CLOSED",
			"o 9 SHUTDOWN-ACK => CLOSED",
			"r 9 SHUTDOWN-COMPLETE' => CLOSED", // knows nothing any more and reflects
		}},
		{why: "a wrong verification tag is a blind sender's (RFC 9260 section 8.5)", before: association, steps: []string{
			"o 7 DATA => invalid",
			"o 0 DATA => invalid",
			"r 9 DATA => invalid",
			"r 8 ABORT => invalid",
			"r 7 ABORT' => invalid",
			"o 10 SHUTDOWN => invalid",
			"o 8 HEARTBEAT => invalid",
			"o 9 DATA => ESTABLISHED",
		}},
		{why: "aborted with the peer's tag", before: association, steps: []string{"o 9 ABORT => CLOSED"}},
		{why: "aborted by an end that has lost the association and reflects the tag", before: association, steps: []string{"r 9 ABORT' => CLOSED"}},
		{why: "refused: the responder knows only the tag it was told", steps: []string{
			"o 0 INIT:7 => COOKIE_WAIT",
			"r 7 ABORT => CLOSED",
			"o 0 INIT:8 => reopened COOKIE_WAIT",
		}},
		{why: "everything may be lost and repeated", steps: []string{
			"o 0 INIT:7 => COOKIE_WAIT",
			"o 0 INIT:7 => COOKIE_WAIT",
			"r 7 INIT-ACK:9 => COOKIE_WAIT",
			"r 7 INIT-ACK:9 => COOKIE_WAIT",
			"o 9 COOKIE-ECHO => COOKIE_ECHOED",
			"o 9 COOKIE-ECHO => COOKIE_ECHOED",
			"r 7 COOKIE-ACK => ESTABLISHED",
			"o 9 COOKIE-ECHO => ESTABLISHED",
			"r 7 COOKIE-ACK => ESTABLISHED",
		}},
		{why: "an end restarts within the association: the new tags count after COOKIE ECHO (RFC 9260 section 5.2.2)", before: association, steps: []string{
			"o 0 INIT:77 => ESTABLISHED",
			"r 7 DATA => ESTABLISHED",
			"r 77 INIT-ACK:99 => ESTABLISHED",
			"o 99 COOKIE-ECHO => ESTABLISHED",
			"r 77 COOKIE-ACK => ESTABLISHED",
			"o 99 DATA => ESTABLISHED",
			"r 7 DATA => invalid",
			"o 9 DATA => invalid",
		}},
		{why: "a forged INIT changes nothing for the association", before: association, steps: []string{
			"o 0 INIT:666 => ESTABLISHED",
			"r 7 DATA => ESTABLISHED",
			"o 9 DATA => ESTABLISHED",
			"o 666 DATA => invalid",
		}},
		{why: "chunks that must be alone, or first, and are not (RFC 9260 section 6.10)", before: association, steps: []string{
			"o 0 INIT:5 DATA => invalid",
			"o 9 DATA INIT:5 => invalid",
			"r 7 INIT-ACK:5 DATA => invalid",
			"o 9 SHUTDOWN-COMPLETE DATA => invalid",
			"r 7 SACK COOKIE-ACK => invalid",
			"o 9 => invalid",
		}},
		{why: "an INIT carries tag 0 and announces another", steps: []string{
			"o 5 INIT:7 => invalid",
			"o 0 INIT:0 => invalid",
			"o 0 INIT => invalid",
			"o 0 INIT:7 => COOKIE_WAIT",
			"r 7 INIT-ACK:0 => invalid",
			"o 5 INIT:7 => invalid",
		}},
		{why: "chunks of later RFCs change nothing", before: association, steps: []string{"o 9 ASCONF => ESTABLISHED"}},
		{why: "picked up: the tags are those that each end uses", steps: []string{
			"o 9 DATA => PICKED_UP",
			"o 8 DATA => invalid",
			"r 7 SACK => ESTABLISHED",
			"r 8 SACK => invalid",
			"r 9 ABORT' => CLOSED",
		}},
		{why: "a second path is tried with a heartbeat (RFC 9260 section 8.3)", steps: []string{
			"o 9 HEARTBEAT => HEARTBEAT_SENT",
			"r 7 HEARTBEAT-ACK => ESTABLISHED",
			"o 9 DATA => ESTABLISHED",
		}},
		{why: "strict: an association begins with INIT", strict: true, steps: []string{
			"o 9 DATA => invalid",
			"o 9 HEARTBEAT => invalid",
			"o 0 INIT:7 => COOKIE_WAIT",
		}},
		{why: "answers to what was not seen begin nothing (RFC 9260 section 8.4)", steps: []string{
			"o 9 ABORT => invalid",
			"o 9 SHUTDOWN-COMPLETE => invalid",
			"o 9 COOKIE-ACK => invalid",
			"o 9 INIT-ACK:5 => invalid",
			"o 9 ERROR => invalid",
			"o 0 DATA => invalid",
		}},
	}
	for _, r := range rows {
		t.Run(r.why, func(t *testing.T) {
			newConversation(r.strict).runSCTP(t, steps(r.before, r.steps))
		})
	}
}

func TestSCTPChunkBounds(t *testing.T) {
	c := newConversation(false)
	good := parseSCTP(t, "o 9 DATA DATA")
	for n := range len(good.frame) {
		p := good
		p.frame = good.frame[:n]
		var s session
		want := packet.SessionInvalid
		if n >= int(good.in.L4)+sctpHeaderSize+9 { // the first chunk is whole
			want = packet.None
		}
		require.Equal(t, want, s.begin(false, &p.in, p.frame, 1), "frame cut to %d", n)
	}

	require.Equal(t, "PICKED_UP", c.take(&good))
	for size := range 4 {
		p := parseSCTP(t, "o 9 DATA")
		p.frame[p.in.L4+sctpHeaderSize+3] = byte(size)
		require.Equal(t, "invalid", c.take(&p), "chunk of %d bytes", size)
	}
	p := parseSCTP(t, "o 9 DATA")
	p.frame[p.in.L4+sctpHeaderSize+3] = 200
	require.Equal(t, "invalid", c.take(&p), "chunk beyond the packet")
	p.in.Flags |= packet.IsFragment
	require.Equal(t, "PICKED_UP", c.take(&p), "of a fragment it may be")
}

// Whatever is in a packet, tracking it reads inside the frame only.
func FuzzTrack(f *testing.F) {
	f.Add(uint8(packet.ProtoSCTP), []byte{0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 4})
	f.Add(uint8(packet.ProtoTCP), []byte{0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0x60, 0x10, 0, 4, 0, 0, 0, 0, 1, 1, 5, 10})
	f.Add(uint8(packet.ProtoICMP), []byte{8, 0})
	f.Fuzz(func(t *testing.T, proto uint8, l4 []byte) {
		const at = packet.EthernetSize + packet.IPv4MinSize
		frame := append(make([]byte, at), l4...)
		in := packet.Info{
			L3: packet.EthernetSize, L4: at, IPLen: uint32(packet.IPv4MinSize + len(l4)),
			Flags: packet.IsIPv4 | packet.HasPorts, Proto: proto,
		}
		tr := newTracker([]Timers{DefaultTimers()})
		for _, strict := range []bool{false, true} {
			var s session
			if r := s.begin(strict, &in, frame, 1); r != packet.None {
				require.Zero(t, *s.words())
				continue
			}
			for d := range Dir(2) {
				before := *s.words()
				_, r := s.track(tr, d, &in, frame)
				require.True(t, r == packet.None || before == *s.words(), "an invalid packet changes nothing")
				s.relatedError(d, l4)
				require.Less(t, s.state(), numStates)
			}
		}
	})
}
