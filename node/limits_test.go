package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// TestLimitsOutliveModels: what a port has used up of its limits stays used up when
// something else changes, or else each change would let the next burst of a storm pass.
func TestLimitsOutliveModels(t *testing.T) {
	var previous *control.Model
	model := func(spec, others string) *control.Model {
		b := "apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: lan}\n" +
			"---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: m}\nspec: {segment: lan, " + spec + "}\n"
		for _, name := range strings.Fields(others) {
			b += fmt.Sprintf("---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s}\nspec: {segment: lan}\n", name)
		}
		objects, faults := control.Decode("limits.yaml", []byte(b), control.Options{})
		require.Empty(t, faults)
		in := control.Input{Objects: objects}
		if previous != nil {
			in.Previous = &previous.Allocations
		}
		m, faults := control.Compile(in)
		require.Empty(t, faults)
		previous = m
		return m
	}
	const limits = "rateLimits: {rxBroadcast: 100, rxUnknownUnicast: 100}" // bursts of 10
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Virtual: true}, model(limits, "z"))
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	const now = int64(1e12) // it stands still
	passed := func() int {
		for range 20 {
			for _, line := range []string{"udp 10.0.0.1:1 > 255.255.255.255:2", "ether type 0x88b5 eth 02:00:00:00:00:01 > 02:00:00:00:00:99"} {
				frame, err := frametext.Parse(line)
				require.NoError(t, err)
				devices.byName["m"].Inject(frame)
			}
		}
		before := len(devices.byName["z"].Sent())
		require.Zero(t, before)
		n.Engine().Worker(0).Step(now)
		return len(devices.byName["z"].Sent())
	}
	for _, row := range []struct {
		why          string
		spec, others string
		want         int
	}{
		{"a burst of each passes", limits, "z", 20},
		{"and no more", limits, "z", 0},
		{"another port changes nothing", limits, "a z", 0},
		{"nor does the port's own MTU", limits + ", mtu: 1400", "z", 0},
		{"nor does a limit of another sort", "rateLimits: {rxBroadcast: 100, rxUnknownUnicast: 100, txBroadcast: 7}", "z", 0},
		{"a limit with another rate begins with a burst", "rateLimits: {rxBroadcast: 200, rxUnknownUnicast: 100}", "z", 20},
		{"without limits all pass", "mtu: 1400", "z", 40},
		{"and limits that come begin with a burst", limits, "z", 20},
	} {
		t.Run(row.why, func(t *testing.T) {
			require.NoError(t, n.Apply(model(row.spec, row.others)))
			require.Equal(t, row.want, passed())
		})
	}
	require.NotZero(t, n.Engine().PortCounters(previous.Ports[0].Number).Drops[packet.StormControl])
}
