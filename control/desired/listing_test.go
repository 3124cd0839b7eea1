package desired

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

const oneService = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: web, annotations: {said: by me, stale: "1"}}
spec: {selector: {app: a}, ports: [{port: 80}]}
`

// TestShown shows an object with more than was applied, which is neither stored nor written to.
func TestShown(t *testing.T) {
	f := newForge(t, store.NewMemory())
	f.apply(oneService)
	before := f.db.Set().Objects()[0].Value.(*corev1.Service).DeepCopy()
	l := Listing{
		DB:         f.db,
		Conditions: func(Entry) []api.Condition { return []api.Condition{{Type: api.ConditionAccepted, Status: "True"}} },
		Complete: func(_ Entry, s *Shown) {
			s.Spec = map[string]any{"clusterIP": "172.30.0.1"}
			s.Annotations = map[string]string{"given": "too", "stale": "", "never": ""}
			s.Status["loadBalancer"] = map[string]any{}
			s.AddCondition(api.Condition{Type: api.ConditionAllocated, Status: "True"})
		},
	}
	_, items, err := l.Objects(&api.ObjectFilter{}, false)
	require.NoError(t, err)
	for text := range items {
		require.JSONEq(t, `{"apiVersion":"v1","kind":"Service",
			"metadata":{"name":"a","namespace":"web","annotations":{"said":"by me","given":"too"},"resourceVersion":"1","creationTimestamp":"2026-11-23T12:00:01Z"},
			"spec":{"clusterIP":"172.30.0.1","selector":{"app":"a"},"ports":[{"port":80,"targetPort":0}]},
			"status":{"conditions":[{"type":"Accepted","status":"True","reason":""},{"type":"Allocated","status":"True","reason":""}],
			"loadBalancer":{},"revision":1}}`, string(text))
	}
	require.Equal(t, before, f.db.Set().Objects()[0].Value)
}

// TestRestated tells those who watch that an object is shown otherwise, once, and with a bookmark behind.
func TestRestated(t *testing.T) {
	f := newForge(t, store.NewMemory())
	f.apply(oneService)
	f.apply(segment("web", 1))
	l := Listing{DB: f.db, Conditions: func(Entry) []api.Condition { return nil }}
	f.db.Restate([]control.Key{key("Service", "web", "a")}) // before anybody watches

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events := make(chan api.Event)
	go func() {
		defer close(events)
		for e, err := range l.Watch(ctx, &api.ObjectFilter{Kinds: []string{"Service"}}, 2, false) {
			if err != nil {
				return
			}
			events <- e
		}
	}()
	next := func() (api.EventType, uint64) {
		e, open := <-events
		require.True(t, open)
		require.Equal(t, e.Type == api.EventModified, e.Object != nil)
		return e.Type, e.Revision
	}
	requireNext := func(want api.EventType, revision uint64) {
		t.Helper()
		is, at := next()
		require.Equal(t, want, is)
		require.Equal(t, revision, at)
	}
	requireNext(api.EventBookmark, 2)
	f.db.Restate(nil)
	f.db.Restate([]control.Key{key("Segment", "", "web"), key("Service", "web", "a"), key("Service", "web", "gone")})
	requireNext(api.EventModified, 2)
	requireNext(api.EventBookmark, 2)
	f.apply(segment("web", 2))
	requireNext(api.EventBookmark, 3)
	f.db.Restate([]control.Key{key("Segment", "", "web")})
	requireNext(api.EventBookmark, 3)
	cancel()
	for range events {
	}
}

// TestRestatedOften keeps the last restatements only, and each object of them once.
func TestRestatedOften(t *testing.T) {
	f := newForge(t, store.NewMemory())
	for range 3 * mostRestated {
		f.db.Restate([]control.Key{key("Service", "web", "b"), key("Service", "web", "a")})
	}
	v := f.db.now.Load()
	require.Len(t, v.restated, mostRestated)
	require.EqualValues(t, 3*mostRestated, v.lastRestated())
	require.Equal(t, []control.Key{key("Service", "web", "a"), key("Service", "web", "b")}, v.restatedAfter(0))
	require.Empty(t, v.restatedAfter(v.lastRestated()))
}
