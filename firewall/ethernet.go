package firewall

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Rules of category Ethernet are about frames: MAC addresses and EtherTypes. They keep no state, and are asked
// whenever a frame is decided about; of what they let through, a permit is tied to the MAC addresses, so
// that it need not be asked again. Their counters have the frames that they were asked about.

type ethernetDecider struct{ f *Firewall }

// Ethernet asks the rules of the sender's port about the frame. It stands behind what answers ARP and
// neighbour discovery. Those of the receiver's port are asked with Ingress.
func (f *Firewall) Ethernet() dataplane.Decider { return ethernetDecider{f} }

// Decide asks the rules of the sender's port about the frame.
func (x ethernetDecider) Decide(d *dataplane.Decision) {
	if rule, r := x.f.judgeFrame(d.W, d.Info, d.Frame(), policy.Out, d.In.Number); r != packet.None {
		d.Permit.EgressRule = rule
		d.Drop(r)
	}
}

// judgeFrame asks the rules of a port about a frame, counts, and returns the rule that decides, and why it is dropped, or
// None.
func (f *Firewall) judgeFrame(w *dataplane.Worker, in *packet.Info, frame []byte, direction policy.Direction, port uint16) (rule uint32, r packet.Reason) {
	if f.Frames == nil || !f.Filters(port) {
		return 0, packet.None
	}
	eth := packet.Ethernet(frame)
	k := classify.Key{
		Src: f.Frames.MACClass(eth.Src()), Dst: f.Frames.MACClass(eth.Dst()),
		Port: port, Direction: direction, DstPort: in.EtherType,
	}
	m := f.FindFrame(&k)
	return m.Rule.ID, f.state.judged(w, m, port, direction, in, frame)
}

// judged counts and notes what a rule has said about a frame that is of no session, and returns why it is dropped, or None.
func (s *State) judged(w *dataplane.Worker, m *classify.Match, port uint16, direction policy.Direction, in *packet.Info, frame []byte) packet.Reason {
	r := reasonOf(m.Rule.Action)
	s.workers[w.ID()].counters.one(m, uint64(len(frame)), w.Now())
	s.log.Packet(w.ID(), m.Section, m.Rule, port, direction, r, in, frame, w.Now())
	return r
}

// reasonOf is why a rule with the action drops; None if it does not.
func reasonOf(a policy.Action) packet.Reason {
	switch a {
	case policy.Drop:
		return packet.PolicyDenied
	case policy.Reject:
		return packet.PolicyRejected
	}
	return packet.None
}
