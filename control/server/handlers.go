package server

import (
	"bufio"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
)

// handle serves a kind of items.
func handle[T any](mux *http.ServeMux, s *Server, name string, list func(*api.Filter) (iter.Seq[T], error)) {
	kind, _ := api.ViewKindNamed(name)
	mux.HandleFunc("GET /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		filter, err := api.ParseFilter(kind, r.URL.Query())
		if err != nil {
			fail(w, err)
			return
		}
		items, err := list(&filter)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		stream(s.paced(w, r), items, filter.Limit)
	})
}

// stream writes a List item by item: of an answer of any length, a buffer is in
// memory. It ends early if the client is gone.
func stream[T any](w *pacedWriter, items iter.Seq[T], limit int) {
	b := bufio.NewWriterSize(w, 32<<10)
	e := json.NewEncoder(b) // a line for each item
	_, _ = b.WriteString(`{"items":[`)
	n, more := 0, false
	for item := range items {
		if limit > 0 && n == limit {
			more = true
			break
		}
		if n++; n > 1 {
			_ = b.WriteByte(',')
		}
		if e.Encode(&item) != nil {
			return
		}
	}
	_ = b.WriteByte(']')
	if more {
		_, _ = b.WriteString(`,"more":true`)
	}
	_, _ = b.WriteString("}\n")
	_ = b.Flush() // the client is gone: nobody hears of it
}

// pacedWriter gives a client time for each piece of an answer, not for the whole
// of it, which may be long.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	gone    <-chan struct{}
	err     func() error
}

func (s *Server) paced(w http.ResponseWriter, r *http.Request) *pacedWriter {
	return &pacedWriter{w, http.NewResponseController(w), s.options.Stall, r.Context().Done(), r.Context().Err}
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	select {
	case <-p.gone:
		return 0, p.err()
	default:
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(p.stall)) // what is no socket, in tests, has no deadline
	return p.w.Write(b)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if !noQuery(w, r) {
		return
	}
	answer(w, http.StatusOK, s.source.Status())
}

// config gives the objects as kubectl would.
func (s *Server) config(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	format := q.Get("format")
	q.Del("format")
	switch {
	case len(q) != 0:
		fail(w, api.Invalid("/v1/config takes format only"))
		return
	case format != "" && format != "json" && format != "yaml":
		fail(w, api.Invalid("format %q: want json or yaml", format))
		return
	}
	revision, objects := s.source.Config()
	out := s.paced(w, r)
	if format == "yaml" {
		w.Header().Set("Content-Type", "application/yaml")
		for _, o := range objects {
			text, err := yaml.Marshal(o)
			if err != nil {
				panic(err) // they came from documents
			}
			if _, err := out.Write(append([]byte("---\n"), text...)); err != nil {
				return
			}
		}
		return
	}
	if objects == nil {
		objects = []any{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(map[string]any{ // the client is gone: nobody hears of it
		"apiVersion": "v1", "kind": "List", "items": objects,
		"metadata": map[string]string{"resourceVersion": strconv.FormatUint(revision, 10)},
	})
}

func (s *Server) confirmTakeover(w http.ResponseWriter, r *http.Request) {
	if !noQuery(w, r) {
		return
	}
	if err := s.source.ConfirmTakeover(); err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

// healthz says that the process answers; nothing that could make it wait is asked.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.source.Status().Ready {
		answer(w, http.StatusServiceUnavailable, api.Failure{Error: "not ready: frames do not pass yet, or no more"})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

// noQuery refuses a query where none has a meaning.
func noQuery(w http.ResponseWriter, r *http.Request) bool {
	if len(r.URL.Query()) == 0 {
		return true
	}
	fail(w, api.Invalid("%s takes no query", r.URL.Path))
	return false
}

func fail(w http.ResponseWriter, err error) {
	answer(w, statusOf(err), api.Failure{Error: err.Error()})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody hears of it
}
