package flowtable

import "testing"

// A connection is established by an acknowledgement of the SYN/ACK's own number, whatever
// else makes windows lenient: else whoever forges addresses gets past caps of
// half-open connections with one packet more.
func TestEstablishedByMatchingNumbersOnly(t *testing.T) {
	for _, row := range []struct {
		why   string
		steps []string
	}{
		{"SYN/ACK with data: the number before it is none of this connection", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1200(200) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1000 => invalid",
			"o . 1:1(0) ack 900 => invalid",
			"o . 1:1(0) ack 1202 => invalid",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
		}},
		{"and it may be acknowledged in parts", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1200(200) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1101 => ESTABLISHED",
		}},
		{"or whole, also when it was repeated", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1200(200) ack 1 => SYN_RECV",
			"r S. 1000:1200(200) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1000 => invalid",
			"o . 1:1(0) ack 1201 => ESTABLISHED",
		}},
		{"data before the handshake is over (RFC 7413): still nothing below the SYN/ACK", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"r P. 1001:2001(1000) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1000 => invalid",
			"o . 1:1(0) ack 2002 => invalid",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"o . 1:1(0) ack 2001 => ESTABLISHED",
		}},
		{"nor by a FIN", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"r P. 1001:2001(1000) ack 1 => SYN_RECV",
			"o F. 1:1(0) ack 1000 => invalid",
			"o F. 1:1(0) ack 2001 => FIN_WAIT",
		}},
		{"an answer before its SYN is acknowledged keeps the window that it announces", []string{
			"o S 0:0(0) <wscale 7> => SYN_SENT",
			"r S. 1000:1000(0) ack 1 win 5000 <wscale 4> => SYN_RECV",
			"r P. 1001:2001(1000) ack 1 win 1000 => SYN_RECV", // 16000 scaled
			"o P. 1:1001(1000) ack 2001 => ESTABLISHED",
			"o P. 15001:16001(1000) ack 2001 => ESTABLISHED",
			"o P. 16003:16004(1) ack 2001 => invalid",
		}},
		{"SYN cookies: two answers with different numbers, and either is acknowledged", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"r S. 3000000000:3000000000(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1000 => invalid",
			"o . 1:1(0) ack 1002 => invalid",
			"o . 1:1(0) ack 2500000000 => invalid",
			"o . 1:1(0) ack 3500000000 => invalid",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
		}},
		{"the second of them", []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 1000:1000(0) ack 1 => SYN_RECV",
			"r S. 3000000000:3000000000(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 3000000001 => ESTABLISHED",
			"o P. 1:1001(1000) ack 3000000001 => ESTABLISHED",
			"r P. 3000000001:3000000101(100) ack 1001 => ESTABLISHED",
			"o . 1001:1001(0) ack 3000000101 => ESTABLISHED",
		}},
	} {
		t.Run(row.why, func(t *testing.T) { newConversation(true).run(t, row.steps) })
	}
}
