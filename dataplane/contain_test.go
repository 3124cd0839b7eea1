package dataplane_test

import (
	"errors"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// panicking is a driver with a defect.
type panicking struct{ rx, tx bool }

func (p panicking) Rx(int, *packet.Cache, []packet.Index) int {
	if p.rx {
		panic("rx defect")
	}
	return 0
}

func (p panicking) Tx(_ int, c *packet.Cache, bufs []packet.Index) int {
	if p.tx {
		panic("tx defect")
	}
	c.FreeN(bufs)
	return len(bufs)
}

func (p panicking) Caps() dataplane.Caps { return dataplane.Caps{Queues: 1, Up: true} }

func TestPanicsAreContained(t *testing.T) {
	poison := "udp 10.0.0.1:666 > 10.0.0.2:53"
	isPoison := func(f []byte) bool { return len(f) > 36 && f[34] == 666>>8 && f[35] == 666&0xff }
	frames := []string{udpText, poison, replyText, poison, "udp 10.0.0.1:10 > 10.0.0.2:53"}
	for _, row := range []struct {
		why   string
		stage string
		rig   func(r *rig, decider dataplane.Decider) (dataplane.Decider, func(*dataplane.Snapshot))
	}{
		{"a decider panics over a frame", "decide", func(_ *rig, d dataplane.Decider) (dataplane.Decider, func(*dataplane.Snapshot)) {
			return deciderFunc(func(q *dataplane.Decision) {
				if isPoison(q.Frame()) {
					panic(errors.New("defect"))
				}
				d.Decide(q)
			}), nil
		}},
		{"a feature's stage panics over a frame", "feature", func(_ *rig, d dataplane.Decider) (dataplane.Decider, func(*dataplane.Snapshot)) {
			return d, func(s *dataplane.Snapshot) {
				at := len(s.Stages) - 1
				feature := dataplane.Stage{Name: "feature", Run: func(_ *dataplane.Worker, v *dataplane.Vector) {
					for m := v.Frames(); m != 0; m &= m - 1 {
						i := bits.TrailingZeros64(m)
						v.At(i)
						if isPoison(v.Frame(i)) {
							panic("defect")
						}
					}
				}}
				s.Stages = append(append(append([]dataplane.Stage(nil), s.Stages[:at]...), feature), s.Stages[at])
			}
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
			decider, edit := row.rig(r, toPort2(r, 0))
			r.publish(decider, edit)
			for range 2 {
				r.send(1, frames...)
				require.Equal(t, []string{udpText, replyText, "udp 10.0.0.1:10 > 10.0.0.2:53"}, r.sent(2), "all other frames go on")
			}
			require.Equal(t, map[string]uint64{"INTERNAL_ERROR": 4}, r.drops(1))
			crashes, n := r.engine.Crashes()
			require.Equal(t, 4, n)
			require.Equal(t, row.stage, crashes[0].Stage)
			require.Equal(t, "defect", crashes[0].Value)
			require.Equal(t, "p1", crashes[0].Port)
			require.True(t, isPoison(crashes[0].Frame), "the frame is kept")
			require.Contains(t, crashes[0].Stack, "contain_test.go")
		})
	}
}

func TestAStageThatPanicsOverNoFrameLosesTheVector(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	r.publish(toPort2(r, 0), func(s *dataplane.Snapshot) {
		s.Stages = append([]dataplane.Stage{{Name: "bad", Run: func(*dataplane.Worker, *dataplane.Vector) { panic("defect") }}}, s.Stages...)
	})
	r.send(1, udpText, udpText)
	require.Equal(t, map[string]uint64{"INTERNAL_ERROR": 2}, r.drops(1))
	r.publish(toPort2(r, 0), nil)
	r.send(1, udpText)
	require.Len(t, r.sent(2), 1, "the worker lives")
}

func TestAReceivingDriverThatPanicsDoesNotStopOthers(t *testing.T) {
	r := newRig(t, rigConfig{ports: []dataplane.Port{mem.New(mem.Config{}), mem.New(mem.Config{}), panicking{rx: true}}, debug: true})
	r.publish(toPort2(r, 0), nil)
	r.send(1, udpText)
	require.Len(t, r.sent(2), 1)
	crashes, n := r.engine.Crashes()
	require.Equal(t, 1, n)
	require.Equal(t, "rx p3", crashes[0].Stage)
}

// defective panics wherever the engine calls it.
type defective struct{}

func (defective) AfterStage(*dataplane.Worker, *dataplane.Vector, string) { panic("defect") }

func (defective) AfterStep(*dataplane.Decision, string) { panic("defect") }

func (defective) Dropped(*dataplane.Worker, packet.Index, *packet.Info, packet.Reason) {
	panic("defect")
}

func (defective) Sent(*dataplane.Worker, uint16, packet.Index) { panic("defect") }

func (defective) Tick(*dataplane.Worker, int64) { panic("defect") }

func (defective) Refresh(*dataplane.Worker, *dataplane.Vector, uint64) { panic("defect") }

func TestWhoeverLooksOnCannotHarm(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	r.publish(toPort2(r, 0), func(s *dataplane.Snapshot) {
		s.Taps, s.Tickers, s.Refresh = []dataplane.Tap{defective{}}, []dataplane.Ticker{defective{}}, []dataplane.Refresher{defective{}}
	})
	r.send(1, udpText)
	r.now += 1 << 40 // the flow is refreshed, or its session over
	r.send(1, udpText, "raw 0a580a0000020a580a0000010800")
	require.Equal(t, []string{udpText, udpText}, r.sent(2))
	require.Equal(t, map[string]uint64{"TRUNCATED_HEADER": 1}, r.drops(1))
	_, n := r.engine.Crashes()
	require.Positive(t, n)
}
