package main

import (
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

// The two ends of request and response use blocking system calls on a thread of
// their own: Go's network poller would add its own wake-ups to every way, and make
// their ratio look better than it is.

// anyCPU leaves it to the scheduler.
const anyCPU = "any"

// answer is what the client measured.
type answer struct {
	Requests      int
	P50, P90, P99 time.Duration
}

func endpoint(address, cpu string) (int, *unix.SockaddrInet4, error) {
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
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, err
}

// serveRequests answers one client, byte by byte, until it hangs up.
func serveRequests(address, cpu string) error {
	fd, at, err := endpoint(address, cpu)
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
	fd, to, err := endpoint(address, cpu)
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
