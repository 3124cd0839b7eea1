package flowtable

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// Segments are written as packetdrill writes them, after the end that sends
// them, o(riginator) or r(esponder):
//
//	o S 0:0(0) win 65535 <wscale 7>
//	r P. 1:101(100) ack 1 win 229 <sack 1:2>
//
// Flags are letters of FSRPEWU and . for ACK, or - for none. win is 65535 where
// it is left out. A step is a segment, "=>", and what is expected of the session
// after it: a state, or "invalid", or "reopened" and a state.

// tcpPacket is a segment as the tracker gets it.
type tcpPacket struct {
	dir   Dir
	in    packet.Info
	frame []byte
}

// tcpFields describe a segment.
type tcpFields struct {
	flags    uint8
	seq, ack uint32
	win      uint16
	length   int
	options  []byte // padded
}

// makeTCP builds the frame of a segment. Of the payload only the length counts,
// so it is left out of the frame; the tracker must not look at it.
func makeTCP(dir Dir, f *tcpFields) (p tcpPacket) {
	p.dir = dir
	p.fill(f)
	return p
}

// fill is makeTCP into p, whose frame is reused.
func (p *tcpPacket) fill(f *tcpFields) {
	const l3, l4 = packet.EthernetSize, packet.EthernetSize + packet.IPv4MinSize
	size := tcpHeaderSize + len(f.options)
	if cap(p.frame) < 128 {
		p.frame = make([]byte, 128)
	}
	p.frame = p.frame[:l4+size]
	h := p.frame[l4:]
	binary.BigEndian.PutUint32(h[4:], f.seq)
	binary.BigEndian.PutUint32(h[8:], f.ack)
	h[12] = byte(size / 4 << 4)
	h[13] = f.flags
	binary.BigEndian.PutUint16(h[14:], f.win)
	copy(h[tcpHeaderSize:], f.options)
	p.in = packet.Info{
		L3: l3, L4: l4, IPLen: uint32(packet.IPv4MinSize + size + f.length),
		Flags: packet.IsIPv4 | packet.HasPorts, Proto: packet.ProtoTCP, TCPFlags: f.flags,
	}
}

func parseTCP(t testing.TB, text string) tcpPacket {
	t.Helper()
	fail := func(err error) { require.NoError(t, err, "segment %q", text) }
	head, opts, _ := strings.Cut(text, "<")
	words := strings.Fields(head)
	require.GreaterOrEqual(t, len(words), 3, "segment %q", text)

	f := tcpFields{win: 65535}
	for _, c := range strings.TrimPrefix(words[1], "-") {
		i := strings.IndexRune("FSRP.UEW", c)
		require.GreaterOrEqual(t, i, 0, "flag %q in %q", c, text)
		f.flags |= 1 << i
	}
	var end uint32
	_, err := fmt.Sscanf(words[2], "%d:%d(%d)", &f.seq, &end, &f.length)
	fail(err)
	require.Equal(t, end, f.seq+uint32(f.length), "segment %q", text)
	for i := 3; i+1 < len(words); i += 2 {
		n, err := strconv.ParseUint(words[i+1], 10, 32)
		fail(err)
		switch words[i] {
		case "ack":
			f.ack = uint32(n)
		case "win":
			f.win = uint16(n)
		default:
			t.Fatalf("word %q in %q", words[i], text)
		}
	}
	for _, opt := range strings.Split(strings.TrimSuffix(opts, ">"), ",") {
		switch w := strings.Fields(opt); {
		case len(w) == 0:
		case w[0] == "wscale":
			n, err := strconv.Atoi(w[1])
			fail(err)
			f.options = append(f.options, optNop, optWindowScale, 3, byte(n))
		case w[0] == "ts":
			f.options = append(f.options, optNop, optNop, optTimestamps, 10, 0, 0, 0, 1, 0, 0, 0, 2)
		case w[0] == "mss":
			f.options = append(f.options, 2, 4, 5, 0xb4)
		case w[0] == "sack":
			f.options = append(f.options, optNop, optNop, optSACK, byte(2+8*(len(w)-1)))
			for _, block := range w[1:] {
				var from, to uint32
				_, err := fmt.Sscanf(block, "%d:%d", &from, &to)
				fail(err)
				f.options = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(f.options, from), to)
			}
		default:
			t.Fatalf("option %q in %q", opt, text)
		}
	}
	dir := Original
	if words[0] == "r" {
		dir = Reply
	}
	return makeTCP(dir, &f)
}

// conversation is a session and the table's part in it: a segment that finds no
// session begins one, or is refused.
type conversation struct {
	s       *session
	t       *tracker
	strict  bool
	changes change // of the last segment
}

func newConversation(strict bool) *conversation {
	return &conversation{t: newTracker([]Timers{DefaultTimers()}), strict: strict}
}

// take hands a segment to the tracker and returns what became of it, in the
// words of a step.
func (c *conversation) take(p *tcpPacket) string {
	if c.s == nil {
		fresh := new(session)
		c.changes = 0
		if fresh.begin(c.strict, &p.in, p.frame, 1) != packet.None {
			return "invalid"
		}
		c.s = fresh
		return c.s.state().String()
	}
	before := *c.s.words()
	changes, reason := c.s.track(c.t, p.dir, &p.in, p.frame)
	c.changes = changes
	if reason != packet.None {
		if before != *c.s.words() {
			return "invalid, but the session has changed"
		}
		return "invalid"
	}
	if changes&sessionReopened != 0 {
		c.s = nil
		p.dir = Original
		return "reopened " + c.take(p)
	}
	return c.s.state().String()
}

// run takes the steps and fails at the first that goes another way.
func (c *conversation) run(t *testing.T, steps []string) {
	t.Helper()
	for i, step := range steps {
		text, want, ok := strings.Cut(step, "=>")
		require.True(t, ok, "step %q", step)
		p := parseTCP(t, strings.TrimSpace(text))
		require.Equal(t, strings.TrimSpace(want), c.take(&p), "step %d: %s", i+1, step)
	}
}

// words are the record's memory, to see whether anything changed.
func (s *session) words() *[sessionSize / 8]uint64 {
	return (*[sessionSize / 8]uint64)(unsafe.Pointer(s))
}
