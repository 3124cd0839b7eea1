package dataplane_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// syscallPort is a port whose Rx is a system call: it takes one byte off a
// socket for each frame, and counts how often it was asked.
type syscallPort struct {
	*mem.Port
	fd    int
	asked atomic.Int64
}

func (p *syscallPort) FD(int) int { return p.fd }

func (p *syscallPort) Caps() dataplane.Caps {
	c := p.Port.Caps()
	c.RxSyscall = true
	return c
}

func (p *syscallPort) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	p.asked.Add(1)
	var bytes [dataplane.VectorSize]byte
	n, _ := unix.Read(p.fd, bytes[:len(bufs)])
	if n <= 0 {
		return 0
	}
	return p.Port.Rx(q, c, bufs[:n])
}

// newSyscallPort returns a port and the descriptor whose other end it reads.
func newSyscallPort(t *testing.T) (*syscallPort, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return &syscallPort{Port: mem.New(mem.Config{}), fd: fds[0]}, fds[1]
}

func TestQueuesThatCostASystemCallAreAskedWhenTheyHaveFrames(t *testing.T) {
	busy, send := newSyscallPort(t)
	quiet, _ := newSyscallPort(t)
	r := newRig(t, rigConfig{ports: []dataplane.Port{busy, mem.New(mem.Config{}), quiet}})
	r.publish(toPort2(r, 0), nil)
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Nap: time.Millisecond}}))
	frames := udpFlows(200)
	for _, f := range frames {
		busy.Inject(f)
	}
	_, err := unix.Write(send, make([]byte, len(frames)))
	require.NoError(t, err)
	eventually(t, "all frames pass", func() bool { return r.engine.PortCounters(2).TxPackets == uint64(len(frames)) })
	require.Zero(t, quiet.asked.Load(), "nobody asks a queue that epoll does not name")
	sleeps := func() uint64 { return r.engine.Worker(0).Stats().Sleeps }
	before := sleeps()
	eventually(t, "it no longer expects more", func() bool { return sleeps() > before+2 })
	asked := busy.asked.Load()
	before = sleeps()
	eventually(t, "it goes on turning", func() bool { return sleeps() > before+10 })
	require.Equal(t, asked, busy.asked.Load(), "nor one that has run dry")
	r.engine.Stop()
}

func TestADeviceThatHasGoneDoesNotKeepAWorkerAwake(t *testing.T) {
	fds := pipe(t)
	dead := &syscallPort{Port: mem.New(mem.Config{}), fd: fds[0]}
	r := newRig(t, rigConfig{ports: []dataplane.Port{dead, waiting{mem.New(mem.Config{}), pipe(t)[0]}}})
	r.publish(toPort2(r, 0), nil)
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Sleep: time.Hour}}))
	w := r.engine.Worker(0)
	eventually(t, "it sleeps", func() bool { return w.Stats().Sleeps > 0 })
	require.NoError(t, unix.Close(fds[1])) // the reading end has a hang-up for ever
	eventually(t, "it looks", func() bool { return dead.asked.Load() > 0 })
	before := w.Stats().Turns
	time.Sleep(20 * time.Millisecond)
	require.Less(t, w.Stats().Turns-before, uint64(20), "it sleeps again")
	r.engine.Stop() // wakes it
}

func TestPublicationWakesASleepingWorker(t *testing.T) {
	in := waiting{mem.New(mem.Config{}), pipe(t)[0]}
	r := newRig(t, rigConfig{ports: []dataplane.Port{in, waiting{mem.New(mem.Config{}), pipe(t)[0]}}})
	r.publish(toPort2(r, 0), nil)
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Sleep: time.Hour}}))
	eventually(t, "it sleeps", func() bool { return r.engine.Worker(0).Stats().Sleeps > 0 })
	r.publish(toPort2(r, 0), nil)
	r.engine.Synchronize() // would wait for an hour
	r.engine.Stop()        // as would this
}
