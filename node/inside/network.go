// Package inside is a network namespace of the node's own, from which its programs (monitors, health checks of
// services) reach workloads as others do: through the data plane.
//
//	 kernel's TCP/IP, in the namespace            the data plane
//	┌──────────────────────────────────┐         ┌─────────────────────────────────────┐
//	│ Dial, Listen ── TAP of router A ─┼─ frames ┼─ port inside of A ── router A ── …  │
//	│             └── TAP of router B ─┼─────────┼─ port inside of B ── router B ── …  │
//	│ 192.0.0.2, by the device         │         │ 192.0.0.1                           │
//	└──────────────────────────────────┘         └─────────────────────────────────────┘
//
// Each router with something to be reached has a device, all with the same addresses (control.InsideRouter): which
// one a socket means is said by SO_BINDTODEVICE.
//
// The namespace has no name. It ends with the process, however that ends, and all that is in it with it.
package inside

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// Network is the namespace, which is made once it is needed. It is for several goroutines at a time.
type Network struct {
	mu        sync.Mutex
	thread    *thread // in the namespace; nil: there is none yet
	closed    bool
	listeners map[string]map[net.Listener]struct{} // by device
}

// thread is one that is in the namespace.
type thread struct {
	work chan func()
	over chan struct{}
}

// New returns a Network that takes nothing of the machine yet. The caller closes it.
func New() *Network { return &Network{listeners: map[string]map[net.Listener]struct{}{}} }

// enter returns the thread in the namespace, which it makes if there is none.
func (n *Network) enter() (*thread, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, ErrClosed
	case n.thread != nil:
		return n.thread, nil
	}
	t := &thread{work: make(chan func()), over: make(chan struct{})}
	made := make(chan error)
	onThread(func() { t.run(made) })
	if err := <-made; err != nil {
		return nil, err
	}
	if err := t.do(prepare); err != nil {
		close(t.over)
		return nil, err
	}
	n.thread = t
	return t, nil
}

// onThread runs f in a goroutine with a thread of its own, which ends with it. It is not the process's first one: by
// that others see the namespace of the process (/proc/PID/ns/net).
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		begun := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(begun)
			f()
		}()
		<-begun // on another thread, as this one is taken
		runtime.UnlockOSThread()
	}()
}

// run does the work until over.
func (t *thread) run(made chan<- error) {
	err := unix.Unshare(unix.CLONE_NEWNET)
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("run as root or give the program CAP_SYS_ADMIN: %w", err)
	}
	if err != nil {
		made <- fmt.Errorf("make a network namespace for the node itself: %w", err)
		return
	}
	made <- nil
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.over:
			return
		}
	}
}

func (t *thread) do(f func() error) error {
	done := make(chan error, 1)
	select {
	case t.work <- func() { done <- f() }:
		return <-done
	case <-t.over:
		return ErrClosed
	}
}

// prepare sets the namespace up. What only makes things nicer may be refused: a container may have its
// settings read-only.
func prepare() error {
	// Each router has a device with the same addresses, so what comes back by one seems to be another's.
	for _, s := range [][2]string{
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/ping_group_range", "0 2147483647"}, // else pings take raw sockets, see health.DialEcho
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/addr_gen_mode", "1"}, // no link-local address, no noise about it
	} {
		_ = netdev.SetSysctl("", s[0], s[1])
	}
	return netdev.SetUp("", "lo", true)
}

// ErrClosed is the error of what is asked of a Network after Close.
var ErrClosed = errors.New("the node's own network is closed")

// Do runs f on the thread in the namespace, one at a time, and returns its error: sockets that it makes stay in the
// namespace. f must be short, and not wait for the network.
func (n *Network) Do(f func() error) error {
	t, err := n.enter()
	if err != nil {
		return err
	}
	return t.do(f)
}

// Close gives the namespace up: it ends once the last socket and device in it is closed. It may be called several times.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.thread != nil && !n.closed {
		close(n.thread.over)
	}
	n.closed = true
}
