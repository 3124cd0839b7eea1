package flowtable

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPermitIsForItsLinkAndEpoch(t *testing.T) {
	const mac0, mac1 = 0x1122334455667788, 0x99aabbcc | 5<<32 | LinkValid
	var e Entry
	_, _, ok := e.Allowed(0, LinkValid, 0)
	require.False(t, ok, "a fresh entry has no permit, for no link")
	require.True(t, e.StorePermit(&Permit{
		Epoch: 7, Hop: 3, HopGen: 4, Flags: Translated | 1<<8, EgressRule: 10, IngressRule: 11, Meters: 12, Mirrors: 13,
	}, mac0, mac1))
	for _, row := range []struct {
		why          string
		link0, link1 uint64
		epoch        uint32
		want         bool
	}{
		{"the frame the decision was made for", mac0, mac1, 7, true},
		{"another destination or source MAC", mac0 + 1, mac1, 7, false},
		{"another source MAC", mac0, mac1 + 1, 7, false},
		{"another ingress port", mac0, mac1 + 1<<32, 7, false},
		{"a newer configuration", mac0, mac1, 8, false},
		{"an older one", mac0, mac1, 6, false},
	} {
		hop, flags, ok := e.Allowed(row.link0, row.link1, row.epoch)
		require.Equal(t, row.want, ok, row.why)
		if ok {
			require.EqualValues(t, 3|4<<32, hop, row.why)
			require.Equal(t, Translated|1<<8, flags, row.why)
		}
	}
	hop, gen := e.Hop()
	egress, ingress := e.Rules()
	require.Equal(t, []uint32{3, 4, 7, 10, 11, 12, 13}, []uint32{hop, gen, e.Epoch(), egress, ingress, e.Meters(), e.Mirrors()})
	link0, link1 := e.Link()
	require.Equal(t, []uint64{mac0, mac1}, []uint64{link0, link1})
}

func TestPermitIsReplacedWhole(t *testing.T) {
	var e Entry
	e.setFlag(Settled, true)
	for i := range uint32(1 << 16) { // the version goes round, twice
		require.True(t, e.StorePermit(&Permit{Epoch: i, Hop: i, Flags: i << 8}, 1, LinkValid|2))
	}
	hop, flags, ok := e.Allowed(1, LinkValid|2, 1<<16-1)
	require.True(t, ok)
	require.EqualValues(t, 1<<16-1, hop)
	require.Equal(t, uint32(1<<16-1)<<8|Settled, flags, "the table's flags are not the permit's")
	require.True(t, e.StorePermit(&Permit{Flags: Settled}, 1, LinkValid|2))
	e.setFlag(Settled, false)
	require.Zero(t, e.Flags())
}

func TestPermitOfAnotherWriterStands(t *testing.T) {
	var e Entry
	e.link1.Store(linkTaken)
	require.False(t, e.StorePermit(&Permit{Hop: 1}, 1, LinkValid))
	require.Zero(t, e.hop)
	_, _, ok := e.Allowed(0, linkTaken, 0)
	require.True(t, ok == false || linkTaken&LinkValid == 0, "no valid link is equal to one that is being written")
	_, _, ok = e.Allowed(0, linkTaken|LinkValid, 0)
	require.False(t, ok)
}

// TestPermitWordsBelongTogether: two writers for two links, and readers that
// must never see words of both.
func TestPermitWordsBelongTogether(t *testing.T) {
	var e Entry
	var mixed, seen atomic.Int64
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	link := func(w uint64) (uint64, uint64) { return w, LinkValid | w<<32 }
	for w := range uint64(2) {
		writers.Go(func() {
			l0, l1 := link(w)
			for i := range uint32(20_000) {
				n := i<<1 | uint32(w)
				e.StorePermit(&Permit{Epoch: 5, Hop: n, HopGen: n, Flags: n << 8}, l0, l1)
			}
		})
	}
	for w := range uint64(2) {
		readers.Go(func() {
			l0, l1 := link(w)
			for !done.Load() {
				hop, flags, ok := e.Allowed(l0, l1, 5)
				if !ok {
					continue
				}
				seen.Add(1)
				if uint32(hop) != uint32(hop>>32) || flags>>8 != uint32(hop)&0xffffff || hop&1 != w {
					mixed.Add(1)
				}
			}
		})
	}
	writers.Wait()
	for range 100 { // so that at the end, at least, both see one
		for w := range uint64(2) {
			l0, l1 := link(w)
			e.StorePermit(&Permit{Epoch: 5, Hop: uint32(w), HopGen: uint32(w), Flags: uint32(w) << 8}, l0, l1)
		}
	}
	done.Store(true)
	readers.Wait()
	require.Zero(t, mixed.Load(), "of %d", seen.Load())
}

func TestCount(t *testing.T) {
	var e Entry
	e.Count(60, 5)
	e.Count(1500, 9)
	packets, bytes := e.Counters()
	require.Equal(t, []uint64{2, 1560}, []uint64{packets, bytes})
	require.EqualValues(t, 9, e.LastSeen())
}
