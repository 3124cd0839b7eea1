package dataplane_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// recording is a tap that writes down what it sees, in order.
type recording struct{ seen []string }

func (r *recording) AfterStage(_ *dataplane.Worker, v *dataplane.Vector, stage string) {
	r.seen = append(r.seen, fmt.Sprintf("%s %d", stage, bits.OnesCount64(v.Live)))
}

func (r *recording) AfterStep(d *dataplane.Decision, step string) {
	r.seen = append(r.seen, fmt.Sprintf("step %s forwarded=%t dropped=%s", step, d.Forwarded(), d.Dropped()))
}

func (r *recording) Dropped(_ *dataplane.Worker, _ packet.Index, in *packet.Info, reason packet.Reason) {
	r.seen = append(r.seen, fmt.Sprintf("dropped %s known=%t", reason, in != nil))
}

func (r *recording) Sent(_ *dataplane.Worker, port uint16, _ packet.Index) {
	r.seen = append(r.seen, fmt.Sprintf("sent %d", port))
}

func TestTapsSeeEveryStep(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	tap := &recording{}
	forward := toPort2(r, 0)
	late := deciderFunc(func(d *dataplane.Decision) {
		if d.Info.Key.SrcPort() == 7 {
			d.Drop(packet.PolicyDenied)
		}
	})
	r.publish(forward, func(s *dataplane.Snapshot) {
		s.Deciders = append(s.Deciders, dataplane.Step{Name: "late", Decider: late})
		s.Taps = []dataplane.Tap{tap}
	})
	r.send(1, udpText)
	require.Equal(t, []string{
		"parse 1", "storm 1", "fragments 1", "lookup 1", "check 1",
		"step test forwarded=true dropped=NONE", "step late forwarded=true dropped=NONE",
		"decide 1", "track 1", "rewrite 1", "transmit 0", "sent 2",
	}, tap.seen)
	tap.seen = nil
	r.send(1, "udp 10.0.0.1:7 > 10.0.0.2:53")
	require.Equal(t, []string{
		"parse 1", "storm 1", "fragments 1", "lookup 1", "check 1",
		"step test forwarded=true dropped=NONE", "step late forwarded=false dropped=POLICY_DENIED",
		"decide 0", "dropped POLICY_DENIED known=true", "track 0", "rewrite 0", "transmit 0",
	}, tap.seen)
}

// sources is a tap that notes whose frames were dropped.
type sources struct {
	recording
	of []string
}

func (s *sources) Dropped(_ *dataplane.Worker, _ packet.Index, in *packet.Info, r packet.Reason) {
	s.of = append(s.of, r.String()+" "+in.Key.Src.String())
}

// What is said of a dropped frame is about that frame, not about one that had
// its place in the vector before.
func TestDropsAreAboutTheFrame(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	tap := &sources{}
	r.publish(toPort2(r, 0), func(s *dataplane.Snapshot) { s.Taps = []dataplane.Tap{tap} })
	r.send(1, udpText)
	r.send(1, "udp 10.0.0.7:1 > 10.0.0.2:53 vlan 30")
	r.send(1, "udp 10.0.0.8:1 > 10.0.0.2:53 qinq 30 vlan 5")
	r.send(1, "raw 0a580a0000020a580a0000010800")
	require.Equal(t, []string{"VLAN_FILTERED 10.0.0.7", "VLAN_FILTERED 10.0.0.8", "TRUNCATED_HEADER ::"}, tap.of)
}
