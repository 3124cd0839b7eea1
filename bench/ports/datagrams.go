package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// One system call sends so many datagrams of such a size as one super-frame
// (UDP_SEGMENT, udp(7)), as QUIC's servers do; the receiver asks to have them
// together as well (UDP_GRO).
const (
	segmentSize  = 1448
	segmentCount = 44
)

// datagrams sends UDP as fast as it goes from the first pod to the second, which counts
// what arrives; no one slows the sender down.
func (b *bed) datagrams(ctx context.Context, w *way) (t transfer, err error) {
	err = b.between(ctx, w, endpoints{
		server: []string{"udp-server", address + ":7009", b.duration.String()},
		client: []string{"udp-client", address + ":7009", b.duration.String()},
	}, func(_, server []byte) error {
		var got received
		err := json.Unmarshal(server, &got)
		t = transfer{float64(got.Bytes), got.Took.Seconds()}
		return err
	})
	if err == nil && t.bytes == 0 {
		err = errors.New("no datagram came through")
	}
	return t, err
}

// received is what the server measured.
type received struct {
	Bytes int64
	Took  time.Duration // from the first to the last
}

// countDatagrams receives until nothing more comes.
func countDatagrams(at, duration string) error {
	long, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	fd, sa, err := endpoint(at, anyCPU, unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.Bind(fd, sa),
	); err != nil {
		return err
	}
	fmt.Println("ready")
	patience := unix.NsecToTimeval((5 * time.Second).Nanoseconds()) // for the first
	var got received
	var first time.Time
	b := make([]byte, 1<<16)
	for {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
			return err
		}
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return json.NewEncoder(os.Stdout).Encode(got)
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
		now := time.Now()
		if first.IsZero() {
			first, patience = now, unix.NsecToTimeval((200 * time.Millisecond).Nanoseconds())
		}
		if now.Sub(first) > 2*long {
			return fmt.Errorf("datagrams come after %v", 2*long)
		}
		got.Bytes += int64(n)
		got.Took = now.Sub(first)
	}
}

// sendDatagrams sends for as long as it is told.
func sendDatagrams(to, duration string) error {
	long, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	fd, sa, err := endpoint(to, anyCPU, unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Connect(fd, sa), unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, segmentSize)); err != nil {
		return err
	}
	b := make([]byte, segmentSize*segmentCount)
	for begin := time.Now(); time.Since(begin) < long; {
		if _, err := unix.Write(fd, b); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}
