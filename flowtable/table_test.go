package flowtable

import (
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
	id, created, r := w.Create(k, k.Reverse(), &in, nil, now)
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
