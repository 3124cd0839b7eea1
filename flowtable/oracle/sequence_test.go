package oracle_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// hosts are the addresses of both ends, by side.
var hosts = [2]string{"10.1.0.2", "10.2.0.2"}

// macOf returns the address that frametext gives a host.
func macOf(host string) string {
	var b [4]int
	_, _ = fmt.Sscanf(host, "%d.%d.%d.%d", &b[0], &b[1], &b[2], &b[3])
	return fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// sent is a packet on its way.
type sent struct {
	from  side
	frame []byte
	mark  mark
	text  string
	state string // of the session after it, as the engine has it
}

// sequencer makes packets of text. Each sequence has ports of its own, each datagram an
// identification.
//
// A packet is a line of frametext after > (from the client) or < (from the server), in which $c
// and $s stand for the ends' addresses with ports, $C and $S without, and $p for a
// number that is the sequence's own. Fragments carry "id N": those of a sequence with the same N are of one
// datagram.
type sequencer struct {
	t         testing.TB
	sequences int
	id        uint16
	datagrams map[string]uint16 // of the sequence at hand
}

// The least identification of a packet: markers are below.
const firstID = 16

func newSequencer(t testing.TB) *sequencer { return &sequencer{t: t, id: firstID} }

func (q *sequencer) begin() {
	q.sequences++
	q.datagrams = map[string]uint16{}
}

// packet makes the next packet of a sequence.
func (q *sequencer) packet(text string) sent {
	port := 2000 + q.sequences
	line := strings.NewReplacer(
		"$c", fmt.Sprintf("%s:%d", hosts[client], port), "$s", hosts[server]+":80",
		"$C", hosts[client], "$S", hosts[server], "$p", fmt.Sprint(port),
	).Replace(text)
	p := sent{text: text}
	switch line[0] {
	case '<':
		p.from = server
	default:
		require.Equal(q.t, byte('>'), line[0], text)
	}
	frame, err := frametext.Parse(strings.TrimSpace(line[1:]))
	require.NoError(q.t, err, text)
	// Whatever the addresses are, the router is who gets it.
	far, near := frametextMAC(q.t, hosts[1-p.from]), frametextMAC(q.t, hosts[p.from])
	copy(frame, far[:])
	copy(frame[6:], near[:])
	id := q.id
	if _, label, found := strings.Cut(line, " id "); found && (strings.Contains(line, " mf") || strings.Contains(line, " off ")) {
		label = fmt.Sprint(p.from) + strings.Fields(label)[0]
		if q.datagrams[label] == 0 {
			q.datagrams[label] = id
			q.id++
		}
		id = q.datagrams[label]
	} else {
		q.id++
	}
	require.NotZero(q.t, q.id, "more packets than identifications")
	ip, ok := packet.AsIPv4(frame[packet.EthernetSize:])
	require.True(q.t, ok)
	binary.BigEndian.PutUint16(ip[4:], id)
	ip.UpdateChecksum()
	p.frame = frame
	p.mark, _ = markOf(frame, p.from)
	return p
}

func frametextMAC(t testing.TB, host string) packet.MAC {
	frame, err := frametext.Parse("udp " + host + ":1 > " + host + ":1")
	require.NoError(t, err)
	return packet.MAC(frame[:6])
}

// marker is a packet of no sequence that always passes.
func (q sequencer) marker(from side) sent {
	text := []string{"> udp $C:9 > $S:9", "< udp $S:10 > $C:10"}[from]
	m := sequencer{t: q.t, id: uint16(1 + from)}
	return m.packet(text)
}

// verdicts writes what became of packets: + passed, - did not.
func verdicts(packets []sent, out map[mark]bool) string {
	var b strings.Builder
	for i := range packets {
		if out[packets[i].mark] {
			b.WriteByte('+')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}
