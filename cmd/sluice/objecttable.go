package main

import (
	"context"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// objectRow is an object with what the node knows of it; the view is nil where the kind has none,
// and where the node has nothing of that name.
type objectRow struct {
	*object
	now     time.Time
	port    *api.PortView    // of Port and Pod
	segment *api.SegmentView // of Segment and Namespace
	pool    *api.PoolView    // of IPPool
}

// objectTable shows objects of a kind.
type objectTable struct {
	columns []column[objectRow]
	kind    control.KindInfo
	raw     bool // items' JSON is of interest

	ports    map[string]*api.PortView
	segments map[string]*api.SegmentView
	pools    map[string]*api.PoolView
}

// tableOf makes the table of a kind, and asks for what it shows beside the objects.
func (o *getOptions) tableOf(ctx context.Context, c *client.Client, k control.KindInfo) (*objectTable, error) {
	t := &objectTable{kind: k, raw: o.needRaw()}
	withNamespace := k.Namespaced() && o.namespace == ""
	t.columns = objectColumns(k, withNamespace, o.out.form == formWide, o.showLabels)
	if o.out.isTable() {
		return t, t.look(ctx, c, api.Filter{})
	}
	return t, nil
}

// look asks for live views of the table's objects, or of one of them.
func (t *objectTable) look(ctx context.Context, c *client.Client, f api.Filter) (err error) {
	switch t.kind.Kind {
	case "Port", "Pod":
		t.ports, err = viewsByName(ctx, c, "ports", f, func(v *api.PortView) string { return v.Name })
	case "Segment", "Namespace":
		t.segments, err = viewsByName(ctx, c, "segments", f, func(v *api.SegmentView) string { return v.Name })
	case "IPPool":
		f.State = "" // of whatever usage
		t.pools, err = viewsByName(ctx, c, "ippools", f, func(v *api.PoolView) string {
			if v.Usage == api.UsagePorts {
				return "" // a segment's
			}
			return v.Name
		})
	}
	return err
}

func viewsByName[T any](ctx context.Context, c *client.Client, kind string, f api.Filter, nameOf func(*T) string) (map[string]*T, error) {
	byName := map[string]*T{}
	_, err := client.Each(ctx, c, kind, f, func(v *T) error {
		copied := *v
		byName[nameOf(v)] = &copied
		return nil
	})
	return byName, err
}

// item makes an item of an object.
func (t *objectTable) item(object *object) item {
	i := item{name: fullName(object.Meta.Namespace, object.Meta.Name), ref: refName(object.ref())}
	i.key = object.Kind + " " + i.name
	if t.raw {
		i.raw = object.raw
	}
	i.cells = cells(t.columns, t.row(object))
	return i
}

func (t *objectTable) row(object *object) *objectRow {
	full := fullName(object.Meta.Namespace, object.Meta.Name)
	return &objectRow{
		object: object, now: time.Now(),
		port: t.ports[full], segment: t.segments[object.Meta.Name], pool: t.pools[object.Meta.Name],
	}
}

// objectColumns are the columns of a kind, its own between those that all have.
func objectColumns(k control.KindInfo, withNamespace, wide, withLabels bool) []column[objectRow] {
	var list []column[objectRow]
	if withNamespace {
		list = append(list, column[objectRow]{"NAMESPACE", false, func(o *objectRow) string { return o.Meta.Namespace }})
	}
	list = append(list, column[objectRow]{"NAME", false, func(o *objectRow) string { return o.Meta.Name }})
	list = append(list, columnsOfKind()[k.Kind]...)
	list = append(list,
		column[objectRow]{"STATUS", false, func(o *objectRow) string { word, _ := o.state(); return word }},
		column[objectRow]{"AGE", false, func(o *objectRow) string { return o.age(o.now) }},
		column[objectRow]{"REVISION", true, func(o *objectRow) string { return number(o.Status.Revision) }},
		column[objectRow]{"SOURCE", true, func(o *objectRow) string { return o.Status.Source }},
		column[objectRow]{"MESSAGE", true, func(o *objectRow) string { _, message := o.state(); return message }},
	)
	if withLabels {
		list = append(list, column[objectRow]{"LABELS", false, func(o *objectRow) string { return labelText(o.Meta.Labels) }})
	}
	return shown(list, wide)
}
