package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// Ended hears of each end once, however it came about, and of what the ring has no room for.
func TestEndedHearsOfEveryEnd(t *testing.T) {
	const sessions, workers = 64, 2
	heard := map[packet.Addr]int{} // by source
	byWorker := [workers]int{}
	reasons := map[EndReason]int{}
	var table *Table
	table = newTable(t, Config{
		Sessions: sessions, Workers: workers, Records: 4, ManualSweep: true,
		Ended: func(worker int, r *Record) {
			heard[r.Keys[Original].Src]++
			byWorker[worker]++
			reasons[r.Reason]++
			require.NotZero(t, r.End)
			require.Equal(t, phaseEnded, table.session(r.Session).control().phase(), "its number is not another's yet")
		},
	})
	require.NoError(t, table.SetCaps(1, Caps{Limits{TCPHalfOpen: 1}, true}))
	a, b := table.Worker(0), table.Worker(1)
	quiesce := func() {
		for range 4 {
			a.Quiesce(second)
			b.Quiesce(second)
		}
	}
	made := 0
	open := func(w *Worker, proto uint8, terms Terms) ID {
		made++
		id, r := tryTerms(w, keyOf(made, proto), terms, second)
		require.Equal(t, packet.None, r)
		return id
	}
	open(a, packet.ProtoTCP, Terms{Caps: [2]uint16{1}})
	open(a, packet.ProtoTCP, Terms{Caps: [2]uint16{0, 1}})
	b.End(open(a, packet.ProtoUDP, Terms{}), EndPolicy, 2*second)
	require.Empty(t, heard, "not while somebody may hold the session")
	quiesce()
	require.Equal(t, map[EndReason]int{EndFlood: 1, EndPolicy: 1}, reasons)
	require.Equal(t, [workers]int{1, 1}, byWorker, "each by the worker that ended it")
	for range sessions {
		open(a, packet.ProtoUDP, Terms{})
		quiesce()
	}
	require.Equal(t, made-sessions-2, reasons[EndEvicted])
	a.SweepAll(1000 * second)
	quiesce()
	require.Zero(t, table.Stats().Live)
	require.Equal(t, sessions, reasons[EndTimeout])
	require.Len(t, heard, made)
	for source, n := range heard {
		require.Equal(t, 1, n, "source %v", source)
	}
	require.Positive(t, table.Stats().Lost, "the ring was too short for most")
	var r Record
	require.True(t, a.Records().Pop(&r), "what it had room for is there as ever")

	// A session whose reply key is another's never began, and so does not end.
	before := len(heard)
	open(a, packet.ProtoUDP, Terms{})
	k, taken := flowKey(5000), keyOf(made, packet.ProtoUDP)
	in := infoOf(k)
	_, created, _ := a.Create(k, taken.Reverse(), Terms{}, &in, nil, second)
	require.False(t, created)
	quiesce()
	require.Len(t, heard, before)
}

// What a RST needs to be taken for the sender's, after each step of a connection.
func TestTCPNumbers(t *testing.T) {
	type numbers = TCPNumbers
	seq := func(seq, sent uint32) numbers { return numbers{Seq: seq, Sent: sent, SeqKnown: true} }
	full := func(seq, sent, ack uint32) numbers {
		return numbers{Seq: seq, Sent: sent, Ack: ack, SeqKnown: true, AckKnown: true}
	}
	ackOnly := func(ack uint32) numbers { return numbers{Ack: ack, AckKnown: true} }
	for _, row := range []struct {
		why     string
		strict  bool
		steps   []string
		o, r    numbers
		unknown bool
	}{
		{why: "the server has said nothing: it is reset by the SYN's successor, the client by its acknowledgement", steps: []string{
			"o S 100:100(0) => SYN_SENT",
		}, o: seq(101, 101), r: ackOnly(101)},
		{why: "half open: all numbers are known", steps: []string{
			"o S 100:100(0) => SYN_SENT", "r S. 500:500(0) ack 101 => SYN_RECV",
		}, o: full(101, 101, 501), r: full(501, 501, 101)},
		{why: "established", steps: []string{
			"o S 100:100(0) => SYN_SENT", "r S. 500:500(0) ack 101 => SYN_RECV", "o . 101:101(0) ack 501 => ESTABLISHED",
		}, o: full(101, 101, 501), r: full(501, 501, 101)},
		{why: "data under way: the receiver expects what it has acknowledged, or what comes after all that was sent", steps: []string{
			"o S 100:100(0) => SYN_SENT", "r S. 500:500(0) ack 101 => SYN_RECV", "o . 101:101(0) ack 501 => ESTABLISHED",
			"o P. 101:1101(1000) ack 501 => ESTABLISHED",
		}, o: full(101, 1101, 501), r: full(501, 501, 1101)},
		{why: "acknowledged", steps: []string{
			"o S 100:100(0) => SYN_SENT", "r S. 500:500(0) ack 101 => SYN_RECV", "o . 101:101(0) ack 501 => ESTABLISHED",
			"o P. 101:1101(1000) ack 501 => ESTABLISHED", "r . 501:501(0) ack 1101 => ESTABLISHED",
		}, o: full(1101, 1101, 501), r: full(501, 501, 1101)},
		{why: "a FIN counts as an octet", steps: []string{
			"o S 100:100(0) => SYN_SENT", "r S. 500:500(0) ack 101 => SYN_RECV", "o . 101:101(0) ack 501 => ESTABLISHED",
			"o F. 101:101(0) ack 501 => FIN_WAIT",
		}, o: full(101, 102, 501), r: full(501, 501, 102)},
		{why: "numbers wrap", steps: []string{
			"o S 4294967295:4294967295(0) => SYN_SENT", "r S. 4294967290:4294967290(0) ack 0 => SYN_RECV",
			"o . 0:0(0) ack 4294967291 => ESTABLISHED", "r P. 4294967291:4(9) ack 0 => ESTABLISHED",
		}, o: full(0, 0, 4), r: full(4294967291, 4, 0)},
		{why: "picked up: what the one segment says of both", steps: []string{
			"o . 700:710(10) ack 900 => PICKED_UP",
		}, o: seq(710, 710), r: numbers{Seq: 900, Sent: 900, Ack: 710, SeqKnown: true, AckKnown: true}},
		{why: "UDP has none", unknown: true},
	} {
		c := newConversation(false)
		if row.unknown {
			in, frame := alikePacket(packet.ProtoUDP, 0)
			c.s = new(session)
			require.Equal(t, packet.None, c.s.begin(false, &in, frame, 1))
		} else {
			c.run(t, row.steps)
		}
		require.Equal(t, [2]numbers{row.o, row.r}, c.s.tcpNumbers(), row.why)
	}
}

// A RST with the numbers of TCPNumbers closes the session by its own rules, which are the
// receiver's (RFC 5961): in either direction, at any point.
func TestTCPNumbersReset(t *testing.T) {
	for n := range len(handshake) + 1 {
		if n == 0 {
			continue
		}
		for d := range Dir(2) {
			c := newConversation(false)
			c.run(t, handshake[:n])
			numbers := c.s.tcpNumbers()[d]
			flags := uint8(packet.TCPRst)
			if numbers.AckKnown {
				flags |= packet.TCPAck
			}
			p := makeTCP(d, &tcpFields{flags: flags, seq: numbers.Seq, ack: numbers.Ack})
			require.Equal(t, "CLOSED", c.take(&p), "after step %d, direction %d", n, d)
		}
	}
}

func TestLink(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	id := create(t, w, flowKey(1), second)
	// Bytes of the frame, as the pipeline loads them: destination, source.
	frame := [12]byte{1, 2, 3, 4, 5, 6, 0x0a, 0x58, 7, 8, 9, 10}
	var link0, link1 uint64
	for i := range 8 {
		link0 |= uint64(frame[i]) << (8 * i)
	}
	for i := range 4 {
		link1 |= uint64(frame[8+i]) << (8 * i)
	}
	for range 3 { // versions come and go
		require.True(t, table.Entry(id).StorePermit(&Permit{Epoch: 1}, link0, link1|65535<<32|LinkValid))
	}
	for r := range table.Sessions {
		dst, src := r.Links[Original].MACs()
		require.Equal(t, packet.MAC(frame[:6]), dst)
		require.Equal(t, packet.MAC(frame[6:]), src)
		require.EqualValues(t, 65535, r.Links[Original].Port())
		require.True(t, r.Links[Original].Valid())
		require.False(t, r.Links[Reply].Valid(), "nobody has answered")
	}
}

// On strict terms, and where the table is strict, a session begins with its first packet.
func TestStrictTerms(t *testing.T) {
	sctp := func(text string) tcpPacket { return parseSCTP(t, text) }
	for _, row := range []struct {
		why    string
		p      tcpPacket
		strict packet.Reason
	}{
		{"a SYN", parseTCP(t, "o S 100:100(0)"), packet.None},
		{"an ACK in mid-stream", parseTCP(t, "o . 100:100(0) ack 5"), packet.SessionInvalid},
		{"data in mid-stream", parseTCP(t, "o P. 100:200(100) ack 5"), packet.SessionInvalid},
		{"DATA of an association", sctp("o 9 DATA"), packet.SessionInvalid},
		{"a HEARTBEAT on a second path", sctp("o 9 HEARTBEAT"), packet.SessionInvalid},
	} {
		for _, how := range []struct {
			table bool
			terms Terms
			want  packet.Reason
		}{
			{false, Terms{}, packet.None},
			{false, Terms{Strict: true}, row.strict},
			{true, Terms{}, row.strict},
			{true, Terms{Strict: true}, row.strict},
		} {
			table := newTable(t, Config{Sessions: 10, StrictTCP: how.table})
			k := keyOf(1, row.p.in.Proto)
			row.p.in.Key = k
			_, _, r := table.Worker(0).Create(k, k.Reverse(), how.terms, &row.p.in, row.p.frame, second)
			require.Equal(t, how.want, r, "%s: table %v, terms %+v", row.why, how.table, how.terms)
			require.Equal(t, r == packet.None, table.Stats().Live == 1)
		}
	}
}
