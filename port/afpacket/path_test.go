package afpacket

import (
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// loop is a veth with a port at either end.
func loop(t testing.TB, cfg packet.ArenaConfig) (u *user, a, b *Port) {
	t.Helper()
	near, far := pair(t, netnstest.VethOptions{})
	u = newUser(t, cfg)
	return u,
		u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true}),
		u.open(Config{Name: "eth0", NetNS: far.Name, Offload: true, Exclusive: true})
}

// fill is user.buffer without garbage.
func fill(c *packet.Cache, f []byte) packet.Index {
	b := c.AllocFor(len(f))
	c.Arena().Meta(b).Len = uint32(copy(c.Arena().Room(b), f))
	return b
}

// asSuper describes tcpSuper.
func asSuper(m *packet.Meta) {
	m.CsumPartial, m.CsumStart, m.CsumOffset = true, 34, 16
	m.GSOType, m.GSOSize, m.HdrLen = packet.GSOTCPv4, 1400, 54
}

func TestNothingIsAllocated(t *testing.T) {
	u, a, b := loop(t, packet.ArenaConfig{Buffers: 2048, Supers: 1024})
	super := frame(t, tcpSuper)
	short := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 vlan 7 len 18")
	long := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 1700") // beyond the MTU
	var bufs, got [64]packet.Index
	passed := 0
	batch := func() {
		for i := range bufs {
			f := short
			switch i % 8 {
			case 0:
				f = super
			case 1:
				f = long
			}
			bufs[i] = fill(u.c, f)
			if i%8 == 0 {
				asSuper(u.c.Arena().Meta(bufs[i]))
			}
		}
		// Both kinds of frames, both kinds of errors, and nothing.
		n := a.Tx(0, u.c, bufs[:])
		u.c.FreeN(bufs[n:])
		for m := b.Rx(0, u.c, got[:]); m > 0; m = b.Rx(0, u.c, got[:]) {
			u.c.FreeN(got[:m])
			passed += m
		}
	}
	batch()
	before := passed
	require.Zero(t, testing.AllocsPerRun(20, batch))
	require.Greater(t, passed, before)
	c := a.Counters()
	require.EqualValues(t, 8*22, c.TxErrors)
	require.EqualValues(t, c.Sent, b.Counters().Received)
	require.EqualValues(t, passed, c.Sent)
}

// BenchmarkPort is Tx into a veth and Rx at its other end, CPU time of the
// process for each frame: what the kernel does in between is on this thread too.
func BenchmarkPort(b *testing.B) {
	for _, row := range []struct {
		name, frame string
		super       bool
		batch       int
	}{
		{"short", "udp 10.0.0.1:9 > 10.0.0.2:53 len 22", false, 64},
		{"short-alone", "udp 10.0.0.1:9 > 10.0.0.2:53 len 22", false, 1},
		{"long", "udp 10.0.0.1:9 > 10.0.0.2:53 len 1472", false, 64},
		{"super", tcpSuper, true, 32},
	} {
		b.Run(row.name, func(b *testing.B) {
			u, from, to := loop(b, packet.ArenaConfig{Buffers: 2048, Supers: 1024, Prefault: true})
			f := frame(b, row.frame)
			var bufs [64]packet.Index
			var rx, tx int64
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			b.ResetTimer()
			frames := 0
			for frames < b.N {
				for i := range row.batch {
					bufs[i] = fill(u.c, f)
					if row.super {
						asSuper(u.c.Arena().Meta(bufs[i]))
					}
				}
				start := cputime.Thread()
				n := from.Tx(0, u.c, bufs[:row.batch])
				sent := cputime.Thread()
				if n != row.batch {
					b.Fatalf("%d of %d sent", n, row.batch)
				}
				for n > 0 {
					start := cputime.Thread()
					got := to.Rx(0, u.c, bufs[:])
					rx += int64(cputime.Thread() - start)
					u.c.FreeN(bufs[:got])
					if n -= got; n > 0 && got == 0 {
						wait(b, patience, to)
					}
				}
				tx += int64(sent - start)
				frames += row.batch
			}
			b.StopTimer()
			b.ReportMetric(float64(tx)/float64(frames), "tx-cpu-ns/frame")
			b.ReportMetric(float64(rx)/float64(frames), "rx-cpu-ns/frame")
			require.Zero(b, to.Counters().RxLost)
		})
	}
}

// BenchmarkTCP is a stream from pod to pod through a wire of two ports, in
// operations of 1 MiB.
func BenchmarkTCP(b *testing.B) {
	h := host(b)
	ends := pods(b, h, netnstest.VethOptions{})
	u := newUser(b, packet.ArenaConfig{Buffers: 2048, Supers: 512, Prefault: true})
	var ports [2]*Port
	for i := range ports {
		ports[i] = u.open(Config{Name: ends[i].device, NetNS: h.Name, Offload: true, Exclusive: true})
	}
	stop := u.forward(ports[0], ports[1], nil)
	defer stop()
	l := listen(b, ends[1].NS, "10.9.0.2:80")
	read := make(chan int64)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(read)
			return
		}
		// Not by splice, which would leave the receiver nothing to do.
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 1<<20))
		read <- n
	}()
	conn := dial(b, ends[0].NS, "10.9.0.2:80")
	message := make([]byte, 1<<20)
	b.SetBytes(int64(len(message)))
	b.ResetTimer()
	for range b.N {
		_, err := conn.Write(message)
		require.NoError(b, err)
	}
	conn.Close()
	require.EqualValues(b, b.N*len(message), <-read)
	b.StopTimer()
	c := ports[0].Counters()
	b.ReportMetric(float64(b.N*len(message))/float64(c.Received), "bytes/frame")
	require.Zero(b, c.RxRefused+c.RxLost+ports[1].Counters().TxErrors)
}
