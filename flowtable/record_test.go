package flowtable

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

func TestRecordTellsTheWholeSession(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	client := keyOf(1, packet.ProtoTCP)
	server := packet.AddrFrom4(&[4]byte{10, 9, 9, 9})
	reply := packet.Key{Src: server, Dst: client.Src, Tail: reverse(client).Tail}
	in, frame := tcpSegment(client, packet.TCPSyn, 100, 0)
	require.NoError(t, table.SetCaps(9, Caps{}))
	terms := Terms{Timers: 3, Strict: true, Caps: [2]uint16{0, 9}, Marks: [2]uint16{6, 65535}}
	id, created, _ := w.Create(client, reply, terms, &in, frame, 5*second)
	require.True(t, created)
	w.Bind(id, Binding{Service: 8, Member: 2, Rule: 5, Source: 1})
	require.True(t, table.Entry(id).StorePermit(&Permit{Epoch: 3, Hop: 4, Flags: Translated, EgressRule: 21, IngressRule: 22}, 1, 7<<32|LinkValid))
	require.True(t, table.Entry(id.Peer()).StorePermit(&Permit{Epoch: 4, Hop: 5, Flags: Translated, EgressRule: 23}, 2, 8<<32|LinkValid))
	table.Entry(id).Count(60, 5*second)
	table.Entry(id).Count(52, 7*second)
	table.Entry(id.Peer()).Count(60, 6*second)
	want := Record{
		Keys: [2]packet.Key{client, reply}, Packets: [2]uint64{2, 1}, Bytes: [2]uint64{112, 60},
		Start: 5 * second, Last: 7 * second,
		EgressRule: [2]uint32{21, 23}, IngressRule: [2]uint32{22, 0}, Epoch: [2]uint32{3, 4}, Hop: [2]uint32{4, 5},
		Flags: [2]uint32{Translated, Translated}, Binding: Binding{8, 2, 5, 1},
		Links: [2]Link{{1, 7<<32 | LinkValid}, {2, 8<<32 | LinkValid}},
		TCP: [2]TCPNumbers{
			{Seq: 101, Sent: 101, SeqKnown: true},
			{Ack: 101, AckKnown: true},
		},
		Terms:   terms,
		Session: id.Session(), State: StateTCPSynSent,
	}
	for r := range table.Sessions {
		require.Equal(t, want, *r, "while it lives")
	}
	require.True(t, w.End(id, EndPolicy, 9*second))
	table.Entry(id).Count(40, 8*second) // another worker had it in hand
	w.Quiesce(9 * second)
	want.End, want.Reason = 9*second, EndPolicy
	want.Packets[Original], want.Bytes[Original], want.Last = 3, 152, 8*second
	var got Record
	require.True(t, w.Records().Pop(&got))
	require.Equal(t, want, got, "what is counted before the grace period is over is in the record")
	require.True(t, got.Translated())
	require.EqualValues(t, 1, got.Zone())
	require.False(t, w.Records().Pop(&got))
	for range table.Sessions {
		t.Fatal("an ended session is listed")
	}
	require.LessOrEqual(t, unsafe.Sizeof(got), uintptr(344))
}

func TestFullRingLosesTheNewestAndCounts(t *testing.T) {
	table := newTable(t, Config{Sessions: 10, Records: 4})
	w := table.Worker(0)
	for i := range 7 {
		require.True(t, w.End(create(t, w, flowKey(i), second), EndCleared, second))
		w.Quiesce(second)
	}
	require.EqualValues(t, 3, table.Stats().Lost)
	var r Record
	for i := range 4 {
		require.True(t, table.Records(0).Pop(&r))
		require.Equal(t, flowKey(i), r.Keys[Original])
	}
	require.False(t, w.Records().Pop(&r))
	require.True(t, w.End(create(t, w, flowKey(9), second), EndCleared, second))
	w.Quiesce(second)
	require.True(t, w.Records().Pop(&r), "room again")
	require.Equal(t, flowKey(9), r.Keys[Original])
}

func TestRecordsGoToAnotherGoroutine(t *testing.T) {
	const n = 3000
	table := newTable(t, Config{Sessions: 10, Records: 64})
	w := table.Worker(0)
	var exporter sync.WaitGroup
	var got []int64
	exporter.Go(func() {
		var r Record
		for len(got) < n {
			if table.Records(0).Pop(&r) {
				got = append(got, r.Start)
			}
		}
	})
	for i := range n {
		for int(w.records.tail.Load()-w.records.head.Load()) == len(w.records.ring) {
			relax(100)
		}
		require.True(t, w.End(create(t, w, flowKey(i), int64(i+1)), EndCleared, second))
		w.Quiesce(second)
	}
	exporter.Wait()
	for i, start := range got {
		require.EqualValues(t, i+1, start, "in order")
	}
}

func TestEndReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := EndReason(1); r < numEndReasons; r++ {
		require.NotEmpty(t, r.String())
		require.False(t, seen[r.String()], "%s twice", r)
		seen[r.String()] = true
	}
	require.Equal(t, "UNKNOWN_END_REASON", numEndReasons.String())
}

func TestTranslated(t *testing.T) {
	a, b := packet.AddrFrom4(&[4]byte{10, 0, 0, 1}), packet.AddrFrom4(&[4]byte{10, 0, 0, 2})
	key := func(z packet.Zone, src, dst packet.Addr, sport, dport uint16) packet.Key {
		return packet.Key{Src: src, Dst: dst, Tail: packet.MakeTail(z, packet.ProtoTCP, sport, dport)}
	}
	for _, row := range []struct {
		why   string
		reply packet.Key
		want  bool
	}{
		{"within a segment", key(1, b, a, 80, 1000), false},
		{"between two: routing does not rewrite addresses", key(2, b, a, 80, 1000), false},
		{"another server answers", key(1, a, a, 80, 1000), true},
		{"a server answers from another port", key(1, b, a, 8080, 1000), true},
		{"the client is known by another address and port elsewhere", key(2, b, b, 80, 60000), true},
	} {
		r := Record{Keys: [2]packet.Key{key(1, a, b, 1000, 80), row.reply}}
		require.Equal(t, row.want, r.Translated(), row.why)
	}
}
