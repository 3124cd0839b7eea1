package nat

import (
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// AnotherPort returns a port for the source of a session that keeps its address, as another session has its tuple: k and zone are
// Take's. Nothing is to be given back. ok is false if there is none, or the protocol has no ports.
func (s *Sources) AnotherPort(k *packet.Key, zone packet.Zone) (port uint16, ok bool) {
	c := classOf(k.Proto())
	if c == classNone {
		return 0, false
	}
	b := newBands(service.PortRange{First: 1024, Last: 65535})
	return s.takeAt(k.Src, nil, &b, maxProbes, c, k, zone)
}
