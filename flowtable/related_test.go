package flowtable

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// quote is the eight octets that an ICMP error quotes at least, with word as the
// second four: TCP's sequence number, SCTP's verification tag.
func quote(word uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 1, 0, 2}, word)
}

func TestRelatedErrors(t *testing.T) {
	transfer := steps(handshake, []string{
		"o P. 1:50001(50000) ack 1001 => ESTABLISHED",
		"r . 1001:1001(0) ack 50001 => ESTABLISHED",
		"o P. 50001:100001(50000) ack 1001 => ESTABLISHED",
		"r . 1001:1001(0) ack 100001 => ESTABLISHED",
		"o P. 100001:150001(50000) ack 1001 => ESTABLISHED",
	})
	rows := []struct {
		why   string
		steps []string
		sctp  []string
		d     Dir // the error's
		word  uint32
		want  packet.Reason
	}{
		{"a SYN that found nobody", handshake[:1], nil, Reply, 0, packet.None},
		{"not that SYN", handshake[:1], nil, Reply, 2, packet.SessionUnrelated},
		{"nothing was sent that way", handshake[:1], nil, Original, 0, packet.SessionUnrelated},
		{"data in flight", transfer, nil, Reply, 120001, packet.None},
		{"data acknowledged here, perhaps not yet at the sender", transfer, nil, Reply, 60001, packet.None},
		{"data not sent yet (RFC 5927 section 4.1)", transfer, nil, Reply, 150002, packet.SessionUnrelated},
		{"data long acknowledged", transfer, nil, Reply, 1, packet.SessionUnrelated},
		{"a guess", transfer, nil, Reply, 3000000000, packet.SessionUnrelated},
		{"of the other direction", transfer, nil, Original, 1001, packet.None},
		{"a guess of the other direction", transfer, nil, Original, 120001, packet.SessionUnrelated},
		{"picked up: nothing is known of the window", []string{"o P. 1:2(1) ack 1 => PICKED_UP"}, nil, Reply, 3000000000, packet.None},
		{"an INIT that found nobody has tag 0", nil, []string{"o 0 INIT:7 => COOKIE_WAIT"}, Reply, 0, packet.None},
		{"the association's tag", nil, []string{"o 0 INIT:7 => COOKIE_WAIT", "r 7 INIT-ACK:9 => COOKIE_WAIT"}, Reply, 9, packet.None},
		{"the other direction's tag", nil, []string{"o 0 INIT:7 => COOKIE_WAIT", "r 7 INIT-ACK:9 => COOKIE_WAIT"}, Original, 7, packet.None},
		{"another tag", nil, []string{"o 0 INIT:7 => COOKIE_WAIT", "r 7 INIT-ACK:9 => COOKIE_WAIT"}, Reply, 7, packet.SessionUnrelated},
		{"tag 0 without INIT", nil, []string{"o 9 DATA => PICKED_UP"}, Reply, 0, packet.SessionUnrelated},
		{"a tag that was used", nil, []string{"o 9 DATA => PICKED_UP"}, Reply, 9, packet.None},
	}
	for _, r := range rows {
		c := newConversation(false)
		c.run(t, r.steps)
		c.runSCTP(t, r.sctp)
		before := *c.s.words()
		require.Equal(t, r.want, c.s.relatedError(r.d, quote(r.word)), r.why)
		require.Equal(t, packet.SessionUnrelated, c.s.relatedError(r.d, quote(r.word)[:7]), "too little quoted")
		require.Equal(t, before, *c.s.words(), "%s: an error changes nothing", r.why)
	}
}

// An error for a ping shortens its time; one for UDP leaves it.
func TestRelatedErrorsOfAlikePackets(t *testing.T) {
	tr := newTracker([]Timers{DefaultTimers()})
	in, frame := alikePacket(packet.ProtoICMP, packet.ICMPEcho)
	var s session
	require.Equal(t, packet.None, s.begin(false, &in, frame, 1))
	require.Equal(t, packet.SessionUnrelated, s.relatedError(Reply, nil))
	require.Equal(t, StateICMPFirst, s.state())
	require.Equal(t, packet.None, s.relatedError(Reply, quote(0)))
	require.Equal(t, StateICMPError, s.state())
	require.EqualValues(t, 10e9, s.timeout(tr))
	require.True(t, s.settled(Original) && s.settled(Reply))

	in, frame = alikePacket(packet.ProtoUDP, 0)
	require.Equal(t, packet.None, s.begin(false, &in, frame, 1))
	require.Equal(t, packet.None, s.relatedError(Reply, quote(0)))
	require.Equal(t, StateUDPFirst, s.state())
}
