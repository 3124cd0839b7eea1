package api

import (
	"net/netip"
	"time"
)

// SessionView is a live session.
type SessionView struct {
	ID      uint32 `json:"id"` // another session has it later
	Segment string `json:"segment,omitempty"`
	Uplink  string `json:"uplink,omitempty"` // the port, if the session began at an uplink: of several, the router's first

	Protocol       string `json:"protocol"` // TCP, UDP, ICMP, ...; a number without a name
	ProtocolNumber uint8  `json:"protocolNumber"`
	State          string `json:"state"` // the last one

	Original SessionDirection `json:"original"`       // from who began it
	Reply    SessionDirection `json:"reply"`          // back
	ICMP     *ICMPQuery       `json:"icmp,omitempty"` // of an ICMP query, which has no ports

	// Translated is how packets of the original direction leave, where that differs.
	Translated *SessionTuple `json:"translated,omitempty"`

	Start   time.Time `json:"start"`          // of the first packet
	Age     float64   `json:"ageSeconds"`     // since then
	Idle    float64   `json:"idleSeconds"`    // since the last packet
	Timeout float64   `json:"timeoutSeconds"` // it ends when it has been idle for so long, in this state
}

// SessionTuple are the two ends of a packet. Ports are 0 for protocols that have none.
type SessionTuple struct {
	Source          netip.Addr `json:"source"`
	SourcePort      uint16     `json:"sourcePort,omitempty"`
	Destination     netip.Addr `json:"destination"`
	DestinationPort uint16     `json:"destinationPort,omitempty"`
}

// SessionDirection is one direction of a session.
type SessionDirection struct {
	SessionTuple        // as packets come in
	Port         string `json:"port,omitempty"` // by which they come in; empty while that is not known
	Packets      uint64 `json:"packets"`
	Bytes        uint64 `json:"bytes"` // of whole frames, without FCS
}

// ICMPQuery tells the sessions of ICMP apart.
type ICMPQuery struct {
	Type uint8  `json:"type"`
	ID   uint16 `json:"id"`
}
