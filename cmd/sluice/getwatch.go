package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// gone is the state of what is not there any more.
const gone = "GONE"

// pollInterval is the time between two looks at a live view that is watched.
const pollInterval = time.Second

// follow prints what there is, and then what is new or changes, until ctx is done.
func (o *getOptions) follow(ctx context.Context, c *client.Client, t *target, s *screen, errOut io.Writer) error {
	var err error
	if t.view == nil {
		w := &objectWatch{o: o, c: c, t: t, errOut: errOut, known: map[string]item{}}
		err = w.run(ctx, s)
	} else {
		w := &viewWatch{o: o, c: c, t: t, errOut: errOut}
		err = w.run(ctx, s)
	}
	if errors.Is(err, context.Canceled) {
		return nil // how it is meant to end
	}
	return err
}

// tape prints items as they come.
type tape struct {
	o    *getOptions
	grid grid
}

func (o *getOptions) newTape(s *screen, header []string) *tape {
	if o.watchEvents {
		header = append([]string{"EVENT"}, header...)
	}
	return &tape{o, grid{screen: s, header: header, noHeader: o.noHeaders}}
}

// print prints items and what happened to them.
func (t *tape) print(event api.EventType, items ...item) error {
	if t.o.out.isTable() {
		rows := make([][]string, len(items))
		for i := range items {
			rows[i] = slices.Clone(items[i].cells)
			if t.o.watchEvents {
				rows[i] = append([]string{string(event)}, rows[i]...)
			}
		}
		return t.grid.print(rows)
	}
	for i := range items {
		if err := t.printOne(event, &items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tape) printOne(event api.EventType, i *item) error {
	w := t.grid.screen.w
	raw := i.raw
	if t.o.watchEvents {
		var err error
		if raw, err = json.Marshal(api.Event{Type: event, Object: i.raw}); err != nil {
			return err
		}
	}
	switch t.o.out.form {
	case formName:
		_, err := fmt.Fprintln(w, i.ref)
		return err
	case formYAML:
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return printValue(w, formYAML, raw)
	case formJSON:
		return printValue(w, formJSON, raw)
	}
	v, err := decoded(raw)
	if err != nil {
		return err
	}
	if t.o.out.form == formColumns {
		return t.columns(v)
	}
	path, err := parsePath(t.o.out.template)
	if err != nil {
		return err
	}
	if err := path.Execute(w, v); err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

func (t *tape) columns(v any) error {
	columns, err := t.o.out.columns()
	if err != nil {
		return err
	}
	if t.grid.widths == nil {
		t.grid.header = headers(columns)
	}
	return t.grid.print([][]string{cells(columns, &v)})
}

// objectWatch follows objects by the daemon's own account of what changes.
type objectWatch struct {
	o      *getOptions
	c      *client.Client
	t      *target
	errOut io.Writer

	table *objectTable
	tape  *tape
	known map[string]item // as they were told last
	quiet bool            // the daemon's silence was told
}

func (w *objectWatch) run(ctx context.Context, s *screen) (err error) {
	if w.table, err = w.o.tableOf(ctx, w.c, *w.t.kind); err != nil {
		return err
	}
	w.tape = w.o.newTape(s, headers(w.table.columns))
	revision, err := w.list(ctx, !w.o.watchOnly)
	for err == nil {
		err = w.c.WatchForever(ctx, w.o.objectFilter(w.t), revision, func(e *api.Event) error { return w.hear(ctx, e) }, w.lost)
		if errors.Is(err, api.ErrGone) {
			// The daemon was away for so long that it can't say what happened: it is found out.
			revision, err = w.list(ctx, true)
		}
	}
	return err
}

// list looks at all that there is, and says how it differs from what is known.
func (w *objectWatch) list(ctx context.Context, tell bool) (revision uint64, err error) {
	l, err := w.o.listObjects(ctx, w.c, &target{kind: w.t.kind})
	if err != nil {
		return 0, err
	}
	now := map[string]item{}
	var added []item
	for _, i := range l.items {
		if !w.named(i.name) {
			continue
		}
		now[i.key] = i
		was, there := w.known[i.key]
		switch {
		case !there:
			added = append(added, i)
		case tell && (string(was.raw) != string(i.raw) || !slices.Equal(was.cells, i.cells)):
			if err := w.tape.print(api.EventModified, i); err != nil {
				return 0, err
			}
		}
	}
	if tell {
		if err := w.tape.print(api.EventAdded, added...); err != nil {
			return 0, err
		}
		for key, was := range w.known {
			if _, there := now[key]; !there {
				if err := w.tape.print(api.EventDeleted, w.deleted(was)); err != nil {
					return 0, err
				}
			}
		}
	}
	w.known = now
	return l.revision, nil
}

// named reports whether an object is one that was asked for.
func (w *objectWatch) named(name string) bool {
	return len(w.t.names) == 0 || slices.ContainsFunc(w.t.names, func(ref api.ObjectRef) bool { return isNamed(name, ref) })
}

// hear prints an event.
func (w *objectWatch) hear(ctx context.Context, e *api.Event) error {
	if w.quiet {
		w.quiet = false
		fmt.Fprintln(w.errOut, "the daemon answers again")
	}
	if e.Type == api.EventBookmark {
		return nil
	}
	object, err := readObject(e.Object)
	if err != nil {
		return err
	}
	full := fullName(object.Meta.Namespace, object.Meta.Name)
	if !w.named(full) {
		return nil
	}
	if w.o.out.isTable() && e.Type != api.EventDeleted {
		// What the node makes of it. That it is not there (yet) is no error.
		err := w.table.look(ctx, w.c, api.Filter{Names: []string{full}})
		if err != nil && !errors.Is(err, api.ErrNotFound) {
			return err
		}
	}
	i := w.table.item(object)
	if e.Type == api.EventDeleted {
		if was, there := w.known[i.key]; there {
			i.cells = was.cells // with what the node made of it
		}
		delete(w.known, i.key)
		return w.tape.print(e.Type, w.deleted(i))
	}
	w.known[i.key] = i
	return w.tape.print(e.Type, i)
}

// deleted is an item whose status is that it is not there.
func (w *objectWatch) deleted(i item) item {
	i.cells = slices.Clone(i.cells)
	for n, c := range w.table.columns {
		if c.header == "STATUS" {
			i.cells[n] = "Deleted"
		}
	}
	return i
}

// lost says once that the daemon does not answer: it may be started anew just now.
func (w *objectWatch) lost(err error) {
	if !w.quiet {
		w.quiet = true
		fmt.Fprintf(w.errOut, "%v; waiting for it\n", err)
	}
}

// viewWatch follows a live view by looking again and again.
type viewWatch struct {
	o      *getOptions
	c      *client.Client
	t      *target
	errOut io.Writer

	header []string
	state  int // the column that says GONE
	tape   *tape
	known  map[string]item
	order  []string // keys of known in the order of the daemon
}

func (w *viewWatch) run(ctx context.Context, s *screen) error {
	items, err := w.look(ctx)
	if err != nil {
		return err
	}
	w.tape = w.o.newTape(s, w.header)
	if w.remember(items); !w.o.watchOnly {
		err = w.tape.print(api.EventAdded, items...)
	}
	ticks := time.NewTicker(pollInterval)
	defer ticks.Stop()
	quiet := false
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		items, err = w.look(ctx)
		switch {
		case errors.Is(err, client.ErrNoDaemon), errors.Is(err, client.ErrBroken):
			if !quiet {
				fmt.Fprintf(w.errOut, "%v; waiting for it\n", err)
			}
			quiet, err = true, nil
			continue
		case errors.Is(err, api.ErrNotFound):
			items, err = nil, nil // what was named is gone
		case err != nil:
			return err
		}
		if quiet {
			quiet = false
			fmt.Fprintln(w.errOut, "the daemon answers again")
		}
		err = w.compare(items)
	}
	return err
}

// look lists the view. Where it has no column for a state, there is one for what is gone.
func (w *viewWatch) look(ctx context.Context) ([]item, error) {
	lists, err := w.o.listings(ctx, w.c, w.t)
	if err != nil {
		return nil, err
	}
	l := lists[0]
	w.header, w.state = l.header, slices.Index(l.header, "STATE")
	if w.state < 0 {
		w.header, w.state = append(slices.Clone(l.header), "STATE"), len(l.header)
		for i := range l.items {
			l.items[i].cells = append(l.items[i].cells, "")
		}
	}
	return l.items, nil
}

func (w *viewWatch) remember(items []item) {
	w.known, w.order = map[string]item{}, nil
	for _, i := range items {
		w.known[i.key] = i
		w.order = append(w.order, i.key)
	}
}

// compare prints what differs from the last look.
func (w *viewWatch) compare(items []item) error {
	before, order := w.known, w.order
	w.remember(items)
	for _, i := range items {
		was, there := before[i.key]
		var err error
		switch {
		case !there:
			err = w.tape.print(api.EventAdded, i)
		case w.changed(&was, &i):
			err = w.tape.print(api.EventModified, i)
		}
		if err != nil {
			return err
		}
	}
	for _, key := range order {
		if _, there := w.known[key]; there {
			continue
		}
		i := before[key]
		i.cells = slices.Clone(i.cells)
		i.cells[w.state] = gone
		if err := w.tape.print(api.EventDeleted, i); err != nil {
			return err
		}
	}
	return nil
}

// changed reports whether an item differs in more than its age.
func (w *viewWatch) changed(before, after *item) bool {
	for n, header := range w.header {
		if header != "AGE" && header != "IDLE" && before.cells[n] != after.cells[n] {
			return true
		}
	}
	return false
}
