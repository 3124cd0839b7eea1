package daemon

import (
	"context"
	"net"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
)

// answerer answers questions on a socket. A nil answerer does nothing.
type answerer struct {
	path   string
	socket net.Listener
	stop   context.CancelFunc
	done   chan error // what serving ended with; nil until it began
}

// listen takes the socket of an address, unix:PATH; "" is none. Whoever connects
// waits until serve.
func listen(address string) (*answerer, error) {
	if address == "" {
		return nil, nil
	}
	path, err := api.SocketPath(address)
	if err != nil {
		return nil, err
	}
	l, err := server.Listen(path)
	if err != nil {
		return nil, err
	}
	return &answerer{path: path, socket: l}, nil
}

// serve begins to answer about a daemon, which has a node.
func (a *answerer) serve(d *Daemon) {
	if a == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.done = stop, make(chan error, 1)
	s := server.New(source{d.node, d}, server.Options{Socket: a.path, Log: d.log, Objects: objects{d}, Logs: d.config.Logs})
	go func() {
		err := s.Serve(ctx, a.socket)
		if err != nil {
			d.log.Error("the API answers no more; the switch goes on", "error", err)
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
		return a.socket.Close()
	}
	a.stop()
	return <-a.done
}
