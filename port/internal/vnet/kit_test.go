package vnet

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

func newArena(t testing.TB, cfg packet.ArenaConfig) *packet.Arena {
	t.Helper()
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "a buffer is lost: %v", a.Leaks())
		require.NoError(t, a.Close())
	})
	return a
}

// scatter does what readv does with a frame: it fills v and drops the rest. It
// returns the size that the device reports: of what it has put, or of the whole frame.
func scatter(v []unix.Iovec, frame []byte, whole bool) int {
	size := 0
	for i, rest := 0, frame; i < len(v); i++ {
		n := copy(unsafe.Slice(v[i].Base, v[i].Len), rest)
		rest, size = rest[n:], size+n
	}
	if whole {
		return len(frame)
	}
	return size
}

func pattern(size int) []byte {
	f := make([]byte, size)
	for i := range f {
		f[i] = byte(i + i>>8)
	}
	return f
}

// room is what an ordinary buffer of the default size takes.
const room = 2048 - packet.Headroom

func TestKitTakes(t *testing.T) {
	const superRoom = 65536 + 4096 - packet.Headroom
	for _, row := range []struct {
		why    string
		supers int
		size   int
		want   string // the kind of buffer; empty: the frame is lost
	}{
		{"the shortest frame stays in an ordinary buffer", 16, 14, "ordinary"},
		{"so does one that fills it to the last byte", 16, room, "ordinary"},
		{"one byte more is a frame for the other kind", 16, room + 1, "super"},
		{"the longest packet with its tags", 16, 65535 + 14 + 8, "super"},
		{"as long as a slot takes", 16, superRoom - 1, "super"},
		{"one that fills everything may have been cut", 16, superRoom, ""},
		{"a longer one was cut", 16, superRoom + 1, ""},
		{"without super-frame buffers an ordinary buffer is filled to the last byte too", 0, room, "ordinary"},
		{"and the frame beyond is lost", 0, room + 1, ""},
		{"however long", 0, 60000, ""},
	} {
		for _, whole := range []bool{false, true} {
			t.Run(row.why, func(t *testing.T) {
				a := newArena(t, packet.ArenaConfig{Buffers: 256, Supers: row.supers, Debug: true})
				c := a.NewCache()
				k := NewKit(c)
				defer k.Disarm()
				require.Positive(t, k.Arm(Slots, false))
				frame := pattern(row.size)
				header := Header{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
				size := scatter(k.Vector(0, true), append(header[:], frame...), whole) - Size
				require.Equal(t, header, *k.Header(0))
				b := k.Take(0, size)
				if row.want == "" {
					require.Zero(t, b)
					require.Equal(t, 1, k.Arm(1, false), "the slot is as it was")
				} else {
					require.NotZero(t, b)
					require.Equal(t, row.want == "super", a.IsSuper(b))
					require.Equal(t, a.BufferOffset(b)+packet.Headroom, a.Meta(b).Off)
					require.Equal(t, frame, a.Frame(b))
					a.Check(b)
					c.Free(b)
				}
				// The slot goes on, without a header this time.
				require.Equal(t, 1, k.Arm(1, false))
				scatter(k.Vector(0, false), pattern(100), whole)
				b = k.Take(0, 100)
				require.Equal(t, pattern(100), a.Frame(b))
				c.Free(b)
			})
		}
	}
}

func TestKitArms(t *testing.T) {
	for _, row := range []struct {
		why   string
		arena packet.ArenaConfig
		ask   int
		want  int
	}{
		{"a vector", packet.ArenaConfig{Buffers: 512, Supers: 1024}, Slots, Slots},
		{"more than a vector is a vector", packet.ArenaConfig{Buffers: 512, Supers: 1024}, 100, Slots},
		{"as many as asked for", packet.ArenaConfig{Buffers: 512, Supers: 1024}, 3, 3},
		{"a worker keeps an eighth of the super-frame buffers", packet.ArenaConfig{Buffers: 512, Supers: 80}, Slots, 10},
		{"at least one", packet.ArenaConfig{Buffers: 512, Supers: 2}, Slots, 1},
		{"a node without super-frames has whole vectors", packet.ArenaConfig{Buffers: 512}, Slots, Slots},
		{"fewer slots where ordinary buffers lack", packet.ArenaConfig{Buffers: 5, Supers: 512}, Slots, 5},
		{"supers that take no more than ordinary buffers are no help", packet.ArenaConfig{Buffers: 512, BufferSize: 4096, Supers: 8, SuperSize: 4096}, Slots, Slots},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.arena.Debug = true
			a := newArena(t, row.arena)
			k := NewKit(a.NewCache())
			require.Equal(t, row.want, k.Arm(row.ask, false))
			require.Equal(t, row.want, k.Arm(row.ask, false), "asking again changes nothing")
			k.Disarm()
			require.Zero(t, a.InUse())
			require.Equal(t, row.want, k.Arm(row.ask, false), "it may be used again")
			k.Disarm()
		})
	}
}

// TestKitWithoutSupers lets others have all super-frame buffers for a while.
func TestKitWithoutSupers(t *testing.T) {
	a := newArena(t, packet.ArenaConfig{Buffers: 64, Supers: 16, Debug: true})
	c := a.NewCache()
	k := NewKit(c)
	defer k.Disarm()
	var taken []packet.Index
	for b := c.AllocSuper(); b != 0; b = c.AllocSuper() {
		taken = append(taken, b)
	}
	require.Len(t, taken, 16)

	require.Equal(t, 2, k.Arm(2, false))
	require.Zero(t, k.Take(0, scatter(k.Vector(0, false), pattern(5000), false)), "a long frame is lost")
	b := k.Take(1, scatter(k.Vector(1, false), pattern(1000), false))
	require.Equal(t, pattern(1000), a.Frame(b), "a short one is not")
	c.Free(b)

	c.Free(taken[0])
	require.Equal(t, 1, k.Arm(2, false), "one slot can take a super-frame again")
	b = k.Take(0, scatter(k.Vector(0, false), pattern(5000), false))
	require.Equal(t, pattern(5000), a.Frame(b))
	require.Zero(t, k.Arm(2, true), "that one was the last, so it has to go on first")
	require.Equal(t, 2, k.Arm(2, false), "or else there are ordinary frames only")
	c.Free(b)
	c.FreeN(taken[1:])
	require.Equal(t, 2, k.Arm(2, false))
	b = k.Take(1, scatter(k.Vector(1, false), pattern(5000), false))
	require.Equal(t, pattern(5000), a.Frame(b))
	c.Free(b)
}

func TestKitGathers(t *testing.T) {
	a := newArena(t, packet.ArenaConfig{Buffers: 64, Debug: true})
	c := a.NewCache()
	k := NewKit(c)
	b := c.Alloc()
	m := a.Meta(b)
	m.Len, m.CsumPartial, m.CsumStart, m.CsumOffset = 300, true, 34, 16
	copy(a.Frame(b), pattern(300))
	var want Header
	want.Encode(m)
	v := k.Gather(7, b, true)
	require.Equal(t, want[:], unsafe.Slice(v[0].Base, v[0].Len))
	require.Equal(t, pattern(300), unsafe.Slice(v[1].Base, v[1].Len))
	v = k.Gather(7, b, false)
	require.Len(t, v, 1)
	require.Equal(t, pattern(300), unsafe.Slice(v[0].Base, v[0].Len))
	c.Free(b)
}

func TestKits(t *testing.T) {
	a := newArena(t, packet.ArenaConfig{Buffers: 512, Supers: 64, Debug: true})
	c, d := a.NewCache(), a.NewCache()
	var kits Kits
	var hint Hint
	k := hint.For(&kits, c)
	require.Same(t, k, kits.For(c))
	require.Same(t, k, hint.For(&kits, c))
	require.NotSame(t, k, hint.For(&kits, d), "another worker at the same queue has its own")
	require.Same(t, k, hint.For(&kits, c))
	require.NotZero(t, k.Arm(Slots, false))
	require.NotZero(t, kits.For(d).Arm(Slots, false))
	kits.Release(c)
	require.Equal(t, 16, a.InUse(), "the other's 8 ordinary and 8 super-frame buffers")
	require.NotZero(t, hint.For(&kits, c).Arm(1, false), "after its release too")
	kits.Close()
	require.Zero(t, a.InUse())
	kits.Release(a.NewCache()) // one that was never seen
}

func TestKitAllocatesNothing(t *testing.T) {
	a := newArena(t, packet.ArenaConfig{Buffers: 512, Supers: 256})
	c := a.NewCache()
	var kits Kits
	var hint Hint
	hint.For(&kits, c).Messages()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		k := hint.For(&kits, c)
		n := k.Arm(Slots, false)
		for i := range n {
			b := k.Take(i, 60+i%2*5000)
			k.Gather(i, b, true)
			c.Free(b)
		}
		k.Messages()
	}))
	kits.Close()
	c.Flush()
}
