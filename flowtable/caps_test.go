package flowtable

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// tryTerms is tryCreate on terms.
func tryTerms(w *Worker, k packet.Key, terms Terms, now int64) (ID, packet.Reason) {
	in := infoOf(k)
	frame := make([]byte, 64)
	switch k.Proto() {
	case packet.ProtoTCP:
		in, frame = tcpSegment(k, packet.TCPSyn, 100, 0)
	case packet.ProtoICMP:
		frame[in.L4] = packet.ICMPEcho
	}
	id, _, r := w.Create(k, k.Reverse(), terms, &in, frame, now)
	return id, r
}

// requireBooks compares the census and the groups' counts with the sessions that live.
func requireBooks(t testing.TB, table *Table, numbers ...uint16) {
	t.Helper()
	var classes [numFamilies]ByClass
	charged := map[uint16]Limits{}
	live := 0
	for r := range table.Sessions {
		live++
		f := familyOf(r.Keys[Original].Proto())
		c := stateInfo[r.State].class
		switch c {
		case classEmbryonic:
			classes[f].Embryonic++
		case classEstablished:
			classes[f].Established++
		default:
			classes[f].Closing++
		}
		for _, number := range r.Terms.Caps {
			l := charged[number]
			switch {
			case f == FamilyUDP:
				l.UDP++
			case f == FamilyICMP:
				l.ICMP++
			case f == FamilyOther:
				l.Other++
			case c == classEmbryonic:
				l.TCPHalfOpen++
			}
			charged[number] = l
		}
	}
	st := table.Stats()
	require.Equal(t, classes, st.Classes, "by family and class")
	require.Equal(t, live, st.Live)
	for _, number := range numbers {
		require.Equal(t, charged[number], table.Charged(number), "group %d", number)
		requireList(t, table, number)
	}
}

// requireList holds a group's list against the sessions: who is in it is half open, and both
// ways through it agree.
func requireList(t testing.TB, table *Table, number uint16) {
	t.Helper()
	g := table.groups.of(number)
	if g == nil {
		return
	}
	prev, n := uint32(0), 0
	for at := g.head; at != 0; n++ {
		l := table.links(at, number).Load()
		require.NotZero(t, l&listed)
		require.Equal(t, prev, uint32(l>>32)&prevMask)
		c := table.session(at).control()
		require.Equal(t, [2]any{phaseLive, classEmbryonic}, [2]any{c.phase(), c.class()}, "session %d", at)
		prev, at = at, uint32(l)
	}
	require.Equal(t, prev, g.tail)
	require.LessOrEqual(t, n, int(g.count[FamilyTCP].Load()))
	if g.synCache.Load() {
		require.EqualValues(t, g.count[FamilyTCP].Load(), n)
	}
}

func TestCapsOfGroups(t *testing.T) {
	const tcp, udp, icmp, gre = packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE
	two := Limits{TCPHalfOpen: 2, UDP: 2, ICMP: 2, Other: 2}
	for _, row := range []struct {
		why   string
		caps  map[uint16]Caps
		terms []Terms // of the sessions, in order
		proto uint8
		want  string // . begins, x refused, digit: begins, and that one is evicted
	}{
		{"UDP beyond the cap is refused", map[uint16]Caps{1: {Limits: two}}, []Terms{{Caps: [2]uint16{1}}}, udp, "..xx"},
		{"ICMP", map[uint16]Caps{1: {Limits: two}}, []Terms{{Caps: [2]uint16{1}}}, icmp, "..xx"},
		{"others", map[uint16]Caps{1: {Limits: two}}, []Terms{{Caps: [2]uint16{1}}}, gre, "..xx"},
		{"half-open TCP without SYN cache", map[uint16]Caps{1: {Limits: two}}, []Terms{{Caps: [2]uint16{1}}}, tcp, "..xx"},
		{"with it the first makes room", map[uint16]Caps{1: {two, true}}, []Terms{{Caps: [2]uint16{1}}}, tcp, "..0123"},
		{"the SYN cache is TCP's", map[uint16]Caps{1: {two, true}}, []Terms{{Caps: [2]uint16{1}}}, udp, "..xx"},
		{"no limit is none", map[uint16]Caps{1: {}}, []Terms{{Caps: [2]uint16{1}}}, udp, "......"},
		{"a group that nobody has named", nil, []Terms{{Caps: [2]uint16{1, 65535}}}, udp, "......"},
		{"the receiver's group counts as the sender's does", map[uint16]Caps{65535: {Limits: two}}, []Terms{{Caps: [2]uint16{0, 65535}}}, udp, "..xx"},
		{
			"either end's group refuses",
			map[uint16]Caps{1: {Limits: two}, 2: {Limits: Limits{UDP: 3}}},
			[]Terms{{Caps: [2]uint16{1, 2}}, {Caps: [2]uint16{0, 2}}},
			udp, "...x",
		},
		{"the same group at both ends counts once", map[uint16]Caps{1: {Limits: two}}, []Terms{{Caps: [2]uint16{1, 1}}}, udp, "..xx"},
		{
			"one eviction may serve both ends",
			map[uint16]Caps{1: {two, true}, 2: {two, true}},
			[]Terms{{Caps: [2]uint16{1, 2}}},
			tcp, "..012",
		},
		{
			"in one group there is a SYN cache, the other refuses",
			map[uint16]Caps{1: {two, true}, 2: {two, false}},
			[]Terms{{Caps: [2]uint16{1}}, {Caps: [2]uint16{0, 2}}},
			tcp, "....0x2x",
		},
		{
			"a group's turn comes by its own sessions",
			map[uint16]Caps{1: {two, true}, 2: {Limits{TCPHalfOpen: 3}, true}},
			[]Terms{{Caps: [2]uint16{1, 2}}, {Caps: [2]uint16{2, 0}}},
			tcp, "...0123",
		},
	} {
		table := newTable(t, Config{Sessions: 100})
		w := table.Worker(0)
		for number, c := range row.caps {
			require.NoError(t, table.SetCaps(number, c))
		}
		var keys []packet.Key
		got := ""
		for i := range row.want {
			k := keyOf(i, row.proto)
			before := table.Stats().Live
			_, r := tryTerms(w, k, row.terms[i%len(row.terms)], second+int64(i))
			keys = append(keys, k)
			switch {
			case r == packet.FloodLimit:
				require.Equal(t, before, table.Stats().Live, row.why)
				got += "x"
			case table.Stats().Live > before:
				got += "."
			default:
				gone := ""
				for j := range i {
					if got[j] != 'x' && table.Lookup(&keys[j]) == 0 {
						gone = fmt.Sprint(j) // the last that has gone
					}
				}
				got += gone
			}
			w.Quiesce(second)
		}
		require.Equal(t, row.want, got, row.why)
		requireBooks(t, table, 1, 2, 65535)
		w.EndMatching(0, 1<<30, nil, EndCleared, second)
		for number := range row.caps {
			require.Zero(t, table.Charged(number), "%s: all are gone", row.why)
			requireList(t, table, number)
		}
	}
}

func TestSetCapsRefuses(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	err := table.SetCaps(0, Caps{Limits: Limits{UDP: -1, Other: MaxSessions + 1}})
	require.ErrorContains(t, err, "number groups from 1")
	require.ErrorContains(t, err, "udp: -1 is not in 0 to")
	require.ErrorContains(t, err, "other: ")
	require.Zero(t, table.Charged(0))
}

// Caps change while there are sessions.
func TestSetCapsOfLiveGroup(t *testing.T) {
	table := newTable(t, Config{Sessions: 1000})
	w := table.Worker(0)
	on := Terms{Caps: [2]uint16{5, 0}}
	next := 0
	open := func() packet.Reason {
		next++
		_, r := tryTerms(w, keyOf(next, packet.ProtoTCP), on, second)
		w.Quiesce(second)
		return r
	}
	set := func(c Caps) { require.NoError(t, table.SetCaps(5, c)) }
	set(Caps{SYNCache: true})
	for range 100 {
		require.Equal(t, packet.None, open())
	}
	require.Equal(t, Limits{TCPHalfOpen: 100}, table.Charged(5), "counted without a limit too")
	set(Caps{Limits{TCPHalfOpen: 10}, true})
	require.Equal(t, 100, table.Stats().Live, "what there is stays until a new one comes")
	for i := range 90 {
		require.Equal(t, packet.None, open())
		require.Equal(t, 99-i, table.Charged(5).TCPHalfOpen, "each takes the place of two")
	}
	for range 10 {
		require.Equal(t, packet.None, open())
		require.Equal(t, 10, table.Charged(5).TCPHalfOpen)
	}
	set(Caps{Limits: Limits{TCPHalfOpen: 10}})
	require.Equal(t, packet.FloodLimit, open(), "no SYN cache any more")
	set(Caps{Limits: Limits{TCPHalfOpen: 12}})
	require.Equal(t, packet.None, open())
	require.Equal(t, packet.None, open())
	require.Equal(t, packet.FloodLimit, open())
	set(Caps{Limits{TCPHalfOpen: 12}, true})
	for range 10 {
		require.Equal(t, packet.None, open(), "those listed earlier make room")
	}
	for range 10 {
		require.Equal(t, packet.None, open(), "and those that came in their place")
	}
	for _, i := range []int{next - 22, next - 21} {
		k := keyOf(i, packet.ProtoTCP)
		require.NotZero(t, table.Lookup(&k), "the two that began without SYN cache keep their places")
	}
	requireBooks(t, table)
}

// A session that completes its handshake, or ends, is no longer to be had, wherever in the
// list it stands; one that is half open once more is.
func TestGroupListsFollowStates(t *testing.T) {
	table := newTable(t, Config{Sessions: 1000})
	w := table.Worker(0)
	require.NoError(t, table.SetCaps(1, Caps{Limits{TCPHalfOpen: 500}, true}))
	require.NoError(t, table.SetCaps(2, Caps{Limits{TCPHalfOpen: 500}, true}))
	rng := rand.New(rand.NewPCG(1, 1))
	var ids []ID
	for i := range 300 {
		id, r := tryTerms(w, keyOf(i, packet.ProtoTCP), Terms{Caps: [2]uint16{uint16(rng.IntN(3)), uint16(rng.IntN(3))}}, second)
		require.Equal(t, packet.None, r)
		ids = append(ids, id)
	}
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for i, id := range ids {
		switch i % 3 {
		case 0:
			establish(t, w, id, second)
		case 1:
			require.True(t, w.End(id, EndCleared, second))
		}
		if i%10 == 0 {
			requireBooks(t, table, 1, 2)
		}
	}
	// A SYN out of place that the server accepts (tcpResync): half open again.
	id := ids[0]
	step(t, w, id, packet.TCPSyn, 7000, 0, second)
	step(t, w, id.Peer(), packet.TCPSyn|packet.TCPAck, 9000, 7001, second)
	require.Equal(t, StateTCPSynRecv, table.session(id.Session()).state())
	requireBooks(t, table, 1, 2)
	w.EndMatching(0, 1<<30, nil, EndCleared, second)
	requireBooks(t, table, 1, 2)
	require.Zero(t, table.Charged(1))
}

// Random sessions of all families, states, ends and caps by two workers at once: the books
// balance, whatever was interleaved.
func TestCapsWhileWorkersRun(t *testing.T) {
	const workers = 2
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	numbers := []uint16{1, 2, 3, 256, 65535}
	table := newTable(t, Config{Sessions: 3000, Workers: workers, Limits: Limits{UDP: 800}, ManualSweep: true})
	for _, n := range numbers {
		require.NoError(t, table.SetCaps(n, Caps{Limits{TCPHalfOpen: 40, UDP: 60, ICMP: 30, Other: 20}, n%2 == 1}))
	}
	protos := []uint8{packet.ProtoTCP, packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			w := table.Worker(i)
			rng := rand.New(rand.NewPCG(9, uint64(i)))
			for range rounds {
				for range 64 {
					// Both workers use the same flows: they meet in Create, in lists and in ends.
					k := keyOf(rng.IntN(2000), protos[rng.IntN(len(protos))])
					id := table.Lookup(&k)
					if id == 0 {
						caps := [2]uint16{numbers[rng.IntN(len(numbers))], numbers[rng.IntN(len(numbers))]}
						id, _ = tryTerms(w, k, Terms{Caps: caps}, second)
					}
					if id == 0 {
						continue
					}
					switch rng.IntN(4) {
					case 0:
						w.End(id, EndCleared, second)
					case 1, 2:
						flags, seq, ack := uint8(packet.TCPSyn|packet.TCPAck), uint32(500), uint32(101)
						for _, d := range [2]ID{id.Peer(), id} {
							in := infoOf(table.Entry(d).Key)
							frame := make([]byte, 64)
							if k.Proto() == packet.ProtoTCP {
								in, frame = tcpSegment(in.Key, flags, seq, ack)
							}
							w.Track(d, &in, frame, second)
							flags, seq, ack = packet.TCPAck, 101, 501
						}
					}
				}
				w.Quiesce(second)
			}
			w.Offline()
		})
	}
	for range 100 {
		for _, n := range numbers {
			require.NoError(t, table.SetCaps(n, Caps{Limits{TCPHalfOpen: 10 + rand.IntN(40), UDP: 60, ICMP: 30, Other: 20}, n%2 == 1}))
		}
	}
	wg.Wait()
	requireBooks(t, table, numbers...)
	w := table.Worker(0)
	w.Online()
	w.EndMatching(0, 1<<30, nil, EndCleared, second)
	requireBooks(t, table, numbers...)
	require.Zero(t, table.Stats().Live)
	for _, n := range numbers {
		require.Zero(t, table.Charged(n), "group %d", n)
		require.Zero(t, table.groups.of(n).head)
	}
}
