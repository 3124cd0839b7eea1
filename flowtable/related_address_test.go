package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// An ICMP error is for who sent what it quotes; who makes it may be anybody on the way.
func TestErrorsAreForTheirSender(t *testing.T) {
	for _, row := range []struct {
		why   string
		first string
		error string
		want  packet.Reason
	}{
		{
			"from the far end", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
			"icmp 10.0.0.2 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }", packet.None,
		},
		{
			"from a router", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
			"icmp 10.9.9.9 > 10.0.0.1 ttl-exceeded quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }", packet.None,
		},
		{
			"to somebody else, whom no rule would let it reach", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
			"icmp 10.9.9.9 > 10.0.0.3 unreachable port quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }", packet.SessionUnrelated,
		},
		{
			"to the receiver of what it quotes", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
			"icmp 10.9.9.9 > 10.0.0.2 unreachable port quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }", packet.SessionUnrelated,
		},
		{
			"IPv6, to its sender", "udp [fd00::1]:9 > [fd00::2]:53 len 12",
			"icmp6 fd00::9 > fd00::1 unreachable port quote { udp [fd00::1]:9 > [fd00::2]:53 len 12 }", packet.None,
		},
		{
			"IPv6, to somebody else", "udp [fd00::1]:9 > [fd00::2]:53 len 12",
			"icmp6 fd00::9 > fd00::3 unreachable port quote { udp [fd00::1]:9 > [fd00::2]:53 len 12 }", packet.SessionUnrelated,
		},
	} {
		table := newTable(t, Config{Sessions: 10})
		w := table.Worker(0)
		parse := func(text string) (in packet.Info, frame []byte) {
			frame, err := frametext.Parse(text)
			require.NoError(t, err, row.why)
			require.Equal(t, packet.None, packet.Parse(frame, &in), row.why)
			return in, frame
		}
		in, frame := parse(row.first)
		id, _, r := w.Create(in.Key, in.Key.Reverse(), Terms{}, &in, frame, second)
		require.Equal(t, packet.None, r, row.why)
		in, frame = parse(row.error)
		require.Equal(t, id.Peer(), table.Lookup(&in.Key), "%s: it quotes the session", row.why)
		require.Equal(t, row.want, w.TrackError(id.Peer(), &in, frame, second), row.why)
	}
}
