package firewall

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Admit asks the rules of a receiver of a flooded frame. Nobody is told of a rejection: it was sent to many.
func (x admitter) Admit(w *dataplane.Worker, in *packet.Info, frame []byte, _, to uint16) packet.Reason {
	f := x.f
	if _, r := f.judgeFrame(w, in, frame, policy.In, to); r != packet.None {
		return r
	}
	if !f.Filters(to) || !subject(in, frame) {
		return packet.None
	}
	k := f.keyOfPacket(in, frame, &in.Key)
	k.Port, k.Direction = to, policy.In
	m, _ := f.Find(&k)
	return f.state.judged(w, m, to, policy.In, in, frame)
}
