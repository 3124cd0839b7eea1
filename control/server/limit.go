package server

import (
	"net"
	"sync"
	"sync/atomic"
)

// Bounds of connections: beyond, one is closed as soon as it is accepted. That of those
// without a role is small, so that they can't keep others off.
const (
	maxConnections = 1024
	maxStrangers   = 32
)

// limited is a listener of which so many connections are open at most.
type limited struct {
	net.Listener
	stranger    func(net.Conn) bool // nil: nobody is known before he has spoken
	connections atomic.Int64
	strangers   atomic.Int64
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		count, most := &l.connections, int64(maxConnections)
		if l.stranger != nil && l.stranger(c) {
			count, most = &l.strangers, maxStrangers
		}
		if count.Add(1) <= most {
			return &countedConn{Conn: c, gone: func() { count.Add(-1) }}, nil
		}
		count.Add(-1)
		_ = c.Close() // nothing was said
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	net.Conn
	once sync.Once
	gone func()
}

func (c *countedConn) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}
