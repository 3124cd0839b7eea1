package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
)

// routes finds the operation of a request. It is no http.ServeMux, for that
// answers what it does not know with texts and redirections of its own.
type routes struct {
	exact  map[string][]*operation // by path
	prefix map[string][]*operation // by the path up to the parameter that ends it
	paths  []string                // all, sorted
}

func newRoutes(operations []*operation) routes {
	t := routes{exact: map[string][]*operation{}, prefix: map[string][]*operation{}}
	for _, o := range operations {
		if before, _, found := strings.Cut(o.path, "{"); found {
			t.prefix[before] = append(t.prefix[before], o)
		} else {
			t.exact[o.path] = append(t.exact[o.path], o)
		}
		t.paths = append(t.paths, o.path)
	}
	slices.Sort(t.paths)
	t.paths = slices.Compact(t.paths)
	return t
}

// find returns the operations of a path, one for each method, and the path's parameter.
func (t *routes) find(path string) (operations []*operation, param string) {
	if operations, found := t.exact[path]; found {
		return operations, ""
	}
	cut := strings.LastIndexByte(path, '/') + 1
	if cut == len(path) {
		return nil, ""
	}
	return t.prefix[path[:cut]], path[cut:]
}

// request is what an operation is asked.
type request struct {
	*http.Request
	arguments                 // the query
	param     string          // what the path's parameter is
	drain     context.Context // done once the server is to stop
	who       Peer
	valid     func() bool // whether it still is who it was; nil: always
}

// Handler returns the API without a socket, for one peer.
func (s *Server) Handler(who Peer) http.Handler {
	h := s.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(withConnection(r.Context(), fixedPeer(r.Context(), who))))
	})
}

// handler wraps the operations: it says which version answers, asks for the role,
// keeps the number of requests within bounds, contains panics, and gives what there
// is no operation for an answer of the API's form.
func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		s.answers.Add(1)
		defer s.answers.Done()
		plain.Header().Set(api.APIHeader, api.ViewVersion)
		plain.Header().Set("Cache-Control", "no-store")
		w := newResponse(plain, s.options.Stall)
		defer s.contain(w, r)
		c := connectionOf(r)
		asked := &request{Request: r, drain: c.drain}
		asked.who, asked.valid = c.peer(r)
		if err := s.answer(w, asked); err != nil {
			w.fail(err)
		}
	})
}

func (s *Server) answer(w *response, r *request) error {
	// Whoever has no role is not even told what there is.
	if err := r.who.mayLook(); err != nil {
		return err
	}
	// A browser that has a certificate sends it along with what other sites make it ask.
	if err := s.origins.Check(r.Request); err != nil {
		return refusal(http.StatusForbidden, api.ReasonForbidden, "%v: ask from no web page", err)
	}
	all, param := s.routes.find(r.URL.Path)
	if all == nil {
		return api.NotFound("path", r.URL.Path, s.routes.paths)
	}
	o := methodOf(all, r.Method)
	if o == nil {
		return wrongMethod(w, r, all)
	}
	if err := r.who.may(o); err != nil {
		return err
	}
	free, err := s.enter(o)
	if err != nil {
		return err
	}
	defer free()
	r.param = param
	if r.arguments, err = o.read(r.URL); err != nil {
		return err
	}
	if r.Body != http.NoBody {
		// So that nobody who sends nothing keeps a slot; bodyReader goes on from there.
		_ = w.control.SetReadDeadline(time.Now().Add(s.options.Stall))
	}
	return o.serve(s, w, r)
}

// methodOf returns the one of a path's operations that a request is for.
func methodOf(all []*operation, method string) *operation {
	if method == http.MethodHead { // net/http leaves the body away
		method = http.MethodGet
	}
	for _, o := range all {
		if o.method == method {
			return o
		}
	}
	return nil
}

func wrongMethod(w *response, r *request, all []*operation) error {
	var allowed []string
	for _, o := range all {
		allowed = append(allowed, o.method)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return refusal(http.StatusMethodNotAllowed, api.ReasonMethod, "%s %s: the method is %s", r.Method, r.URL.Path, strings.Join(allowed, " or "))
}

// enter takes a slot for an operation, or says that there is none.
func (s *Server) enter(o *operation) (free func(), err error) {
	slots, what := s.slots, "requests are being answered"
	switch o.slots {
	case slotOfWatch:
		slots, what = s.watchers, "clients watch"
	case slotNone:
		return func() {}, nil
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	default:
		return nil, busy("%d %s already; come again", cap(slots), what)
	}
}

// contain makes an answer of a panic. If one has begun the connection is cut, so
// that the client does not take the part for the whole.
func (s *Server) contain(w *response, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	s.options.Log.Error("a handler of the API panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	w.fail(fmt.Errorf("a defect of the daemon, please report it: %v (its log has the stack)", p))
}

// sortedOperations are by path, then method.
func sortedOperations(all []*operation) []*operation {
	return slices.SortedFunc(slices.Values(all), func(a, b *operation) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
	})
}
