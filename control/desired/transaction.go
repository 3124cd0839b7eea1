package desired

import (
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Change is what a transaction does to an object: Before and After differ, and one of them
// may have no Object.
type Change struct {
	Key           control.Key
	Before, After Entry
}

// Action returns what the change is called.
func (c *Change) Action() api.Action {
	switch {
	case c.Before.Object == nil:
		return api.ActionCreated
	case c.After.Object == nil:
		return api.ActionDeleted
	}
	return api.ActionConfigured
}

// Transaction is a change of the desired state, as planned or as done.
type Transaction struct {
	// Request is what was asked for. Of a Transaction from the history it has Verb, Author,
	// Message, Target and At.
	Request  *Request
	Revision uint64    // that it makes; if it is Empty, the one that it leaves in force
	Time     time.Time // UTC
	Changes  []Change  // in the order of the request's objects; what follows from them after

	// Warnings are what the user should know of an object although nothing is wrong. Who
	// planned the Transaction may add some until it is prepared.
	Warnings map[control.Key][]string

	// Restated are objects that nobody changed and that are shown otherwise than before; see DB.Restate.
	Restated []control.Key

	outcome []outcome
	moved   []Entry // unchanged objects that are written elsewhere now
	secret  salt
}

// outcome is what a request means for an object that it is about.
type outcome struct {
	ref    api.ObjectRef
	change int // index in Changes; -1: unchanged
}

// Empty reports whether the Transaction changes no object, so that it makes no
// revision. Files that are written anew and mean the same are Empty; Prepare
// takes note of where in them the objects are now.
func (t *Transaction) Empty() bool { return len(t.Changes) == 0 }

// Warn adds a warning about an object.
func (t *Transaction) Warn(k control.Key, warning string) {
	if t.Warnings == nil {
		t.Warnings = map[control.Key][]string{}
	}
	t.Warnings[k] = append(t.Warnings[k], warning)
}

// Result returns the answer to the request. LiveAfter is not in it.
func (t *Transaction) Result() *api.ChangeResult {
	result := &api.ChangeResult{
		Revision: t.Revision, DryRun: t.Request.DryRun, Skipped: t.Request.Skipped,
		Changes: make([]api.ObjectChange, 0, len(t.outcome)),
	}
	for _, o := range t.outcome {
		c := api.ObjectChange{ObjectRef: o.ref, Action: api.ActionUnchanged}
		if o.change >= 0 {
			c.Action = t.Changes[o.change].Action()
			if t.Request.Diff {
				c.Diff = t.Changes[o.change].diff(t.secret)
			}
		}
		c.Warnings = t.Warnings[keyOf(o.ref)]
		result.Changes = append(result.Changes, c)
	}
	return result
}

func refOf(o *control.Object) api.ObjectRef {
	return api.ObjectRef{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func keyOf(r api.ObjectRef) control.Key {
	return control.Key{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}
