package dataplane

import (
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Snapshot is everything the workers need to know of a compiled revision. It
// is immutable once published; what lives longer (learned addresses, sessions,
// neighbours) is held by the features and referred to.
type Snapshot struct {
	Epoch    uint32 // > 0, grows with each publication; a permit of another epoch is asked for again
	Revision uint64 // of the configuration, for reports

	Stages   []Stage     // the pipeline, in order
	Deciders []Step      // the decision, in order
	Admit    []Admitter  // asked about each receiver of a flood
	Conclude []Concluder // told how each decision ended
	Refresh  []Refresher // told about live flows, every RefreshNs for each
	Tickers  []Ticker    // called at the end of every turn
	Taps     []Tap       // observation points; none is the fast case

	// RefreshNs is how often Refresh hears of a flow in use; a power of two is made of
	// it by rounding down. 0 is DefaultRefreshNs.
	RefreshNs int64

	Ports  []*PortConfig // by port number; nil where there is none. Number 0 is never a port
	Floods [][]FloodTarget
}

// DefaultRefreshNs is often enough for what ages in minutes. Reviving a flow
// costs some hundred ns: at a million flows, each second would cost 8 ns per
// packet, and every 17 s cost half a nanosecond.
const DefaultRefreshNs = 1 << 34

// PortConfig is a port of a Snapshot: the device and how it is attached.
type PortConfig struct {
	Number uint16
	Name   string
	Port   Port
	Caps   Caps // as of the publication
	Queues int  // receive queues to poll

	MTU  int // largest IP packet it may receive or send, bytes; 0 is no limit
	VLAN Attachment

	// Sessions is the zone in whose name sessions of this port's packets are kept,
	// instead of the zone that they enter; 0 is that one. A router's uplinks share
	// one: an answer need not come back by the uplink that the question left by.
	Sessions packet.Zone

	Storm StormLimits
}

// Attachment maps what arrives on the wire to an address space. Tags that take part in the
// mapping are popped.
type Attachment struct {
	Untagged packet.Zone               // of frames without a tag or with VLAN 0; 0: not allowed
	Tagged   *[4096]packet.Zone        // by the outer VLAN; nil: no tagged frames. 0: not allowed
	Stacked  map[[2]uint16]packet.Zone // by outer and inner VLAN (QinQ); both are popped

	// OuterType is the EtherType of the outer of two tags that are pushed; 0 is
	// 802.1ad's S-tag, 0x88a8.
	OuterType uint16
}

// StormLimits bound frames without a single receiver, by port. nil is no limit.
type StormLimits struct {
	RxBroadcast, RxMulticast *Limiter
	TxBroadcast, TxMulticast *Limiter // TxMulticast counts unknown unicast too
}

// FloodTarget is one receiver of a flood list.
type FloodTarget struct {
	Port      uint16
	Tags      Tags
	GroupOnly bool // gets broadcast and multicast, but no unicast of unknown destination
}

// Stage is a step of the pipeline: it works on all frames of a vector, in the
// order of their arrival. A stage decides and marks; it does not free, count or send.
type Stage struct {
	Name string
	Run  func(w *Worker, v *Vector)
}

// A Decider is a step of the decision about one frame: the first of a flow, the
// first after a change, or one that no flow entry can answer for.
type Decider interface {
	Decide(d *Decision)
}

// Step is a Decider with the name that traces give it.
type Step struct {
	Name    string
	Decider Decider
}

// A Concluder hears how a decision ended, whichever decider ended it: for what depends on all of
// them, and on whether there was room for a session. id is the direction of the session that
// the frame belongs to, 0 if none is kept; created says that the frame has begun it.
type Concluder interface {
	Conclude(d *Decision, id flowtable.ID, created bool)
}

// An Admitter says whether a port may receive a copy of a flooded frame; a Reason other than None
// drops the copy. It does for floods what a Decider after the one that forwards does
// for frames with one receiver.
type Admitter interface {
	Admit(w *Worker, in *packet.Info, frame []byte, from, to uint16) packet.Reason
}

// A Refresher hears of flows that are in use, so that what they depend on (a
// learned address) does not age. set has the vector's frames that are concerned.
type Refresher interface {
	Refresh(w *Worker, v *Vector, set uint64)
}

// A Ticker does what time demands: retries, aging, giving up. Every worker calls
// it at the end of every turn, so it must cost next to nothing when nothing is due.
type Ticker interface {
	Tick(w *Worker, now int64)
}

// A Tap observes. It may read frames but must not keep or change them.
type Tap interface {
	// AfterStage sees the vector after each stage, before its drops are disposed of.
	AfterStage(w *Worker, v *Vector, stage string)
	// AfterStep sees a decision after each of its steps: what has been decided,
	// translated and noted so far.
	AfterStep(d *Decision, step string)
	// Dropped sees a frame on its end, wherever that is. in is nil if the
	// frame was not being processed (it waited somewhere, or a device refused it).
	Dropped(w *Worker, b packet.Index, in *packet.Info, r packet.Reason)
	// Sent sees a frame that is about to be handed to a port.
	Sent(w *Worker, port uint16, b packet.Index)
}

// Port returns the configuration of a port, nil if there is none.
func (s *Snapshot) Port(number uint16) *PortConfig {
	if int(number) < len(s.Ports) {
		return s.Ports[number]
	}
	return nil
}
