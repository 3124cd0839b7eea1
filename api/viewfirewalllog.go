package api

import "time"

// FirewallLogLine is a line of the firewall's log: what a logged rule has done.
type FirewallLogLine struct {
	Number uint64    `json:"number"` // from 1 since the start; where some are missing, they are not kept any more
	Time   time.Time `json:"time"`
	Port   string    `json:"port,omitempty"` // whose rules were asked
	Rule   uint32    `json:"rule,omitempty"`
	Line   string    `json:"line"` // as it is written, in NSX's shape
}

// FirewallLogFilter narrows the log. Zero fields narrow nothing.
type FirewallLogFilter struct {
	After uint64 // only lines behind this one
	Lines int    // at most, the newest
	Port  string // only what was asked at this port
	Rule  uint32 // only what this rule has done
}
