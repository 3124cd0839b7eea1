package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// resource is a live kind as the command line shows it.
type resource struct {
	header func(wide bool) []string
	read   func(raw []byte, wide bool) (item, error)
	named  bool // its items have names

	// origins are the objects that an item may be made of, best first; nil: those of its name, and of the kinds of its view.
	origins func(raw []byte) ([]api.ObjectRef, error)
}

// madeOf is a resource whose items say what they are made of.
func madeOf[T any](r resource, origins func(*T) []api.ObjectRef) resource {
	r.origins = func(raw []byte) ([]api.ObjectRef, error) {
		var v T
		err := json.Unmarshal(raw, &v)
		return origins(&v), err
	}
	return r
}

// live makes a resource. key tells items apart if their names don't; order sorts them if the
// daemon's order is not to be kept.
func live[T any](nameOf, key, order func(*T) string, columns []column[T]) resource {
	return resource{
		named:  nameOf != nil,
		header: func(wide bool) []string { return headers(shown(columns, wide)) },
		read: func(raw []byte, wide bool) (item, error) {
			var v T
			if err := json.Unmarshal(raw, &v); err != nil {
				return item{}, fmt.Errorf("an item in the daemon's answer: %w", err)
			}
			i := item{cells: cells(shown(columns, wide), &v)}
			if nameOf != nil {
				i.name = nameOf(&v)
			}
			i.key = i.name
			if key != nil {
				i.key = key(&v)
			}
			if order != nil {
				i.order = order(&v)
			}
			return i, nil
		},
	}
}

// item is something that get shows.
type item struct {
	key   string // tells it apart from others of its listing
	name  string // as an argument has it, without the kind
	ref   string // with the kind: pod/default/a
	order string // items are in order of it; those with the same, in the daemon's
	cells []string
	raw   json.RawMessage // nil where only cells are of interest

	origins []api.ObjectRef // objects that it may be made of, where that is of interest; kinds and names only
}

// listing is what there is of a kind at a time.
type listing struct {
	title    string // in the plural
	header   []string
	items    []item
	more     bool   // --limit cut it off
	objects  bool   // items are objects
	revision uint64 // of objects: that the listing is of
	missing  error  // what was asked for by name and is not there
}

// hasObjects reports whether items of a live kind are objects, too.
func hasObjects(view string) bool { return len(kindsOfView(view)) > 0 }

// listLive lists a live view.
func (o *getOptions) listLive(ctx context.Context, c *client.Client, t *target) (*listing, error) {
	r := resources()[cmp.Or(o.table, t.view.Name)]
	wide := o.out.form == formWide
	l := &listing{title: plural(*t.view), header: r.header(wide)}
	labels, narrow, err := o.labels(ctx, c, t)
	if err != nil {
		return nil, err
	}
	if o.showLabels {
		l.header = append(l.header, "LABELS")
	}
	l.more, err = client.Each(ctx, c, t.view.Name, o.filterOf(t), func(raw *json.RawMessage) error {
		i, err := r.read(*raw, wide)
		if err != nil {
			return err
		}
		if labels != nil || t.kind != nil {
			if i.origins, err = r.originsOf(t.view.Name, &i, *raw); err != nil {
				return err
			}
		}
		text, found := firstFound(labels, i.origins)
		if narrow && !found {
			return nil
		}
		if o.showLabels {
			i.cells = append(i.cells, text)
		}
		i.ref = t.view.Aliases[0] + "/" + i.name
		if t.kind != nil {
			i.ref = t.kind.Singular + "." + t.kind.Group() + "/" + i.name
		}
		if o.needRaw() {
			i.raw = *raw
		}
		l.items = append(l.items, i)
		return nil
	})
	slices.SortStableFunc(l.items, func(a, b item) int { return cmp.Compare(a.order, b.order) })
	return l, err
}

// filterOf is the filter of a live view.
func (o *getOptions) filterOf(t *target) api.Filter {
	f := o.filter
	for _, name := range t.names {
		f.Names = append(f.Names, fullName(name.Namespace, name.Name))
	}
	return f
}

// originsOf are the objects that an item may be made of.
func (r resource) originsOf(view string, i *item, raw []byte) (list []api.ObjectRef, err error) {
	if r.origins != nil {
		return r.origins(raw)
	}
	for _, kind := range kindsOfView(view) {
		ref := api.ObjectRef{Kind: kind, Name: i.name}
		if before, name, found := strings.Cut(i.name, "/"); found {
			ref.Namespace, ref.Name = before, name
		}
		list = append(list, ref)
	}
	return list, nil
}

// originKey tells objects apart by kind, namespace and name.
func originKey(r api.ObjectRef) string { return r.Kind + " " + fullName(r.Namespace, r.Name) }

// firstFound returns what there is of the first object that has something.
func firstFound[T any](byOrigin map[string]T, origins []api.ObjectRef) (v T, found bool) {
	for _, ref := range origins {
		if v, found = byOrigin[originKey(ref)]; found {
			return v, true
		}
	}
	return v, false
}

// labels returns the labels of the objects that a view's items are made of by their originKey, and whether items that have none
// there are not wanted, by -n, -l or --field-selector.
func (o *getOptions) labels(ctx context.Context, c *client.Client, t *target) (labels map[string]string, narrow bool, err error) {
	f := api.ObjectFilter{Kinds: kindsOfView(t.view.Name), Labels: o.selector, Fields: o.fields}
	if t.kind != nil && t.kind.Namespaced() {
		f.Namespace = o.namespace
	}
	narrow = f.Labels != "" || f.Fields != "" || f.Namespace != ""
	if !narrow && !o.showLabels {
		return nil, false, nil
	}
	list, err := c.Objects(ctx, f)
	if err != nil {
		return nil, false, err
	}
	labels = map[string]string{}
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, false, err
		}
		labels[originKey(object.ref())] = labelText(object.Meta.Labels)
	}
	return labels, narrow, nil
}

// kindsOfView are the kinds of objects that items of a live view are made of; none, if items are no objects.
func kindsOfView(view string) []string {
	switch view {
	case "ports":
		return []string{"Port", "Pod"}
	case "segments":
		return []string{"Segment", "Namespace"}
	case "groups":
		return []string{"Group"}
	case "ippools":
		return []string{"IPPool", "Segment", "Namespace"}
	case "virtualservers":
		return []string{"VirtualServer", "Service"}
	case "pools":
		return []string{"Pool", "Service"}
	case "natrules":
		return []string{"NATRule"}
	}
	return nil
}

// labelText is labels as kubectl shows them.
func labelText(labels map[string]string) string {
	texts := make([]string, 0, len(labels))
	for name, value := range labels {
		texts = append(texts, name+"="+value)
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}
