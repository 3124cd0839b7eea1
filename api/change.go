package api

import "time"

// ObjectRef names an object.
type ObjectRef struct {
	APIVersion string `json:"apiVersion,omitempty"` // empty: whichever there is
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// Action is what a change does to an object, in kubectl's words.
type Action string

// The actions.
const (
	ActionCreated    Action = "created"
	ActionConfigured Action = "configured"
	ActionUnchanged  Action = "unchanged"
	ActionDeleted    Action = "deleted"
)

// Values lists the actions.
func (Action) Values() []string {
	return []string{string(ActionCreated), string(ActionConfigured), string(ActionUnchanged), string(ActionDeleted)}
}

// ObjectChange is one object's part in a change.
type ObjectChange struct {
	ObjectRef
	Action Action `json:"action"`
	// Diff is a unified diff of the object's YAML, where it was asked for. Values of
	// Secrets are not in it.
	Diff string `json:"diff,omitempty"`
	// Warnings are what the user should know although nothing is wrong: that this
	// version accepts the object and does not put it into effect, say.
	Warnings []string `json:"warnings,omitempty"`
}

// ChangeResult is what a change did, or would do.
type ChangeResult struct {
	// Revision is the one that the change made, or the one in force if it changes nothing;
	// of a dry run, the one that it would make.
	Revision uint64          `json:"revision"`
	DryRun   bool            `json:"dryRun,omitempty"`
	Changes  []ObjectChange  `json:"changes"` // in the order of the documents; what follows from them after
	Skipped  []SkippedObject `json:"skipped,omitempty"`

	// LiveAfter is the time from the change's arrival until every worker treats packets
	// by it, seconds; 0 if nothing changed.
	LiveAfter float64 `json:"liveAfterSeconds,omitempty"`
}

// DeleteRequest names what is to go.
type DeleteRequest struct {
	Objects []ObjectRef `json:"objects"`
}

// SkippedObject is one of an unknown kind that was left out, as asked for.
type SkippedObject struct {
	ObjectRef
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
}

// FaultView is a mistake in what a user wrote.
type FaultView struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Object  string `json:"object,omitempty"` // "Port web/a"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Role is what somebody may do.
type Role string

// The roles; who has none may not even look.
const (
	RoleAdmin  Role = "admin"  // everything
	RoleViewer Role = "viewer" // look, but at no secret
)

// Values lists the roles.
func (Role) Values() []string { return []string{string(RoleAdmin), string(RoleViewer)} }

// Author is who made a change.
type Author struct {
	// Via is how the change came: unix (the socket), tls, files (of --config), start.
	Via  string `json:"via"`
	UID  *int   `json:"uid,omitempty"`  // of unix
	PID  int    `json:"pid,omitempty"`  // of unix; the process may be gone
	Name string `json:"name,omitempty"` // the user's, or the certificate's common name
}

// Verb is what a revision was made by.
type Verb string

// The verbs.
const (
	VerbApply    Verb = "apply"
	VerbDelete   Verb = "delete"
	VerbRollback Verb = "rollback"
	VerbFiles    Verb = "files" // the files of --config are what they are now
)

// Values lists the verbs.
func (Verb) Values() []string {
	return []string{string(VerbApply), string(VerbDelete), string(VerbRollback), string(VerbFiles)}
}

// RevisionView is an entry of the history.
type RevisionView struct {
	Revision   uint64    `json:"revision"`
	Time       time.Time `json:"time"`
	Author     Author    `json:"author"`
	Verb       Verb      `json:"verb"`
	Target     uint64    `json:"target,omitempty"`  // of a rollback: the revision that it went back to
	Message    string    `json:"message,omitempty"` // the author's
	Created    int       `json:"created"`
	Configured int       `json:"configured"`
	Deleted    int       `json:"deleted"`

	// Changes are those of the objects; with their diffs, if one revision is asked for.
	Changes []ObjectChange `json:"changes,omitempty"`
}

// EventType says what happened to a watched object.
type EventType string

// The types of events, as Kubernetes has them.
const (
	EventAdded    EventType = "ADDED"
	EventModified EventType = "MODIFIED"
	EventDeleted  EventType = "DELETED"
	// EventBookmark has no object: all up to its revision has been told.
	EventBookmark EventType = "BOOKMARK"
)

// Values lists the types.
func (EventType) Values() []string {
	return []string{string(EventAdded), string(EventModified), string(EventDeleted), string(EventBookmark)}
}

// ConditionType is a question about an object.
type ConditionType string

// The conditions of objects: Accepted and Programmed are of every one.
const (
	// ConditionAccepted: the object is part of the configuration.
	ConditionAccepted ConditionType = "Accepted"
	// ConditionProgrammed: packets are treated by it.
	ConditionProgrammed ConditionType = "Programmed"
	// ConditionAllocated: it has the addresses and node ports that it asks for. Only of objects that ask for some.
	ConditionAllocated ConditionType = "Allocated"
)

// Condition is an answer, in Kubernetes' form.
type Condition struct {
	Type    ConditionType `json:"type"`
	Status  string        `json:"status"` // True, False, Unknown
	Reason  string        `json:"reason"` // one word: Programmed, DeviceAbsent, NotImplemented, …
	Message string        `json:"message,omitempty"`
}

// ObjectStatus is what every object's status holds, beside what its kind's does.
type ObjectStatus struct {
	Conditions []Condition `json:"conditions"`       // Accepted, Programmed, then those of its kind
	Revision   uint64      `json:"revision"`         // that the object was changed by last
	Source     string      `json:"source,omitempty"` // the file of --config that it is in; empty: applied over the API
}
