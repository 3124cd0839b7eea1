package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// show prints what there is now. Names that are not there are an error after the others.
func (o *getOptions) show(ctx context.Context, c *client.Client, targets []*target, s *screen, errOut io.Writer) error {
	if o.streams(targets) {
		return o.stream(ctx, c, targets[0], s.w, errOut)
	}
	var lists []*listing
	var missing []error
	for _, t := range targets {
		more, err := o.listings(ctx, c, t)
		if err != nil {
			return err
		}
		for _, l := range more {
			if err := o.sort(l.items); err != nil {
				return err
			}
			if l.more {
				fmt.Fprintf(errOut, "there are more than %d (--limit)\n", o.filter.Limit)
			}
			missing = append(missing, l.missing)
		}
		lists = append(lists, more...)
	}
	lone := len(targets) == 1 && len(targets[0].names) == 1
	if err := o.print(lists, lone, s, errOut); err != nil {
		return err
	}
	return errors.Join(missing...)
}

// streams reports whether an answer, which may be a million sessions, can be passed on item by
// item.
func (o *getOptions) streams(targets []*target) bool {
	t := targets[0]
	return len(targets) == 1 && t.view != nil && t.kind == nil && len(t.names) != 1 && o.sortBy == "" &&
		(o.out.form == formJSON || o.out.form == formYAML)
}

// stream passes on what the daemon says, also fields that this program does not know.
func (o *getOptions) stream(ctx context.Context, c *client.Client, t *target, w, errOut io.Writer) error {
	p := itemPrinter{w: w, form: o.out.form}
	more, err := client.Each(ctx, c, t.view.Name, o.filterOf(t), func(item *json.RawMessage) error { return p.print(*item) })
	if err != nil {
		return err
	}
	if more {
		fmt.Fprintf(errOut, "there are more than %d (--limit)\n", o.filter.Limit)
	}
	return p.end()
}

// listings lists what is wanted: one listing, of all objects one for each kind.
func (o *getOptions) listings(ctx context.Context, c *client.Client, t *target) ([]*listing, error) {
	switch {
	case t.all:
		return o.listAll(ctx, c)
	case t.view == nil:
		l, err := o.listObjects(ctx, c, t)
		return []*listing{l}, err
	case t.kind != nil && !o.out.isTable() && o.out.form != formName:
		l, err := o.listJoined(ctx, c, t)
		return []*listing{l}, err
	}
	l, err := o.listLive(ctx, c, t)
	return []*listing{l}, err
}

// objectFilter is the filter of objects of a kind, or of all.
func (o *getOptions) objectFilter(t *target) api.ObjectFilter {
	f := api.ObjectFilter{Namespace: o.namespace, Labels: o.selector, Fields: o.fields, Limit: o.filter.Limit}
	if t.all {
		return f
	}
	f.Kinds = []string{t.kind.Kind}
	if !t.kind.Namespaced() {
		f.Namespace = "" // as for kubectl, -n is of no meaning
	}
	for _, name := range t.names {
		f.Names = append(f.Names, name.Name)
		if name.Namespace != "" && len(t.names) == 1 {
			f.Namespace = name.Namespace
		}
	}
	slices.Sort(f.Names)
	f.Names = slices.Compact(f.Names)
	return f
}

// listObjects lists objects of a kind.
func (o *getOptions) listObjects(ctx context.Context, c *client.Client, t *target) (*listing, error) {
	table, err := o.tableOf(ctx, c, *t.kind)
	if err != nil {
		return nil, err
	}
	l := &listing{title: t.kind.Plural, header: headers(table.columns), objects: true}
	list, err := c.Objects(ctx, o.objectFilter(t))
	switch {
	case errors.Is(err, api.ErrNotFound) && len(t.names) > 0:
		list = &api.ObjectList{} // which of the names, is said below
	case err != nil:
		return nil, err
	}
	l.more = list.More
	l.revision = revisionOf(list)
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		if t.wants(object) {
			l.items = append(l.items, table.item(object))
		}
	}
	l.missing, err = o.missing(ctx, c, t, l.items)
	return l, err
}

// wants reports whether an object is one of those that were named.
func (t *target) wants(o *object) bool {
	return len(t.names) == 0 || slices.ContainsFunc(t.names, func(name api.ObjectRef) bool {
		return name.Name == o.Meta.Name && (name.Namespace == "" || name.Namespace == o.Meta.Namespace)
	})
}

// missing is an error for each name that none of the items has.
func (o *getOptions) missing(ctx context.Context, c *client.Client, t *target, items []item) (error, error) {
	var absent []api.ObjectRef
	for _, name := range t.names {
		if !slices.ContainsFunc(items, func(i item) bool { return isNamed(i.name, name) }) {
			absent = append(absent, name)
		}
	}
	if len(absent) == 0 {
		return nil, nil
	}
	known, err := objectNames(ctx, c, *t.kind, "")
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, name := range absent {
		faults = append(faults, api.NotFound(t.kind.Singular, fullName(name.Namespace, name.Name), known))
	}
	return errors.Join(faults...), nil
}

// isNamed reports whether an item's name, NAMESPACE/NAME, is what a reference means.
func isNamed(full string, ref api.ObjectRef) bool {
	if ref.Namespace != "" {
		return full == ref.Namespace+"/"+ref.Name
	}
	return full == ref.Name || strings.HasSuffix(full, "/"+ref.Name)
}

// objectNames returns the names of all objects of a kind in a namespace, or in all: NAMESPACE/NAME then.
func objectNames(ctx context.Context, c *client.Client, k control.KindInfo, namespace string) ([]string, error) {
	f := api.ObjectFilter{Kinds: []string{k.Kind}}
	if k.Namespaced() {
		f.Namespace = namespace
	}
	list, err := c.Objects(ctx, f)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Items))
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		if f.Namespace != "" {
			object.Meta.Namespace = ""
		}
		names = append(names, fullName(object.Meta.Namespace, object.Meta.Name))
	}
	return names, nil
}

// listAll lists the objects of all kinds, kind by kind in the order of control.Kinds.
func (o *getOptions) listAll(ctx context.Context, c *client.Client) ([]*listing, error) {
	list, err := c.Objects(ctx, o.objectFilter(&target{all: true}))
	if err != nil {
		return nil, err
	}
	revision := revisionOf(list)
	byKind := map[string][]*object{}
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		byKind[object.Kind] = append(byKind[object.Kind], object)
	}
	var lists []*listing
	for _, k := range control.Kinds() {
		if len(byKind[k.Kind]) == 0 {
			continue
		}
		table, err := o.tableOf(ctx, c, k)
		if err != nil {
			return nil, err
		}
		l := &listing{title: k.Plural, header: headers(table.columns), objects: true, revision: revision}
		for _, object := range byKind[k.Kind] {
			l.items = append(l.items, table.item(object))
		}
		lists = append(lists, l)
	}
	if len(lists) == 0 {
		lists = append(lists, &listing{title: "objects", objects: true, revision: revision})
	} else {
		lists[0].more = list.More
	}
	return lists, nil
}

// sort puts items in order of --sort-by; those that are equal stay as they are.
func (o *getOptions) sort(items []item) error {
	if o.sortBy == "" {
		return nil
	}
	by, err := parseField(o.sortBy)
	if err != nil {
		return err
	}
	keys := make(map[string]any, len(items))
	for _, i := range items {
		v, err := decoded(i.raw)
		if err != nil {
			return err
		}
		if values, err := by.values(v); err == nil && len(values) > 0 {
			keys[i.key] = values[0]
		}
	}
	slices.SortStableFunc(items, func(a, b item) int { return compareValues(keys[a.key], keys[b.key]) })
	return nil
}

// compareValues orders what fields hold: nothing, then numbers, then the texts of others.
func compareValues(a, b any) int {
	rank := func(v any) (int, float64, string) {
		switch v := v.(type) {
		case nil:
			return 0, 0, ""
		case int64:
			return 1, float64(v), ""
		case float64:
			return 1, v, ""
		}
		return 2, 0, fmt.Sprint(v)
	}
	aRank, aNumber, aText := rank(a)
	bRank, bNumber, bText := rank(b)
	return cmp.Or(cmp.Compare(aRank, bRank), cmp.Compare(aNumber, bNumber), cmp.Compare(aText, bText))
}

// print prints listings. lone says that one item was asked for by its name: it is no list.
func (o *getOptions) print(lists []*listing, lone bool, s *screen, errOut io.Writer) error {
	switch o.out.form {
	case formTable, formWide:
		return o.printTables(lists, s, errOut)
	case formName:
		return printNames(lists, s.w)
	}
	items := slices.Concat(itemsOf(lists)...)
	lone = lone && len(items) == 1
	if o.out.form == formJSON || o.out.form == formYAML {
		if lone {
			return printValue(s.w, o.out.form, items[0].raw)
		}
		p := itemPrinter{w: s.w, form: o.out.form, objects: lists[0].objects, revision: number(lists[0].revision)}
		for _, i := range items {
			if err := p.print(i.raw); err != nil {
				return err
			}
		}
		return p.end()
	}
	values := make([]any, len(items))
	for n, i := range items {
		var err error
		if values[n], err = decoded(i.raw); err != nil {
			return err
		}
	}
	if o.out.form == formColumns {
		return o.printColumns(values, s)
	}
	if len(values) == 0 && lists[0].missing != nil {
		return nil // what is missing is said
	}
	data := any(map[string]any{"apiVersion": "v1", "kind": "List", "items": values, "metadata": map[string]any{"resourceVersion": number(lists[0].revision)}})
	if lone {
		data = values[0]
	}
	path, err := parsePath(o.out.template)
	if err != nil {
		return err
	}
	return path.Execute(s.w, data)
}

func itemsOf(lists []*listing) [][]item {
	all := make([][]item, len(lists))
	for i, l := range lists {
		all[i] = l.items
	}
	return all
}

func (o *getOptions) printTables(lists []*listing, s *screen, errOut io.Writer) error {
	printed := 0
	for _, l := range lists {
		if len(l.items) == 0 {
			if l.missing == nil {
				fmt.Fprintf(errOut, "no %s\n", l.title)
			}
			continue
		}
		if printed++; printed > 1 {
			fmt.Fprintln(s.w)
		}
		g := grid{screen: s, header: l.header, noHeader: o.noHeaders}
		rows := make([][]string, len(l.items))
		for i := range l.items {
			rows[i] = l.items[i].cells
			if len(lists) > 1 {
				rows[i] = l.withKind(i)
			}
		}
		if err := g.print(rows); err != nil {
			return err
		}
	}
	return nil
}

// withKind are an item's cells with the kind in front of the name, where there are items of
// several kinds.
func (l *listing) withKind(i int) []string {
	row := slices.Clone(l.items[i].cells)
	if at := slices.Index(l.header, "NAME"); at >= 0 {
		kind, _, _ := strings.Cut(l.items[i].ref, "/")
		row[at] = kind + "/" + row[at]
	}
	return row
}

func printNames(lists []*listing, w io.Writer) error {
	for _, l := range lists {
		for _, i := range l.items {
			if i.name == "" {
				return withStatus(exitUsage, fmt.Errorf("%s have no names", l.title))
			}
			if _, err := fmt.Fprintln(w, i.ref); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *getOptions) printColumns(values []any, s *screen) error {
	columns, err := o.out.columns()
	if err != nil {
		return err
	}
	g := grid{screen: s, header: headers(columns), noHeader: o.noHeaders}
	rows := make([][]string, len(values))
	for i := range values {
		rows[i] = cells(columns, &values[i])
	}
	return g.print(rows)
}
