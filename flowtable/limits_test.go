package flowtable

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// tryCreate makes a session of a protocol and returns the reason if it can't.
func tryCreate(w *Worker, k packet.Key, now int64) (ID, packet.Reason) {
	in := infoOf(k)
	frame := make([]byte, 64)
	switch k.Proto() {
	case packet.ProtoTCP:
		in, frame = tcpSegment(k, packet.TCPSyn, 100, 0)
	case packet.ProtoICMP:
		frame[in.L4] = 8
	}
	id, _, r := w.Create(k, k.Reverse(), Terms{}, &in, frame, now)
	return id, r
}

// TestEvictionOrder: who goes when the table, or a family's share, is full.
// Sessions are made in the order given, a second apart; then one more.
func TestEvictionOrder(t *testing.T) {
	type session struct {
		proto uint8
		state string // of TCP: syn, est, fin; of others: first, est
	}
	const tcp, udp, icmp, other = packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE
	for _, row := range []struct {
		why      string
		limits   Limits
		sessions []session
		newcomer uint8
		want     int // index of who goes, -1: the newcomer is refused
	}{
		{
			"embryonic before closing and established, though the youngest",
			Limits{},
			[]session{{tcp, "est"}, {tcp, "fin"}, {udp, "est"}, {tcp, "syn"}},
			udp, 3,
		},
		{
			"the first created of the embryonic",
			Limits{},
			[]session{{tcp, "est"}, {tcp, "syn"}, {tcp, "syn"}, {udp, "first"}},
			udp, 1,
		},
		{
			"whatever their family",
			Limits{},
			[]session{{udp, "est"}, {udp, "first"}, {tcp, "syn"}, {icmp, "first"}},
			tcp, 1,
		},
		{
			"ICMP and others too",
			Limits{},
			[]session{{other, "first"}, {icmp, "first"}, {tcp, "syn"}, {udp, "first"}},
			tcp, 0,
		},
		{
			"closing before established",
			Limits{},
			[]session{{tcp, "est"}, {udp, "est"}, {tcp, "fin"}, {tcp, "est"}},
			udp, 2,
		},
		{
			"the first that began to close",
			Limits{},
			[]session{{tcp, "est"}, {tcp, "fin"}, {tcp, "fin"}, {udp, "est"}},
			udp, 1,
		},
		{
			"established: silent longest",
			Limits{},
			[]session{{udp, "est"}, {tcp, "est"}, {tcp, "est"}, {udp, "est"}},
			udp, 0,
		},
		{
			"the cap of half-open TCP takes half-open TCP only",
			Limits{TCPHalfOpen: 2},
			[]session{{udp, "first"}, {tcp, "syn"}, {tcp, "syn"}},
			tcp, 1,
		},
		{
			"established TCP does not count against it",
			Limits{TCPHalfOpen: 1},
			[]session{{tcp, "est"}, {tcp, "est"}, {tcp, "syn"}},
			tcp, 2,
		},
		{
			"the UDP cap: unanswered first",
			Limits{UDP: 2},
			[]session{{udp, "est"}, {udp, "first"}, {tcp, "syn"}},
			udp, 1,
		},
		{
			"the UDP cap: then the silent",
			Limits{UDP: 2},
			[]session{{udp, "est"}, {udp, "est"}, {tcp, "syn"}},
			udp, 0,
		},
		{"the ICMP cap", Limits{ICMP: 1}, []session{{tcp, "syn"}, {icmp, "first"}}, icmp, 1},
		{"the cap of other protocols", Limits{Other: 1}, []session{{udp, "first"}, {other, "first"}}, other, 1},
	} {
		table := newTable(t, Config{Sessions: 4, Limits: row.limits})
		w := table.Worker(0)
		var keys []packet.Key
		now := second
		for i, s := range row.sessions {
			now += second
			k := keyOf(i, s.proto)
			keys = append(keys, k)
			id, r := tryCreate(w, k, now)
			require.Equal(t, packet.None, r, row.why)
			switch {
			case s.proto == tcp && s.state != "syn":
				establish(t, w, id, now)
				if s.state == "fin" {
					step(t, w, id, packet.TCPFin|packet.TCPAck, 101, 501, now)
				}
			case s.state == "est":
				in := infoOf(k.Reverse())
				_, _ = w.Track(id.Peer(), &in, nil, now)
			}
			w.Quiesce(now)
		}
		newcomer := keyOf(100, row.newcomer)
		_, r := tryCreate(w, newcomer, now+second)
		require.Equal(t, packet.None, r, row.why)
		require.NotZero(t, table.Lookup(&newcomer), row.why)
		for i := range keys {
			require.Equal(t, i == row.want, table.Lookup(&keys[i]) == 0, "%s: session %d", row.why, i)
		}
		require.EqualValues(t, 1, table.Stats().Ended[EndEvicted], row.why)
		require.Equal(t, len(keys), table.Stats().Live, row.why)
		w.Quiesce(now)
		var rec Record
		require.True(t, w.Records().Pop(&rec), row.why)
		require.Equal(t, keys[row.want], rec.Keys[Original], row.why)
		require.Equal(t, EndEvicted, rec.Reason, row.why)
	}
}

// TestFloodEvictsTheFlood: a SYN flood ten times the table's size takes turns
// with itself; established sessions stay.
func TestFloodEvictsTheFlood(t *testing.T) {
	const capacity, established = 1000, 600
	table := newTable(t, Config{Sessions: capacity})
	w := table.Worker(0)
	for i := range established {
		establish(t, w, openTCP(t, w, i, second), second)
	}
	for i := range 10 * capacity {
		_, r := tryCreate(w, keyOf(1000+i, packet.ProtoTCP), 2*second)
		require.Equal(t, packet.None, r)
		require.LessOrEqual(t, table.Stats().Live, capacity)
		if i%64 == 63 {
			w.Quiesce(2 * second)
		}
		if i >= capacity-established { // strictly first in, first out
			k := keyOf(1000+i-(capacity-established), packet.ProtoTCP)
			require.Zero(t, table.Lookup(&k))
			k = keyOf(1000+i-(capacity-established)+1, packet.ProtoTCP)
			require.NotZero(t, table.Lookup(&k))
		}
	}
	for i := range established {
		k := keyOf(i, packet.ProtoTCP)
		require.NotZero(t, table.Lookup(&k), "established session %d", i)
	}
}

// TestCapFindsHalfOpenAmongEstablished: sessions that left the queue by
// completing their handshake do not hide those that did not.
func TestCapFindsHalfOpenAmongEstablished(t *testing.T) {
	const established = 3000
	table := newTable(t, Config{Sessions: 10_000, Limits: Limits{TCPHalfOpen: 10}})
	w := table.Worker(0)
	for i := range established {
		establish(t, w, openTCP(t, w, i, second), second)
	}
	for i := range 500 {
		openTCP(t, w, established+i, second)
		w.Quiesce(second)
		require.Equal(t, min(i+1, 10), table.Stats().Classes[FamilyTCP].Embryonic)
	}
	require.Equal(t, established, table.Stats().Classes[FamilyTCP].Established, "none of them had to go")
	require.EqualValues(t, 490, table.Stats().Ended[EndEvicted])
}

func TestFullTableOfEstablishedSessionsGivesWay(t *testing.T) {
	const capacity = 500
	table := newTable(t, Config{Sessions: capacity})
	w := table.Worker(0)
	for i := range 3 * capacity {
		establish(t, w, openTCP(t, w, i, second), second)
		require.LessOrEqual(t, table.Stats().Live, capacity)
		w.Quiesce(second)
	}
	require.EqualValues(t, 2*capacity, table.Stats().Ended[EndEvicted])
}

func TestNoNumberIsLeftForTheRecklessWorker(t *testing.T) {
	table := newTable(t, Config{Sessions: 100})
	w := table.Worker(0)
	refused := 0
	for i := range 2000 { // without a Quiesce nothing can be recycled
		if _, r := tryCreate(w, flowKey(i), second); r != packet.None {
			require.Equal(t, packet.SessionTableFull, r)
			refused++
		}
	}
	require.Equal(t, 2000-100-sparePerWorker, refused)
	w.Quiesce(second)
	_, r := tryCreate(w, flowKey(5000), second)
	require.Equal(t, packet.None, r)
}

func TestPerSourceLimit(t *testing.T) {
	table := newTable(t, Config{Sessions: 100, PerSource: 2})
	w := table.Worker(0)
	from := func(source byte, zone packet.Zone, port uint16) packet.Key {
		k := flowKey(0)
		k.Src = packet.AddrFrom4(&[4]byte{10, 0, 0, source})
		k.Tail = packet.MakeTail(zone, packet.ProtoUDP, port, 53)
		return k
	}
	var ids []ID
	for _, row := range []struct {
		why  string
		key  packet.Key
		want packet.Reason
	}{
		{"the first", from(1, 1, 1), packet.None},
		{"the second", from(1, 1, 2), packet.None},
		{"one too many", from(1, 1, 3), packet.SourceLimit},
		{"another source", from(2, 1, 3), packet.None},
		{"the same address in another zone is another source", from(1, 2, 3), packet.None},
		{"one that exists is no new one", from(1, 1, 1), packet.None},
		{"replies are the session's, not their sender's", reverse(from(1, 1, 1)), packet.None},
	} {
		id, r := tryCreate(w, row.key, second)
		require.Equal(t, row.want, r, row.why)
		ids = append(ids, id)
	}
	require.Equal(t, 2, table.SourceSessions(1, from(1, 1, 1).Src))
	require.True(t, w.End(ids[0], EndCleared, second))
	require.Equal(t, 1, table.SourceSessions(1, from(1, 1, 1).Src))
	_, r := tryCreate(w, from(1, 1, 9), second)
	require.Equal(t, packet.None, r, "an end makes room at once")
	require.Zero(t, newTable(t, Config{Sessions: 1}).SourceSessions(1, packet.Addr{}))
}

// TestSourcesModel compares the counts with a map, in a table so small that
// stripes are nearly full and sources displace each other.
func TestSourcesModel(t *testing.T) {
	const sessions, limit = 6000, 4
	table := newTable(t, Config{Sessions: sessions, PerSource: limit, Seed: 3})
	rng := rand.New(rand.NewPCG(1, 1))
	model := map[int]int{}
	total := 0
	for range 200_000 {
		n := rng.IntN(5000)
		k := flowKey(n)
		if rng.IntN(2) == 0 && total < sessions {
			want := model[n] < limit
			require.Equal(t, want, table.sources.Add(k.Src, k.Zone()))
			if want {
				model[n]++
				total++
			}
		} else if model[n] > 0 {
			table.sources.Remove(k.Src, k.Zone())
			model[n]--
			total--
		}
	}
	for n := range 5000 {
		require.Equal(t, model[n], table.SourceSessions(1, flowKey(n).Src), "source %d", n)
	}
	for n, count := range model {
		k := flowKey(n)
		for range count {
			table.sources.Remove(k.Src, k.Zone())
		}
	}
	for i := range table.sources.slots {
		require.Zero(t, table.sources.slots[i].count)
	}
}

func TestSourcesHoldOneForEverySession(t *testing.T) {
	for _, sessions := range []int{1, 100, 100_000} {
		table := newTable(t, Config{Sessions: sessions, PerSource: 1})
		for i := range sessions {
			k := flowKey(i)
			require.True(t, table.sources.Add(k.Src, k.Zone()), "source %d of %d", i, sessions)
		}
	}
}
