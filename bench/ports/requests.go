package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The two ends of request and response, and of datagrams, use blocking system calls on a thread of
// their own: Go's network poller would add its own wake-ups to every way, and make
// their ratio look better than it is.

// anyCPU leaves it to the scheduler.
const anyCPU = "any"

// measureRequests lets the scheduler choose where the two ends run, and then gives
// each a CPU.
func (b *bed) measureRequests(ctx context.Context, w *way, r *results) error {
	var a answer
	used, err := w.during(func() (err error) {
		a, err = b.requests(ctx, w, anyCPU, anyCPU)
		return err
	})
	if err != nil {
		return err
	}
	r.add(w, figP50, micros(a.P50))
	r.add(w, figP99, micros(a.P99))
	r.add(w, figCPUPerReq, micros(used.machine)/float64(a.Requests))
	if a, err = b.requests(ctx, w, "0", "1"); err != nil {
		return err
	}
	r.add(w, figP50Apart, micros(a.P50))
	r.add(w, figP99Apart, micros(a.P99))
	return nil
}

// requests sends requests of one byte, one after the other, and awaits each answer.
// The ends are on the CPUs that are named.
func (b *bed) requests(ctx context.Context, w *way, clientCPU, serverCPU string) (a answer, err error) {
	err = b.between(ctx, w, endpoints{
		server: []string{"rr-server", address + ":7007", serverCPU},
		client: []string{"rr-client", address + ":7007", clientCPU, b.duration.String()},
	}, func(client, _ []byte) error { return json.Unmarshal(client, &a) })
	return a, err
}

// answer is what the client measured.
type answer struct {
	Requests      int
	P50, P90, P99 time.Duration
}

// endpoint makes a socket on a thread of its own, on the CPU that is named.
func endpoint(at, cpu string, kind int) (int, *unix.SockaddrInet4, error) {
	runtime.LockOSThread()
	if cpu != anyCPU {
		n, err := strconv.Atoi(cpu)
		if err != nil {
			return 0, nil, err
		}
		var set unix.CPUSet
		set.Set(n)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return 0, nil, err
		}
	}
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return 0, nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	return fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, err
}

// serveRequests answers one client, byte by byte, until it hangs up.
func serveRequests(address, cpu string) error {
	fd, at, err := endpoint(address, cpu, unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, at); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	fmt.Println("ready")
	conn, _, err := unix.Accept(fd)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	var b [1]byte
	for {
		if n, err := unix.Read(conn, b[:]); n <= 0 {
			return err
		}
		if _, err := unix.Write(conn, b[:]); err != nil {
			return err
		}
	}
}

// sendRequests asks for as long as it is told, and prints the answer.
func sendRequests(address, cpu, duration string) error {
	long, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	fd, to, err := endpoint(address, cpu, unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	var b [1]byte
	took := make([]time.Duration, 0, 1<<20)
	begin := time.Now()
	for last := begin; last.Sub(begin) < long; {
		if _, err := unix.Write(fd, b[:]); err != nil {
			return err
		}
		if n, err := unix.Read(fd, b[:]); n != 1 {
			return fmt.Errorf("read: %d bytes, %w", n, err)
		}
		now := time.Now()
		took = append(took, now.Sub(last))
		last = now
	}
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[int(share*float64(len(took)-1))] }
	return json.NewEncoder(os.Stdout).Encode(answer{len(took), at(0.5), at(0.9), at(0.99)})
}
