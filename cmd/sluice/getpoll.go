package main

import (
	"context"
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
	quiet := false
	for err == nil {
		if err := pause(ctx, pollInterval); err != nil {
			return err
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
		if header != "AGE" && header != "IDLE" && header != "LAST-HIT" && header != "SINCE" && before.cells[n] != after.cells[n] {
			return true
		}
	}
	return false
}
