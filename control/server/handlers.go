package server

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/desired"
)

// health is the answer of those who ask whether all is well.
type health struct {
	Status string `json:"status"`
}

// confirmed is the answer that a takeover is.
type confirmed struct{}

func (s *Server) status(w *response, _ *request) error {
	w.json(http.StatusOK, s.source.Status())
	return nil
}

// config gives the objects as kubectl would.
func (s *Server) config(w *response, r *request) error {
	revision, objects := s.source.Config()
	if r.Get("format") == "yaml" {
		w.Header().Set("Content-Type", mediaYAML)
		for _, o := range objects {
			text, err := yaml.Marshal(visible(o, &r.who))
			if err != nil {
				panic(err) // they came from documents
			}
			if _, err := w.Write(append([]byte("---\n"), text...)); err != nil {
				return nil // the client is gone: nobody hears of it
			}
		}
		return nil
	}
	items := make([]any, len(objects))
	for i, o := range objects {
		items[i] = visible(o, &r.who)
	}
	w.json(http.StatusOK, map[string]any{
		"apiVersion": "v1", "kind": "List", "items": items,
		"metadata": map[string]string{"resourceVersion": strconv.FormatUint(revision, 10)},
	})
	return nil
}

// listHead begins an api.ObjectList.
func listHead(revision uint64) string {
	return `{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"` + strconv.FormatUint(revision, 10) + `"},`
}

// visible is an object as a peer may see it: the values of a Secret are for admins.
func visible(object any, p *Peer) any {
	secret, ok := object.(*corev1.Secret)
	if !ok || p.secrets() {
		return object
	}
	return desired.WithoutValues(secret)
}

func (s *Server) evaluatePolicy(w *response, r *request) error {
	q, err := api.ParsePolicyQuery(r.Values)
	if err != nil {
		return err
	}
	answer, err := s.source.EvaluatePolicy(&q)
	if err != nil {
		return err
	}
	w.json(http.StatusOK, answer)
	return nil
}

func (s *Server) lintPolicy(w *response, _ *request) error {
	answer, err := s.source.LintPolicy()
	if err != nil {
		return err
	}
	w.json(http.StatusOK, answer)
	return nil
}

func (s *Server) confirmTakeover(w *response, _ *request) error {
	if err := s.source.ConfirmTakeover(); err != nil {
		return err
	}
	w.json(http.StatusOK, confirmed{})
	return nil
}

// healthz says that the process answers; nothing that could make it wait is asked.
func (s *Server) healthz(w *response, _ *request) error {
	w.json(http.StatusOK, health{"ok"})
	return nil
}

func (s *Server) readyz(w *response, _ *request) error {
	if !s.source.Status().Ready {
		return refusal(http.StatusServiceUnavailable, api.ReasonNotReady, "not ready: frames do not pass yet, or no more")
	}
	w.json(http.StatusOK, health{"ready"})
	return nil
}

// maxLines is how many lines of the log can be asked for.
const maxLines, fewLines = 1_000_000, 1000

func (s *Server) logLines(w *response, r *request) error {
	if s.options.Logs == nil {
		return notServed("its log")
	}
	n := uint64(fewLines)
	if r.Has("lines") {
		n = min(r.number("lines"), maxLines)
	}
	w.Header().Set("Content-Type", mediaText)
	w.WriteHeader(http.StatusOK)
	for _, line := range s.options.Logs.LogLines(int(n)) {
		if _, err := w.Write([]byte(line + "\n")); err != nil {
			return nil // the client is gone: nobody hears of it
		}
	}
	return nil
}

func (s *Server) firewallLog(w *response, r *request) error {
	if s.options.Firewall == nil {
		return notServed("the firewall's log")
	}
	f := api.FirewallLogFilter{After: r.number("after"), Lines: fewLines, Port: r.Get("port")}
	if r.Has("lines") {
		f.Lines = int(min(r.number("lines"), maxLines))
	}
	if rule := r.number("rule"); rule <= math.MaxUint32 {
		f.Rule = uint32(rule)
	} else {
		return api.Invalid("rule %d: no rule has an ID above %d", rule, uint32(math.MaxUint32))
	}
	list := s.options.Firewall.FirewallLines(&f)
	if list == nil {
		list = []api.FirewallLogLine{}
	}
	w.json(http.StatusOK, api.List[api.FirewallLogLine]{Items: list})
	return nil
}

func (s *Server) logLevels(w *response, _ *request) error {
	if s.options.Logs == nil {
		return notServed("its log levels")
	}
	w.json(http.StatusOK, s.options.Logs.LogLevels())
	return nil
}

func (s *Server) setLogLevels(w *response, r *request) error {
	if s.options.Logs == nil {
		return notServed("its log levels")
	}
	body, err := s.small(w, r)
	if err != nil {
		return err
	}
	var levels map[string]string
	if err := json.Unmarshal(body, &levels); err != nil || len(levels) == 0 {
		return api.Invalid(`the body: want the level of components, as {"": "INFO", "store": "DEBUG"}`)
	}
	if err := s.options.Logs.SetLogLevels(levels); err != nil {
		return err
	}
	w.json(http.StatusOK, s.options.Logs.LogLevels())
	return nil
}

// notServed says that this daemon has not got something.
func notServed(what string) error {
	return refusal(http.StatusNotImplemented, api.ReasonNotServed, "this daemon does not serve %s", what)
}
