package mem

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

var (
	_ dataplane.Port = (*Port)(nil)
	_ dataplane.Port = (*Generator)(nil)
)

// numbered makes n frames of a size, which start with their number.
func numbered(n, size int) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = bytes.Repeat([]byte{0xee}, size)
		binary.BigEndian.PutUint16(frames[i], uint16(i))
	}
	return frames
}

// arena makes a debugging arena; frames that are not freed fail the test.
func arena(t *testing.T, cfg packet.ArenaConfig) *packet.Cache {
	cfg.Debug = true
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that nobody owns")
		require.NoError(t, a.Close())
	})
	return a.NewCache()
}

// take receives n frames in vectors and returns their numbers; it checks each
// frame against the one of that number.
func take(t *testing.T, g *Generator, q int, c *packet.Cache, frames [][]byte, n int) (numbers []int) {
	var bufs [7]packet.Index
	for len(numbers) < n {
		got := g.Rx(q, c, bufs[:min(len(bufs), n-len(numbers))])
		require.NotZero(t, got)
		for _, b := range bufs[:got] {
			frame := c.Arena().Frame(b)
			number := int(binary.BigEndian.Uint16(frame))
			require.True(t, bytes.Equal(frames[number], frame), "frame %d", number)
			numbers = append(numbers, number)
		}
		require.Equal(t, got, g.Tx(q, c, bufs[:got]))
	}
	return numbers
}

func TestGeneratorGivesEachQueueItsFramesInARandomCycle(t *testing.T) {
	for _, size := range []int{2, 60, 64, 65, 128, 1500, 2048 - packet.Headroom, 9000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			c := arena(t, packet.ArenaConfig{Buffers: 16, Supers: 16})
			frames := numbered(101, size)
			g, err := NewGenerator(GeneratorConfig{Frames: frames, Queues: 3, Seed: 7})
			require.NoError(t, err)
			same, err := NewGenerator(GeneratorConfig{Frames: frames, Queues: 3, Seed: 7})
			require.NoError(t, err)
			other, err := NewGenerator(GeneratorConfig{Frames: frames, Queues: 3, Seed: 8})
			require.NoError(t, err)

			var all []int
			for q, n := range []int{33, 34, 34} {
				cycle := take(t, g, q, c, frames, n)
				require.Equal(t, cycle, take(t, g, q, c, frames, n), "the order repeats")
				require.Equal(t, cycle, take(t, same, q, c, frames, n), "the seed makes the order")
				require.NotEqual(t, cycle, take(t, other, q, c, frames, n))
				require.False(t, slices.IsSorted(cycle))
				all = append(all, cycle...)
			}
			want := make([]int, len(frames))
			for i := range want {
				want[i] = i
			}
			require.ElementsMatch(t, want, all, "each frame belongs to one queue")
			require.EqualValues(t, 202, g.Received())
			require.EqualValues(t, 202, g.Sent())
			require.Equal(t, dataplane.Caps{Queues: 3, Up: true}, g.Caps())
			require.Zero(t, g.Rx(3, c, make([]packet.Index, 1)), "there is no fourth queue")
		})
	}
}

func TestGeneratorWithoutBuffers(t *testing.T) {
	for _, size := range []int{64, 1000, 9000} {
		c := arena(t, packet.ArenaConfig{Buffers: 2, Supers: 2})
		g, err := NewGenerator(GeneratorConfig{Frames: numbered(4, size)})
		require.NoError(t, err)
		var bufs [4]packet.Index
		require.Equal(t, 2, g.Rx(0, c, bufs[:]))
		require.Zero(t, g.Rx(0, c, bufs[2:]))
		require.Equal(t, 2, g.Tx(5, c, bufs[:2]), "any worker may send")
		require.EqualValues(t, 2, g.Received())
		require.EqualValues(t, 2, g.Sent())
	}
}

func TestGeneratorConfig(t *testing.T) {
	tests := []struct {
		why  string
		cfg  GeneratorConfig
		want string
	}{
		{"nothing to send", GeneratorConfig{}, "0 frames for 1 queues"},
		{"a queue without frames", GeneratorConfig{Frames: numbered(2, 64), Queues: 3}, "2 frames for 3 queues"},
		{"frames of different lengths", GeneratorConfig{Frames: append(numbered(2, 64), numbered(1, 65)...)}, "frame 2 has 65 bytes, frame 0 has 64"},
		{"empty frames", GeneratorConfig{Frames: [][]byte{{}}}, "frames are empty"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			_, err := NewGenerator(tt.cfg)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestGeneratorDoesNotAllocate(t *testing.T) {
	for _, size := range []int{64, 1500, 9000} {
		a, err := packet.NewArena(packet.ArenaConfig{Supers: 128})
		require.NoError(t, err)
		defer a.Close()
		c := a.NewCache()
		g, err := NewGenerator(GeneratorConfig{Frames: numbered(100, size)})
		require.NoError(t, err)
		var bufs [64]packet.Index
		require.Zero(t, testing.AllocsPerRun(100, func() {
			g.Tx(0, c, bufs[:g.Rx(0, c, bufs[:])])
		}))
	}
}

// One round is a vector of 64 received and sent: ns/frame is for both.
func BenchmarkGenerator(b *testing.B) {
	for _, size := range []int{64, 128, 512, 1500} {
		for _, flows := range []int{1000, 60000} {
			b.Run(fmt.Sprintf("size=%d/frames=%d", size, flows), func(b *testing.B) {
				a, err := packet.NewArena(packet.ArenaConfig{Prefault: true})
				require.NoError(b, err)
				defer a.Close()
				c := a.NewCache()
				g, err := NewGenerator(GeneratorConfig{Frames: numbered(flows, size)})
				require.NoError(b, err)
				var bufs [64]packet.Index
				b.ReportAllocs()
				for b.Loop() {
					g.Tx(0, c, bufs[:g.Rx(0, c, bufs[:])])
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(g.Received()), "ns/frame")
			})
		}
	}
}

// What freeing alone costs, to tell rx from tx above.
func BenchmarkGeneratorTx(b *testing.B) {
	a, err := packet.NewArena(packet.ArenaConfig{Prefault: true})
	require.NoError(b, err)
	defer a.Close()
	c := a.NewCache()
	g, err := NewGenerator(GeneratorConfig{Frames: numbered(1, 64)})
	require.NoError(b, err)
	var bufs [64]packet.Index
	for b.Loop() {
		g.Tx(0, c, bufs[:c.AllocN(bufs[:])])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(g.Sent()), "ns/frame")
}
