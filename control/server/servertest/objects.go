package servertest

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/store"
)

// Objects is a desired state in memory, of which no node knows: objects are checked each by
// itself, and all are in force at once.
type Objects struct {
	DB *desired.DB

	mu   sync.Mutex // one change at a time
	last *desired.Request
}

var _ server.Objects = (*Objects)(nil)

// NewObjects makes a desired state of the objects of documents.
func NewObjects(t testing.TB, documents string) *Objects {
	t.Helper()
	db, err := desired.Open(store.NewMemory())
	require.NoError(t, err)
	o := &Objects{DB: db}
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

// History implements server.Objects.
func (o *Objects) History(f *api.HistoryFilter) ([]api.RevisionView, error) { return o.DB.History(f) }

// Revision implements server.Objects.
func (o *Objects) Revision(n uint64) (*api.RevisionView, error) { return o.DB.Revision(n) }

// Objects implements server.Objects.
func (o *Objects) Objects(f *api.ObjectFilter, secrets bool) (uint64, iter.Seq[api.Object], error) {
	wanted, err := selection(f)
	if err != nil {
		return 0, nil, err
	}
	set := o.DB.Set()
	return set.Revision(), func(yield func(api.Object) bool) {
		for e := range set.All() {
			if wanted(e) && !yield(shown(e, secrets)) {
				return
			}
		}
	}, nil
}

// Watch implements server.Objects.
func (o *Objects) Watch(ctx context.Context, f *api.ObjectFilter, after uint64, secrets bool) iter.Seq2[api.Event, error] {
	wanted, err := selection(f)
	return func(yield func(api.Event, error) bool) {
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		for t, err := range o.DB.Watch(ctx, after) {
			if err != nil {
				yield(api.Event{}, err)
				return
			}
			told := false
			for _, c := range t.Changes {
				e := api.Event{Revision: t.Revision}
				was, is := c.Before.Object != nil && wanted(c.Before), c.After.Object != nil && wanted(c.After)
				switch {
				case is && was:
					e.Type, e.Object = api.EventModified, shown(c.After, secrets)
				case is:
					e.Type, e.Object = api.EventAdded, shown(c.After, secrets)
				case was:
					e.Type, e.Object = api.EventDeleted, shown(c.Before, secrets)
				default:
					continue
				}
				told = true
				if !yield(e, nil) {
					return
				}
			}
			if !told && !yield(api.Event{Type: api.EventBookmark, Revision: t.Revision}, nil) {
				return
			}
		}
	}
}

// selection returns whether a filter wants an object.
func selection(f *api.ObjectFilter) (wanted func(desired.Entry) bool, err error) {
	l, err := labels.Parse(f.Labels)
	if err != nil {
		return nil, api.Invalid("label selector %q: %v", f.Labels, err)
	}
	s, err := fields.ParseSelector(f.Fields)
	if err != nil {
		return nil, api.Invalid("field selector %q: %v", f.Fields, err)
	}
	return func(e desired.Entry) bool {
		k := e.Object.Key()
		return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, k.Kind)) && (len(f.Names) == 0 || slices.Contains(f.Names, k.Name)) &&
			(f.Namespace == "" || f.Namespace == k.Namespace) && l.Matches(labels.Set(e.Object.Meta().Labels)) &&
			s.Matches(fields.Set{"metadata.name": k.Name, "metadata.namespace": k.Namespace, "status.source": e.File})
	}, nil
}

// shown is an object as a daemon would give it whose node has no device.
func shown(e desired.Entry, secrets bool) api.Object {
	value := e.Object.Value
	if s, isSecret := value.(*corev1.Secret); isSecret && !secrets {
		hidden := *s
		hidden.StringData, hidden.Data = nil, map[string][]byte{}
		for key := range s.Data {
			hidden.Data[key] = nil
		}
		value = &hidden
	}
	parts := map[string]json.RawMessage{}
	meta := *e.Object.Meta()
	meta.ResourceVersion, meta.CreationTimestamp = strconv.FormatUint(e.Revision, 10), metav1.NewTime(e.Created)
	status := api.ObjectStatus{Revision: e.Revision, Source: e.File, Conditions: []api.Condition{
		{Type: api.ConditionAccepted, Status: "True", Reason: "Accepted"},
		{Type: api.ConditionProgrammed, Status: "Unknown", Reason: "Pending"},
	}}
	for _, from := range []any{value, map[string]any{"metadata": meta, "status": status}} {
		text, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(text, &parts)
		}
		if err != nil {
			panic(err) // it came from JSON
		}
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return text
}
