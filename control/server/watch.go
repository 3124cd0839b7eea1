package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// objectFilter reads the filter of a query, and names kinds as objects do.
func objectFilter(q url.Values) (api.ObjectFilter, error) {
	f, err := api.ParseObjectFilter(q)
	if err != nil {
		return f, err
	}
	for i, word := range f.Kinds {
		if f.Kinds[i], err = kindNamed(word); err != nil {
			return f, err
		}
	}
	return f, nil
}

func kindNamed(word string) (string, error) {
	k, found := control.KindNamed(word)
	if !found {
		return "", api.Invalid("there is no kind %q: %s", clip(word), control.KindHint(word))
	}
	return k.Kind, nil
}

// keyOf is the key of an object that a user names.
func keyOf(ref api.ObjectRef) (control.Key, error) {
	k, found := control.KindNamed(ref.Kind)
	switch {
	case ref.Kind == "" || ref.Name == "":
		return control.Key{}, api.Invalid("an object is named by its kind and its name")
	case !found:
		_, err := kindNamed(ref.Kind)
		return control.Key{}, err
	case ref.Namespace != "" && !k.Namespaced():
		return control.Key{}, api.Invalid("a %s has no namespace: leave it away", k.Kind)
	case ref.Namespace == "" && k.Scope == control.DefaultScope:
		ref.Namespace = "default"
	}
	return control.Key{Kind: k.Kind, Namespace: ref.Namespace, Name: ref.Name}, nil
}

// watch tells what happens to objects, a line for each event.
func (s *Server) watch(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	from := r.Get("from")
	given := r.Has("from")
	if len(r.Values["from"]) > 1 {
		return api.Invalid("from is given %d times", len(r.Values["from"]))
	}
	r.Del("from")
	filter, err := objectFilter(r.Values)
	if err != nil {
		return err
	}
	filter.Limit = 0
	after, err := strconv.ParseUint(from, 10, 64)
	if given && err != nil {
		return api.Invalid("from %q: want a revision", clip(from))
	}
	if !given {
		none := api.ObjectFilter{Kinds: []string{"NodeConfig"}} // the smallest list there is
		if after, _, err = state.Objects(&none, false); err != nil {
			return err
		}
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", mediaLines)
		w.WriteHeader(http.StatusOK)
		return nil // else who asks would wait for the end of nothing
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(r.drain, cancel)()
	watcher := &watcher{w: w, whole: after, lost: cancel, valid: r.valid}
	defer watcher.beat(s.options.Heartbeat)()
	for e, err := range state.Watch(ctx, &filter, after, r.who.secrets()) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return watcher.fail(err)
		}
		watcher.tell(&e)
	}
	return nil
}

// watcher is somebody who watches. What is told comes from the source, and from a
// goroutine that says now and then that there is nothing.
type watcher struct {
	mu    sync.Mutex
	w     *response
	whole uint64    // revision up to which all has been told for sure
	last  uint64    // revision of which something was told; more of it may follow
	told  time.Time // when something was told last
	lost  func()    // is called once nobody listens

	valid func() bool // whether it still is who it was
}

// tell writes a line, at once. Who takes nothing of it for Options.Stall is given up.
func (v *watcher) tell(e *api.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case e.Type == api.EventBookmark:
		v.whole = max(v.whole, e.Revision)
	case e.Revision > v.last:
		v.whole = max(v.whole, v.last)
	}
	v.last = max(v.last, e.Revision)
	v.line(e)
}

// line writes a line. The caller holds mu.
func (v *watcher) line(value any) {
	if !v.w.begun {
		v.w.Header().Set("Content-Type", mediaLines)
		v.w.WriteHeader(http.StatusOK)
	}
	v.told = time.Now()
	err := json.NewEncoder(v.w).Encode(value)
	if err == nil {
		err = v.w.control.Flush()
	}
	if err != nil {
		v.lost()
	}
}

// beat begins to say every so often that there is nothing new, if so, by which both ends
// see whether the other is there; and returns what ends it.
func (v *watcher) beat(every time.Duration) (end func()) {
	ticker := time.NewTicker(every)
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if v.valid != nil && !v.valid() {
				v.lost()
				return
			}
			v.mu.Lock()
			if time.Since(v.told) >= every/2 {
				v.line(&api.Event{Type: api.EventBookmark, Revision: v.whole})
			}
			v.mu.Unlock()
		}
	})
	return func() {
		ticker.Stop()
		close(stop)
		done.Wait()
	}
}

// fail ends with an error: as the answer, or as its last line.
func (v *watcher) fail(err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.w.begun {
		return err
	}
	_, f := failureOf(err)
	v.line(&f)
	return nil
}
