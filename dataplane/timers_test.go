package dataplane_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/port/mem"
)

// Timers that change while the engine runs hold for the next packet of a live session: after a
// pause that is now too long it begins another one.
func TestTimersChangeBetweenPackets(t *testing.T) {
	for _, row := range []struct {
		why     string
		seconds int64 // of udp_first_packet and udp_single, in place of 60 and 30
		decided int   // of two packets, 5 seconds apart
	}{
		{"as they are by default, the session lives", 0, 1},
		{"a shorter timer ends it, shorter than any was before", 3, 2},
		{"a longer one keeps it", 3000, 1},
	} {
		r := newRig(t, rigConfig{ports: []dataplane.Port{mem.New(mem.Config{}), mem.New(mem.Config{})}})
		hop, gen := r.hop(dataplane.Hop{Port: 2})
		decided := 0
		r.publish(deciderFunc(func(d *dataplane.Decision) {
			decided++
			d.Forward(hop, gen)
		}), nil)
		r.send(1, "udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
		if row.seconds != 0 {
			timers := flowtable.DefaultTimers()
			timers.UDPFirstPacket, timers.UDPSingle = row.seconds, row.seconds
			require.NoError(t, r.table.SetTimers([]flowtable.Timers{timers}))
		}
		r.now += 5e9
		r.send(1, "udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
		require.Len(t, r.sent(2), 2, row.why)
		require.Equal(t, row.decided, decided, row.why)
	}
}
