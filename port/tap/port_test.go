package tap

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

var (
	_ dataplane.Port   = (*Port)(nil)
	_ dataplane.Waiter = (*Port)(nil)
)

// testbed is a TAP that is up, a wire to it and a user of it. The kernel says
// nothing there unless asked.
type testbed struct {
	*user
	ns   *namespace
	wire *wire
}

func newTestbed(t testing.TB, cfg Config, arena packet.ArenaConfig) *testbed {
	t.Helper()
	ns := newNamespace(t)
	cfg.Name = "t0"
	p := ns.open(cfg)
	ns.quiet("t0")
	ns.setUp("t0", true)
	return &testbed{user: newUser(t, p, arena), ns: ns, wire: ns.wire("t0")}
}

// pattern is a frame of size bytes that says its number; a kernel ignores its type.
func pattern(size, number int) []byte {
	f := bytes.Repeat([]byte{byte(number), byte(number >> 8), 0x5a}, size/3+1)[:size]
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	return f
}

func TestKernelAnswers(t *testing.T) {
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 64, Debug: true})
	b.ns.address("t0", [4]byte{10, 9, 0, 1})
	mac := b.ns.mac("t0")
	b.send("arp 10.9.0.2 who-has 10.9.0.1")
	b.expect("arp 10.9.0.1 is-at " + mac + " to 10.9.0.2")
	b.send(`icmp 10.9.0.2 > 10.9.0.1 echo id 7 seq 3 data "are you there?" eth 0a:58:0a:09:00:02 > ` + mac)
	for _, f := range b.receive(1) {
		text := frametext.Format(f)
		require.Contains(t, text, "icmp 10.9.0.1 > 10.9.0.2 reply")
		require.Contains(t, text, `id 7 seq 3 data "are you there?"`)
	}
	require.Equal(t, Counters{Received: 2, Sent: 2}, b.p.Counters())
}

func TestFramesPassUnchanged(t *testing.T) {
	const small, large = 2048 - packet.Headroom, 65536 + 4096 - packet.Headroom
	for _, row := range []struct {
		why    string
		size   int // of the frame
		mtu    int
		arena  packet.ArenaConfig
		passes bool // from the wire to the port
	}{
		{"the shortest frame that is padded", 60, 1500, packet.ArenaConfig{Buffers: 64}, true},
		{"shorter than any that is padded", 15, 1500, packet.ArenaConfig{Buffers: 64}, true},
		{"a full frame", 1514, 1500, packet.ArenaConfig{Buffers: 64}, true},
		{"as long as a buffer", small, 9000, packet.ArenaConfig{Buffers: 64}, true},
		{"a byte longer than a buffer", small + 1, 9000, packet.ArenaConfig{Buffers: 64}, false},
		{"the same, with super-frame buffers", small + 1, 9000, packet.ArenaConfig{Buffers: 64, Supers: 1}, true},
		{"jumbo", 9014, 9000, packet.ArenaConfig{Buffers: 64, Supers: 1}, true},
		{"larger than a small super-frame buffer", 9014, 9000, packet.ArenaConfig{Buffers: 64, Supers: 4, SuperSize: 8192}, false},
		{"the longest that the kernel makes", 65535, 65521, packet.ArenaConfig{Buffers: 64, Supers: 1}, true},
		{"large buffers take more", 4096 - packet.Headroom, 9000, packet.ArenaConfig{Buffers: 64, BufferSize: 4096}, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.arena.Debug = true
			b := newTestbed(t, Config{MTU: row.mtu}, row.arena)
			f, after := pattern(row.size, 1), pattern(100, 2)
			b.wire.send(f, after)
			want, counters := [][]byte{f, after}, Counters{Received: 2}
			if !row.passes {
				want, counters = [][]byte{after}, Counters{Received: 1, RxRefused: 1}
			}
			require.Equal(t, want, b.receive(len(want)))
			require.Empty(t, b.poll(), "nothing else comes")
			require.Equal(t, counters, b.p.Counters())
			if !row.passes {
				return
			}
			require.Less(t, row.size, large)
			require.Equal(t, 1, b.try(f))
			require.Equal(t, f, b.wire.receive())
			counters.Sent = 1
			require.Equal(t, counters, b.p.Counters())
		})
	}
}

func TestVLANTagsPass(t *testing.T) {
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 64})
	for _, text := range []string{
		"udp 10.0.0.1:9 > 10.0.0.2:53 vlan 5.3 len 12",
		"udp 10.0.0.1:9 > 10.0.0.2:53 qinq 7 vlan 5 len 1400",
	} {
		b.wire.send(frame(t, text))
		require.Equal(t, text, frametext.Format(b.receive(1)[0]))
	}
}

func TestRxGivesWhatThereIsRoomFor(t *testing.T) {
	const waiting = 150
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 100})
	for i := range waiting {
		b.wire.send(pattern(60, i))
	}
	bufs := make([]packet.Index, waiting)
	require.Equal(t, 64, b.p.Rx(0, b.c, bufs[:64]), "no more than is asked for")
	n := 64 + b.p.Rx(0, b.c, bufs[64:])
	require.Equal(t, 100, n, "no more than there are buffers")
	require.Zero(t, b.p.Rx(0, b.c, bufs[n:]))
	require.Zero(t, b.p.Rx(1, b.c, bufs), "there is no second queue")
	require.Zero(t, b.p.Rx(-1, b.c, bufs))
	for i, k := range bufs[:n] {
		require.Equal(t, pattern(60, i), b.c.Arena().Frame(k))
	}
	b.c.FreeN(bufs[:n])
	for i, f := range b.receive(waiting - n) {
		require.Equal(t, pattern(60, n+i), f, "what found no buffer has stayed")
	}
}

func TestLongFrameWaitsForItsBuffer(t *testing.T) {
	b := newTestbed(t, Config{MTU: 9000}, packet.ArenaConfig{Buffers: 64, Supers: 1})
	taken := b.c.AllocSuper()
	long, after := pattern(5000, 1), pattern(60, 2)
	b.wire.send(pattern(70, 0), long, after)
	require.Equal(t, [][]byte{pattern(70, 0)}, b.receive(1))
	for range 3 {
		require.Empty(t, b.poll(), "frames would change places")
	}
	b.c.Free(taken)
	require.Equal(t, [][]byte{long, after}, b.receive(2))
	require.Equal(t, Counters{Received: 3}, b.p.Counters())
}

func TestOverlongFramesDoNotHoldUpThePoll(t *testing.T) {
	b := newTestbed(t, Config{MTU: 9000}, packet.ArenaConfig{Buffers: 64})
	for i := range 10 {
		b.wire.send(pattern(5000, i))
	}
	var bufs [4]packet.Index
	require.Zero(t, b.p.Rx(0, b.c, bufs[:]))
	require.EqualValues(t, 4, b.p.Counters().RxRefused, "as many as frames were asked for")
}

func TestFramesThatTheKernelRefusesDoNotHoldUpOthers(t *testing.T) {
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 64, Debug: true})
	require.Equal(t, 4, b.try(pattern(13, 0), pattern(60, 1), nil, pattern(60, 2)))
	require.Equal(t, pattern(60, 1), b.wire.receive())
	require.Equal(t, pattern(60, 2), b.wire.receive())
	require.Equal(t, Counters{Sent: 2, TxErrors: 2}, b.p.Counters())
}

func TestDown(t *testing.T) {
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 64, Debug: true})
	b.ns.setUp("t0", false)
	require.False(t, b.p.Caps().Up)
	require.Zero(t, b.try(pattern(60, 1), pattern(60, 2)), "all frames stay the caller's")
	require.Empty(t, b.poll())
	require.NoError(t, b.p.Err(), "down is a state, no fault")
	require.NotEqual(t, -1, b.p.FD(0))

	b.ns.setUp("t0", true)
	require.True(t, b.p.Caps().Up)
	require.Equal(t, 1, b.try(pattern(60, 3)))
	b.ns.wire("t0").send(pattern(60, 4)) // the old one has an error to tell
	require.Equal(t, [][]byte{pattern(60, 4)}, b.receive(1))
	require.Equal(t, Counters{Received: 1, Sent: 1}, b.p.Counters())
}

func TestCapsFollowTheInterface(t *testing.T) {
	b := newTestbed(t, Config{MTU: 1400}, packet.ArenaConfig{Buffers: 64})
	require.Equal(t, dataplane.Caps{Queues: 1, MTU: 1400, Up: true, RxSyscall: true}, b.p.Caps())
	mtu := func(size uint32) func(*unix.Ifreq) { return func(r *unix.Ifreq) { r.SetUint32(size) } }
	require.NoError(t, b.ns.ioctl(unix.SIOCSIFMTU, "t0", mtu(2000)))
	require.Equal(t, 2000, b.p.Caps().MTU)

	b.ns.setUp("t0", false)
	require.NoError(t, b.ns.tryRename("t0", "t1"))
	b.ns.setUp("t1", true)
	require.NoError(t, b.ns.ioctl(unix.SIOCSIFMTU, "t1", mtu(1300)))
	require.Equal(t, dataplane.Caps{Queues: 1, MTU: 1300, Up: true, RxSyscall: true}, b.p.Caps(), "a new name changes nothing")

	other := newNamespace(t)
	b.ns.move("t1", other)
	require.False(t, b.p.Caps().Up, "the kernel brings down what is moved")
	other.quiet("t1")
	other.setUp("t1", true)
	require.Equal(t, dataplane.Caps{Queues: 1, MTU: 1300, Up: true, RxSyscall: true}, b.p.Caps(), "the last MTU seen")
	require.Equal(t, 1, b.try(pattern(60, 1)))
	other.wire("t1").send(pattern(60, 2))
	require.Equal(t, [][]byte{pattern(60, 2)}, b.receive(1), "a moved device passes frames")
}

func TestRemoved(t *testing.T) {
	var bufs [4]packet.Index
	for _, row := range []struct {
		why    string
		notice func(b *testbed)
	}{
		{"receiving notices", func(b *testbed) { b.p.Rx(0, b.c, bufs[:]) }},
		{"sending notices", func(b *testbed) { b.try(pattern(60, 1)) }},
		{"asking for the state notices", func(b *testbed) { b.p.Caps() }},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := newTestbed(t, Config{Queues: 2}, packet.ArenaConfig{Buffers: 64, Debug: true})
			b.wire.send(pattern(60, 1))
			b.ns.remove("t0")
			row.notice(b)
			b.gone()
		})
	}
}

// gone states what holds for a port whose device was removed.
func (b *testbed) gone() {
	b.t.Helper()
	require.ErrorIs(b.t, b.p.Err(), unix.EBADFD)
	require.EqualError(b.t, b.p.Err(), "tap t0: the device was removed: file descriptor in bad state")
	require.False(b.t, b.p.Caps().Up)
	require.Empty(b.t, b.poll())
	require.Zero(b.t, b.try(pattern(60, 1)))
	// A worker's ppoll passes over -1; the descriptor itself is ready for ever.
	for q := range b.p.queues {
		require.Equal(b.t, -1, b.p.FD(q))
	}
	require.NoError(b.t, b.p.Close())
	require.Error(b.t, b.p.Err(), "the reason stays")
}

func TestRemovedUnderTraffic(t *testing.T) {
	b := newTestbed(t, Config{}, packet.ArenaConfig{Buffers: 256, Debug: true})
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			_ = b.wire.trySend(pattern(100, i)) // fails once the interface is gone
		}
	}()
	for received := 0; received < 500; received += len(b.poll()) {
		b.try(pattern(60, received), pattern(61, received))
	}
	b.ns.remove("t0")
	for b.p.Err() == nil {
		b.poll()
		b.try(pattern(60, 1))
	}
	stop.Store(true)
	<-done
	b.gone()
}

func TestErrnos(t *testing.T) {
	for _, row := range []struct {
		why        string
		errno      unix.Errno
		frameFault bool // writing: the next frame may pass
		writeEnds  bool
		readEnds   bool
	}{
		{"nothing to read, or the send buffer is full", unix.EAGAIN, false, false, false},
		{"a signal came", unix.EINTR, false, false, false},
		{"no memory for the frame", unix.ENOMEM, false, false, false},
		{"no room for the frame", unix.ENOBUFS, false, false, false},
		{"the interface is down", unix.EIO, false, false, true},
		{"the device was removed", unix.EBADFD, false, true, true},
		{"its driver was", unix.ENODEV, false, true, true},
		{"or its bus", unix.ENXIO, false, true, true},
		{"the descriptor is none", unix.EBADF, false, true, true},
		{"the frame is none", unix.EINVAL, true, false, true},
		{"an error that nobody has foreseen", unix.EXFULL, true, false, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			var p Port
			require.Equal(t, row.frameFault, p.frameAtFault(row.errno))
			require.Equal(t, row.writeEnds, p.Err() != nil)
			p = Port{}
			p.readFailed(row.errno)
			require.Equal(t, row.readEnds, p.Err() != nil)
			if row.readEnds {
				require.ErrorIs(t, p.Err(), row.errno)
			}
		})
	}
}

func TestQueuesKeepFlowsTogether(t *testing.T) {
	const queues, flows, packets = 4, 64, 3
	b := newTestbed(t, Config{Queues: queues}, packet.ArenaConfig{Buffers: 1024})
	for range packets {
		for port := range flows {
			f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
			f[34], f[35] = 4, byte(port) // source port; nobody looks at the checksum
			b.wire.send(f)
		}
	}
	queueOf, used, n := map[byte]int{}, map[int]bool{}, 0
	for n < flows*packets {
		before := n
		for q := range queues {
			var bufs [64]packet.Index
			k := b.p.Rx(q, b.c, bufs[:])
			for _, i := range bufs[:k] {
				port := b.c.Arena().Frame(i)[35]
				if at, seen := queueOf[port]; seen {
					require.Equal(t, at, q, "flow %d", port)
				}
				queueOf[port], used[q] = q, true
			}
			b.c.FreeN(bufs[:k])
			n += k
		}
		if n == before {
			require.True(t, b.wait(), "%d frames came", n)
		}
	}
	require.Len(t, queueOf, flows)
	require.Greater(t, len(used), 1, "the kernel uses several queues")

	bufs := []packet.Index{b.c.Alloc()}
	b.c.Arena().Meta(bufs[0]).Len = 60
	require.Equal(t, 1, b.p.Tx(17, b.c, bufs), "any worker may send")
	require.EqualValues(t, 1, b.p.Counters().Sent)
}

func TestBooksAgreeWithTheKernel(t *testing.T) {
	b := newTestbed(t, Config{MTU: 9000}, packet.ArenaConfig{Buffers: 256})
	const sent, received, overlong = 120, 90, 3
	for i := range sent {
		require.Equal(t, 1, b.try(pattern(60+i, i)))
	}
	require.Equal(t, 1, b.try(pattern(5, 0)), "refused, and so not the kernel's")
	for i := range received {
		b.wire.send(pattern(60+i, i))
		if i%(received/overlong) == 0 {
			b.wire.send(pattern(5000, i))
		}
	}
	require.Len(t, b.receive(received), received)
	require.Equal(t, Counters{Received: received, RxRefused: overlong, Sent: sent, TxErrors: 1}, b.p.Counters())
	toPort, fromPort := b.ns.kernelCounts("t0")
	require.EqualValues(t, received+overlong, toPort)
	require.EqualValues(t, sent, fromPort)
}

func TestNothingIsAllocated(t *testing.T) { bothWays(t, nothingIsAllocated) }

func nothingIsAllocated(t *testing.T, offload bool) {
	b := newTestbed(t, Config{MTU: 9000, Offload: offload}, packet.ArenaConfig{Buffers: 512, Supers: 32})
	const runs = 50 // AllocsPerRun adds one
	for i := range 4 * (runs + 1) {
		b.wire.send(pattern([...]int{60, 1514, 5000, 60}[i%4], i))
	}
	var bufs [64]packet.Index
	n := 0
	require.Zero(t, testing.AllocsPerRun(runs, func() {
		k := b.p.Rx(0, b.c, bufs[:4])
		b.c.FreeN(bufs[:k])
		n += k
	}), "receiving")
	require.Equal(t, 4*(runs+1), n)
	require.Empty(t, b.poll())
	require.Zero(t, testing.AllocsPerRun(runs, func() { b.p.Rx(0, b.c, bufs[:]) }), "receiving nothing")
	fill := func() {
		for i := range bufs {
			bufs[i] = b.c.Alloc()
			b.c.Arena().Meta(bufs[i]).Len = uint32(60 + i)
		}
	}
	require.Zero(t, testing.AllocsPerRun(runs, func() { fill(); b.p.Tx(0, b.c, bufs[:]) }), "sending")
	require.EqualValues(t, len(bufs)*(runs+1), b.p.Counters().Sent)
	b.ns.setUp("t0", false)
	require.Zero(t, testing.AllocsPerRun(runs, func() {
		fill()
		b.c.FreeN(bufs[b.p.Tx(0, b.c, bufs[:]):])
		b.p.Caps() // the engine asks for the reason
	}), "not sending")
	require.EqualValues(t, len(bufs)*(runs+1), b.p.Counters().Sent)
	b.ns.remove("t0")
	require.Zero(t, testing.AllocsPerRun(runs, func() { b.p.Rx(0, b.c, bufs[:]); b.p.Caps(); b.p.FD(0) }), "removed")
}

func BenchmarkPort(b *testing.B) {
	var bufs [64]packet.Index
	b.Run("rx nothing", func(b *testing.B) {
		tb := newTestbed(b, Config{}, packet.ArenaConfig{Buffers: 512})
		for b.Loop() {
			tb.p.Rx(0, tb.c, bufs[:])
		}
	})
	for _, size := range []int{60, 1514, 60_000} {
		name := strconv.Itoa(size) + " bytes"
		b.Run("tx/"+name, func(b *testing.B) {
			tb := newTestbed(b, Config{Offload: true, MTU: maxMTU}, packet.ArenaConfig{Buffers: 512, Supers: 64})
			f := pattern(size, 1)
			n := 0
			for b.Loop() {
				for i := range bufs {
					bufs[i] = tb.c.AllocFor(size)
					tb.c.Arena().Meta(bufs[i]).Len = uint32(size)
					copy(tb.c.Arena().Frame(bufs[i]), f[:60])
				}
				n += tb.p.Tx(0, tb.c, bufs[:])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/pkt")
		})
		b.Run("rx/"+name, func(b *testing.B) {
			tb := newTestbed(b, Config{Offload: true, MTU: maxMTU}, packet.ArenaConfig{Buffers: 512, Supers: 64})
			f := pattern(size, 1)
			n := 0
			for b.Loop() {
				b.StopTimer()
				for range bufs {
					tb.wire.send(f)
				}
				b.StartTimer()
				k := tb.p.Rx(0, tb.c, bufs[:])
				tb.c.FreeN(bufs[:k])
				n += k
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/pkt")
		})
	}
}
