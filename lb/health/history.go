package health

import (
	"slices"
	"time"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// History is what monitors have found out about a member.
type History struct {
	Health   member.Health // of all monitors together
	Changes  []Change      // the last ones, oldest first; at most 16
	Monitors []MonitorHistory
}

// Change is a member coming up or going down.
type Change struct {
	At     time.Time
	Health member.Health
	Reason string // in words, with the monitor's type: "TCP: connection refused (fall 3 of 3)"
}

// MonitorHistory is what one monitor knows.
type MonitorHistory struct {
	Name   string
	Type   service.MonitorType
	Health member.Health
	InARow int // last results in a row that speak against Health
	Last   Result
}

// Result is what came of a probe. At is zero if there was none yet.
type Result struct {
	At     time.Time // when it was over
	Good   bool
	Reason string // in words: "connected", "status 503, want 200 to 399"
	Took   time.Duration
}

const maxChanges = 16

// changes are the last changes of a member.
type changes struct{ ring []Change }

func (c *changes) add(one Change) {
	if len(c.ring) == maxChanges {
		c.ring = slices.Delete(c.ring, 0, 1)
	}
	c.ring = append(c.ring, one)
}

func (c *changes) list() []Change { return slices.Clone(c.ring) }
