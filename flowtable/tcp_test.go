package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// handshake and scaled begin most conversations: initial numbers 0 and 1000.
var (
	handshake = []string{
		"o S 0:0(0) win 60000 => SYN_SENT",
		"r S. 1000:1000(0) ack 1 win 50000 => SYN_RECV",
		"o . 1:1(0) ack 1001 win 60000 => ESTABLISHED",
	}
	scaled = []string{ // window of o 200 << 7, of r 100 << 8
		"o S 0:0(0) win 60000 <mss 1460,wscale 7> => SYN_SENT",
		"r S. 1000:1000(0) ack 1 win 50000 <mss 1460,wscale 8> => SYN_RECV",
		"o . 1:1(0) ack 1001 win 200 => ESTABLISHED",
		"r . 1001:1001(0) ack 1 win 100 => ESTABLISHED",
	}
	transfer200k = []string{
		"o P. 1:50001(50000) ack 1001 win 200 => ESTABLISHED",
		"r . 1001:1001(0) ack 50001 win 200 => ESTABLISHED",
		"o P. 50001:100001(50000) ack 1001 win 200 => ESTABLISHED",
		"r . 1001:1001(0) ack 100001 win 200 => ESTABLISHED",
		"o P. 100001:150001(50000) ack 1001 win 200 => ESTABLISHED",
		"r . 1001:1001(0) ack 150001 win 200 => ESTABLISHED",
		"o P. 150001:200001(50000) ack 1001 win 200 => ESTABLISHED",
		"r . 1001:1001(0) ack 200001 win 200 => ESTABLISHED",
	}
	closing = []string{
		"o F. 1:1(0) ack 1001 => FIN_WAIT",
		"r . 1001:1001(0) ack 2 => CLOSE_WAIT",
		"r F. 1001:1001(0) ack 2 => LAST_ACK",
		"o . 2:2(0) ack 1002 => TIME_WAIT",
	}
)

func steps(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestTCPConversations(t *testing.T) {
	rows := []struct {
		why    string
		strict bool
		before []string
		steps  []string
	}{
		// Opening.
		{why: "a SYN repeated because the SYN/ACK was lost before and behind the switch", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o S 0:0(0) => SYN_RECV",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"r S. 1000:1000(0) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
		}},
		{why: "both ends open at once (RFC 9293 figure 7)", steps: []string{
			"o S 100:100(0) => SYN_SENT",
			"r S 300:300(0) => SYN_SENT2",
			"o S. 100:100(0) ack 301 => SYN_RECV",
			"r S. 300:300(0) ack 101 => ESTABLISHED",
			"o . 101:101(0) ack 301 => ESTABLISHED",
			"r P. 301:401(100) ack 101 => ESTABLISHED",
		}},
		{why: "a simultaneous open is complete with plain ACKs as well", steps: []string{
			"o S 100:100(0) => SYN_SENT",
			"r S 300:300(0) => SYN_SENT2",
			"r S 300:300(0) => SYN_SENT2",
			"r . 301:301(0) ack 101 => SYN_RECV",
			"o . 101:101(0) ack 301 => ESTABLISHED",
		}},
		{why: "fast open: data with the SYN, and before the client's ACK (RFC 7413)", steps: []string{
			"o S 0:100(100) => SYN_SENT",
			"r S. 1000:1000(0) ack 101 => SYN_RECV",
			"r P. 1001:2001(1000) ack 101 => SYN_RECV",
			"o . 101:101(0) ack 2001 => ESTABLISHED",
		}},
		{why: "fast open refused: the data is sent again", steps: []string{
			"o S 0:100(100) => SYN_SENT",
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o P. 1:101(100) ack 1001 => ESTABLISHED",
		}},
		{why: "a client started over while its SYN was on the way: the newer SYN counts", steps: []string{
			"o S 5000:5000(0) => SYN_SENT",
			"o S 100:100(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 5001 => invalid",
			"r S. 1000:1000(0) ack 101 => SYN_RECV",
		}},
		{why: "an ACK that does not acknowledge the SYN/ACK completes no handshake", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1000 => invalid",
			"o . 1:1(0) ack 1002 => invalid",
			"o . 1:1(0) ack 0 => invalid",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
		}},
		{why: "the client may not acknowledge what was not seen", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"o . 1:1(0) ack 1001 => invalid",
			"o P. 1:101(100) ack 1001 => invalid",
			"o F. 1:1(0) ack 1001 => invalid",
			"o S. 0:0(0) ack 1001 => invalid",
			"r F. 1000:1000(0) ack 1 => invalid",
		}},
		{why: "two SYN cookies with different numbers: either may be the one the client has taken", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"r S. 900000000:900000000(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"r P. 1001:1101(100) ack 1 => ESTABLISHED",
		}},
		{why: "ECN is negotiated with flags that mean something else elsewhere", steps: []string{
			"o SEW 0:0(0) => SYN_SENT",
			"r S.E 1000:1000(0) ack 1 => SYN_RECV",
			"o .P 1:101(100) ack 1001 => ESTABLISHED",
		}},

		// Refusal and reset.
		{why: "connection refused", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r R. 0:0(0) ack 1 win 0 => CLOSED",
		}},
		{why: "a refusal that acknowledges another SYN, or none, is forged or stale", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r R. 0:0(0) ack 2 win 0 => invalid",
			"r R 0:0(0) win 0 => invalid",
			"r R. 0:0(0) ack 0 win 0 => invalid",
		}},
		{why: "refused after the SYN/ACK was lost behind the switch and the listener is gone", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o S 0:0(0) => SYN_RECV",
			"r R. 0:0(0) ack 1 win 0 => CLOSED",
		}},
		{why: "the client did not mean it: RST with the number the SYN/ACK asks for", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o R 1:1(0) win 0 => CLOSED",
		}},
		{why: "a refused client tries again", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r R. 0:0(0) ack 1 win 0 => CLOSED",
			"o S 7000:7000(0) => reopened SYN_SENT",
			"r S. 1000:1000(0) ack 7001 => SYN_RECV",
		}},
		{why: "RST in a train: the data before it is not acknowledged yet", before: handshake, steps: []string{
			"r P. 1001:1101(100) ack 1 => ESTABLISHED",
			"r R 1101:1101(0) win 0 => CLOSED",
		}},
		{why: "RST after data that was lost: not exact, let through to be challenged, without effect", before: handshake, steps: []string{
			"r R 1101:1101(0) win 0 => ESTABLISHED",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"r R 1001:1001(0) win 0 => CLOSED",
		}},
		{why: "RST beyond the window is invalid, also with an ACK that fits", before: handshake, steps: []string{
			"r R. 61003:61003(0) ack 1 win 0 => invalid",
			"r R 1000:1000(0) win 0 => invalid",
			"r R 4000000000:4000000000(0) win 0 => invalid",
		}},
		{why: "segments under way when one end aborts", before: handshake, steps: []string{
			"o R. 1:1(0) ack 1001 win 0 => CLOSED",
			"r P. 1001:2001(1000) ack 1 => CLOSED",
			"o R 1:1(0) win 0 => CLOSED",
			"r P. 900001001:900001101(100) ack 1 => invalid",
		}},

		// Data.
		{why: "a segment at the edge of the window passes, one beyond does not", before: handshake, steps: []string{
			"o P. 1:50001(50000) ack 1001 => ESTABLISHED",
			"o P. 50001:50002(1) ack 1001 => ESTABLISHED",
			"o P. 50004:50104(100) ack 1001 => invalid",
		}},
		{why: "windows are scaled after the handshake, each by its sender's scale", before: scaled, steps: []string{
			"o P. 50000:51000(1000) ack 1001 win 200 => ESTABLISHED", // SYN/ACK: 50000, unscaled, is the largest
			"o P. 60000:60100(100) ack 1001 win 200 => invalid",
			"r . 1001:1001(0) ack 1 win 1000 => ESTABLISHED",
			"o P. 200000:200100(100) ack 1001 win 200 => ESTABLISHED",
			"o P. 256004:256104(100) ack 1001 win 200 => invalid",
			"r P. 61000:61100(100) ack 1 win 1000 => ESTABLISHED",
			"r P. 61004:61104(100) ack 1 win 1000 => invalid",
		}},
		{why: "without the peer's offer there is no scaling (RFC 7323 section 2.2)", steps: []string{
			"o S 0:0(0) win 1000 <wscale 14> => SYN_SENT",
			"r S. 1000:1000(0) ack 1 win 1000 => SYN_RECV",
			"o . 1:1(0) ack 1001 win 1000 => ESTABLISHED",
			"r P. 2003:2103(100) ack 1 => invalid",
		}},
		{why: "a scale above 14 is 14 (RFC 7323 section 2.3)", steps: []string{
			"o S 0:0(0) win 1000 <wscale 200> => SYN_SENT",
			"r S. 1000:1000(0) ack 1 win 1000 <wscale 0> => SYN_RECV",
			"o . 1:1(0) ack 1001 win 1 => ESTABLISHED",
			"r P. 17386:17387(1) ack 1 => ESTABLISHED",
			"r P. 17388:17389(1) ack 1 => invalid",
		}},
		{why: "sequence numbers wrap around", steps: []string{
			"o S 4294967290:4294967290(0) => SYN_SENT",
			"r S. 4294967295:4294967295(0) ack 4294967291 => SYN_RECV",
			"o . 4294967291:4294967291(0) ack 0 => ESTABLISHED",
			"o P. 4294967291:95(100) ack 0 => ESTABLISHED",
			"r . 0:0(0) ack 95 => ESTABLISHED",
			"o P. 4294967291:95(100) ack 0 => ESTABLISHED",
			"o R 94:94(0) => invalid",
			"o F. 95:95(0) ack 0 => FIN_WAIT",
		}},
		{why: "keep-alives repeat the last octet, or none", before: handshake, steps: []string{
			"o . 0:0(0) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 1 => ESTABLISHED",
			"o . 0:1(1) ack 1001 => ESTABLISHED",
			"r . 1000:1000(0) ack 1 => ESTABLISHED",
		}},
		{why: "a closed window is probed with one octet", before: handshake, steps: []string{
			"o P. 1:50001(50000) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 50001 win 0 => ESTABLISHED",
			"o . 50001:50002(1) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 50001 win 0 => ESTABLISHED",
			"o . 50001:50002(1) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 50002 win 0 => ESTABLISHED",
			"o . 50002:50003(1) ack 1001 => ESTABLISHED",
			"o P. 50005:50105(100) ack 1001 => invalid",
			"r . 1001:1001(0) ack 50003 win 60000 => ESTABLISHED",
			"o P. 100000:101000(1000) ack 1001 => ESTABLISHED",
		}},
		{why: "repetitions and acknowledgements may lag by two windows, at least 132000 octets, and no more", before: steps(handshake, transfer200k), steps: []string{
			"o P. 67001:68001(1000) ack 1001 => ESTABLISHED",
			"o P. 67000:68000(1000) ack 1001 => invalid",
			"r . 1001:1001(0) ack 68001 => ESTABLISHED",
			"r . 1001:1001(0) ack 68000 => invalid",
		}},
		{why: "with a larger window by more", before: steps(scaled[:3], []string{"r . 1001:1001(0) ack 1 win 300 => ESTABLISHED"}, transfer200k), steps: []string{
			"o P. 46401:46402(1) ack 1001 => ESTABLISHED", // 200001 - 2*(300<<8)
			"o P. 46400:46400(0) ack 1001 => invalid",
		}},
		{why: "fast open: data with the SYN/ACK, of which the client takes a part", steps: []string{
			"o S 0:100(100) => SYN_SENT",
			"r S. 1000:2000(1000) ack 101 => SYN_RECV",
			"o . 101:101(0) ack 1501 => ESTABLISHED",
		}},
		{why: "selective acknowledgements, also duplicate ones (RFC 2018, RFC 2883)", before: handshake, steps: []string{
			"o P. 1:1001(1000) ack 1001 => ESTABLISHED",
			"o P. 2001:3001(1000) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 1001 <ts,sack 2001:3001> => ESTABLISHED",
			"r . 1001:1001(0) ack 1001 <sack 2001:3001 2501:2701> => ESTABLISHED",
			"r . 1001:1001(0) ack 1001 <sack 2001:3002> => invalid",
			"r . 1001:1001(0) ack 3001 <sack 1:1001> => ESTABLISHED",
		}},
		{why: "an acknowledgement of what was not sent", before: handshake, steps: []string{
			"o P. 1:1001(1000) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 1002 => invalid",
			"r . 1001:1001(0) ack 1001 => ESTABLISHED",
			"r . 1001:1001(0) ack 501 => ESTABLISHED",
			"r . 1001:1001(0) ack 3000000000 => invalid",
		}},
		{why: "a challenge ACK answers a forged SYN and the connection goes on", before: handshake, steps: []string{
			"o S 123456789:123456789(0) => ESTABLISHED",
			"r . 1001:1001(0) ack 1 => ESTABLISHED",
			"o P. 1:101(100) ack 1001 => ESTABLISHED",
			"r S. 5000:5000(0) ack 123456790 => invalid", // forgotten by now
			"r P. 1001:1101(100) ack 101 => ESTABLISHED",
		}},
		{why: "a SYN from the answering end, or a SYN/ACK for no SYN", before: handshake, steps: []string{
			"r S 77:77(0) => invalid",
			"r S. 777777777:777777777(0) ack 1 => invalid",
			"o S. 777777777:777777777(0) ack 1001 => invalid",
		}},
		{why: "the server was restarted and takes the SYN that looked out of place", before: handshake, steps: []string{
			"o S 300000000:300000000(0) win 60000 <wscale 7> => ESTABLISHED",
			"r S. 800000000:800000000(0) ack 300000001 win 60000 <wscale 7> => SYN_RECV",
			"r S. 800000000:800000000(0) ack 300000001 win 60000 <wscale 7> => SYN_RECV",
			"o . 300000001:300000001(0) ack 800000001 win 1000 => ESTABLISHED",
			"r P. 800000001:800100001(100000) ack 300000001 win 1000 => ESTABLISHED",
			"r P. 900000001:900000101(100) ack 300000001 => invalid", // tracked again
		}},

		// Closing.
		{why: "the originator closes first", before: steps(handshake, closing), steps: []string{
			"r F. 1001:1001(0) ack 2 => TIME_WAIT",
			"o . 2:2(0) ack 1002 => TIME_WAIT",
		}},
		{why: "the responder closes first, its FIN carries data", before: handshake, steps: []string{
			"r FP. 1001:1101(100) ack 1 => FIN_WAIT",
			"o . 1:1(0) ack 1102 => CLOSE_WAIT",
			"o F. 1:1(0) ack 1102 => LAST_ACK",
			"r . 1102:1102(0) ack 2 => TIME_WAIT",
		}},
		{why: "the FIN is acknowledged with the other FIN", before: handshake, steps: []string{
			"o F. 1:1(0) ack 1001 => FIN_WAIT",
			"r F. 1001:1001(0) ack 2 => LAST_ACK",
			"o . 2:2(0) ack 1002 => TIME_WAIT",
		}},
		{why: "both close at once (RFC 9293 figure 13)", before: handshake, steps: []string{
			"o F. 1:1(0) ack 1001 => FIN_WAIT",
			"r F. 1001:1001(0) ack 1 => LAST_ACK",
			"o . 2:2(0) ack 1002 => LAST_ACK",
			"r . 1002:1002(0) ack 2 => TIME_WAIT",
		}},
		{why: "half closed: data goes on in the other direction", before: handshake, steps: []string{
			"o F. 1:1(0) ack 1001 => FIN_WAIT",
			"r P. 1001:2001(1000) ack 1 => FIN_WAIT", // sent before the FIN came in
			"r P. 2001:3001(1000) ack 2 => CLOSE_WAIT",
			"o . 2:2(0) ack 3001 => CLOSE_WAIT",
			"r FP. 3001:4001(1000) ack 2 => LAST_ACK",
			"o . 2:2(0) ack 3001 => LAST_ACK", // not of the FIN
			"o . 2:2(0) ack 4002 => TIME_WAIT",
		}},
		{why: "a FIN that completes the handshake, because the ACK was lost before the switch", steps: []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"o F. 1:1(0) ack 1001 => FIN_WAIT",
		}},
		{why: "a challenge ACK in LAST_ACK is not the last ACK", before: steps(handshake, closing[:3]), steps: []string{
			"o S 500000:500000(0) => LAST_ACK",
			"r . 1002:1002(0) ack 2 => LAST_ACK",
			"o . 2:2(0) ack 1002 => TIME_WAIT",
		}},
		{why: "TIME_WAIT is left for a SYN above the last sequence number (RFC 9293 section 3.6.1)", before: steps(handshake, closing), steps: []string{
			"o S 3:3(0) => reopened SYN_SENT",
		}},
		{why: "a SYN below it leaves the decision to the server, which may take it (RFC 6191)", before: steps(handshake, closing), steps: []string{
			"o S 4294967000:4294967000(0) => TIME_WAIT",
			"r S. 2000:2000(0) ack 4294967001 => SYN_RECV",
			"o . 4294967001:4294967001(0) ack 2001 => ESTABLISHED",
		}},
		{why: "after the end either side may begin anew", before: steps(handshake, closing), steps: []string{
			"r S 5000:5000(0) => reopened SYN_SENT",
		}},
		{why: "RST in each closing state", before: steps(handshake, closing[:2]), steps: []string{
			"r R. 1001:1001(0) ack 2 win 0 => CLOSED",
		}},

		// Picked up.
		{why: "a connection under way is picked up, and not trusted before the peer answers", steps: []string{
			"o P. 5000:5100(100) ack 9000 => PICKED_UP",
			"o P. 5100:5200(100) ack 9000 => PICKED_UP",
			"r . 9000:9000(0) ack 5200 => ESTABLISHED",
			"o P. 900000:900100(100) ack 9000 win 10 => ESTABLISHED", // the scale is unknown
			"r R 1:1(0) win 0 => invalid",
			"r R 500000:500000(0) win 0 => ESTABLISHED", // in the window for all that is known
			"r F. 9000:9000(0) ack 5200 => FIN_WAIT",
		}},
		{why: "the peer of a connection that was picked up knows nothing of it", steps: []string{
			"o . 5000:5000(0) ack 9000 => PICKED_UP",
			"r R 9001:9001(0) win 0 => invalid",
			"r R 9000:9000(0) win 0 => CLOSED",
		}},
		{why: "strict: no connection without its SYN", strict: true, steps: []string{
			"o . 5000:5000(0) ack 9000 => invalid",
		}},
		{why: "a SYN/ACK begins nothing", steps: []string{"o S. 0:0(0) ack 1 => invalid"}},
		{why: "a FIN begins nothing", steps: []string{"o F. 0:0(0) ack 1 => invalid"}},
		{why: "a RST begins nothing", steps: []string{"o R 0:0(0) => invalid"}},
	}
	for _, r := range rows {
		t.Run(r.why, func(t *testing.T) {
			newConversation(r.strict).run(t, steps(r.before, r.steps))
		})
	}
}

// A strict tracker tracks whatever begins with a SYN like any other.
func TestStrictTracksHandshakes(t *testing.T) {
	newConversation(true).run(t, steps(handshake, closing))
}

func TestTCPFlagCombinations(t *testing.T) {
	legal := map[uint8]string{
		packet.TCPSyn:                 "opens",
		packet.TCPSyn | packet.TCPAck: "answers",
		packet.TCPAck:                 "carries data",
		packet.TCPFin | packet.TCPAck: "closes",
		packet.TCPRst:                 "resets",
		packet.TCPRst | packet.TCPAck: "resets and acknowledges",
	}
	for flags := range 256 {
		p := makeTCP(Original, &tcpFields{flags: uint8(flags)})
		var g segment
		_, want := legal[uint8(flags)&tcpFlagsThatMatter]
		require.Equal(t, want, g.read(&p.in, p.frame), "flags %#x", flags)
		if !want {
			c := newConversation(false)
			require.Equal(t, "invalid", c.take(&p), "flags %#x begin a session", flags)
			c.run(t, handshake)
			require.Equal(t, "invalid", c.take(&p), "flags %#x in a session", flags)
		}
	}
}

// A segment whose headers contradict themselves is invalid, and never read
// beyond its frame.
func TestTCPSegmentBounds(t *testing.T) {
	good := parseTCP(t, "o . 1:101(100) ack 1 <ts,wscale 3>")
	var g segment
	require.True(t, g.read(&good.in, good.frame))
	require.Equal(t, segment{seq: 1, end: 101, ack: 1, win: 65535, flags: packet.TCPAck, opts: g.opts}, g)
	require.Len(t, g.opts, 16)

	for n := range good.frame {
		require.False(t, g.read(&good.in, good.frame[:n]), "frame cut to %d", n)
	}
	short := good.in
	short.IPLen = packet.IPv4MinSize + 35
	require.False(t, g.read(&short, good.frame), "options beyond the IP packet")
	good.frame[good.in.L4+12] = 4 << 4
	require.False(t, g.read(&good.in, good.frame), "header shorter than a header")
}

// The first fragment of a segment does not tell its length, and the options may
// end with it. What follows is acknowledged all the same.
func TestTCPFragments(t *testing.T) {
	c := newConversation(false)
	c.run(t, handshake)
	first := parseTCP(t, "o P. 1:9(8) ack 1001")
	first.in.Flags |= packet.IsFragment
	require.Equal(t, "ESTABLISHED", c.take(&first))
	later := first
	later.in.Flags = packet.IsIPv4 | packet.IsFragment | packet.IsLaterFragment
	later.frame = nil
	require.Equal(t, "ESTABLISHED", c.take(&later))
	c.run(t, []string{
		"r . 1001:1001(0) ack 3001 => ESTABLISHED",
		"o P. 3001:3101(100) ack 1001 => ESTABLISHED",
	})

	cut := parseTCP(t, "o P. 1:1(0) ack 1001 <ts>")
	cut.in.Flags |= packet.IsFragment
	cut.in.IPLen = packet.IPv4MinSize + tcpHeaderSize + 8
	cut.frame = cut.frame[:cut.in.L4+tcpHeaderSize+8]
	require.Equal(t, "ESTABLISHED", c.take(&cut))

	fresh := newConversation(false)
	require.Equal(t, "invalid", fresh.take(&later), "a later fragment begins nothing")
}

// Options that end early, overlap or lie about their size end the list.
func TestTCPOptions(t *testing.T) {
	rows := []struct {
		why   string
		opts  []byte
		scale uint8
		found bool
		edge  seq
	}{
		{why: "none", edge: 5},
		{why: "scale after NOPs", opts: []byte{1, 1, 3, 3, 7, 0}, scale: 7, found: true, edge: 5},
		{why: "scale of the wrong size", opts: []byte{3, 4, 7, 7}, edge: 5},
		{why: "end before the scale", opts: []byte{0, 3, 3, 7}, edge: 5},
		{why: "size 0", opts: []byte{8, 0, 3, 3, 7, 1}, edge: 5},
		{why: "size 1", opts: []byte{8, 1, 3, 3, 7, 1}, edge: 5},
		{why: "size beyond the end", opts: []byte{3, 30, 7, 1}, edge: 5},
		{why: "kind without a size", opts: []byte{1, 1, 1, 3}, edge: 5},
		{why: "selective acknowledgement", opts: []byte{5, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 1}, edge: 9},
		{why: "selective acknowledgement cut off within a block", opts: []byte{5, 8, 0, 0, 0, 7, 0, 0, 1, 1, 1, 1}, edge: 5},
		{why: "selective acknowledgement below", opts: []byte{5, 10, 0, 0, 0, 1, 0, 0, 0, 3, 1, 1}, edge: 5},
	}
	for _, r := range rows {
		g := segment{ack: 5, opts: r.opts}
		scale, found := g.windowScale()
		require.Equal(t, r.scale, scale, r.why)
		require.Equal(t, r.found, found, r.why)
		require.Equal(t, r.edge, g.sackEdge(), r.why)
	}
}

// What a packet changed is told once, by the packet that changed it.
func TestTCPChanges(t *testing.T) {
	c := newConversation(false)
	all := steps(handshake, closing)
	want := []change{
		0,                               // SYN: begins
		timeoutShortened,                // SYN_SENT 120 s, SYN_RECV 30 s
		classChanged | sessionAnswered,  // embryonic, established
		classChanged | timeoutShortened, // 12 h, 2 min
		0,
		timeoutShortened, // 2 min, 45 s
		timeoutShortened | sessionEnded,
	}
	require.Len(t, want, len(all))
	for i, step := range all {
		c.run(t, []string{step})
		require.Equal(t, want[i], c.changes, step)
	}
	c.run(t, []string{"o R 2:2(0) => CLOSED"})
	require.Zero(t, c.changes, "it had ended before")

	c = newConversation(false)
	c.run(t, steps(handshake, []string{"o R 1:1(0) => CLOSED"}))
	require.Equal(t, classChanged|timeoutShortened|sessionEnded, c.changes)
	require.False(t, c.s.settled(Original))
	require.False(t, c.s.settled(Reply))
}
