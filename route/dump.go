package route

import (
	"iter"
	"slices"

	"github.com/sluice-net/sluice/packet"
)

// What has been learned, for display. Listings go on beside workers: a table is
// copied a chunk at a time under its lock, which is held for as long as one turn of
// the aging holds it, and what is done with the copies is done without. An entry that
// is there throughout is listed once; one that comes or goes meanwhile may be or not.

// dumpChunk is how many entries are looked at under one lock.
const dumpChunk = 256

// MAC is an address and where it is.
type MAC struct {
	Zone   packet.Zone
	MAC    packet.MAC
	Port   uint16
	Static bool  // bound by configuration
	Held   bool  // moved too often; stays where it is
	Moves  int   // within the current window
	UsedNs int64 // when it last sent; 0 if Static
}

// MACs returns the learned addresses and those that the current Forwarder
// binds, in no order.
func (s *State) MACs() (list []MAC) {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current != nil {
		for i := range current.segments {
			seg := &current.segments[i]
			for mac, at := range seg.stations {
				list = append(list, MAC{Zone: seg.zone, MAC: packet.MACFromWord(mac), Port: at.port, Static: true})
			}
		}
	}
	return slices.AppendSeq(list, s.LearnedMACs())
}

// LearnedMACs yields the learned addresses, in the order of their places in the
// table. Its memory is one chunk.
func (s *State) LearnedMACs() iter.Seq[MAC] {
	return inChunks(func(from uint32, list []MAC) ([]MAC, uint32) { return s.macs.chunk(from, list) })
}

// chunk appends what is in the entries from number from on, and returns the
// number to go on from, 0 at the end.
func (t *macTable) chunk(from uint32, list []MAC) ([]MAC, uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := min(from+dumpChunk, t.high+1)
	for id := from; id < end; id++ {
		e := &t.entries[id]
		if mac := e.mac.Load(); mac != 0 {
			list = append(list, MAC{
				Zone: packet.Zone(e.zone.Load()), MAC: packet.MACFromWord(mac), Port: uint16(e.port.Load()),
				Held: e.until != 0, Moves: int(e.moves), UsedNs: e.used.Load(),
			})
		}
	}
	if end > t.high {
		return list, 0
	}
	return list, end
}

// NeighborInfo is a neighbour of a router.
type NeighborInfo struct {
	Zone        packet.Zone
	IP          packet.Addr
	MAC         packet.MAC // valid in known and probing
	Port        uint16     // valid in known and probing
	State       string     // incomplete, known, probing or failed
	ConfirmedNs int64      // when it was last heard of
	UsedNs      int64      // when a packet was last sent to it; 0: never
	Waiting     int        // packets
}

var neighborStates = [...]string{
	neighborAbsent: "absent", neighborIncomplete: "incomplete", neighborKnown: "known",
	neighborProbing: "probing", neighborFailed: "failed",
}

// Neighbors returns what has been learned of routers' neighbours, in no order.
func (s *State) Neighbors() []NeighborInfo { return slices.Collect(s.LearnedNeighbors()) }

// LearnedNeighbors yields what has been learned of routers' neighbours, in the
// order of their places in the table. Its memory is one chunk.
func (s *State) LearnedNeighbors() iter.Seq[NeighborInfo] {
	return inChunks(func(from uint32, list []NeighborInfo) ([]NeighborInfo, uint32) {
		return s.routers.neighbors.chunk(from, list)
	})
}

// chunk is as the MAC table's.
func (t *neighborTable) chunk(from uint32, list []NeighborInfo) ([]NeighborInfo, uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := uint32(len(t.entries))
	end := min(from+dumpChunk, all)
	for id := from; id < end; id++ {
		e := &t.entries[id]
		if e.mode() == neighborAbsent {
			continue
		}
		h := e.host()
		list = append(list, NeighborInfo{
			Zone: e.zone(), IP: e.addr(), MAC: h.mac, Port: h.port, State: neighborStates[e.mode()],
			ConfirmedNs: e.confirmed.Load(), UsedNs: e.used.Load(), Waiting: e.waits(),
		})
	}
	if end == all {
		return list, 0
	}
	return list, end
}

// inChunks yields a table's items, of which read returns those from a number on.
func inChunks[T any](read func(from uint32, list []T) ([]T, uint32)) iter.Seq[T] {
	return func(yield func(T) bool) {
		list := make([]T, 0, dumpChunk)
		for from := uint32(1); from != 0; {
			list, from = read(from, list[:0])
			for _, item := range list {
				if !yield(item) {
					return
				}
			}
		}
	}
}
