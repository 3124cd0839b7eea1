package server

import (
	"context"
	"iter"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/desired"
)

// Objects is the desired state that a Server serves. Errors: control.Faults for what a
// user wrote, ones that wrap api.ErrConflict, ErrNotFound, ErrInvalid or ErrGone.
type Objects interface {
	// Objects returns the objects that a filter wants, sorted by kind, namespace and name, of
	// one revision. secrets says whether values of Secrets are among them.
	Objects(f *api.ObjectFilter, secrets bool) (revision uint64, items iter.Seq[api.Object], err error)

	// Change makes a change, or says what it would do. When it returns without an error,
	// every worker treats packets by it, and it survives kill -9.
	Change(ctx context.Context, r *desired.Request) (*api.ChangeResult, error)

	// History returns the revisions that a filter wants, newest first, without diffs.
	History(f *api.HistoryFilter) ([]api.RevisionView, error)
	// Revision returns one, with diffs.
	Revision(revision uint64) (*api.RevisionView, error)

	// Watch yields what happens to the objects that a filter wants after a revision, in order,
	// until ctx is done. An EventBookmark follows the last of those that had happened already,
	// and every further revision that touches none of them. An error is the last that it
	// yields; ErrGone says that the revision is too old: list, and watch from there.
	Watch(ctx context.Context, f *api.ObjectFilter, after uint64, secrets bool) iter.Seq2[api.Event, error]
}

// Logs is what a daemon writes about itself.
type Logs interface {
	// LogLevels returns the level of each component, "" for the others: DEBUG, INFO, WARN or ERROR.
	LogLevels() map[string]string
	// SetLogLevels changes those that are given. The error wraps api.ErrInvalid.
	SetLogLevels(map[string]string) error
	// LogLines returns the last lines that were logged, oldest first, as they were written.
	LogLines(most int) []string
}

// FirewallLog is what logged rules have done.
type FirewallLog interface {
	// FirewallLines returns the newest lines that a filter wants, oldest first.
	FirewallLines(*api.FirewallLogFilter) []api.FirewallLogLine
}
