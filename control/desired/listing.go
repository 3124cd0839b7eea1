package desired

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/api"
)

// Listing shows the objects of a DB, and what happens to them, in the API's form. What an
// object's status holds beyond what the DB knows, others say.
type Listing struct {
	DB *DB

	// Conditions answer whether an object is part of the configuration, and whether packets are
	// treated by it.
	Conditions func(Entry) []api.Condition
	// Complete adds what an object has been given; may be nil.
	Complete func(e Entry, s *Shown)
}

// Shown is what an object is shown with beyond what was applied, which stays as it is.
type Shown struct {
	// Status holds all else by then: what was written, conditions, revision, source.
	Status map[string]any
	// Spec are fields that are shown in place of the spec's, or with them.
	Spec map[string]any
	// Annotations are shown likewise; an empty value takes one away.
	Annotations map[string]string
}

// AddCondition adds a condition behind those there are.
func (s *Shown) AddCondition(c api.Condition) {
	conditions, _ := s.Status["conditions"].([]any)
	s.Status["conditions"] = append(conditions, c)
}

// Objects returns the objects that a filter wants, in order of their keys, of one
// revision, without values of Secrets unless these are asked for.
func (l Listing) Objects(f *api.ObjectFilter, secrets bool) (revision uint64, items iter.Seq[api.Object], err error) {
	s, err := newSelection(f)
	if err != nil {
		return 0, nil, err
	}
	set := l.DB.Set()
	return set.Revision(), func(yield func(api.Object) bool) {
		for e := range set.All() {
			if s.wants(e) && !yield(l.show(e, secrets)) {
				return
			}
		}
	}, nil
}

// History is DB.History.
func (l Listing) History(f *api.HistoryFilter) ([]api.RevisionView, error) { return l.DB.History(f) }

// Revision is DB.Revision.
func (l Listing) Revision(n uint64) (*api.RevisionView, error) { return l.DB.Revision(n) }

// Watch yields what happens to the objects that a filter wants after a revision, as DB.Watch
// does. A revision that does nothing to them is an api.EventBookmark, and so is the
// place where all is told that had happened before. Objects that are shown otherwise, though nobody changed
// them, are modified, and a bookmark follows them.
func (l Listing) Watch(ctx context.Context, f *api.ObjectFilter, after uint64, secrets bool) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		s, err := newSelection(f)
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		for t, err := range l.DB.Watch(ctx, after) {
			if err != nil {
				yield(api.Event{}, err)
				return
			}
			told := false
			for i := range t.Changes {
				e, found := l.event(&t.Changes[i], s, t.Revision, secrets)
				if found {
					told = true
					if !yield(e, nil) {
						return
					}
				}
			}
			for _, key := range t.Restated {
				current, found := l.DB.Set().Get(key)
				if found && s.wants(current) && !yield(api.Event{Type: api.EventModified, Revision: t.Revision, Object: l.show(current, secrets)}, nil) {
					return
				}
			}
			if !told && !yield(api.Event{Type: api.EventBookmark, Revision: t.Revision}, nil) {
				return
			}
		}
	}
}

// event is a change as one who watches a selection sees it: an object that comes
// to be selected is added, one that is not any more is deleted.
func (l *Listing) event(c *Change, s *selection, revision uint64, secrets bool) (e api.Event, found bool) {
	was := c.Before.Object != nil && s.wants(c.Before)
	is := c.After.Object != nil && s.wants(c.After)
	e.Revision = revision
	shown := c.After
	switch {
	case was && is:
		e.Type = api.EventModified
	case is:
		e.Type = api.EventAdded
	case was:
		e.Type, shown = api.EventDeleted, c.Before
	default:
		return e, false
	}
	e.Object = l.show(shown, secrets)
	return e, true
}

// show is an object as the API gives it.
func (l *Listing) show(e Entry, secrets bool) api.Object {
	text := e.JSON()
	if s, is := e.Object.Value.(*corev1.Secret); is && !secrets {
		text = mustMarshal(WithoutValues(s))
	}
	parts := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &parts); err != nil {
		panic(fmt.Sprintf("desired: show %s: %v", e.Object.Key(), err)) // it was made of the object
	}
	s := l.shown(e, parts["status"])
	parts["metadata"] = mustMarshal(metaOf(e, s.Annotations))
	parts["status"] = mustMarshal(s.Status)
	if len(s.Spec) > 0 {
		parts["spec"] = overlay(parts["spec"], s.Spec)
	}
	shown := make([]byte, 0, len(text)+len(parts["metadata"])+len(parts["status"]))
	// Not by json.Marshal, which reads what is JSON already once more.
	for i, name := range slices.Sorted(maps.Keys(parts)) {
		between := byte(',')
		if i == 0 {
			between = '{'
		}
		shown = append(append(append(shown, between, '"'), name...), '"', ':')
		shown = append(shown, parts[name]...)
	}
	return append(shown, '}')
}

// mustMarshal is for what has been JSON before.
func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// overlay puts fields in place of those of an object, or to them.
func overlay(written json.RawMessage, fields map[string]any) []byte {
	all := map[string]json.RawMessage{}
	_ = json.Unmarshal(written, &all) // there may be none
	for name, value := range fields {
		all[name] = mustMarshal(value)
	}
	return mustMarshal(all)
}

// metaOf is an object's metadata with what the DB knows, and more annotations.
func metaOf(e Entry, annotations map[string]string) *metav1.ObjectMeta {
	m := *e.Object.Meta()
	if len(annotations) > 0 {
		m.Annotations = maps.Clone(m.Annotations)
		for name, value := range annotations {
			if value == "" {
				delete(m.Annotations, name)
				continue
			}
			if m.Annotations == nil {
				m.Annotations = map[string]string{}
			}
			m.Annotations[name] = value
		}
	}
	m.ResourceVersion = strconv.FormatUint(e.Revision, 10)
	m.CreationTimestamp = metav1.NewTime(e.Created)
	return &m
}

// shown is what an object is shown with; written is its status, which Pods have, and who was taken out of a cluster.
func (l *Listing) shown(e Entry, written json.RawMessage) *Shown {
	status := map[string]any{}
	_ = json.Unmarshal(written, &status) // there may be none
	conditions, _ := status["conditions"].([]any)
	for _, c := range l.Conditions(e) {
		conditions = append(conditions, c)
	}
	status["conditions"], status["revision"] = conditions, e.Revision
	if e.File != "" {
		status["source"] = e.File
	}
	s := &Shown{Status: status}
	if l.Complete != nil {
		l.Complete(e, s)
	}
	return s
}

// WithoutValues is a Secret that shows which keys it has. Its annotations are left out:
// some tools keep the whole object in one.
func WithoutValues(s *corev1.Secret) *corev1.Secret {
	shown := *s
	shown.Annotations = nil
	shown.Data, shown.StringData = map[string][]byte{}, nil
	for k := range s.Data {
		shown.Data[k] = nil
	}
	for k := range s.StringData {
		shown.Data[k] = nil
	}
	return &shown
}
