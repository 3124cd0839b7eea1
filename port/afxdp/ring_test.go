package afxdp

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// plainRing is a ring of size entries in memory that no kernel shares. Its
// indices start at first, so that a test can have them wrap around.
func plainRing(size int, first uint32) ring {
	words := make([]uint64, 8+2*size) // indices and flags, then entries of up to 16 bytes
	base := unsafe.Pointer(unsafe.SliceData(words))
	r := ring{
		ours: (*uint32)(base), theirs: (*uint32)(unsafe.Add(base, 8)), flags: (*uint32)(unsafe.Add(base, 16)),
		entries: unsafe.Add(base, 64), mask: uint32(size - 1), next: first,
	}
	*r.ours, *r.theirs = first, first
	return r
}

func TestRingCounts(t *testing.T) {
	rows := []struct {
		why          string
		ours, theirs uint32
		ready        uint32 // if we consume
		backlog      uint32 // if we produce
	}{
		{"empty", 5, 5, 0, 0},
		{"the kernel is ahead by three", 5, 8, 3, 8},
		{"we are ahead by three", 8, 5, 8, 3},
		{"indices wrap around", math.MaxUint32, 2, 3, 8},
		{"and so do ours", 2, math.MaxUint32, 8, 3},
		{"full", 0, 8, 8, 8},
		{"nonsense is at most the whole ring", 0, 1 << 31, 8, 8},
	}
	for _, row := range rows {
		r := plainRing(8, row.ours)
		*r.theirs = row.theirs
		require.Equal(t, row.ready, r.ready(), row.why)
		require.Equal(t, row.backlog, r.backlog(), row.why)
	}
}

func TestRingPlaces(t *testing.T) {
	r := plainRing(4, math.MaxUint32-1)
	require.Equal(t, r.entries, unsafe.Pointer(r.addr(0)))
	require.Equal(t, r.addr(math.MaxUint32), r.addr(3))
	require.Equal(t, uintptr(8), uintptr(unsafe.Pointer(r.addr(1)))-uintptr(r.entries))
	require.Equal(t, uintptr(16), uintptr(unsafe.Pointer(r.desc(1)))-uintptr(r.entries))
	require.Equal(t, r.desc(4), r.desc(0))
	require.False(t, r.needWakeup())
	*r.flags = unix.XDP_RING_NEED_WAKEUP
	require.True(t, r.needWakeup())
}

func TestHoldings(t *testing.T) {
	h := newHoldings(130)
	for _, i := range []uint32{1, 63, 64, 130} {
		h.add(i)
	}
	require.True(t, h.remove(63))
	require.False(t, h.remove(63), "it is gone")
	require.False(t, h.remove(2), "it was never there")
	require.False(t, h.remove(math.MaxUint32), "no arena has it")
	require.EqualValues(t, 3, h.n)
	var left []uint32
	h.drain(func(i uint32) { left = append(left, i) })
	require.Equal(t, []uint32{1, 64, 130}, left)
	require.Zero(t, h.n)
	require.False(t, h.remove(64))
}

// model is a queue whose kernel is this test: what is filled is received, in one
// buffer or several, and what is sent completes.
type model struct {
	p     *Port
	s     *queue
	c     *packet.Cache
	fills []uint64 // taken from FILL, oldest first
	sends []uint64 // taken from TX
	seen  [2]uint32
}

func newModel(t testing.TB, size int, first uint32) *model {
	t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 256, Supers: 4, Debug: true})
	require.NoError(t, err)
	s := &queue{
		socket: &socket{
			fd: -1, kind: kind{multiBuffer: true}, metadata: true,
			rx: plainRing(size, first), tx: plainRing(size, first), fill: plainRing(size, first), completion: plainRing(size, first),
		},
		base: arena.Base(), level: uint32(size), receiving: newHoldings(256), sending: newHoldings(256),
	}
	m := &model{p: &Port{arena: arena, queues: []*queue{s}, txs: 1, csum: true}, s: s, c: arena.NewCache(), seen: [2]uint32{first, first}}
	t.Cleanup(func() {
		free := func(i uint32) { m.c.Free(packet.Index(i)) }
		s.receiving.drain(free)
		s.sending.drain(free)
		require.Empty(t, arena.Leaks())
		require.NoError(t, arena.Close())
	})
	return m
}

// take has the kernel take what was produced.
func (m *model) take() {
	for ; m.seen[0] != *m.s.fill.ours; m.seen[0]++ {
		m.fills = append(m.fills, *m.s.fill.addr(m.seen[0]))
	}
	for ; m.seen[1] != *m.s.tx.ours; m.seen[1]++ {
		m.sends = append(m.sends, m.s.tx.desc(m.seen[1]).Addr)
	}
	*m.s.fill.theirs, *m.s.tx.theirs = m.seen[0], m.seen[1]
}

// arrive has the kernel receive a frame of n pieces, if it has as many buffers.
func (m *model) arrive(n int, size uint32) bool {
	r := &m.s.rx
	if n > len(m.fills) || *r.theirs-*r.ours+uint32(n) > r.size() {
		return false
	}
	for i := range n {
		options := uint32(unix.XDP_PKT_CONTD)
		if i == n-1 {
			options = 0
		}
		*r.desc(*r.theirs + uint32(i)) = unix.XDPDesc{Addr: m.fills[i] + packet.Headroom, Len: size, Options: options}
	}
	m.fills = m.fills[n:]
	*r.theirs += uint32(n)
	return true
}

// complete has the kernel complete n buffers, and one that it was never given.
func (m *model) complete(n int, nonsense uint64) {
	r := &m.s.completion
	for ; n > 0 && len(m.sends) > 0 && *r.theirs-*r.ours < r.size(); n-- {
		*r.addr(*r.theirs) = m.sends[0]
		m.sends = m.sends[1:]
		*r.theirs++
	}
	if nonsense != 0 && *r.theirs-*r.ours < r.size() {
		*r.addr(*r.theirs) = nonsense
		*r.theirs++
	}
}

// FuzzQueue lets a queue and a kernel work in any order. No buffer is ever lost,
// freed twice or in two hands (the arena sees to it), no more than the level is kept
// for reception, and no ring overflows.
func FuzzQueue(f *testing.F) {
	f.Add(uint32(0), []byte{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5})
	f.Add(uint32(math.MaxUint32-10), []byte{0, 1, 0x11, 0x21, 2, 3, 0x34, 5, 0, 0x17, 0x27, 2, 0x33, 6, 0x46, 5})
	f.Fuzz(func(t *testing.T, first uint32, steps []byte) {
		m := newModel(t, 64, first)
		var held []packet.Index
		for _, step := range steps {
			n := int(step>>3) + 1
			switch step & 7 {
			case 0:
				m.s.refill(m.c)
			case 1:
				m.arrive(1, uint32(n)*50)
			case 2:
				m.arrive(n%6+1, 1792)
			case 3:
				var bufs [32]packet.Index
				got := m.s.receive(m.c, bufs[:n])
				held = append(held, bufs[:got]...)
			case 4:
				n = min(n, len(held))
				taken, queued := m.p.enqueue(m.s, m.c, held[:n])
				require.LessOrEqual(t, taken, n)
				require.LessOrEqual(t, queued, m.s.tx.size())
				held = held[taken:]
			case 5:
				m.s.reap(m.c)
			case 6:
				m.take()
			case 7:
				m.complete(n, uint64(first)<<8)
			}
			require.LessOrEqual(t, m.s.receiving.n, m.s.level)
			require.LessOrEqual(t, m.s.sending.n, m.s.tx.size())
			require.LessOrEqual(t, m.s.tx.backlog(), m.s.tx.size())
			require.Equal(t, int(m.s.receiving.n+m.s.sending.n)+len(held), m.p.arena.InUse())
		}
		m.c.FreeN(held)
	})
}

func TestGather(t *testing.T) {
	rows := []struct {
		why     string
		pieces  int
		supers  bool // super-frame buffers are to be had
		missing bool // the last descriptor is not there yet
		want    int  // frames received at once
		refused uint64
	}{
		{"two pieces are one frame", 2, true, false, 1, 0},
		{"without a buffer that long it waits", 2, false, false, 0, 0},
		{"what is not all there waits", 3, true, true, 0, 0},
		{"what no buffer takes is refused, and what comes after it is received", 50, true, false, 1, 1},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			m := newModel(t, 64, 0)
			m.s.refill(m.c)
			m.take()
			require.True(t, m.arrive(row.pieces, 1792))
			if row.missing {
				*m.s.rx.theirs--
			}
			if row.refused > 0 {
				require.True(t, m.arrive(1, 100))
			}
			var supers []packet.Index
			for !row.supers {
				b := m.c.AllocSuper()
				if b == 0 {
					break
				}
				supers = append(supers, b)
			}
			var bufs [4]packet.Index
			n := m.s.receive(m.c, bufs[:])
			require.Equal(t, row.want, n)
			require.Equal(t, row.refused, m.s.rxRefused)
			m.c.FreeN(bufs[:n])
			m.c.FreeN(supers)
			// In the end nothing waits.
			*m.s.rx.theirs += map[bool]uint32{true: 1}[row.missing]
			n = m.s.receive(m.c, bufs[:])
			require.Equal(t, 1-row.want, n)
			m.c.FreeN(bufs[:n])
		})
	}
}
