package dataplane

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller knows which queues of a running worker are worth a look. Rings in
// memory are looked at in every turn. Where looking is a system call the
// kernel is asked, for all such queues at once, which of them have frames: with two
// hundred packet sockets a turn costs one call instead of two hundred.
type poller struct {
	epoll  int // over the queues in watched
	waker  int // eventfd: something else than a frame wants the worker
	events [maxEvents]unix.EpollEvent

	of      *Snapshot // that the fields below were made for
	direct  []queue   // looked at in every turn
	watched []watched // looked at when epoll says so, and while they last
	hot     []int32   // indices of watched to look at in this turn
	turns   uint64
	sleepOn []unix.PollFd

	// complete: each queue has a descriptor to wait for.
	complete bool
}

// watched is a queue whose Rx is a system call.
type watched struct {
	queue
	fd   int
	hot  bool  // in hot
	more bool  // the last look found something: there may be more
	last int64 // when one did

	errors int // in a row, that epoll has told of without frames
}

// hotFor is how long a queue that had frames is looked at without asking epoll,
// in ns, while at most maxHot are: the answer to what was sent just now is worth
// a call less. Request and response over two TAPs: 9.4 µs instead of 10.3.
const (
	hotFor = 50_000
	maxHot = 4
)

const maxEvents = 64

// maxErrors is more than a device that lives has at once.
const maxErrors = 8

// askEvery: while some queues are hot, epoll is asked about the others once in so
// many turns.
const askEvery = 4

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll descriptor: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("make an event descriptor: %w", err)
	}
	return &poller{epoll: epoll, waker: waker}, nil
}

func (p *poller) close() {
	_ = unix.Close(p.epoll)
	_ = unix.Close(p.waker)
}

// wake ends the worker's sleep, or keeps it from the next. Any goroutine may call it.
func (p *poller) wake() {
	one := [8]byte{7: 1, 0: 1} // not 0 in either byte order
	_, _ = unix.Write(p.waker, one[:])
}

// use takes up the worker's queues as they are in its present snapshot.
func (p *poller) use(w *Worker) {
	for i := range p.watched {
		// It is not there any more if the device has closed it.
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, p.watched[i].fd, nil)
	}
	p.of, p.complete = w.snap, true
	p.direct, p.watched, p.hot = p.direct[:0], p.watched[:0], p.hot[:0]
	p.sleepOn = append(p.sleepOn[:0],
		unix.PollFd{Fd: int32(p.waker), Events: unix.POLLIN}, unix.PollFd{Fd: int32(p.epoll), Events: unix.POLLIN})
	for _, q := range w.queues {
		fd := -1
		waiter, waits := q.port.Port.(Waiter)
		if waits {
			fd = waiter.FD(q.q)
		}
		if fd >= 0 && q.port.Caps.RxSyscall {
			event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(p.watched))}
			if unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event) == nil {
				p.watched = append(p.watched, watched{queue: q, fd: fd})
				continue
			}
		}
		switch {
		case fd >= 0:
			p.sleepOn = append(p.sleepOn, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		case !waits:
			p.complete = false
		}
		if fd >= 0 || !waits {
			p.direct = append(p.direct, q)
		}
	}
	// What came before they were watched is reported all the same: epoll is
	// level-triggered here.
}

// turn is one turn of a running worker: Step, but for queues that have nothing.
func (w *Worker) turn(now int64, p *poller) (n int) {
	if p.of != w.snap {
		p.use(w)
	}
	for i := range p.direct {
		n += w.poll(&p.direct[i], now, VectorSize)
	}
	if len(p.watched) != 0 {
		if p.turns++; len(p.hot) < len(p.watched) && (len(p.hot) == 0 || p.turns%askEvery == 0) {
			p.ask()
		}
		n += w.pollHot(now, p)
	}
	w.endTurn(now)
	return n
}

// pollHot polls the queues that have something, and those that had just now. The
// first look takes one frame: to take two is to ask for a third, and that
// call would be made while the first frame waits.
func (w *Worker) pollHot(now int64, p *poller) (n int) {
	kept := p.hot[:0]
	few := len(p.hot) <= maxHot
	for _, i := range p.hot {
		q := &p.watched[i]
		most := 1
		if q.more {
			most = VectorSize
		}
		got := w.poll(&q.queue, now, most)
		n += got
		if q.more = got != 0; q.more {
			q.last = now
		}
		if got == most || few && now-q.last < hotFor {
			kept = append(kept, i)
			continue
		}
		q.hot = false
	}
	p.hot = kept
	return n
}

// ask finds out which watched queues have something.
func (p *poller) ask() {
	// It returns at once, so that the scheduler need not know.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), maxEvents, 0, 0, 0)
	if errno != 0 {
		return // EINTR: the next turn asks again
	}
	for i := range p.events[:n] {
		e := &p.events[i]
		q := &p.watched[e.Fd]
		if e.Events&unix.EPOLLIN != 0 {
			q.errors = 0
		} else if q.errors++; q.errors == maxErrors {
			// Some devices that have gone say so for ever, and would keep the
			// worker from sleeping. Rx has been called meanwhile, and has not
			// cleared it, as it clears the error of a link that goes down.
			_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, q.fd, nil)
		}
		if !q.hot {
			q.hot = true
			p.hot = append(p.hot, e.Fd)
		}
	}
}

// sleep waits until a queue has frames, the worker is woken, or the time is
// over. It reports whether there are frames.
func (p *poller) sleep(longest time.Duration) bool {
	ts := unix.NsecToTimespec(int64(longest))
	// EINTR and a descriptor that has gone bad both mean: look again.
	n, err := unix.Ppoll(p.sleepOn, &ts, nil)
	if err != nil || n == 0 {
		return false
	}
	if p.sleepOn[0].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(p.waker, count[:])
		n--
	}
	return n > 0
}
