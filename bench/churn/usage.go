package churn

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/internal/cputime"
)

// usage is what the daemon has done up to a moment.
type usage struct {
	at       time.Time
	epoch    uint32
	received uint64
	cpu      time.Duration // 0 if it is not known
}

// usage asks the daemon, and the kernel about it.
func (l *load) usage(ctx context.Context, cl *client.Client) (u usage, err error) {
	st, err := cl.Status(ctx)
	if err != nil {
		return u, err
	}
	u = usage{at: time.Now(), epoch: st.Epoch, received: st.Ledger.Received}
	if l.config.PID != 0 {
		u.cpu, err = cputime.OfProcess(l.config.PID)
	}
	return u, err
}

// rates are what was done in a time.
type rates struct {
	seconds float64
	frames  float64 // per second
	cpu     float64 // share of a core
}

func (u *usage) since(before *usage) rates {
	s := u.at.Sub(before.at).Seconds()
	return rates{s, float64(u.received-before.received) / s, (u.cpu - before.cpu).Seconds() / s}
}

// LocalPID returns the process that answers at an API address, unix:PATH. One
// that is in another PID namespace has none that can be told.
func LocalPID(address string) (pid int, err error) {
	path, err := api.SocketPath(address)
	if err != nil {
		return 0, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	// Of a connection to a listener the kernel tells who called listen(2) (SO_PEERCRED, unix(7)).
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil || peer.Pid == 0 {
		return 0, fmt.Errorf("who answers at %s can't be told: %v", address, failed)
	}
	return int(peer.Pid), nil
}
