package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Heard is what came to a port that an Echo listens at.
type Heard struct {
	Connections int             `json:"connections"` // TCP
	Ends        map[Outcome]int `json:"ends"`        // how they ended; Ended are those that were still open
	Datagrams   int             `json:"datagrams"`
	Bytes       int64           `json:"bytes"` // of both
}

// Echo sends back what it gets, by TCP and UDP, on each of some ports, until ctx is done. Then it says what it has got, by
// port.
type Echo struct {
	Ports []int

	mu    sync.Mutex
	heard map[string]*Heard
}

// Run listens.
func (e *Echo) Run(ctx context.Context) (map[string]*Heard, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	e.heard = map[string]*Heard{}
	failed := make(chan error, 2*len(e.Ports))
	var config net.ListenConfig
	for _, port := range e.Ports {
		h := &Heard{Ends: tally()}
		e.heard[strconv.Itoa(port)] = h
		address := fmt.Sprintf(":%d", port)
		streams, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { streams.Close() })
		datagrams, err := config.ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { datagrams.Close() })
		wg.Go(func() { failed <- e.accept(ctx, streams, h, &wg) })
		wg.Go(func() { failed <- e.answer(ctx, datagrams, h) })
	}
	select {
	case <-ctx.Done():
	case err := <-failed:
		return nil, err
	}
	cancel()
	wg.Wait()
	return e.heard, nil
}

// note counts, for goroutines of several connections.
func (e *Echo) note(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *Echo) accept(ctx context.Context, l net.Listener, h *Heard, wg *sync.WaitGroup) error {
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ECONNABORTED):
			continue // it was reset while it waited to be accepted
		case err != nil:
			return err
		}
		e.note(func() { h.Connections++ })
		wg.Go(func() {
			end := e.converse(ctx, c, h)
			e.note(func() { h.Ends[end]++ })
		})
	}
}

// converse sends back what comes, and returns how the connection ended.
func (e *Echo) converse(ctx context.Context, c net.Conn, h *Heard) Outcome {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	data := make([]byte, 64<<10)
	for {
		n, err := c.Read(data)
		if n > 0 {
			e.note(func() { h.Bytes += int64(n) })
			if _, e := c.Write(data[:n]); err == nil {
				err = e
			}
		}
		if ctx.Err() != nil {
			return Ended
		}
		if err != nil {
			outcome, _ := outcomeOf(err)
			return outcome
		}
	}
}

func (e *Echo) answer(ctx context.Context, c net.PacketConn, h *Heard) error {
	data := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(data)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		e.note(func() { h.Datagrams++; h.Bytes += int64(n) })
		// Whether an answer leaves is the other end's to say: the way back may be closed, on purpose.
		_, _ = c.WriteTo(data[:n], from)
	}
}
