package logging

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// batch is how much is given to the writer at once, bytes; a line that is longer is
// given alone.
const batch = 32 << 10

// outlet takes lines to a writer. Whoever puts one never waits for it: one
// goroutine does, behind a queue. What does not fit into that is lost and counted, as
// is what the writer refuses. A nil outlet has no writer.
type outlet struct {
	w            io.Writer
	mostBytes    int // of the queue
	flushTimeout time.Duration
	tellLost     func(n uint64) // puts a line

	lost  atomic.Uint64 // lines that the writer did not get
	ended chan struct{} // closed with the goroutine

	mu     sync.Mutex
	more   sync.Cond // of mu: there is something to do
	queue  [][]byte
	size   int // bytes of the queue
	closed bool
	untold uint64 // lost, and tellLost has not been called
	put    uint64 // lines that were queued
	done   uint64 // of these, those that the writer got or refused
	flush  []flush
}

// flush waits for the lines that were put before it.
type flush struct {
	put  uint64
	over chan struct{}
}

func newOutlet(w io.Writer, size int, flushTimeout time.Duration, tellLost func(n uint64)) *outlet {
	o := &outlet{w: w, mostBytes: size, flushTimeout: flushTimeout, tellLost: tellLost, ended: make(chan struct{})}
	o.more.L = &o.mu
	go o.run()
	return o
}

// add queues a line, which nobody changes any more. After close it does nothing.
func (o *outlet) add(line []byte) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
	case o.size+len(line) > o.mostBytes && o.size > 0:
		o.lost.Add(1)
		o.untold++
	default:
		o.queue = append(o.queue, line)
		o.size += len(line)
		o.put++
		o.more.Signal()
	}
}

// run gives lines to the writer until the outlet is closed and there are none left.
func (o *outlet) run() {
	defer close(o.ended)
	var buffer []byte
	works := true // the writer took what it was given last
	for {
		lines, untold, more := o.next(works)
		if !more {
			return
		}
		if untold != 0 {
			o.tellLost(untold)
		}
		refused := 0
		for len(lines) > 0 {
			n := 0
			for buffer = buffer[:0]; n < len(lines) && (n == 0 || len(buffer)+len(lines[n]) <= batch); n++ {
				buffer = append(buffer, lines[n]...)
			}
			if _, err := o.w.Write(buffer); err != nil {
				refused += n
			}
			o.wrote(n)
			lines = lines[n:]
		}
		if works = refused == 0; !works {
			o.refused(refused)
		}
		if cap(buffer) > 4*batch {
			buffer = nil // it was for a line out of the ordinary
		}
	}
}

// next waits for something to do: lines, all that are queued; or a loss, which is told
// of while the writer works. There is no more once the outlet is closed and empty.
func (o *outlet) next(works bool) (lines [][]byte, untold uint64, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed && (o.untold == 0 || !works) {
		o.more.Wait()
	}
	lines, o.queue, o.size = o.queue, nil, 0
	if works && !o.closed { // now that there is room for a line about it
		untold, o.untold = o.untold, 0
	}
	return lines, untold, len(lines) > 0 || !o.closed
}

// wrote notes that the writer got or refused the next n lines.
func (o *outlet) wrote(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done += uint64(n)
	for len(o.flush) > 0 && o.flush[0].put <= o.done {
		close(o.flush[0].over)
		o.flush = o.flush[1:]
	}
}

func (o *outlet) refused(n int) {
	o.lost.Add(uint64(n))
	o.mu.Lock()
	o.untold += uint64(n)
	o.mu.Unlock()
}

// wait returns when the writer got or refused what was put before, or after the
// timeout.
func (o *outlet) wait() {
	if o == nil {
		return
	}
	o.mu.Lock()
	over := make(chan struct{})
	if o.done == o.put {
		close(over)
	} else {
		o.flush = append(o.flush, flush{o.put, over})
	}
	o.mu.Unlock()
	select {
	case <-over:
	case <-o.ended:
	case <-time.After(o.flushTimeout):
	}
}

// close ends the goroutine when the queue is empty, or leaves it waiting for the
// writer after the timeout. It is an error if lines have been lost and nobody was
// told of them.
func (o *outlet) close() error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	o.closed = true
	o.more.Signal()
	o.mu.Unlock()
	timeout := time.NewTimer(o.flushTimeout)
	defer timeout.Stop()
	select {
	case <-o.ended:
	case <-timeout.C:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.untold + o.put - o.done; n != 0 {
		return fmt.Errorf("%d lines of the log were lost: what reads it is too slow, or failed", n)
	}
	return nil
}
