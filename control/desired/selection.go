package desired

import (
	"slices"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/api"
)

// selection is a filter that was understood.
type selection struct {
	filter *api.ObjectFilter
	labels labels.Selector
	fields fields.Selector
}

// selectable are the fields that a selection may name.
var selectable = []string{"metadata.name", "metadata.namespace", "status.source"}

func newSelection(f *api.ObjectFilter) (*selection, error) {
	s := &selection{filter: f}
	var err error
	if s.labels, err = labels.Parse(f.Labels); err != nil {
		return nil, api.Invalid("label selector %q: %v", f.Labels, err)
	}
	if s.fields, err = fields.ParseSelector(f.Fields); err != nil {
		return nil, api.Invalid("field selector %q: %v", f.Fields, err)
	}
	for _, r := range s.fields.Requirements() {
		if !slices.Contains(selectable, r.Field) {
			return nil, api.Invalid("field selector %q: objects can't be selected by %s; by %v", f.Fields, r.Field, selectable)
		}
	}
	return s, nil
}

func (s *selection) wants(e Entry) bool {
	f, k := s.filter, e.Object.Key()
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, k.Kind)) &&
		(f.Namespace == "" || f.Namespace == k.Namespace) &&
		(len(f.Names) == 0 || slices.Contains(f.Names, k.Name)) &&
		(s.labels.Empty() || s.labels.Matches(labels.Set(e.Object.Meta().Labels))) &&
		(s.fields.Empty() || s.fields.Matches(fields.Set{
			"metadata.name": k.Name, "metadata.namespace": k.Namespace, "status.source": e.File,
		}))
}
