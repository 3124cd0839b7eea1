package flowtable

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

const second = int64(1e9)

// flowKey returns the key of UDP flow i, different for each i.
func flowKey(i int) packet.Key {
	src := [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
	dst := [4]byte{192, 0, 2, byte(i >> 24)}
	return packet.Key{
		Src: packet.AddrFrom4(&src), Dst: packet.AddrFrom4(&dst),
		Tail: packet.MakeTail(1, packet.ProtoUDP, uint16(1024+i%60000), 53),
	}
}

func infoOf(k packet.Key) packet.Info {
	return packet.Info{Key: k, EtherType: packet.EtherTypeIPv4, L3: 14, L4: 34, Flags: packet.IsIPv4 | packet.HasPorts, Proto: k.Proto()}
}

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, table.Close()) })
	return table
}

// create makes a session and fails the test unless it is a new one.
func create(t testing.TB, w *Worker, k packet.Key, now int64) ID {
	t.Helper()
	in := infoOf(k)
	id, created, r := w.Create(k, k.Reverse(), Terms{}, &in, nil, now)
	require.Equal(t, packet.None, r)
	require.True(t, created)
	return id
}

func TestTableFindsBothDirections(t *testing.T) {
	table := newTable(t, Config{Sessions: 1000})
	w := table.Worker(0)
	ids := map[ID]bool{}
	for i := range 1000 {
		id := create(t, w, flowKey(i), second)
		require.False(t, ids[id], "ID given twice")
		ids[id] = true
	}
	var infos [64]packet.Info
	var hashes [64]uint64
	var found [64]ID
	for range 100 {
		mask := rand.Uint64()
		want := uint64(0)
		for i := range infos {
			n := rand.IntN(2000)
			k := flowKey(n)
			if rand.IntN(2) == 0 {
				k = k.Reverse()
			}
			infos[i] = infoOf(k)
			if n < 1000 {
				want |= 1 << i
			}
		}
		got := table.LookupVector(&infos, mask, &hashes, &found)
		require.Equal(t, want&mask, got)
		for i := range infos {
			if mask>>i&1 == 0 {
				continue
			}
			require.Equal(t, table.Lookup(&infos[i].Key), found[i])
			require.Equal(t, got>>i&1 == 1, found[i] != 0)
			if found[i] != 0 {
				require.Equal(t, infos[i].Key, table.Entry(found[i]).Key)
				require.Equal(t, infos[i].Key.Reverse(), table.Entry(found[i].Peer()).Key)
			}
		}
	}
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := New(Config{Workers: -1, PerSource: -1, Records: MaxRecords + 1, Limits: Limits{TCPHalfOpen: -1, UDP: -2, ICMP: -3, Other: -4}, Timers: Timers{UDPSingle: 30}})
	require.Error(t, err)
	for _, name := range []string{
		"sessions: 0 ", "workers: -1 ", "sessions per source: -1 ", "records: 16777217 ",
		"half-open TCP limit: -1 ", "UDP limit: -2 ", "ICMP limit: -3 ", "limit of other protocols: -4 ", "tcp_established",
	} {
		require.ErrorContains(t, err, name)
	}
}

func TestTwoTablesWithOneSeedAgree(t *testing.T) {
	k := flowKey(1)
	a, b, c := newTable(t, Config{Sessions: 1, Seed: 1}), newTable(t, Config{Sessions: 1, Seed: 1}), newTable(t, Config{Sessions: 1, Seed: 20})
	require.Equal(t, a.Hash(&k), b.Hash(&k))
	require.NotEqual(t, a.Hash(&k), c.Hash(&k))
}

// TestHashSpreads: buckets and fingerprints of keys that differ in one field
// only, as those of a scan do, collide hardly more often than random ones.
func TestHashSpreads(t *testing.T) {
	const n, bins = 1 << 14, 1 << 8
	table := newTable(t, Config{Sessions: 1, Seed: 20})
	base := flowKey(3)
	for _, row := range []struct {
		why string
		key func(i uint32) packet.Key
	}{
		{"source ports", func(i uint32) packet.Key { k := base; k.Tail ^= uint64(i); return k }},
		{"destination ports", func(i uint32) packet.Key { k := base; k.Tail ^= uint64(i) << 16; return k }},
		{"zones", func(i uint32) packet.Key { k := base; k.Tail ^= uint64(i) << 32; return k }},
		{"IPv4 sources", func(i uint32) packet.Key { k := base; k.Src[1] ^= uint64(bits.ReverseBytes32(i)) << 32; return k }},
		{"IPv4 destinations", func(i uint32) packet.Key { k := base; k.Dst[1] ^= uint64(bits.ReverseBytes32(i)) << 32; return k }},
		{"IPv6 prefixes", func(i uint32) packet.Key { k := base; k.Src[0] = uint64(i); return k }},
		{"both ports alike", func(i uint32) packet.Key { k := base; k.Tail ^= uint64(i)<<16 | uint64(i); return k }},
	} {
		for _, part := range []struct {
			name string
			of   func(hash uint64) uint64
		}{
			{"bucket", func(h uint64) uint64 { return h >> 56 }},
			{"bucket, lower bits", func(h uint64) uint64 { return h >> 42 }},
			{"fingerprint", fingerprint},
			{"fingerprint, higher bits", func(h uint64) uint64 { return fingerprint(h) >> 8 }},
			{"fingerprint within a bucket", func(h uint64) uint64 { return fingerprint(h)&15 | h>>40&15<<4 }},
		} {
			var count [bins]int
			for i := range uint32(n) {
				k := row.key(i)
				count[part.of(table.Hash(&k))%bins]++
			}
			// Pairs that collide, over those expected of random numbers.
			pairs := 0
			for _, c := range count {
				pairs += c * (c - 1)
			}
			require.Less(t, float64(pairs)*bins/(n*(n-1)), 1.1, "%s, %s", row.why, part.name)
		}
	}
}

func TestMemoryIsWhatTheTypeSays(t *testing.T) {
	for _, sessions := range []int{200_000, 1_000_000} {
		plain := newTable(t, Config{Sessions: sessions})
		limited := newTable(t, Config{Sessions: sessions, PerSource: 10})
		per := float64(plain.Memory()) / float64(sessions)
		require.InDelta(t, 256+64+4+10+30, per, 12, "sessions: %d", sessions)
		require.InDelta(t, per+30, float64(limited.Memory())/float64(sessions), 2)
	}
}

func TestPrefaultedTableWorks(t *testing.T) {
	table := newTable(t, Config{Sessions: 20_000, Prefault: true})
	w := table.Worker(0)
	for i := range 1000 {
		create(t, w, flowKey(i), second)
	}
	require.Equal(t, 1000, table.Stats().Live)
}

// TestPacketPathAllocatesNothing: the whole life of a session.
func TestPacketPathAllocatesNothing(t *testing.T) {
	table := newTable(t, Config{Sessions: 64, PerSource: 64, Limits: Limits{TCPHalfOpen: 20}, Records: 16})
	w := table.Worker(0)
	var infos [64]packet.Info
	var frames [64][]byte
	var hashes [64]uint64
	var ids [64]ID
	for i := range infos {
		infos[i], frames[i] = tcpSegment(keyOf(i, packet.ProtoTCP), packet.TCPSyn, 1, 0)
	}
	now := second
	var rec Record
	permit := Permit{Epoch: 1}
	require.Zero(t, testing.AllocsPerRun(200, func() {
		now += second
		found := table.LookupVector(&infos, ^uint64(0), &hashes, &ids)
		for i := range ids {
			if found>>i&1 == 0 {
				k := infos[i].Key
				ids[i], _, _ = w.Create(k, k.Reverse(), Terms{}, &infos[i], frames[i], now)
			}
			w.Track(ids[i], &infos[i], frames[i], now)
			e := table.Entry(ids[i])
			e.StorePermit(&permit, 1, LinkValid)
			e.Allowed(1, LinkValid, 1)
			e.Count(64, now)
		}
		w.End(ids[3], EndCleared, now)
		w.EndMatching(0, 10, nil, EndCleared, now)
		w.Quiesce(now)
		w.SweepAll(now)
		for w.Records().Pop(&rec) {
		}
	}))
	require.NotZero(t, table.Stats().Ended[EndEvicted], "the run has evicted")
	require.NotZero(t, table.Stats().Ended[EndCleared], "and ended")
}

func TestSessionsStopsWhenTold(t *testing.T) {
	table := newTable(t, Config{Sessions: 2000})
	w := table.Worker(0)
	for i := range 2000 {
		create(t, w, flowKey(i), second)
	}
	n := 0
	for range table.Sessions {
		if n++; n == 700 {
			break
		}
	}
	require.Equal(t, 700, n)
	for range maxReaders {
		table.Reader() // the listing has given its place back: there are all 8
	}
}

func TestEndMatchingGoesOnWhereItStopped(t *testing.T) {
	table := newTable(t, Config{Sessions: 500})
	w := table.Worker(0)
	for i := range 500 {
		create(t, w, flowKey(i), second)
	}
	odd := func(r *Record) bool { return r.Keys[Original].SrcPort()%2 == 1 }
	calls := 0
	for next := uint32(0); ; calls++ {
		before := table.Stats().Live
		next = w.EndMatching(next, 100, odd, EndPolicy, second)
		require.LessOrEqual(t, before-table.Stats().Live, 100)
		w.Quiesce(second)
		if next == 0 {
			break
		}
	}
	require.GreaterOrEqual(t, calls, 4)
	require.Equal(t, 250, table.Stats().Live)
	require.EqualValues(t, 250, table.Stats().Ended[EndPolicy])
	for r := range table.Sessions {
		require.False(t, odd(r))
	}
}
