package server

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
)

// guarded wraps the API's handlers: it says which version answers, keeps the
// number of requests within bounds, contains panics, and gives what the mux has no
// handler for an answer of the API's form.
func (s *Server) guarded(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.APIHeader, api.ViewVersion)
		w.Header().Set("Cache-Control", "no-store")
		// Whether the daemon is well must not depend on who else asks it something.
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			if !s.enter(w) {
				return
			}
			defer func() { <-s.slots }()
		}
		s.answers.Add(1)
		defer s.answers.Done()
		t := &tracked{ResponseWriter: w}
		defer s.contain(t, r)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.options.Stall)) // as pacedWriter
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if h, pattern := mux.Handler(r); pattern != "" {
			h.ServeHTTP(t, r)
			return
		}
		s.unknown(t, r, mux)
	})
}

// enter takes a slot, or tells the client that there is none.
func (s *Server) enter(w http.ResponseWriter) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, api.Failure{
			Error: fmt.Sprintf("%d requests are being answered already; come again", s.options.Requests),
		})
		return false
	}
}

// tracked knows whether an answer has begun.
type tracked struct {
	http.ResponseWriter
	begun bool
}

func (t *tracked) WriteHeader(status int) {
	t.begun = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	t.begun = true
	return t.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// contain makes an answer of a panic. If one has begun the connection is cut, so
// that the client does not take the part for the whole.
func (s *Server) contain(t *tracked, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	s.options.Log.Error("a handler of the API panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if t.begun {
		panic(http.ErrAbortHandler)
	}
	answer(t, http.StatusInternalServerError, api.Failure{
		Error: fmt.Sprintf("a defect of the daemon, please report it: %v (its log has the stack)", p),
	})
}

// unknown answers what no handler is for.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		answer(w, http.StatusMethodNotAllowed, api.Failure{
			Error: fmt.Sprintf("%s %s: the method is %s", r.Method, r.URL.Path, strings.Join(allowed, " or ")),
		})
		return
	}
	paths := []string{"/v1/status", "/v1/config", "/v1/takeover/confirm", "/healthz", "/readyz"}
	for _, k := range api.ViewKinds() {
		paths = append(paths, "/v1/"+k.Name)
	}
	slices.Sort(paths)
	fail(w, api.NotFound("path", r.URL.Path, paths))
}
