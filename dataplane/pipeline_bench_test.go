package dataplane_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// udpFlows makes one 64-byte frame of each of n flows.
func udpFlows(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		f := make([]byte, 64)
		copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, packet.ProtoUDP, 0, 0, 10, 0, 0, 0, 10, 1, 0, 1})
		binary.BigEndian.PutUint32(f[26:], 0x0a000000+uint32(i/50000))
		binary.BigEndian.PutUint16(f[34:], uint16(1024+i%50000))
		binary.BigEndian.PutUint16(f[36:], 53)
		binary.BigEndian.PutUint16(f[38:], 30)
		binary.BigEndian.PutUint16(f[24:], packet.Checksum(f[14:34]))
		all[i] = f
	}
	return all
}

// toPort2 forwards everything, routed or not, by one hop.
func toPort2(r *rig, flags dataplane.HopFlags) dataplane.Decider {
	hop, gen := r.hop(dataplane.Hop{Port: 2, Flags: flags, DstMAC: packet.MAC{2, 0, 0, 0, 0, 9}, SrcMAC: packet.MAC{2, 0, 0, 0, 0, 8}, MTU: 1500})
	return deciderFunc(func(d *dataplane.Decision) { d.Forward(hop, gen) })
}

// noTap observes nothing, at all points.
type noTap struct{}

func (noTap) AfterStage(*dataplane.Worker, *dataplane.Vector, string)              {}
func (noTap) AfterStep(*dataplane.Decision, string)                                {}
func (noTap) Dropped(*dataplane.Worker, packet.Index, *packet.Info, packet.Reason) {}
func (noTap) Sent(*dataplane.Worker, uint16, packet.Index)                         {}

// BenchmarkPipeline is the engine by itself: receive, all stages, send. The tapped rows show what
// observation points cost when one is in use; the others have them too, unused.
func BenchmarkPipeline(b *testing.B) {
	for _, row := range []struct {
		name  string
		flags dataplane.HopFlags
		taps  []dataplane.Tap
	}{{"switched", 0, nil}, {"routed", dataplane.HopRouted, nil}, {"tapped", dataplane.HopRouted, []dataplane.Tap{noTap{}}}} {
		for _, flows := range []int{1, 1000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/flows=%d", row.name, flows), func(b *testing.B) {
				if flows > 100_000 && testing.Short() {
					b.Skip("a million flows take 400 MB")
				}
				generator, err := mem.NewGenerator(mem.GeneratorConfig{Frames: udpFlows(flows)})
				require.NoError(b, err)
				r := newRig(b, rigConfig{sessions: max(1024, flows+flows/8), ports: []dataplane.Port{generator, mem.NewSink(1)}})
				r.publish(toPort2(r, row.flags), func(s *dataplane.Snapshot) { s.Taps = row.taps })
				w := r.engine.Worker(0)
				for n := 0; n < 2*flows; {
					n += w.Step(r.now)
				}
				require.Empty(b, r.drops(1))
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				b.ReportAllocs()
				b.ResetTimer()
				cpu := cputime.Thread()
				for n := 0; n < b.N; {
					n += w.Step(r.now)
				}
				b.ReportMetric(float64((cputime.Thread()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
