package recorder

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
	"github.com/sluice-net/sluice/port/pcap"
)

var (
	_ dataplane.Port = (*Port)(nil)
	_ Writer         = (*pcap.Writer)(nil)
	_ Writer         = (*pcap.Stream)(nil)
)

// arena makes a debugging arena; frames that are not freed fail the test.
func arena(t *testing.T) *packet.Cache {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 16, Debug: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that nobody owns")
		require.NoError(t, a.Close())
	})
	return a.NewCache()
}

// tape is a Writer that fails after a number of frames.
type tape struct {
	room int
	got  []pcap.Frame
}

var errFull = errors.New("no space left")

func (w *tape) Write(t int64, data []byte, origLen int) error {
	if len(w.got) == w.room {
		return errFull
	}
	w.got = append(w.got, pcap.Frame{Time: t, Data: bytes.Clone(data), OrigLen: origLen})
	return nil
}

// ticker is a clock that goes on by one at every look.
func ticker() func() int64 {
	t := int64(99)
	return func() int64 { t++; return t }
}

// forward injects frames, receives them and sends them back; it returns how many
// were received and sent. What is not sent is freed.
func forward(p dataplane.Port, inner *mem.Port, c *packet.Cache, frames ...[]byte) (rx, tx int) {
	inner.Inject(frames...)
	bufs := make([]packet.Index, 8)
	rx = p.Rx(0, c, bufs)
	tx = p.Tx(0, c, bufs[:rx])
	c.FreeN(bufs[tx:rx])
	return rx, tx
}

func TestRecorder(t *testing.T) {
	a, b := []byte("first"), []byte("second")
	record := func(t int64, data []byte, size int) pcap.Frame {
		return pcap.Frame{Time: t, Data: data, OrigLen: size}
	}
	tests := []struct {
		why        string
		cfg        Config // Rx and Tx filled in from the next two
		rx, tx     *tape
		txCapacity int
		wantRx     []pcap.Frame
		wantTx     []pcap.Frame
		counters   Counters
	}{
		{
			why: "both ways, one look at the clock for each vector",
			rx:  &tape{room: 9}, tx: &tape{room: 9},
			wantRx:   []pcap.Frame{record(100, a, 5), record(100, b, 6)},
			wantTx:   []pcap.Frame{record(101, a, 5), record(101, b, 6)},
			counters: Counters{Rx: 2, Tx: 2},
		},
		{
			why: "received only", rx: &tape{room: 9},
			wantRx:   []pcap.Frame{record(100, a, 5), record(100, b, 6)},
			counters: Counters{Rx: 2},
		},
		{
			why: "sent only, cut", tx: &tape{room: 9}, cfg: Config{SnapLen: 3},
			wantTx:   []pcap.Frame{record(100, a[:3], 5), record(100, b[:3], 6)},
			counters: Counters{Tx: 2},
		},
		{
			why: "what the device refuses is not recorded as sent", tx: &tape{room: 9}, txCapacity: 1,
			wantTx:   []pcap.Frame{record(100, a, 5)},
			counters: Counters{Tx: 1},
		},
		{
			why: "a failing writer ends all recording", rx: &tape{room: 1}, tx: &tape{room: 9},
			wantRx:   []pcap.Frame{record(100, a, 5)},
			counters: Counters{Rx: 1, Missed: 3},
		},
		{
			why: "a writer that fails while sending", rx: &tape{room: 9}, tx: &tape{room: 1},
			wantRx:   []pcap.Frame{record(100, a, 5), record(100, b, 6)},
			wantTx:   []pcap.Frame{record(101, a, 5)},
			counters: Counters{Rx: 2, Tx: 1, Missed: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			c := arena(t)
			inner := mem.New(mem.Config{TxCapacity: tt.txCapacity})
			cfg := tt.cfg
			cfg.Clock = ticker()
			if tt.rx != nil {
				cfg.Rx = tt.rx
			}
			if tt.tx != nil {
				cfg.Tx = tt.tx
			}
			p := New(inner, cfg)
			rx, tx := forward(p, inner, c, a, b)
			require.Equal(t, 2, rx, "recording does not disturb")
			wantSent := [][]byte{a, b}
			if tt.txCapacity > 0 {
				wantSent = wantSent[:tt.txCapacity]
			}
			require.Equal(t, len(wantSent), tx)
			for i, f := range inner.Sent() {
				require.Equal(t, wantSent[i], f.Data)
			}
			if tt.rx != nil {
				require.Equal(t, tt.wantRx, tt.rx.got)
			}
			if tt.tx != nil {
				require.Equal(t, tt.wantTx, tt.tx.got)
			}
			require.Equal(t, tt.counters, p.Counters())
			if tt.counters.Missed > 0 {
				require.ErrorIs(t, p.Err(), errFull)
			} else {
				require.NoError(t, p.Err())
			}
			require.Equal(t, inner.Caps(), p.Caps())
		})
	}
}

func TestStop(t *testing.T) {
	c := arena(t)
	inner := mem.New(mem.Config{})
	w := &tape{room: 9}
	p := New(inner, Config{Rx: w, Tx: w, Clock: ticker()})
	forward(p, inner, c, []byte{1})
	p.Stop()
	rx, tx := forward(p, inner, c, []byte{2})
	require.Equal(t, [2]int{1, 1}, [2]int{rx, tx})
	require.Equal(t, Counters{Rx: 1, Tx: 1, Missed: 2}, p.Counters())
	require.ErrorIs(t, p.Err(), ErrStopped)
	require.Len(t, w.got, 2)
}

func TestWithoutWriters(t *testing.T) {
	c := arena(t)
	inner := mem.New(mem.Config{})
	p := New(inner, Config{})
	rx, tx := forward(p, inner, c, []byte{1})
	require.Equal(t, [2]int{1, 1}, [2]int{rx, tx})
	require.Panics(t, func() { New(inner, Config{Rx: &tape{}}) }, "frames without a time")
}

// Both directions in one pcapng file, while two workers poll.
func TestConcurrentPcapng(t *testing.T) {
	var file bytes.Buffer
	w := pcap.NewNgWriter(&file, "sluice")
	id, err := w.AddInterface(pcap.Interface{Name: "default/web-0"})
	require.NoError(t, err)
	const workers, each = 2, 300
	inner := mem.New(mem.Config{Queues: workers})
	p := New(inner, Config{Rx: w.Stream(id, pcap.Inbound), Tx: w.Stream(id, pcap.Outbound), Clock: func() int64 { return 5 }})
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024})
	require.NoError(t, err)
	defer a.Close()
	var wg sync.WaitGroup
	for q := range workers {
		for i := range each {
			inner.InjectFrame(mem.Frame{Queue: q, Data: []byte{byte(q), byte(i)}})
		}
		wg.Go(func() {
			c := a.NewCache()
			defer c.Flush()
			var bufs [8]packet.Index
			for n := p.Rx(q, c, bufs[:]); n > 0; n = p.Rx(q, c, bufs[:]) {
				p.Tx(q, c, bufs[:n])
			}
		})
	}
	wg.Wait()
	require.Len(t, inner.Sent(), workers*each)
	require.Zero(t, a.InUse())
	require.NoError(t, w.Flush())

	r, err := pcap.NewReader(&file, "recorded")
	require.NoError(t, err)
	next := [workers]int{} // by worker: frames seen, each twice
	var f pcap.Frame
	for err = r.Next(&f); err == nil; err = r.Next(&f) {
		require.EqualValues(t, 5, f.Time)
		require.Len(t, f.Data, 2)
		next[f.Data[0]]++
	}
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, [workers]int{2 * each, 2 * each}, next)
}

func TestDoesNotAllocate(t *testing.T) {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 256})
	require.NoError(t, err)
	defer a.Close()
	c := a.NewCache()
	inner, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{make([]byte, 60)}})
	require.NoError(t, err)
	w := pcap.NewWriter(io.Discard)
	p := New(inner, Config{Rx: w, Tx: w, Clock: func() int64 { return 1 }})
	var bufs [64]packet.Index
	require.Zero(t, testing.AllocsPerRun(100, func() {
		p.Tx(0, c, bufs[:p.Rx(0, c, bufs[:])])
	}))
}
