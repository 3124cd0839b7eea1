package api

// Failure is the answer when something is wrong.
type Failure struct {
	// Error says what is wrong and what helps, for people.
	Error string `json:"error"`
	// Reason is the same in a word, for programs.
	Reason Reason `json:"reason,omitempty"`
	// Faults are those of the documents, if ReasonFaults; Error has a line for each.
	Faults []FaultView `json:"faults,omitempty"`
}

// Reason says in a word why a request failed. Each has its HTTP status.
type Reason string

// The reasons.
const (
	ReasonInvalid   Reason = "Invalid"          // 400: the question makes no sense
	ReasonForbidden Reason = "Forbidden"        // 403: the role does not allow it
	ReasonNotFound  Reason = "NotFound"         // 404
	ReasonMethod    Reason = "MethodNotAllowed" // 405
	ReasonTimeout   Reason = "Timeout"          // 408: the body came too slowly
	ReasonConflict  Reason = "Conflict"         // 409: owned by a file, or changed meanwhile
	ReasonGone      Reason = "Gone"             // 410: too long ago to be known
	ReasonTooLarge  Reason = "TooLarge"         // 413
	ReasonFaults    Reason = "Faults"           // 422: the documents have faults
	ReasonInternal  Reason = "InternalError"    // 500: a defect, or a disk that is full
	ReasonNotServed Reason = "NotServed"        // 501: this daemon has not got it
	ReasonTooMany   Reason = "TooManyRequests"  // 503: come again
	ReasonNotReady  Reason = "NotReady"         // 503: frames do not pass
)

// Values lists the reasons.
func (Reason) Values() []string {
	return []string{
		string(ReasonInvalid), string(ReasonForbidden), string(ReasonNotFound), string(ReasonMethod), string(ReasonTimeout),
		string(ReasonConflict), string(ReasonGone), string(ReasonTooLarge), string(ReasonFaults), string(ReasonInternal),
		string(ReasonNotServed), string(ReasonTooMany), string(ReasonNotReady),
	}
}
