package servertest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/store"
)

// Objects is a desired state in memory, of which no node knows: objects are checked each by
// itself, and all are in force at once.
type Objects struct {
	desired.Listing

	mu   sync.Mutex // one change at a time
	last *desired.Request
}

var _ server.Objects = (*Objects)(nil)

// NewObjects makes a desired state of the objects of documents.
func NewObjects(t testing.TB, documents string) *Objects {
	t.Helper()
	db, err := desired.Open(store.NewMemory())
	require.NoError(t, err)
	o := &Objects{Listing: desired.Listing{DB: db, Conditions: conditions}}
	if documents != "" {
		objects, faults := control.Decode("initial", []byte(documents), control.Options{})
		require.NoError(t, faults.Err())
		_, err := o.Change(context.Background(), &desired.Request{Verb: api.VerbApply, Objects: objects, Author: api.Author{Via: "start"}})
		require.NoError(t, err)
	}
	return o
}

// Last returns the last request for a change.
func (o *Objects) Last() *desired.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// Change implements server.Objects.
func (o *Objects) Change(_ context.Context, r *desired.Request) (*api.ChangeResult, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = r
	t, err := o.DB.Plan(o.DB.Set(), r)
	if err != nil {
		return nil, err
	}
	if r.DryRun {
		return t.Result(), nil
	}
	p, err := o.DB.Prepare([]*desired.Transaction{t}, "", &control.Allocations{})
	if err != nil {
		return nil, err
	}
	p.Done()
	return t.Result(), nil
}

// conditions are what a daemon would say whose node knows of nothing.
func conditions(desired.Entry) []api.Condition {
	return []api.Condition{
		{Type: api.ConditionAccepted, Status: "True", Reason: "Accepted"},
		{Type: api.ConditionProgrammed, Status: "Unknown", Reason: "Pending"},
	}
}
