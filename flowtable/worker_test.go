package flowtable

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// keyOf returns the key of flow i of a protocol.
func keyOf(i int, proto uint8) packet.Key {
	k := flowKey(i)
	k.Tail = packet.MakeTail(1, proto, k.SrcPort(), k.DstPort())
	return k
}

func reverse(k packet.Key) packet.Key { return k.Reverse() }

// tcpSegment is a segment of flow i: flags, sequence and acknowledgement number.
func tcpSegment(k packet.Key, flags uint8, seq, ack uint32) (packet.Info, []byte) {
	p := makeTCP(Original, &tcpFields{flags: flags, seq: seq, ack: ack, win: 65535})
	p.in.Key = k
	return p.in, p.frame
}

// openTCP creates a TCP session in state SYN_SENT.
func openTCP(t testing.TB, w *Worker, i int, now int64) ID {
	t.Helper()
	k := keyOf(i, packet.ProtoTCP)
	in, frame := tcpSegment(k, packet.TCPSyn, 100, 0)
	id, created, r := w.Create(k, k.Reverse(), Terms{}, &in, frame, now)
	require.Equal(t, packet.None, r)
	require.True(t, created)
	return id
}

// step tracks a segment of one direction and fails the test if it may not pass.
func step(t testing.TB, w *Worker, id ID, flags uint8, seq, ack uint32, now int64) {
	t.Helper()
	in, frame := tcpSegment(w.t.Entry(id).Key, flags, seq, ack)
	r, reopened := w.Track(id, &in, frame, now)
	require.Equal(t, packet.None, r)
	require.False(t, reopened)
	w.t.Entry(id).Count(uint32(len(frame)), now)
}

// establish completes the handshake of a session of openTCP.
func establish(t testing.TB, w *Worker, id ID, now int64) {
	t.Helper()
	step(t, w, id.Peer(), packet.TCPSyn|packet.TCPAck, 500, 101, now)
	step(t, w, id, packet.TCPAck, 101, 501, now)
}

func TestCreateTwiceGivesTheSameSession(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	k := flowKey(1)
	id := create(t, w, k, second)
	in := infoOf(k)
	again, created, r := w.Create(k, k.Reverse(), Terms{}, &in, nil, second)
	require.Equal(t, packet.None, r)
	require.False(t, created)
	require.Equal(t, id, again)

	rev := k.Reverse()
	in = infoOf(rev)
	again, created, r = w.Create(rev, k, Terms{}, &in, nil, second)
	require.Equal(t, packet.None, r)
	require.False(t, created)
	require.Equal(t, id.Peer(), again, "seen from the other end it is the reply direction")
	require.Equal(t, 1, table.Stats().Live)
}

func TestCreateReportsATakenReplyKey(t *testing.T) {
	table := newTable(t, Config{Sessions: 10, PerSource: 5})
	w := table.Worker(0)
	a, b := flowKey(1), flowKey(2)
	taken := create(t, w, a, second)
	for _, row := range []struct {
		why             string
		original, reply packet.Key
	}{
		{"b is to be translated to what a already is", b, a.Reverse()},
		{"and the other way round, as keys have an order", b.Reverse(), a},
	} {
		in := infoOf(row.original)
		id, created, r := w.Create(row.original, row.reply, Terms{}, &in, nil, second)
		require.Equal(t, packet.None, r, row.why)
		require.False(t, created, row.why)
		require.Equal(t, taken.Session(), id.Session(), row.why)
		require.NotEqual(t, row.original, table.Entry(id).Key, row.why)
		require.Zero(t, table.Lookup(&row.original), "%s: nothing is left behind", row.why)
		require.Equal(t, 1, table.Stats().Live, row.why)
		require.Zero(t, table.SourceSessions(1, b.Src), row.why)
	}
	w.Quiesce(second)
	require.Zero(t, table.Stats().Backlog)
	var rec Record
	require.False(t, w.Records().Pop(&rec), "a session that never began has no record")
}

func TestTranslatedSessionIsFoundByBothKeys(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	client, server := flowKey(1), flowKey(77)
	reply := packet.Key{Src: server.Dst, Dst: client.Src, Tail: client.Reverse().Tail} // another server answers
	in := infoOf(client)
	id, created, r := w.Create(client, reply, Terms{}, &in, nil, second)
	require.True(t, created)
	require.Equal(t, packet.None, r)
	require.Equal(t, id, table.Lookup(&client))
	require.Equal(t, id.Peer(), table.Lookup(&reply))
	require.Equal(t, Reply, table.Lookup(&reply).Dir())
	w.Bind(id, Binding{Service: 3, Member: 9, Rule: 4, Source: 7})
	require.Equal(t, Binding{3, 9, 4, 7}, table.Binding(id.Peer()))

	require.True(t, w.End(id.Peer(), EndCleared, second), "either direction's ID names the session")
	require.Zero(t, table.Lookup(&client))
	require.Zero(t, table.Lookup(&reply))
	require.False(t, w.End(id, EndCleared, second), "once")
}

func TestSessionWithOneDirection(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	k := flowKey(1)
	k.Dst = k.Src
	k.Tail = packet.MakeTail(1, packet.ProtoUDP, 7, 7)
	require.Equal(t, k, k.Reverse())
	id := create(t, w, k, second)
	require.Equal(t, id, table.Lookup(&k))
	require.True(t, w.End(id, EndCleared, second))
	require.Zero(t, table.Lookup(&k))
	w.Quiesce(second)
	require.Equal(t, id, create(t, w, k, second), "nothing of it is left")
}

func TestCreateRefusesWhatBeginsNoSession(t *testing.T) {
	for _, row := range []struct {
		why    string
		strict bool
		flags  uint8
		want   packet.Reason
	}{
		{"a SYN begins a connection", true, packet.TCPSyn, packet.None},
		{"an ACK is picked up after a restart", false, packet.TCPAck, packet.None},
		{"but not when strict", true, packet.TCPAck, packet.SessionInvalid},
		{"a RST ends what is not there", false, packet.TCPRst, packet.SessionInvalid},
		{"a SYN/ACK answers what was not asked", false, packet.TCPSyn | packet.TCPAck, packet.SessionInvalid},
	} {
		table := newTable(t, Config{Sessions: 10, StrictTCP: row.strict})
		w := table.Worker(0)
		k := keyOf(1, packet.ProtoTCP)
		in, frame := tcpSegment(k, row.flags, 1, 1)
		id, created, r := w.Create(k, k.Reverse(), Terms{}, &in, frame, second)
		require.Equal(t, row.want, r, row.why)
		require.Equal(t, row.want == packet.None, created, row.why)
		require.Equal(t, created, id != 0, row.why)
		require.Equal(t, created, table.Stats().Live == 1, row.why)
	}
}

func TestTrackKeepsClassFlagsAndDeadline(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	tcp := func() ByClass { return table.Stats().Classes[FamilyTCP] }

	id := openTCP(t, w, 1, second)
	require.Equal(t, ByClass{Embryonic: 1}, tcp())
	establish(t, w, id, second)
	require.Equal(t, ByClass{Established: 1}, tcp())
	require.Zero(t, table.Entry(id).Flags()&Settled, "TCP is never settled: windows move on")
	step(t, w, id, packet.TCPFin|packet.TCPAck, 101, 501, 2*second)
	require.Equal(t, ByClass{Closing: 1}, tcp())
	closing := second * DefaultTimers().TCPClosing
	require.LessOrEqual(t, atomic.LoadUint32(table.deadline(id.Session())), table.tickOf(2*second+closing),
		"a shorter timeout holds at once")

	udp := create(t, w, flowKey(2), second)
	require.Zero(t, table.Entry(udp).Flags()&Settled, "the second packet still changes the state")
	in := infoOf(reverse(flowKey(2)))
	r, _ := w.Track(udp.Peer(), &in, nil, second)
	require.Equal(t, packet.None, r)
	require.NotZero(t, table.Entry(udp).Flags()&Settled)
	require.NotZero(t, table.Entry(udp.Peer()).Flags()&Settled)
	require.Equal(t, ByClass{Established: 1}, table.Stats().Classes[FamilyUDP])

	require.True(t, w.End(id, EndCleared, second))
	require.True(t, w.End(udp, EndCleared, second))
	require.Equal(t, ByClass{}, tcp())
	require.Equal(t, ByClass{}, table.Stats().Classes[FamilyUDP])
}

func TestReopenedConnectionIsANewSession(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	id := openTCP(t, w, 1, second)
	establish(t, w, id, second)
	step(t, w, id.Peer(), packet.TCPRst|packet.TCPAck, 501, 101, second)
	k := keyOf(1, packet.ProtoTCP)
	in, frame := tcpSegment(k, packet.TCPSyn, 900_000, 0)
	r, reopened := w.Track(id, &in, frame, 2*second)
	require.Equal(t, packet.None, r)
	require.True(t, reopened)
	require.Zero(t, table.Lookup(&k), "treated as a miss")
	again, created, r := w.Create(k, k.Reverse(), Terms{}, &in, frame, 2*second)
	require.True(t, created)
	require.Equal(t, packet.None, r)
	require.NotEqual(t, id.Session(), again.Session(), "the old number waits for its grace period")
	w.Quiesce(2 * second)
	var rec Record
	require.True(t, w.Records().Pop(&rec))
	require.Equal(t, EndRST, rec.Reason)
	require.Equal(t, StateTCPClosed, rec.State)
}

func TestErrorShortensAnICMPSession(t *testing.T) {
	ip := func(proto byte, src, dst byte, size int) []byte {
		return []byte{0x45, 0, 0, byte(size), 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, src, 10, 0, 0, dst}
	}
	echo := []byte{8, 0, 0, 0, 0, 7, 0, 1}
	ethernet := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}
	ping := slices.Concat(ethernet, ip(packet.ProtoICMP, 1, 2, 28), echo)
	unreachable := slices.Concat(ethernet, ip(packet.ProtoICMP, 99, 1, 56), []byte{3, 1, 0, 0, 0, 0, 0, 0}, ip(packet.ProtoICMP, 1, 2, 28), echo)

	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	var in packet.Info
	packet.Parse(ping, &in) // whose checksums are nobody's concern here
	id, created, r := w.Create(in.Key, in.Key.Reverse(), Terms{}, &in, ping, second)
	require.True(t, created)
	require.Equal(t, packet.None, r)
	packet.Parse(unreachable, &in)
	require.True(t, in.Has(packet.ICMPError))
	require.Equal(t, id.Peer(), table.Lookup(&in.Key), "the error travels in the direction of a reply")
	require.Equal(t, packet.None, w.TrackError(id.Peer(), &in, unreachable, second))
	require.Equal(t, ByClass{Closing: 1}, table.Stats().Classes[FamilyICMP])
	w.SweepAll(second + DefaultTimers().ICMPErrorReply*second)
	require.Zero(t, table.Stats().Live)
}

func TestExpireOnDemand(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	k := flowKey(1)
	id := create(t, w, k, second)
	timeout := DefaultTimers().UDPFirstPacket * second
	require.False(t, w.Expire(id, second+timeout-1))
	require.NotZero(t, table.Lookup(&k))
	require.True(t, w.Expire(id, second+timeout))
	require.Zero(t, table.Lookup(&k))
	require.True(t, w.Expire(id, second+timeout), "it is over, whoever ended it")
	require.Equal(t, DefaultTimers().ICMPErrorReply*second, table.ShortestTimeout())
}

// TestDuplicateCreateRace: workers at both ends begin the same sessions at the
// same moment; each becomes one session that both agree on.
func TestDuplicateCreateRace(t *testing.T) {
	const flows, workers = 3000, 2
	table := newTable(t, Config{Sessions: 2 * flows, Workers: workers})
	var wg sync.WaitGroup
	var wins, wrong [flows]atomic.Int32
	var arrived atomic.Int32
	for n := range workers {
		wg.Go(func() {
			w := table.Worker(n)
			defer w.Offline()
			for i := range flows {
				k := flowKey(i)
				if n == 1 {
					k = k.Reverse()
				}
				in := infoOf(k)
				arrived.Add(1)
				for spins := 0; int(arrived.Load()) < workers*(i+1); spins++ {
					relax(spins)
				}
				id, created, r := w.Create(k, k.Reverse(), Terms{}, &in, nil, second)
				if created {
					wins[i].Add(1)
				}
				if r != packet.None || table.Entry(id).Key != k {
					wrong[i].Add(1)
				}
				w.Quiesce(second)
			}
		})
	}
	wg.Wait()
	for i := range wins {
		require.EqualValues(t, 1, wins[i].Load(), "flow %d", i)
		require.Zero(t, wrong[i].Load(), "flow %d", i)
		k := flowKey(i)
		rev := k.Reverse()
		require.NotZero(t, table.Lookup(&k))
		require.Equal(t, table.Lookup(&k).Peer(), table.Lookup(&rev))
	}
	require.Equal(t, flows, table.Stats().Live)
}

// TestTableConcurrent: workers create, find, count, track, end and expire the
// same flows at once; what a worker finds is what it looked for, as long as it
// holds it, and the books balance in the end.
func TestTableConcurrent(t *testing.T) {
	const flows, workers, rounds = 300, 3, 150
	table := newTable(t, Config{Sessions: 200, Workers: workers, PerSource: 3, Records: 1 << 14})
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for n := range workers {
		wg.Go(func() {
			w := table.Worker(n)
			defer w.Offline()
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			var infos [64]packet.Info
			var hashes [64]uint64
			var ids [64]ID
			for round := range rounds {
				now := second * int64(1+round)
				for i := range infos {
					k := flowKey(rng.IntN(flows))
					if n == 1 { // a worker polls one direction of a flow
						k = k.Reverse()
					}
					infos[i] = infoOf(k)
				}
				found := table.LookupVector(&infos, ^uint64(0), &hashes, &ids)
				for i := range ids {
					if found>>i&1 == 0 && n == 0 {
						ids[i], _, _ = w.Create(infos[i].Key, infos[i].Key.Reverse(), Terms{}, &infos[i], nil, now)
					}
				}
				for i, id := range ids {
					if id == 0 {
						continue
					}
					if table.Entry(id).Key != infos[i].Key {
						wrong.Add(1)
					}
					if n < 2 {
						w.Track(id, &infos[i], nil, now)
						table.Entry(id).Count(100, now)
					} else if rng.IntN(8) == 0 {
						w.End(id, EndCleared, now)
					}
				}
				for i, id := range ids { // still, after all that others did
					if id != 0 && table.Entry(id).Key != infos[i].Key {
						wrong.Add(1)
					}
				}
				w.Quiesce(now)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			for r := range table.Sessions {
				if r.Keys[Original].Reverse() != r.Keys[Reply] {
					wrong.Add(1)
				}
			}
		}
	})
	wg.Wait()
	require.Zero(t, wrong.Load())

	w := table.Worker(0)
	w.Online()
	listed := 0
	for range table.Sessions {
		listed++
	}
	require.Equal(t, table.Stats().Live, listed)
	w.EndMatching(0, 1<<30, nil, EndShutdown, 1000*second)
	for n := range workers {
		other := table.Worker(n)
		other.Online()
		// Each call recycles so many at most, and a reader may have held back all that ended while it read.
		for range 4 + flows*rounds/recyclePerQuiesce {
			other.Quiesce(1000 * second)
		}
		other.Offline()
	}
	st := table.Stats()
	require.Zero(t, st.Live)
	require.Zero(t, st.Backlog)
	require.Equal(t, [numFamilies]ByClass{}, st.Classes)
	ended, popped := uint64(0), uint64(0)
	for _, n := range st.Ended {
		ended += n
	}
	require.Equal(t, st.Created, ended)
	for n := range workers {
		var r Record
		for table.Records(n).Pop(&r) {
			popped++
		}
	}
	require.Equal(t, ended, popped+st.Lost)
	for i := range table.index.mask + 1 {
		require.Equal(t, [2]uint64{}, table.index.at(i).fp, "no key is left behind")
	}
	for i := range flows {
		require.Zero(t, table.SourceSessions(1, flowKey(i).Src))
	}
}
