package flowtable

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// A hundred thousand datagrams, their fragments shuffled within a moving
// window, some lost and some repeated, through far less memory: every buffer
// comes back exactly once, memory stays bounded, and where the window fits the
// memory every fragment of a datagram whose first arrived goes on.
func TestFragmentsInAnyOrder(t *testing.T) {
	rows := []struct {
		why      string
		cfg      FragmentConfig
		total    int // datagrams
		window   int // datagrams whose fragments are mixed
		loss     float64
		lossless bool // nothing may be dropped
	}{
		{why: "fits", cfg: FragmentConfig{Datagrams: 8192, Held: 8192, PerSource: 8192}, total: 100_000, window: 400, lossless: true},
		{why: "with losses", cfg: FragmentConfig{Datagrams: 4096, Held: 2048, PerSource: 512}, total: 20_000, window: 200, loss: 0.05},
		{why: "far too small", cfg: FragmentConfig{Datagrams: 100, Held: 50, PerSource: 10}, total: 20_000, window: 1000, loss: 0.01},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			// A nanosecond is a fragment. The longest a fragment is late has no bound.
			row.cfg.HoldTimeoutNs, row.cfg.TimeoutNs = 2000, 20000
			if row.lossless {
				row.cfg.TimeoutNs = 1e9
			}
			b := newFragmentBox(t, row.cfg)
			total := row.total
			if testing.Short() {
				total /= 10
			}

			type piece struct {
				datagram uint32
				part     int
			}
			const parts = 4
			const size = 64
			spec := func(d uint32) datagramSpec {
				return datagramSpec{v6: d%2 == 1, src: testAddr(d%2 == 1, byte(d%200+3)), id: d, sport: uint16(d)}
			}
			var buffers [2]map[packet.Index]piece // held by the tracker; by the worker, to be offered again
			buffers[0], buffers[1] = map[packet.Index]piece{}, map[packet.Index]piece{}
			var next packet.Index
			var passed, dropped, expired, arrived int
			var again []packet.Index

			offer := func(i packet.Index, p piece, now int64) {
				s := spec(p.datagram)
				frame := s.fragment(p.part*size, (p.part+1)*size, p.part < parts-1)
				v, release, _ := b.offer(t, i, frame, now)
				switch v {
				case FragmentPass:
					passed++
					if b.in.Key.SrcPort() != uint16(p.datagram) {
						t.Fatalf("datagram %d has port %d", p.datagram, b.in.Key.SrcPort())
					}
				case FragmentHeld:
					buffers[0][i] = p
				case FragmentDrop:
					dropped++
				}
				for _, j := range release {
					q, found := buffers[0][j]
					if !found || q.datagram != p.datagram {
						t.Fatalf("buffer %d handed back for datagram %d holds %v, found %t", j, p.datagram, q, found)
					}
					delete(buffers[0], j)
					buffers[1][j] = q
					again = append(again, j)
				}
			}
			out := make([]packet.Index, 16)
			expire := func(now int64) int {
				n := b.f.Expire(now, out)
				for _, j := range out[:n] {
					if _, found := buffers[0][j]; !found {
						t.Fatalf("buffer %d expires, but was not held", j)
					}
					delete(buffers[0], j)
				}
				expired += n
				return n
			}

			var window []piece
			for d := 0; d < total || len(window) > 0; {
				for ; d < total && len(window) < row.window*parts; d++ {
					for part := range parts {
						window = append(window, piece{uint32(d), part})
					}
				}
				k := rng.IntN(len(window))
				p := window[k]
				if window[k] = window[len(window)-1]; row.loss == 0 || rng.Float64() > row.loss/2 {
					window = window[:len(window)-1] // else it comes once more
				}
				if rng.Float64() < row.loss {
					continue
				}
				next++
				arrived++
				now := int64(arrived)
				offer(next, p, now)
				for len(again) > 0 {
					j := again[0]
					again = again[1:]
					q := buffers[1][j]
					delete(buffers[1], j)
					offer(j, q, now)
				}
				if !row.lossless {
					expire(now)
				}
				if n := b.f.Held(); n != len(buffers[0]) || n > row.cfg.Held || arrived != passed+dropped+expired+n {
					t.Fatalf("the books do not balance: arrived %d, passed %d, dropped %d, expired %d, held %d, known to be held %d",
						arrived, passed, dropped, expired, n, len(buffers[0]))
				}
			}
			free, states := b.count()
			require.Equal(t, row.cfg.Datagrams, free+states[waiting]+states[open]+states[complete])
			if row.lossless {
				require.Equal(t, total*parts, passed)
				require.Zero(t, dropped+expired)
				require.Zero(t, states[waiting]+states[open])
			}
			require.Positive(t, passed)
			for expire(math.MaxInt64) > 0 || b.f.Held() > 0 {
			}
			require.Empty(t, buffers[0])
			require.Equal(t, arrived, passed+dropped+expired)
			for i := range b.f.sources {
				require.Zero(t, b.f.sources[i].Load())
			}
		})
	}
}

func BenchmarkFragments(b *testing.B) {
	for _, bench := range []struct {
		name  string
		order []int
	}{{"in-order", []int{0, 1, 2}}, {"reversed", []int{2, 1, 0}}} {
		b.Run(bench.name, func(b *testing.B) {
			box := newFragmentBox(b, FragmentConfig{})
			spec := datagramSpec{id: 1}
			frames := [][]byte{spec.fragment(0, 800, true), spec.fragment(800, 1600, true), spec.fragment(1600, 1700, false)}
			infos := make([]packet.Info, len(frames))
			for i, frame := range frames {
				packet.Parse(frame, &infos[i])
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				for _, k := range bench.order {
					in := infos[k]
					in.FragID = uint32(n)
					if v, _, _ := box.f.Offer(packet.Index(k+1), &in, frames[k], int64(n), &box.release); v == FragmentDrop {
						b.Fatal("dropped")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(len(frames)*b.N), "ns/pkt")
		})
	}
}
