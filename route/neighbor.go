package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// neighborTable holds what routers know of the hosts next to them.
type neighborTable struct{}

func newNeighborTable(*StateConfig) *neighborTable { return &neighborTable{} }

// heard is told that ip was seen to be at mac behind a port, by ARP or ND.
// Called for every ARP or ND message whose sender was allowed to send it.
func (f *Forwarder) heard(w *dataplane.Worker, zone packet.Zone, ip packet.Addr, mac packet.MAC, port uint16, now int64) {
}

// neighborAt returns who was last heard to have an address, for answering in
// place of hosts that are not bound.
func (f *Forwarder) neighborAt(zone packet.Zone, ip packet.Addr) (h host, found bool) {
	return host{}, false
}

// macMoved is told that a learned MAC is behind another port now, or (port 0)
// forgotten. No lock is held.
func (f *Forwarder) macMoved(zone packet.Zone, mac packet.MAC, port uint16) {}

// confirm is told, at most once a second for each flow, that a flow from ip at mac is alive.
func (f *Forwarder) confirm(w *dataplane.Worker, zone packet.Zone, ip packet.Addr, mac packet.MAC, now int64) {
}
