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
		name := i.ref
		if t.o.watchEvents {
			name = string(event) + " " + name
		}
		_, err := fmt.Fprintln(w, name)
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

	// The revision of the last list, and when it was made: a daemon that has another one of
	// that number has begun its history anew.
	revision uint64
	made     time.Time
}

// errAnew says that the daemon's history is another one than before.
var errAnew = errors.New("the history is another one")

func (w *objectWatch) run(ctx context.Context, s *screen) (err error) {
	if w.table, err = w.o.tableOf(ctx, w.c, *w.t.kind); err != nil {
		return err
	}
	w.tape = w.o.newTape(s, headers(w.table.columns))
	if err := w.list(ctx, !w.o.watchOnly); err != nil {
		return err
	}
	for {
		err := w.c.WatchForever(ctx, w.o.objectFilter(w.t), w.revision, func(e *api.Event) error { return w.hear(ctx, e) }, w.lost)
		for listMends(err) {
			// The daemon can't say what happened, or was gone when it was asked: it is found out.
			if !errors.Is(err, api.ErrGone) && !errors.Is(err, errAnew) {
				w.lost(err)
				if err := pause(ctx, pollInterval); err != nil {
					return err
				}
			}
			err = w.list(ctx, true)
		}
		if err != nil {
			return err
		}
	}
}

// listMends reports whether a watch can go on after an error, from a new list.
func listMends(err error) bool {
	return errors.Is(err, api.ErrGone) || errors.Is(err, errAnew) || errors.Is(err, client.ErrNoDaemon) || errors.Is(err, client.ErrBroken)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// list looks at all that there is, and says how it differs from what is known.
func (w *objectWatch) list(ctx context.Context, tell bool) error {
	l, err := w.o.listObjects(ctx, w.c, &target{kind: w.t.kind})
	if err != nil {
		return err
	}
	w.revision = l.revision
	if w.made, err = w.when(ctx); err != nil {
		return err
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
				return err
			}
		}
	}
	if tell {
		if err := w.tape.print(api.EventAdded, added...); err != nil {
			return err
		}
		for key, was := range w.known {
			if _, there := now[key]; !there {
				if err := w.tape.print(api.EventDeleted, w.deleted(was)); err != nil {
					return err
				}
			}
		}
	}
	w.known = now
	return nil
}

// when tells when the revision of the last list was made; zero if the history has it not.
func (w *objectWatch) when(ctx context.Context) (time.Time, error) {
	list, err := w.c.History(ctx, api.HistoryFilter{Before: w.revision + 1, Limit: 1})
	if err != nil || len(list) == 0 || list[0].Revision != w.revision {
		return time.Time{}, err
	}
	return list[0].Time, nil
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
		made, err := w.when(ctx)
		if err != nil {
			return err
		}
		if made.IsZero() || !made.Equal(w.made) {
			return errAnew
		}
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
