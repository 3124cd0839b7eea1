// Package server answers questions about a running node, and takes changes of what
// is wanted of it: HTTP on a unix socket, and on TLS, with JSON. Package api
// has the paths and what the answers look like.
package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-net/sluice/api"
)

// Views are a node's lists. A filter that names what is not there gives an error
// that wraps api.ErrNotFound; one that makes no sense, api.ErrInvalid. Limits are the
// server's business. Items are asked for one by one, by any goroutine, and may
// be asked for slowly.
type Views interface {
	PortViews(*api.Filter) (iter.Seq[api.PortView], error)
	SegmentViews(*api.Filter) (iter.Seq[api.SegmentView], error)
	RouteViews(*api.Filter) (iter.Seq[api.RouteView], error)
	MACViews(*api.Filter) (iter.Seq[api.MACView], error)
	NeighborViews(*api.Filter) (iter.Seq[api.NeighborView], error)
	SessionViews(*api.Filter) (iter.Seq[api.SessionView], error)
	WorkerViews(*api.Filter) (iter.Seq[api.WorkerView], error)
	DropViews(*api.Filter) (iter.Seq[api.DropView], error)
	PoolViews(*api.Filter) (iter.Seq[api.PoolView], error)
	RuleViews(*api.Filter) (iter.Seq[api.RuleView], error)
	PolicyViews(*api.Filter) (iter.Seq[api.PolicyView], error)
	GroupViews(*api.Filter) (iter.Seq[api.GroupView], error)
	VirtualServerViews(*api.Filter) (iter.Seq[api.VirtualServerView], error)
	LBPoolViews(*api.Filter) (iter.Seq[api.LBPoolView], error)
	LBMemberViews(*api.Filter) (iter.Seq[api.LBMemberView], error)
	NATRuleViews(*api.Filter) (iter.Seq[api.NATRuleView], error)
}

// Source is what a Server serves: a node, and the daemon around it.
type Source interface {
	Views

	// Status says how the node does; Ready in it is what /readyz tells.
	Status() api.Status

	// Config returns the objects in force, each a pointer to its kind's Go type
	// with apiVersion and kind, and their revision. Nobody changes them.
	Config() (revision uint64, objects []any)

	// EvaluatePolicy says what the firewall would do with a packet.
	EvaluatePolicy(*api.PolicyQuery) (*api.PolicyAnswer, error)

	// LintPolicy examines the firewall's rules, which may take a second.
	LintPolicy() (*api.PolicyLint, error)

	// ConfirmTakeover keeps a device that was taken over on trial. The error wraps
	// api.ErrNotFound if there is no trial.
	ConfirmTakeover() error
}

// Options are what a Server is made with. Zero values are defaults.
type Options struct {
	Socket string // path of the socket; required by Run

	// Admins may do everything, as root and the daemon's own user may. Viewers may look,
	// but at no secret. Nobody else may do anything. ListenFor wants them, too.
	Admins, Viewers Members

	// TLS says how Run serves others than those on this machine; nil: not at all.
	TLS *TLS

	// Objects is the desired state, Logs what the daemon writes, Firewall what the
	// firewall's rules do; nil: who asks is told that this daemon has none (501).
	Objects  Objects
	Logs     Logs
	Firewall FirewallLog

	// Log hears of panics and of connections that go wrong; default: nobody.
	Log *slog.Logger

	// Stall is for how long a client may take nothing of an answer, or may send
	// nothing of a request, before it is given up. Default 10 s.
	Stall time.Duration

	// Drain is how long answers may take to their end once the server is to stop.
	// Default 2 s.
	Drain time.Duration

	// Requests are answered at a time, at most; further ones are told to come
	// again. Default 64. Watches have places of their own: Watchers, default 128.
	Requests int
	Watchers int

	// Heartbeat is how often somebody who watches hears of the server, at least.
	// Default 15 s.
	Heartbeat time.Duration

	// MaxBody is how long the documents of a request may be, bytes, after
	// decompression. Default 64 MiB. Bodies is how many bytes of them may be in
	// memory at a time, and at least MaxBody, which is the default: what is decoded
	// of them takes some 15 times as much.
	MaxBody int64
	Bodies  int64
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	atLeast1(&o.Stall, 10*time.Second)
	atLeast1(&o.Drain, 2*time.Second)
	atLeast1(&o.Requests, 64)
	atLeast1(&o.Watchers, 128)
	atLeast1(&o.Heartbeat, 15*time.Second)
	atLeast1(&o.MaxBody, 64<<20)
	o.Bodies = max(o.Bodies, o.MaxBody)
	return o
}

func atLeast1[T ~int | ~int64](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}

// Server is the API of a node.
type Server struct {
	source   Source
	options  Options
	routes   routes
	slots    chan struct{} // one for each request that is being answered
	watchers chan struct{} // one for each watch
	bodies   *budget       // bytes of documents
	names    userNames
	origins  *http.CrossOriginProtection

	json, yaml func() ([]byte, error) // OpenAPI's document, made once
	answers    sync.WaitGroup         // requests that are being answered
}

// New makes a server; nothing listens yet.
func New(s Source, o Options) *Server {
	o = o.withDefaults()
	return &Server{
		source: s, options: o, routes: newRoutes(operations()), bodies: newBudget(o.Bodies), origins: http.NewCrossOriginProtection(), json: sync.OnceValues(OpenAPI), yaml: sync.OnceValues(openAPIYAML),
		slots: make(chan struct{}, o.Requests), watchers: make(chan struct{}, o.Watchers),
	}
}

// Limits of what a client may send, and of how slowly.
const (
	maxHeader     = 64 << 10 // bytes
	headerTimeout = 5 * time.Second
	idleTimeout   = 60 * time.Second
)

// Serve answers on listeners, of Listen and ListenTLS, until ctx is done. It then takes no
// more requests, ends watches, lets those under way come to their end for
// Options.Drain, cuts off the rest and returns nil once none is being answered: the
// source is not used any more, whatever clients do. The listeners are closed. The error
// is that of a listener.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	h := &http.Server{
		// ReadTimeout would end the context of a request that takes longer to answer: the
		// deadlines of bodies are theirs (bodyReader).
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
		Protocols:   new(http.Protocols),
		BaseContext: func(l net.Listener) context.Context { return context.WithValue(context.Background(), listenerKey{}, l) },
		ConnContext: func(base context.Context, c net.Conn) context.Context {
			l, _ := base.Value(listenerKey{}).(net.Listener)
			return withConnection(base, s.newConnection(l, c, ctx))
		},
	}
	h.Protocols.SetHTTP1(true)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- h.Serve(s.bounded(l)) }()
	}
	var err error
	left := len(listeners)
	select {
	case err = <-failed:
		left--
		err = fmt.Errorf("the API's socket: %w", err)
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Drain)
		defer cancel()
		if h.Shutdown(drain) == nil {
			break
		}
	}
	_ = h.Close() // whatever is left is cut off: there is nothing to be done about an error
	for range left {
		<-failed // the listener is closed then
	}
	s.answers.Wait()
	return err
}

// listenerKey finds the listener in a connection's context.
type listenerKey struct{}

// bounded is a listener with so many connections at most. That of ListenTLS is already.
func (s *Server) bounded(l net.Listener) net.Listener {
	if _, ok := l.(*tlsListener); ok {
		return l
	}
	return &limited{Listener: l, stranger: func(c net.Conn) bool {
		u, ok := c.(*net.UnixConn)
		if !ok {
			return true
		}
		id, err := credentialsOf(u)
		return err != nil || s.options.roleOf(&id) == ""
	}}
}

// Run listens on the socket, and as Options.TLS says, and serves until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	l, err := ListenFor(s.options.Socket, s.options.Admins, s.options.Viewers)
	if err != nil {
		return err
	}
	if s.options.TLS == nil {
		return s.Serve(ctx, l)
	}
	secured, err := ListenTLS(*s.options.TLS, s.options.Log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return s.Serve(ctx, l, secured)
}
