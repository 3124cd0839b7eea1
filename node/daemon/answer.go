package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
)

// Access says who may ask the API, beside root and the daemon's own user on its socket.
type Access struct {
	Admins, Viewers server.Members
	TLS             *server.TLS // nil: nobody from elsewhere
}

// answerer answers questions. A nil answerer does nothing.
type answerer struct {
	listeners []net.Listener
	stop      context.CancelFunc
	done      chan error // what serving ended with; nil until it began
}

// listen takes the socket of an address, unix:PATH, and the port of TLS; nothing for "".
// Whoever connects waits until serve.
func listen(address string, a *Access, log *slog.Logger) (*answerer, error) {
	if address == "" {
		return nil, nil
	}
	path, err := api.SocketPath(address)
	if err != nil {
		return nil, err
	}
	l, err := server.ListenFor(path, a.Admins, a.Viewers)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{l}
	if a.TLS != nil {
		t, err := server.ListenTLS(*a.TLS, log)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		log.Info("the API is served over TLS", "address", t.Addr().String())
		listeners = append(listeners, t)
	}
	return &answerer{listeners: listeners}, nil
}

// serve begins to answer about a daemon, which has a node.
func (a *answerer) serve(d *Daemon) {
	if a == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.done = stop, make(chan error, 1)
	log := component(d.config.Log, "api")
	s := server.New(source{d.node, d}, server.Options{
		Admins: d.config.Access.Admins, Viewers: d.config.Access.Viewers, Log: log, Objects: d.objects(), Logs: d.config.Logs, Firewall: d.firewall,
	})
	go func() {
		err := s.Serve(ctx, a.listeners...)
		if err != nil {
			log.Error("the API answers no more; the switch goes on", "error", err)
		}
		a.done <- err
	}()
}

// close stops answering, and removes the socket.
func (a *answerer) close() error {
	switch {
	case a == nil:
		return nil
	case a.done == nil:
		var errs []error
		for _, l := range a.listeners {
			errs = append(errs, l.Close())
		}
		return errors.Join(errs...)
	}
	a.stop()
	return <-a.done
}
