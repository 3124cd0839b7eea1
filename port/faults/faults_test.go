package faults

import (
	"bytes"
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

var _ dataplane.Port = (*Port)(nil)

// arena makes a debugging arena; frames that are not freed fail the test.
func arena(t *testing.T, buffers int) *packet.Cache {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: buffers, Debug: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that nobody owns")
		require.NoError(t, a.Close())
	})
	return a.NewCache()
}

const size = 50 // bytes of a frame

// frame makes frame i.
func frame(i int) []byte {
	return append([]byte{byte(i >> 8), byte(i)}, bytes.Repeat([]byte{0x55}, size-2)...)
}

// number returns i of frame(i).
func number(f []byte) int { return int(f[0])<<8 | int(f[1]) }

// wrap makes a port with n frames to receive.
func wrap(t *testing.T, cfg Config, n int) *Port {
	inner := mem.New(mem.Config{})
	for i := range n {
		inner.Inject(frame(i))
	}
	p, err := New(inner, cfg)
	require.NoError(t, err)
	return p
}

// receive polls until nothing has come for long, and checks the books at every step.
func receive(t *testing.T, p *Port, c *packet.Cache, vector int) (frames [][]byte) {
	bufs := make([]packet.Index, vector)
	for idle := 0; idle < 100; {
		n := p.Rx(0, c, bufs)
		if idle++; n > 0 || p.inner.(*mem.Port).Waiting() > 0 {
			idle = 0
		}
		for _, b := range bufs[:n] {
			frames = append(frames, bytes.Clone(c.Arena().Frame(b)))
		}
		c.FreeN(bufs[:n])
		sum := p.Counters()
		if sum.Held != uint64(c.Arena().InUse()) || sum.Delivered != uint64(len(frames)) ||
			sum.Received+sum.Duplicated != sum.Delivered+sum.Lost+sum.Held {
			t.Fatalf("%d frames came and %d are in buffers, but the counters are %+v", len(frames), c.Arena().InUse(), sum)
		}
	}
	return frames
}

const many = 1000

func TestFaults(t *testing.T) {
	changed := func(f []byte) (flipped int) {
		want := frame(number(f))
		for i := range f {
			flipped += bits.OnesCount8(f[i] ^ want[i])
		}
		return flipped
	}
	tests := []struct {
		why   string
		cfg   Config
		check func(t *testing.T, got [][]byte, c Counters)
	}{
		{"nothing is asked, nothing happens", Config{}, func(t *testing.T, got [][]byte, c Counters) {
			for i, f := range got {
				require.Equal(t, frame(i), f)
			}
			require.Equal(t, Counters{Received: many, Delivered: many}, c)
		}},
		{"half is lost, the rest is in order", Config{Loss: 0.5}, func(t *testing.T, got [][]byte, c Counters) {
			last := -1
			for _, f := range got {
				require.Greater(t, number(f), last)
				last = number(f)
				require.Zero(t, changed(f))
			}
			require.InDelta(t, many/2, c.Lost, many/10)
			require.EqualValues(t, many-c.Lost, len(got))
		}},
		{"all is lost", Config{Loss: 1, Duplicate: 1, Reorder: 1}, func(t *testing.T, got [][]byte, c Counters) {
			require.Empty(t, got)
			require.Equal(t, Counters{Received: many, Lost: many}, c)
		}},
		{"a third comes twice", Config{Duplicate: 1. / 3}, func(t *testing.T, got [][]byte, c Counters) {
			times := make([]int, many)
			for _, f := range got {
				times[number(f)]++
				require.Equal(t, frame(number(f)), f)
			}
			require.NotContains(t, times, 0)
			require.InDelta(t, many/3, c.Duplicated, many/10)
			require.Len(t, got, many+int(c.Duplicated))
			require.Zero(t, c.NoBuffer)
		}},
		{"a bit of each is inverted", Config{Corrupt: 1}, func(t *testing.T, got [][]byte, c Counters) {
			require.EqualValues(t, many, c.Corrupted)
			where := map[int]bool{}
			for i, f := range got {
				want := frame(i)
				flipped := 0
				for k := range f {
					if x := f[k] ^ want[k]; x != 0 {
						flipped += bits.OnesCount8(x)
						where[k*8+bits.TrailingZeros8(x)] = true
					}
				}
				require.Equal(t, 1, flipped)
			}
			require.Greater(t, len(where), size*8*8/10, "anywhere in the frame")
		}},
		{"all are cut, to any length", Config{Truncate: 1}, func(t *testing.T, got [][]byte, c Counters) {
			require.EqualValues(t, many, c.Truncated)
			lengths := map[int]bool{}
			for i, f := range got {
				require.True(t, bytes.HasPrefix(frame(i), f))
				lengths[len(f)] = true
			}
			require.Len(t, lengths, size)
			require.False(t, lengths[size])
		}},
		{"some come later, none too late", Config{Reorder: 0.3, ReorderDepth: 3}, func(t *testing.T, got [][]byte, c Counters) {
			require.Len(t, got, many)
			late := 0
			seen := make([]bool, many)
			for i, f := range got {
				n := number(f)
				require.False(t, seen[n])
				seen[n] = true
				require.Zero(t, changed(f))
				// It waits for at most 3 frames; others that were held may come between.
				require.LessOrEqual(t, i-n, 2*3)
				if i > n {
					late++
				}
			}
			require.Greater(t, late, many/10)
			require.GreaterOrEqual(t, int(c.Reordered), late)
			require.Zero(t, c.Held)
		}},
		{"when all are late some go on time, for few can be held", Config{Reorder: 1, ReorderDepth: 2}, func(t *testing.T, got [][]byte, c Counters) {
			require.Len(t, got, many)
			require.Less(t, c.Reordered, uint64(many))
			require.Zero(t, c.Held)
		}},
		{"everything at once balances", Config{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2, Corrupt: 0.2, Truncate: 0.2}, func(t *testing.T, got [][]byte, c Counters) {
			require.EqualValues(t, many, c.Received)
			require.NotZero(t, c.Lost)
			require.NotZero(t, c.Duplicated)
			require.NotZero(t, c.Reordered)
			require.NotZero(t, c.Corrupted)
			require.NotZero(t, c.Truncated)
			require.Len(t, got, int(many+c.Duplicated-c.Lost))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			tt.cfg.Seed = 7
			// Held and ready frames, a vector and its copies are in buffers at most.
			c := arena(t, 1024)
			p := wrap(t, tt.cfg, many)
			got := receive(t, p, c, 64)
			tt.check(t, got, p.Counters())

			// Vectors of any length bring the same frames in the same order, as
			// long as no poll comes back empty: those count as frames.
			for _, vector := range []int{1, 7, 200} {
				again := wrap(t, tt.cfg, many)
				require.Equal(t, got, receive(t, again, c, vector), "vectors of %d", vector)
				require.Equal(t, p.Counters(), again.Counters())
			}
			if tt.cfg.Loss < 1 && tt.cfg != (Config{Seed: 7}) {
				tt.cfg.Seed = 8
				require.NotEqual(t, got, receive(t, wrap(t, tt.cfg, many), c, 64), "another seed, other faults")
			}
		})
	}
}

// One fault's probability does not change who suffers another.
func TestFaultsAreIndependent(t *testing.T) {
	c := arena(t, 1024)
	lossy := receive(t, wrap(t, Config{Seed: 3, Loss: 0.3}, many), c, 64)
	both := receive(t, wrap(t, Config{Seed: 3, Loss: 0.3, Truncate: 0.3}, many), c, 64)
	require.Len(t, both, len(lossy))
	for i := range both {
		require.True(t, bytes.HasPrefix(lossy[i], both[i]))
	}
}

func TestQueuesHaveFaultsOfTheirOwn(t *testing.T) {
	c := arena(t, 1024)
	inner := mem.New(mem.Config{Queues: 2})
	p, err := New(inner, Config{Seed: 1, Loss: 0.5})
	require.NoError(t, err)
	var got [2][]int
	for q := range got {
		for i := range 64 {
			inner.InjectFrame(mem.Frame{Queue: q, Data: frame(i)})
		}
		var bufs [64]packet.Index
		n := p.Rx(q, c, bufs[:])
		for _, b := range bufs[:n] {
			got[q] = append(got[q], number(c.Arena().Frame(b)))
		}
		c.FreeN(bufs[:n])
	}
	require.NotEqual(t, got[0], got[1])
	require.Zero(t, p.Rx(2, c, make([]packet.Index, 1)), "there is no third queue")
}

func TestDamageForgetsOffloads(t *testing.T) {
	offload := packet.Meta{CsumPartial: true, CsumValid: true, GSOType: packet.GSOTCPv4, GSOSize: 8, HdrLen: 40}
	tests := []struct {
		why  string
		cfg  Config
		want packet.Meta
	}{
		{"a whole frame keeps them", Config{}, offload},
		{"a cut frame may not have the headers they speak of", Config{Truncate: 1}, packet.Meta{GSOSize: 8, HdrLen: 40}},
		{"a wrong bit is not a verified checksum", Config{Corrupt: 1}, packet.Meta{CsumPartial: true, GSOType: packet.GSOTCPv4, GSOSize: 8, HdrLen: 40}},
		{"a copy has them too", Config{Duplicate: 1}, offload},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			c := arena(t, 8)
			inner := mem.New(mem.Config{})
			inner.InjectFrame(mem.Frame{Data: frame(1), Meta: offload})
			p, err := New(inner, tt.cfg)
			require.NoError(t, err)
			var bufs [2]packet.Index
			n := p.Rx(0, c, bufs[:])
			require.NotZero(t, n)
			for _, b := range bufs[:n] {
				m := *c.Arena().Meta(b)
				m.Off, m.Len = 0, 0
				require.Equal(t, tt.want, m)
			}
			c.FreeN(bufs[:n])
		})
	}
}

func TestDuplicateWithoutABuffer(t *testing.T) {
	c := arena(t, 1)
	p := wrap(t, Config{Duplicate: 1}, 3)
	require.Len(t, receive(t, p, c, 1), 3)
	require.Equal(t, Counters{Received: 3, Delivered: 3, NoBuffer: 3}, p.Counters())
}

func TestEmptyFramesAreNotDamaged(t *testing.T) {
	c := arena(t, 8)
	inner := mem.New(mem.Config{})
	inner.Inject([]byte{})
	p, err := New(inner, Config{Truncate: 1, Corrupt: 1})
	require.NoError(t, err)
	require.Equal(t, [][]byte{{}}, receive(t, p, c, 1))
	require.Equal(t, Counters{Received: 1, Delivered: 1}, p.Counters())
}

func TestTxAndCapsPassThrough(t *testing.T) {
	c := arena(t, 8)
	inner := mem.New(mem.Config{Queues: 2, MTU: 1500, TxCapacity: 1})
	p, err := New(inner, Config{Loss: 1})
	require.NoError(t, err)
	require.Equal(t, inner.Caps(), p.Caps())
	bufs := []packet.Index{c.Alloc(), c.Alloc()}
	require.Equal(t, 1, p.Tx(1, c, bufs))
	c.Free(bufs[1])
	require.Len(t, inner.Sent(), 1)
}

func TestConfig(t *testing.T) {
	tests := []struct {
		why  string
		cfg  Config
		want string
	}{
		{"more than always", Config{Loss: 1.5}, "loss 1.5: want a probability"},
		{"less than never", Config{Reorder: -0.1}, "reorder -0.1: want a probability"},
		{"not a number", Config{Corrupt: math.NaN()}, "corrupt NaN: want a probability"},
		{"duplicate", Config{Duplicate: 2}, "duplicate 2"},
		{"truncate", Config{Truncate: 2}, "truncate 2"},
		{"a negative depth", Config{ReorderDepth: -1}, "reorder depth -1"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			_, err := New(mem.New(mem.Config{}), tt.cfg)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestRxDoesNotAllocate(t *testing.T) {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024})
	require.NoError(t, err)
	defer a.Close()
	c := a.NewCache()
	frames := make([][]byte, 100)
	for i := range frames {
		frames[i] = frame(i)
	}
	inner, err := mem.NewGenerator(mem.GeneratorConfig{Frames: frames})
	require.NoError(t, err)
	p, err := New(inner, Config{Loss: 0.1, Truncate: 0.1, Corrupt: 0.1, Duplicate: 0.3, Reorder: 0.3, ReorderDepth: 50})
	require.NoError(t, err)
	var bufs [64]packet.Index
	require.Zero(t, testing.AllocsPerRun(500, func() {
		c.FreeN(bufs[:p.Rx(0, c, bufs[:])])
	}))
}
