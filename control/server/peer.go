package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/sluice-net/sluice/api"
)

// Peer is who asks.
type Peer struct {
	Author api.Author // of what it changes
	Role   api.Role   // empty: it may do nothing

	who string // "user web (uid 1000)", for errors
	how string // to get a role
}

// The transports, as api.Author names them.
const (
	viaUnix = "unix"
	viaTLS  = "tls"
)

// connectionKey finds the connection in a request's context.
type connectionKey struct{}

// connection is what is to be known of one.
type connection struct {
	drain context.Context                         // done once the server is to stop
	peer  func(*http.Request) (Peer, func() bool) // who it is, and whether that still holds; nil: always
}

// newConnection notes what there is to know of a connection without waiting for it:
// it is called where connections are accepted.
func (s *Server) newConnection(l net.Listener, c net.Conn, drain context.Context) *connection {
	n := &connection{drain: drain, peer: func(*http.Request) (Peer, func() bool) { return Peer{}, nil }}
	if counted, ok := c.(*countedConn); ok {
		c = counted.Conn
	}
	switch c := c.(type) {
	case *net.UnixConn:
		p := sync.OnceValue(func() Peer { return s.unixPeer(c) })
		n.peer = func(*http.Request) (Peer, func() bool) { return p(), nil }
	case *tls.Conn:
		if l, ok := l.(*tlsListener); ok {
			n.peer = func(r *http.Request) (Peer, func() bool) { return l.files.peer(r.TLS) }
		}
	}
	return n
}

func withConnection(ctx context.Context, c *connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf returns the connection of a request. One that came by none may do nothing.
func connectionOf(r *http.Request) *connection {
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		return c
	}
	return fixedPeer(r.Context(), Peer{})
}

// fixedPeer is a connection of somebody who is known.
func fixedPeer(drain context.Context, p Peer) *connection {
	return &connection{drain: drain, peer: func(*http.Request) (Peer, func() bool) { return p, nil }}
}

// mayLook refuses a peer that has no role.
func (p *Peer) mayLook() error {
	if p.Role == "" {
		return refusal(http.StatusForbidden, api.ReasonForbidden, "%s may not ask this daemon anything: %s",
			cmp.Or(p.who, "whoever this is"), cmp.Or(p.how, "ask who administers it"))
	}
	return nil
}

// may refuses an operation that is for others.
func (p *Peer) may(o *operation) error {
	if o.role == api.RoleAdmin && p.Role != api.RoleAdmin {
		return refusal(http.StatusForbidden, api.ReasonForbidden, "%s %s is for admins, and %s is a viewer: ask an admin to do it, or to %s",
			o.method, o.path, cmp.Or(p.who, "whoever asks"), cmp.Or(p.how, "make you one"))
	}
	return nil
}

// secrets reports whether a peer may see the values of Secrets.
func (p *Peer) secrets() bool { return p.Role == api.RoleAdmin }

// unixPeer says who is at the other end of the socket. Its ids are of when it
// connected.
func (s *Server) unixPeer(c *net.UnixConn) Peer {
	id, err := credentialsOf(c)
	if err != nil {
		s.options.Log.Warn("who asks can't be told", "error", err)
		return Peer{Author: api.Author{Via: viaUnix}}
	}
	name := s.names.of(id.uid)
	return Peer{
		Author: api.Author{Via: viaUnix, UID: &id.uid, PID: id.pid, Name: name},
		Role:   s.options.roleOf(&id),
		who:    strings.TrimSpace(fmt.Sprintf("user %s", name)) + fmt.Sprintf(" (uid %d)", id.uid),
		how:    "have it named when the daemon is started (--api-viewer, --api-admin; user:NAME or group:NAME), or do it as root",
	}
}

// roleOf is the role of a process of this machine.
func (o *Options) roleOf(id *credentials) api.Role {
	switch {
	case id.uid == 0 || id.uid == ownUID() || o.Admins.has(id):
		return api.RoleAdmin
	case o.Viewers.has(id):
		return api.RoleViewer
	}
	return ""
}
