package api

import (
	"encoding/json"
	"net/url"
)

// Object is an object as the API gives it: apiVersion, kind, metadata and spec as
// they were written, with metadata.resourceVersion (the revision that changed it last) and
// metadata.creationTimestamp, and a status that begins with an ObjectStatus. A
// Secret's values are there for admins only.
type Object = json.RawMessage

// ObjectList is the answer about objects, in Kubernetes' form.
type ObjectList struct {
	APIVersion string `json:"apiVersion"` // v1
	Kind       string `json:"kind"`       // List
	Metadata   struct {
		// ResourceVersion is the revision that the list is of: watch from there.
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []Object `json:"items"`
	More  bool     `json:"more,omitempty"` // ObjectFilter.Limit cut it off
}

// Event is what happened to an object.
type Event struct {
	Type     EventType `json:"type"`
	Revision uint64    `json:"revision"`
	Object   Object    `json:"object,omitempty"` // as it is after; of DELETED, as it was before
}

// ObjectFilter narrows which objects are asked for. Zero fields narrow nothing.
type ObjectFilter struct {
	Kinds     []string // "Pod", "Segment", … as they are written in objects
	Namespace string
	Names     []string // without the namespace
	Labels    string   // a selector as kubectl's -l: app=web,tier!=db
	Fields    string   // as kubectl's --field-selector, of metadata.name, metadata.namespace and status.source
	Limit     int
}

// HistoryFilter narrows the history.
type HistoryFilter struct {
	Limit  int       // entries at most, newest first; 0: all
	Before uint64    // only revisions before that one; 0: all
	Object ObjectRef // only what changed this object, if it has a Kind and a Name
}

// Query returns the filter as a query.
func (f *ObjectFilter) Query() url.Values {
	q := url.Values{}
	for field, values := range map[string][]string{fieldKind: f.Kinds, fieldName: f.Names} {
		if len(values) > 0 {
			q[field] = values
		}
	}
	setAll(q, map[string]string{
		fieldNamespace: f.Namespace, fieldLabels: f.Labels, fieldFields: f.Fields, fieldLimit: number(uint64(f.Limit)),
	})
	return q
}

// Query returns the filter as a query.
func (f *HistoryFilter) Query() url.Values {
	q := url.Values{}
	setAll(q, map[string]string{
		fieldLimit: number(uint64(f.Limit)), fieldBefore: number(f.Before),
		fieldKind: f.Object.Kind, fieldNamespace: f.Object.Namespace, fieldName: f.Object.Name,
	})
	return q
}
