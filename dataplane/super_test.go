package dataplane_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

func TestSuperFrames(t *testing.T) {
	const segment = 1000
	frame := func(t *testing.T) []byte {
		f, err := frametext.Parse("tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq 1 ack 1 ts 1 2 len 3000 partial")
		require.NoError(t, err)
		return f
	}
	meta := packet.Meta{GSOType: packet.GSOTCPv4, GSOSize: segment, CsumPartial: true, CsumStart: 34, CsumOffset: 16} // no HdrLen: it is a hint
	for _, row := range []struct {
		why  string
		out  mem.Config
		mtu  uint16
		sent []int // lengths of frames
		drop string
	}{
		{"a port that takes super-frames gets it whole", mem.Config{GSO: true, CsumPartial: true}, 0, []int{66 + 3000}, ""},
		{"another gets segments", mem.Config{}, 0, []int{66 + segment, 66 + segment, 66 + segment}, ""},
		{"the MTU is for segments", mem.Config{GSO: true, CsumPartial: true}, 52 + segment, []int{66 + 3000}, ""},
		{"and is asked about when they are too long", mem.Config{GSO: true, CsumPartial: true}, 51 + segment, nil, "FRAME_TOO_LONG"},
	} {
		t.Run(row.why, func(t *testing.T) {
			r := newRig(t, rigConfig{ports: []dataplane.Port{mem.New(mem.Config{}), mem.New(row.out)}, debug: true})
			hop, gen := r.hop(dataplane.Hop{Port: 2, MTU: row.mtu})
			asked := 0
			r.publish(deciderFunc(func(d *dataplane.Decision) {
				if asked++; asked > 1 {
					d.Drop(packet.FrameTooLong)
					return
				}
				d.Forward(hop, gen)
			}), nil)
			r.send(1, "tcp 10.0.0.1:1000 > 10.0.0.2:80 A seq 1 ack 1")
			r.ports[2].(*mem.Port).Sent()
			require.True(t, r.ports[1].(*mem.Port).InjectFrame(mem.Frame{Data: frame(t), Meta: meta}))
			r.step()
			var lengths []int
			for _, f := range r.ports[2].(*mem.Port).Sent() {
				lengths = append(lengths, len(f.Data))
			}
			require.Equal(t, row.sent, lengths)
			if row.drop != "" {
				require.Equal(t, map[string]uint64{row.drop: 1}, r.drops(1))
			}
		})
	}
}
