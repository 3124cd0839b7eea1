package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// Frames of a row: o is what the client sends, r what comes back. The first begins the session.
func TestRefused(t *testing.T) {
	const syn, udp, udp6 = "o tcp 10.0.0.1:9 > 10.0.0.2:80 S seq 100", "o udp 10.0.0.1:9 > 10.0.0.2:53 len 12", "o udp [fd00::1]:9 > [fd00::2]:53 len 12"
	const synAck = "r tcp 10.0.0.2:80 > 10.0.0.1:9 SA seq 7 ack 101"
	quote := func(what, code string) string {
		return "r icmp 10.0.0.2 > 10.0.0.1 " + code + " quote { " + what[2:] + " }"
	}
	quote6 := func(code string) string { return "r icmp6 fd00::2 > fd00::1 " + code + " quote { " + udp6[2:] + " }" }
	for _, row := range []struct {
		why    string
		frames []string
		want   int

		answered int
	}{
		{"a reset in answer to a SYN", []string{syn, "r tcp 10.0.0.2:80 > 10.0.0.1:9 RA seq 0 ack 101"}, 1, 0},
		{"a second one says nothing new", []string{syn, "r tcp 10.0.0.2:80 > 10.0.0.1:9 RA seq 0 ack 101", "r tcp 10.0.0.2:80 > 10.0.0.1:9 RA seq 0 ack 101"}, 1, 0},
		{"a reset that answers no SYN of ours", []string{syn, "r tcp 10.0.0.2:80 > 10.0.0.1:9 RA seq 0 ack 999"}, 0, 0},
		{"the client thinks better of it", []string{syn, "o tcp 10.0.0.1:9 > 10.0.0.2:80 R seq 101"}, 0, 0},
		{"a reset of a connection that had come about", []string{syn, synAck, "o tcp 10.0.0.1:9 > 10.0.0.2:80 A seq 101 ack 8", "r tcp 10.0.0.2:80 > 10.0.0.1:9 R seq 8"}, 0, 1},
		{"the host is unreachable", []string{syn, quote(syn, "unreachable host")}, 1, 0},
		{"it has no such port", []string{syn, quote(syn, "unreachable port")}, 1, 0},
		{"a SYN that is too long is to be sent again", []string{syn, quote(syn, "frag-needed")}, 0, 0},
		{"a TTL that is over is a route's fault", []string{syn, quote(syn, "ttl-exceeded")}, 0, 0},
		{"an error about an answered connection", []string{syn, synAck, quote(syn, "unreachable host")}, 0, 0},
		{"a forged error", []string{syn, quote("o tcp 10.0.0.1:9 > 10.0.0.2:80 S seq 5000", "unreachable host")}, 0, 0},
		{"UDP, to a port that nobody has", []string{udp, quote(udp, "unreachable port")}, 1, 0},
		{"each such answer counts: the client has tried so often", []string{udp, quote(udp, "unreachable port"), udp, quote(udp, "unreachable port")}, 2, 0},
		{"also once it had answered", []string{udp, "r udp 10.0.0.2:53 > 10.0.0.1:9 len 12", quote(udp, "unreachable port")}, 1, 1},
		{"UDP to a host that is not there says nothing of ports", []string{udp, quote(udp, "unreachable host")}, 0, 0},
		{"IPv6", []string{udp6, quote6("unreachable port")}, 1, 0},
		{"IPv6, no route", []string{udp6, quote6("unreachable net")}, 0, 0},
		{
			"the client's own port that is closed by the time of the answer is no matter of the member's",
			[]string{udp, "r udp 10.0.0.2:53 > 10.0.0.1:9 len 12", "o icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:53 > 10.0.0.1:9 len 12 }"},
			0, 1,
		},
		{"an answer is told of once", []string{udp, "r udp 10.0.0.2:53 > 10.0.0.1:9 len 12", udp, "r udp 10.0.0.2:53 > 10.0.0.1:9 len 12"}, 0, 1},
		{"a SYN that is answered is no connection yet", []string{syn, synAck}, 0, 0},
	} {
		t.Run(row.why, func(t *testing.T) {
			chosen := Binding{Service: 3, Member: 7<<24 | 5}
			got, answered := 0, 0
			tell := func(n *int) func(int, Binding, int64) {
				return func(worker int, b Binding, now int64) {
					require.Equal(t, 0, worker)
					require.Equal(t, chosen, b)
					require.EqualValues(t, second, now)
					*n++
				}
			}
			table := newTable(t, Config{Sessions: 10, Refused: tell(&got), Answered: tell(&answered)})
			w := table.Worker(0)
			var session ID
			for i, text := range row.frames {
				frame, err := frametext.Parse(text[2:])
				require.NoError(t, err, text)
				var in packet.Info
				require.Equal(t, packet.None, packet.Parse(frame, &in), text)
				if i == 0 {
					id, _, r := w.Create(in.Key, in.Key.Reverse(), Terms{}, &in, frame, second)
					require.Equal(t, packet.None, r)
					w.Bind(id, chosen)
					session = id
					continue
				}
				id := table.Lookup(&in.Key)
				require.Equal(t, session.Session(), id.Session(), text)
				want := Original
				if text[0] == 'r' {
					want = Reply
				}
				require.Equal(t, want, id.Dir(), text)
				if in.Has(packet.ICMPError) {
					w.TrackError(id, &in, frame, second)
				} else {
					w.Track(id, &in, frame, second)
				}
			}
			require.Equal(t, row.want, got)
			require.Equal(t, row.answered, answered)
		})
	}
}

func TestRefusedIsAboutMembers(t *testing.T) {
	table := newTable(t, Config{Sessions: 10, Refused: func(int, Binding, int64) { t.Fatal("it has none") }, Answered: func(int, Binding, int64) { t.Fatal("it has none") }})
	w := table.Worker(0)
	track := func(text string) ID {
		frame, err := frametext.Parse(text)
		require.NoError(t, err)
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(frame, &in))
		id := table.Lookup(&in.Key)
		if id == 0 {
			id, _, _ = w.Create(in.Key, in.Key.Reverse(), Terms{}, &in, frame, second)
			return id
		}
		w.Track(id, &in, frame, second)
		return id
	}
	track("tcp 10.0.0.1:9 > 10.0.0.2:80 S seq 100")
	id := track("tcp 10.0.0.2:80 > 10.0.0.1:9 RA seq 0 ack 101")
	require.Equal(t, StateTCPClosed, table.session(id.Session()).state())
}

// An abort in answer to an INIT refuses an association; see TestRefused for the rest.
func TestStatesThatAreUnanswered(t *testing.T) {
	for st := range numStates {
		require.Equal(t, st == StateTCPSynSent || st == StateSCTPCookieWait, st.unanswered(), st)
	}
	c := newConversation(false)
	c.runSCTP(t, []string{"o 0 INIT:7 => COOKIE_WAIT", "r 7 ABORT => CLOSED"})
	require.NotZero(t, c.changes&sessionRefused)
	require.True(t, (&Record{State: StateTCPSynSent, Reason: EndTimeout}).Unanswered())
	require.False(t, (&Record{State: StateTCPSynSent, Reason: EndEvicted}).Unanswered(), "it had no time to answer")
	require.False(t, (&Record{State: StateTCPEstablished, Reason: EndTimeout}).Unanswered())
}
