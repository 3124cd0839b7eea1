package daemon

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/inside"
)

// prober probes the members of the model in force, and answers at its health check ports, both by the node's own ports
// at routers.
type prober struct {
	network *inside.Network
	checker *health.Checker
	log     *slog.Logger

	mu      sync.Mutex
	answers map[healthAt]*healthAnswer
	closed  bool
}

// healthAt is where health is asked for.
type healthAt struct {
	scope uint32
	port  uint16
}

// newProber returns a prober without anything to do. What it finds out about members, report is told.
func newProber(network *inside.Network, seed uint64, log *slog.Logger, report func(memberID uint32, h member.Health)) *prober {
	p := &prober{network: network, log: log, answers: map[healthAt]*healthAnswer{}}
	p.checker = health.New(health.Config{
		Network: network, Now: time.Now, Seed: seed,
		Report: func(id uint32, h member.Health, reason string, _ time.Time) {
			report(id, h)
			switch h {
			case member.Down:
				log.Warn("a member is down", "member", id, "why", reason)
			case member.Up:
				log.Info("a member is up", "member", id, "why", reason)
			}
		},
	})
	return p
}

// follow makes a model the one that says what there is to do. It does not wait for anybody.
func (p *prober) follow(m *control.Model) {
	p.checker.Set(node.Monitored(m))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	wanted := make(map[healthAt]bool, len(m.HealthPorts))
	for i := range m.HealthPorts {
		h := &m.HealthPorts[i]
		at := healthAt{h.Scope, h.Port}
		wanted[at] = true
		a := p.answers[at]
		if a == nil {
			a = &healthAnswer{over: make(chan struct{}), log: p.log.With("port", h.Port)}
			p.answers[at] = a
			a.of.Store(h)
			a.running.Go(func() { a.serve(p.network, at) })
		}
		a.of.Store(h)
	}
	for at, a := range p.answers {
		if !wanted[at] {
			close(a.over)
			delete(p.answers, at)
		}
	}
}

// close ends everything, and waits for it; nothing is reported afterwards.
func (p *prober) close() {
	if p == nil {
		return
	}
	p.checker.Close()
	p.mu.Lock()
	p.closed = true
	answers := p.answers
	p.answers = map[healthAt]*healthAnswer{}
	p.mu.Unlock()
	for _, a := range answers {
		close(a.over)
	}
	for _, a := range answers {
		a.running.Wait()
	}
	p.network.Close()
}

// healthAnswer answers at a port, as kube-proxy does (pkg/proxy/healthcheck/service_health.go): load balancers send to nodes
// that have endpoints of their own.
type healthAnswer struct {
	of      atomic.Pointer[control.HealthPort]
	over    chan struct{}
	running sync.WaitGroup
	log     *slog.Logger
}

// retryListening is how long it is until a port that could not be had, or is had no more, is asked for again.
const retryListening = time.Second

// serve answers until over. The port comes and goes with the device that it is at.
func (a *healthAnswer) serve(network *inside.Network, at healthAt) {
	told := ""
	for {
		l, err := network.Listen(at.scope, at.port)
		if err == nil {
			told = ""
			s := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = s.Serve(l) // it ends when the device goes, or by Close
			}()
			select {
			case <-ended:
			case <-a.over:
			}
			_ = s.Close() // connections are of one question
			<-ended
		} else if err.Error() != told {
			told = err.Error()
			a.log.Warn("health can't be asked for", "error", err)
		}
		select {
		case <-a.over:
			return
		case <-time.After(retryListening):
		}
	}
}

// ServeHTTP tells how many endpoints of the Service are on this node, whatever is asked for.
func (a *healthAnswer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := a.of.Load()
	answer := struct {
		Service struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"service"`
		LocalEndpoints      int  `json:"localEndpoints"`
		ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
	}{LocalEndpoints: h.Local, ServiceProxyHealthy: true}
	answer.Service.Namespace, answer.Service.Name = h.Namespace, h.Name
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(h.Local))
	if h.Local == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(&answer) // who has gone misses nothing
}
