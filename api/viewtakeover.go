package api

import "time"

// TakeoverStatus is a device that the host uses itself and that a port has, or
// wanted to have.
type TakeoverStatus struct {
	Device string        `json:"device"` // DEV, or NETNS/DEV
	State  TakeoverState `json:"state"`
	Reason string        `json:"reason,omitempty"` // what the host uses it for
	// Until is when it is given back if nobody confirms; set on trial.
	Until time.Time `json:"until,omitzero"`
}

// TakeoverState is how far a takeover has come.
type TakeoverState string

// The states of a takeover.
const (
	TakeoverRefused   TakeoverState = "refused"   // --takeover does not name the device
	TakeoverTrial     TakeoverState = "trial"     // the port has it; to be confirmed
	TakeoverConfirmed TakeoverState = "confirmed" // the port may have it, also after a restart
	TakeoverGivenBack TakeoverState = "givenBack" // nobody confirmed in time
)
