package pcap

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

var _ dataplane.Port = (*Port)(nil)

// arena makes a small debugging arena; frames that are not freed fail the test.
func arena(t *testing.T, cfg packet.ArenaConfig) *packet.Cache {
	cfg.Debug = true
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	c := a.NewCache()
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that nobody owns")
		require.NoError(t, a.Close())
	})
	return c
}

// queue makes a source of frames with the given times; each frame's only byte
// and its index tell them apart.
func queue(id byte, times ...int64) *Queue {
	q := new(Queue)
	for i, t := range times {
		q.Push(&Frame{Time: t, Data: []byte{id, byte(i)}, Index: int64(i)})
	}
	return q
}

// receive empties the port at its present time.
func receive(t *testing.T, p *Port, c *packet.Cache, vector int) (frames [][]byte) {
	bufs := make([]packet.Index, vector)
	for {
		n := p.Rx(0, c, bufs)
		for _, b := range bufs[:n] {
			frames = append(frames, bytes.Clone(c.Arena().Frame(b)))
		}
		c.FreeN(bufs[:n])
		if n == 0 {
			return frames
		}
	}
}

func TestPortMergesByTime(t *testing.T) {
	tests := []struct {
		why   string
		in    []Source
		times []int64
		want  [][]byte
	}{
		{"nothing to receive", nil, nil, nil},
		{"one source in its own order", []Source{queue(1, 5, 6)}, []int64{5, 6}, [][]byte{{1, 0}, {1, 1}}},
		{"two sources by time", []Source{queue(1, 5, 9), queue(2, 3, 7)}, []int64{3, 5, 7, 9}, [][]byte{{2, 0}, {1, 0}, {2, 1}, {1, 1}}},
		{"equal times in the order of the sources", []Source{queue(1, 5, 5), queue(2, 5)}, []int64{5}, [][]byte{{1, 0}, {1, 1}, {2, 0}}},
		{"a frame out of order is late, and the clock stays", []Source{queue(1, 9, 4, 10)}, []int64{9, 10}, [][]byte{{1, 0}, {1, 1}, {1, 2}}},
		{"before 1970", []Source{queue(1, -7, 2)}, []int64{-7, 2}, [][]byte{{1, 0}, {1, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			for _, vector := range []int{64, 1} {
				for _, s := range tt.in {
					s.(*Queue).next = 0
				}
				c := arena(t, packet.ArenaConfig{Buffers: 8})
				p := New(Config{In: tt.in})
				require.Empty(t, receive(t, p, c, vector), "nothing before the clock starts")
				var times []int64
				var got [][]byte
				for at, found := p.Next(); found; at, found = p.Next() {
					p.Advance(at)
					times = append(times, at)
					got = append(got, receive(t, p, c, vector)...)
				}
				require.Equal(t, tt.times, times)
				require.Equal(t, tt.want, got)
				require.EqualValues(t, len(tt.want), p.Received())
				require.NoError(t, p.Err())
			}
		})
	}
}

func TestPortLast(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8})
	p := New(Config{In: []Source{queue(1, 5, 9), queue(2, 7)}})
	require.EqualValues(t, -1, p.LastIndex())
	require.Equal(t, -1, p.LastSource())
	p.Advance(100)
	var one [1]packet.Index
	for _, want := range [][2]int64{{0, 0}, {1, 0}, {0, 1}} {
		require.Equal(t, 1, p.Rx(0, c, one[:]))
		require.EqualValues(t, want[0], p.LastSource())
		require.Equal(t, want[1], p.LastIndex())
		c.Free(one[0])
	}
	require.Zero(t, p.Rx(1, c, one[:]), "there is no second queue")
}

func TestPortLengths(t *testing.T) {
	tests := []struct {
		why     string
		supers  int
		size    int
		super   bool
		refused uint64
	}{
		{"an ordinary buffer, filled", 0, 2048 - packet.Headroom, false, 0},
		{"a byte more, without super-frame buffers", 0, 2049 - packet.Headroom, false, 1},
		{"a byte more goes to a super-frame buffer", 1, 2049 - packet.Headroom, true, 0},
		{"a super-frame buffer, filled", 1, 65536 + 4096 - packet.Headroom, true, 0},
		{"a byte more fits nowhere", 1, 65537 + 4096 - packet.Headroom, false, 1},
		{"an empty frame", 0, 0, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			c := arena(t, packet.ArenaConfig{Buffers: 8, Supers: tt.supers})
			var q Queue
			q.Push(&Frame{Time: 1, Data: bytes.Repeat([]byte{7}, tt.size), Index: 0})
			q.Push(&Frame{Time: 1, Data: []byte{1}, Index: 1})
			p := New(Config{In: []Source{&q}})
			p.Advance(1)
			var bufs [2]packet.Index
			n := p.Rx(0, c, bufs[:])
			require.EqualValues(t, 2-tt.refused, n)
			require.Equal(t, tt.refused, p.Refused())
			require.EqualValues(t, 1, p.LastIndex(), "refused frames count in the numbering")
			if tt.refused == 0 {
				require.Equal(t, bytes.Repeat([]byte{7}, tt.size), append([]byte{}, c.Arena().Frame(bufs[0])...)[:tt.size])
				require.Equal(t, tt.super, c.Arena().IsSuper(bufs[0]))
			}
			c.FreeN(bufs[:n])
		})
	}
}

func TestPortKeepsFramesWithoutBuffer(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 1})
	p := New(Config{In: []Source{queue(1, 5, 5)}})
	p.Advance(5)
	var bufs [4]packet.Index
	require.Equal(t, 1, p.Rx(0, c, bufs[:]))
	require.Zero(t, p.Rx(0, c, bufs[1:]), "the only buffer is in use")
	c.Free(bufs[0])
	require.Equal(t, 1, p.Rx(0, c, bufs[:]))
	require.Equal(t, []byte{1, 1}, c.Arena().Frame(bufs[0]))
	c.Free(bufs[0])
}

// One capture is for several ports: the frames are handed over one by one while
// the port may be looking at the next.
func TestPortTakesFramesWhileItRuns(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8})
	var q Queue
	p := New(Config{In: []Source{&q}})
	var want, got [][]byte
	for i := range 100 {
		f := Frame{Time: int64(i), Data: bytes.Repeat([]byte{byte(i)}, i+1), Index: int64(i)}
		q.Push(&f)
		f.Data[0] = 0xff // a copy was taken
		want = append(want, bytes.Repeat([]byte{byte(i)}, i+1))
		if i%3 == 0 {
			_, found := p.Next() // looks at a frame that lies in the queue's memory
			require.True(t, found)
		}
		if i%7 == 0 {
			p.Advance(int64(i))
			got = append(got, receive(t, p, c, 64)...)
		}
	}
	p.Advance(math.MaxInt64)
	got = append(got, receive(t, p, c, 64)...)
	require.Equal(t, want, got)
	require.Zero(t, q.Len())
	_, found := p.Next()
	require.False(t, found)
}

func TestPortGoesOnWithoutASourceThatFails(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8})
	r, err := NewReader(bytes.NewReader(pcapFile(le, magicMicro, 1, rec(1, frameA), rec(3, frameB))[:80]), "cut.pcap")
	require.NoError(t, err)
	p := New(Config{In: []Source{r, queue(2, 5e9)}})
	p.Advance(9e9)
	require.Equal(t, [][]byte{frameA, {2, 0}}, receive(t, p, c, 64))
	require.ErrorContains(t, p.Err(), "cut.pcap: frame 1 at byte 55")
	require.ErrorIs(t, p.Err(), ErrTruncated)
}

// sink takes n frames, then fails.
type sink struct {
	n    int
	got  []Frame
	fail error
}

func (s *sink) Write(t int64, data []byte, origLen int) error {
	if len(s.got) == s.n {
		return s.fail
	}
	s.got = append(s.got, Frame{Time: t, Data: bytes.Clone(data), OrigLen: origLen})
	return nil
}

// frames puts frames into buffers.
func frames(t *testing.T, c *packet.Cache, data ...[]byte) []packet.Index {
	bufs := make([]packet.Index, len(data))
	for i, d := range data {
		bufs[i] = c.AllocFor(len(d))
		require.NotZero(t, bufs[i])
		c.Arena().Meta(bufs[i]).Len = uint32(len(d))
		copy(c.Arena().Frame(bufs[i]), d)
	}
	return bufs
}

func TestPortTx(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8})
	out := &sink{n: 3, fail: errFull}
	p := New(Config{Out: out})
	p.Advance(7)
	p.Advance(5)
	require.Equal(t, 2, p.Tx(0, c, frames(t, c, frameA, frameB)))
	require.True(t, p.Caps().Up)

	bufs := frames(t, c, frameA, frameB, frameA)
	require.Equal(t, 1, p.Tx(3, c, bufs), "what the sink has not taken is not sent")
	require.ErrorIs(t, p.Err(), errFull)
	require.False(t, p.Caps().Up)
	out.n = 99
	require.Zero(t, p.Tx(0, c, bufs[1:]), "there is no hole in the file")
	c.FreeN(bufs[1:])
	require.Equal(t, []Frame{{Time: 7, Data: frameA, OrigLen: 15}, {Time: 7, Data: frameB, OrigLen: 18}, {Time: 7, Data: frameA, OrigLen: 15}}, out.got)
}

func TestPortTxDiscards(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8})
	p := New(Config{})
	require.Equal(t, 2, p.Tx(0, c, frames(t, c, frameA, frameB)))
	require.Equal(t, dataplane.Caps{Queues: 1, Up: true}, p.Caps())
}

func TestQueueIsASource(t *testing.T) {
	var q Queue
	var f Frame
	require.Equal(t, io.EOF, q.Next(&f))
	q.Push(&Frame{Time: 3})
	require.Equal(t, 1, q.Len())
	require.NoError(t, q.Next(&f))
	require.EqualValues(t, 3, f.Time)
	require.True(t, errors.Is(q.Next(&f), io.EOF))
	require.EqualValues(t, 3, f.Time, "unchanged at the end")
}
