package server

import (
	"context"
	"net"
	"net/http"

	"github.com/sluice-net/sluice/api"
)

// Peer is who asks.
type Peer struct {
	Author api.Author // of what it changes
	Role   api.Role   // empty: it may do nothing
}

// connectionKey finds the connection in a request's context.
type connectionKey struct{}

// connection is what is to be known of one.
type connection struct {
	peer  Peer
	drain context.Context // done once the server is to stop
}

// viaUnix is the socket as api.Author names it.
const viaUnix = "unix"

// mayLook refuses a peer that has no role.
func (c *connection) mayLook() error {
	if c.peer.Role == "" {
		return refusal(http.StatusForbidden, api.ReasonForbidden, "you may not ask this daemon anything")
	}
	return nil
}

// may refuses an operation that is for others.
func (c *connection) may(o *operation) error {
	if o.role == api.RoleAdmin && c.peer.Role != api.RoleAdmin {
		return refusal(http.StatusForbidden, api.ReasonForbidden, "you are a viewer")
	}
	return nil
}

func newConnection(_ net.Conn, drain context.Context) *connection {
	return &connection{peer: Peer{Author: api.Author{Via: viaUnix}, Role: api.RoleAdmin}, drain: drain}
}

func withConnection(ctx context.Context, c *connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf returns the connection of a request. One that came by none may do nothing.
func connectionOf(r *http.Request) *connection {
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		return c
	}
	return &connection{drain: context.Background()}
}
