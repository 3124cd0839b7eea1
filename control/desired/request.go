// Package desired keeps what users want: the objects that are configured, how they
// came to be so, and what each change of them was.
package desired

import (
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Request asks for a change of the desired state: all of it or nothing.
type Request struct {
	Verb    api.Verb
	Author  api.Author
	Message string // the author's own words; may be empty

	// Objects are what is to be there, of VerbApply and VerbFiles. Each takes the
	// place of the one that has its key. VerbFiles takes all that files hold:
	// objects of files that are not among them are deleted.
	Objects []*control.Object
	// Expect are revisions that objects must have been changed by last, so that
	// nobody overwrites what he has not seen; 0: must not be there yet. Objects that
	// are not in it may be in whatever state.
	Expect map[control.Key]uint64

	// Delete are the objects that are to go, of VerbDelete. Those of a Namespace
	// go with it.
	Delete        []control.Key
	IgnoreMissing bool // of VerbDelete: what is not there is gone already

	Target uint64 // of VerbRollback: the revision whose objects are to be there again

	DryRun bool // say what would be done
	Diff   bool // say what changes in each object

	Skipped []api.SkippedObject // of the decoder, for the answer
	At      time.Time           // when the request came
}
