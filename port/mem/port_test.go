package mem

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

func TestPortCarriesFramesAndOffloads(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 8, Supers: 1})
	p := New(Config{Queues: 2})
	first := []byte{1}
	require.Equal(t, 2, p.Inject(first, make([]byte, 40000)))
	first[0] = 9 // a copy was taken
	offload := packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1448, HdrLen: 66, Off: 77, Len: 77, InPort: 77}
	require.True(t, p.InjectFrame(Frame{Queue: 1, Data: []byte{3}, Meta: offload}))
	require.Equal(t, 3, p.Waiting())

	var bufs [4]packet.Index
	require.Equal(t, 2, p.Rx(0, c, bufs[:]))
	require.Equal(t, []byte{1}, c.Arena().Frame(bufs[0]))
	require.Len(t, c.Arena().Frame(bufs[1]), 40000)
	require.Equal(t, 1, p.Rx(1, c, bufs[2:]))
	require.Zero(t, p.Rx(1, c, bufs[3:]))
	require.Zero(t, p.Rx(2, c, bufs[3:]), "there is no third queue")
	got := *c.Arena().Meta(bufs[2])
	require.EqualValues(t, 1, got.Len)
	require.Zero(t, got.InPort)
	got.Off, got.Len, got.InPort = 77, 77, 77
	require.Equal(t, offload, got)

	require.Equal(t, 1, p.Tx(1, c, bufs[2:3]))
	require.Equal(t, 2, p.Tx(4, c, bufs[:2]), "any worker may send")
	sent := p.Sent()
	require.Len(t, sent, 3)
	require.Equal(t, []byte{1}, sent[0].Data)
	require.Equal(t, 0, sent[0].Queue)
	require.Len(t, sent[1].Data, 40000)
	require.Equal(t, []byte{3}, sent[2].Data)
	require.Equal(t, 1, sent[2].Queue)
	require.True(t, sent[2].Meta.CsumPartial)
	require.Empty(t, p.Sent(), "collected once")
}

func TestPortLimits(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 3})
	p := New(Config{RxCapacity: 2, TxCapacity: 1})
	require.Equal(t, 2, p.Inject([]byte{1}, []byte{2}, []byte{3}), "the receive queue is full")
	var bufs [3]packet.Index
	require.Equal(t, 1, p.Rx(0, c, bufs[:1]))
	require.Equal(t, 1, p.Inject([]byte{3}))
	require.Equal(t, 2, p.Rx(0, c, bufs[1:]))

	require.Equal(t, 1, p.Tx(0, c, bufs[:]), "the transmit queue is full")
	require.Zero(t, p.Tx(0, c, bufs[1:]))
	require.Len(t, p.Sent(), 1)
	require.Equal(t, 1, p.Tx(0, c, bufs[1:]))
	c.Free(bufs[2])
}

func TestPortWithoutBuffers(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 1})
	p := New(Config{})
	p.Inject([]byte{1}, []byte{2})
	var bufs [2]packet.Index
	require.Equal(t, 1, p.Rx(0, c, bufs[:]))
	require.Zero(t, p.Rx(0, c, bufs[1:]))
	require.Equal(t, 1, p.Waiting(), "frames without a buffer stay in the device")
	c.Free(bufs[0])
}

func TestPortDown(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 2})
	p := New(Config{MTU: 1500, CsumPartial: true, GSO: true})
	require.Equal(t, dataplane.Caps{Queues: 1, MTU: 1500, Up: true, CsumPartial: true, GSO: true}, p.Caps())
	p.Inject([]byte{1})
	p.SetUp(false)
	require.False(t, p.Caps().Up)
	bufs := []packet.Index{c.Alloc(), 0}
	require.Zero(t, p.Rx(0, c, bufs[1:]))
	require.Zero(t, p.Tx(0, c, bufs[:1]))
	p.SetUp(true)
	require.Equal(t, 1, p.Rx(0, c, bufs[1:]))
	require.Equal(t, 2, p.Tx(0, c, bufs))
}

// A test injects and collects while workers poll.
func TestPortIsConcurrent(t *testing.T) {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024})
	require.NoError(t, err)
	defer a.Close()
	const workers, each = 2, 2000
	p := New(Config{Queues: workers, RxCapacity: 16})
	var wg sync.WaitGroup
	for q := range workers {
		wg.Go(func() {
			for i := 0; i < each; {
				if p.InjectFrame(Frame{Queue: q, Data: []byte{byte(i)}}) {
					i++
				} else {
					runtime.Gosched()
				}
			}
		})
		wg.Go(func() {
			c := a.NewCache()
			defer c.Flush()
			var bufs [8]packet.Index
			for n := 0; n < each; {
				got := p.Rx(q, c, bufs[:])
				n += p.Tx(q, c, bufs[:got])
				if got == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, p.Sent(), workers*each)
	require.Zero(t, a.InUse())
}
