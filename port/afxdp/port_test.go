package afxdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

var (
	_ dataplane.Port   = (*Port)(nil)
	_ dataplane.Waiter = (*Port)(nil)
)

func TestFramesPass(t *testing.T) {
	rows := []struct {
		why   string
		size  int
		super bool // sent from a super-frame buffer
		shift int  // how far the frame starts before the usual place
	}{
		{why: "the shortest that Ethernet has", size: 60},
		{why: "nothing but a header", size: 14},
		{why: "a full one", size: 1514},
		{why: "from a super-frame buffer, which the kernel can't read", size: 1000, super: true},
		{why: "as long as one buffer takes", size: 2048 - packet.Headroom},
		{why: "in two buffers", size: 2048 - packet.Headroom + 1},
		{why: "in as many as MTU 9000 takes", size: 9014},
		{why: "at the buffer's very start, where no metadata fit before it", size: 500, shift: packet.Headroom},
		{why: "with just room for them", size: 500, shift: packet.Headroom - metadataSize},
		{why: "with less", size: 500, shift: packet.Headroom - metadataSize + 1},
	}
	w, p := newPort(t, netnstest.VethOptions{MTU: 9000}, Config{Offload: true})
	r, u := w.tester(t), use(t, p)
	for n, row := range rows {
		f := pattern(row.size, n)
		r.send(f)
		frames, metas := u.receive(1)
		require.Equal(t, f, frames[0], row.why)
		require.False(t, metas[0].CsumPartial)

		b := u.c.AllocFor(len(f))
		if row.super {
			u.c.Free(b)
			b = u.c.AllocSuper()
		}
		u.a.Meta(b).Len = uint32(len(f) - row.shift)
		require.True(t, u.a.Prepend(b, row.shift))
		copy(u.a.Frame(b), f)
		require.Equal(t, 1, p.Tx(0, u.c, []packet.Index{b}), row.why)
		require.Equal(t, f, r.receive(), row.why)
	}
	require.Equal(t, Counters{Received: uint64(len(rows)), Sent: uint64(len(rows))}, p.Counters())
}

func TestFramesThatCannotBeSentAreCounted(t *testing.T) {
	rows := []struct {
		why    string
		size   int
		change func(m *packet.Meta)
	}{
		{why: "shorter than an Ethernet header", size: 13},
		{why: "empty: a descriptor of length 0 would be lost with its buffer", size: 0},
		{why: "in more pieces than the kernel takes", size: maxPieces*(2048-txHeadroom) + 1},
		{
			why: "a checksum beyond the end, at which the kernel would stop for ever", size: 100,
			change: func(m *packet.Meta) { m.CsumPartial, m.CsumStart, m.CsumOffset = true, 90, 9 },
		},
		{
			why: "a checksum beyond the first piece", size: 5000,
			change: func(m *packet.Meta) { m.CsumPartial, m.CsumStart, m.CsumOffset = true, 3000, 16 },
		},
	}
	w, p := newPort(t, netnstest.VethOptions{MTU: 9000}, Config{Offload: true})
	r, u := w.tester(t), use(t, p)
	for n, row := range rows {
		b := u.buffer(pattern(max(row.size, 14), n))
		u.a.Meta(b).Len = uint32(row.size)
		if row.change != nil {
			row.change(u.a.Meta(b))
		}
		good := pattern(60, n)
		require.Equal(t, 2, p.Tx(0, u.c, []packet.Index{b, u.buffer(good)}), row.why)
		require.Equal(t, good, r.receive(), "the next one passes: %s", row.why)
		require.Equal(t, uint64(n+1), p.Counters().TxRefused, row.why)
	}
	require.Equal(t, uint64(len(rows)), p.Counters().Sent)
}

// TestVLANTagsBesideTheFrame has the kernel keep a frame's tag outside of it, as
// it does for VLAN devices on a veth, and expects it in the frame.
func TestVLANTagsBesideTheFrame(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	r, u := w.tester(t), use(t, p)
	if !p.redirect.tags {
		t.Skip("this test needs a kernel that tells programs of VLAN tags (Linux 6.8)")
	}
	const tci = 5<<13 | 100
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, 0x0081), // 802.1Q in network order, on a little-endian machine
			asm.Mov.Imm(asm.R3, tci),
			asm.FnSkbVlanPush.Call(),
			asm.Mov.Imm(asm.R0, -1), // TCX_NEXT: on with it
			asm.Return(),
		},
	})
	require.NoError(t, err)
	defer program.Close()
	plain := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 40")
	r.send(plain)
	frames, _ := u.receive(1)
	require.Equal(t, plain, frames[0], "without a tag")
	var l link.Link
	require.NoError(t, w.pod.Do(func() (err error) {
		l, err = link.AttachTCX(link.TCXOptions{Interface: r.index, Program: program, Attach: ebpf.AttachTCXEgress})
		return err
	}))
	defer l.Close()
	for range 3 {
		r.send(plain)
	}
	frames, _ = u.receive(3)
	tagged := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 40 vlan 100.5")
	for _, f := range frames {
		require.Equal(t, frametext.Format(tagged), frametext.Format(f))
	}
	// The other way it is part of the frame; the pod's kernel takes it out again.
	u.send(tagged)
	require.Equal(t, len(plain), len(r.receive()))
}

func TestLinkDownAndUp(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	r, u := w.tester(t), use(t, p)
	require.True(t, p.Caps().Up)
	u.send(pattern(60, 1))
	require.Equal(t, pattern(60, 1), r.receive())

	w.host.Down("p1")
	require.False(t, p.Caps().Up)
	bufs := []packet.Index{u.buffer(pattern(60, 2)), u.buffer(pattern(60, 3))}
	p.Tx(0, u.c, bufs[:1]) // by which the port finds out
	require.Zero(t, p.Tx(0, u.c, bufs[1:]), "what would only lie there is not taken")
	require.Zero(t, p.Tx(0, u.c, bufs[1:]))
	require.NoError(t, p.Err())

	w.host.Up("p1")
	eventually(t, "the link is up", func() bool { return p.Caps().Up })
	require.Equal(t, 1, p.Tx(0, u.c, bufs[1:]))
	require.Equal(t, pattern(60, 2), r.receive())
	require.Equal(t, pattern(60, 3), r.receive())
	r.send(pattern(60, 4))
	frames, _ := u.receive(1)
	require.Equal(t, pattern(60, 4), frames[0])
	require.NoError(t, p.Err())
}

func TestNoCarrier(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	u := use(t, p)
	w.pod.Down("eth0")
	eventually(t, "the kernel says so", func() bool { return !p.Caps().Up })
	taken := 0
	for n := range 2 * defaultRing {
		b := u.buffer(pattern(60, n))
		if p.Tx(0, u.c, []packet.Index{b}) == 0 {
			u.c.Free(b)
			continue
		}
		taken++
	}
	c := p.Counters()
	require.Equal(t, uint64(taken), c.Sent+c.TxLost, "the books balance: %+v", c)
	require.NotZero(t, c.TxLost)
	require.NoError(t, p.Err(), "it may come back")
}

// TestPartialChecksums sends what a pod leaves to the device, as packet sockets
// can with a virtio header, and expects the port to notice.
func TestPartialChecksums(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	r, u := w.tester(t), use(t, p)
	require.NoError(t, unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	whole := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 99")
	info, _ := packet.AsIPv4(whole[14:])
	partial := append([]byte(nil), whole...)
	sum := packet.PartialChecksum(info.Src(), info.Dst(), packet.ProtoUDP, uint32(len(whole)-34))
	partial[40], partial[41] = byte(sum>>8), byte(sum)
	r.send(append([]byte{1, 0, 0, 0, 0, 0, 34, 0, 6, 0}, partial...)) // NEEDS_CSUM, start 34, offset 6
	frames, metas := u.receive(1)
	require.Equal(t, partial, frames[0], "the kernel has left it as it was")
	require.True(t, metas[0].CsumPartial)
	require.True(t, packet.CompleteIfPartial(frames[0], &metas[0]))
	require.Equal(t, whole, frames[0])
}

func TestRemovalEndsThePort(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	r, u := w.tester(t), use(t, p)
	r.send(pattern(60, 1), pattern(60, 2), pattern(60, 3)) // some are left in the ring
	u.receive(1)
	require.GreaterOrEqual(t, p.FD(0), 0)
	w.host.Delete("p1")
	// Nobody asks but a worker that polls.
	var bufs [64]packet.Index
	eventually(t, "the worker finds out", func() bool {
		u.c.FreeN(bufs[:p.Rx(0, u.c, bufs[:])])
		return p.FD(0) == -1
	})
	require.ErrorContains(t, p.Err(), "removed")
	require.False(t, p.Caps().Up)
	b := u.buffer(pattern(60, 1))
	require.Zero(t, p.Tx(0, u.c, []packet.Index{b}))
	u.c.Free(b)
	require.Zero(t, p.Rx(0, u.c, bufs[:]))
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "twice is once")
	require.Zero(t, u.a.InUse())

	// It comes back under its name, and so does the port.
	netnstest.Veth(t, w.pod, "eth0", w.host, "p1", netnstest.VethOptions{})
	again := w.open(t, Config{Arena: u.a})
	r, u = w.tester(t), use(t, again)
	r.send(pattern(60, 7))
	frames, _ := u.receive(1)
	require.Equal(t, pattern(60, 7), frames[0])
}

func TestRemovalIsFoundBySending(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	u := use(t, p)
	w.host.Delete("p1")
	b := []packet.Index{u.buffer(pattern(60, 1))}
	p.Tx(0, u.c, b)
	require.Equal(t, -1, p.FD(0))
	require.ErrorContains(t, p.Err(), "removed")
}

// TestOneUMEM moves a frame from device to device in its buffer, also after the
// device is gone that the memory was registered for.
func TestOneUMEM(t *testing.T) {
	needXDP(t)
	arena := newArena(t, packet.ArenaConfig{Buffers: 2048, Debug: true})
	umem := NewUMEM(arena)
	cfg := Config{Arena: arena, UMEM: umem, Ring: 128}
	host := netnstest.New(t)
	one, two := wire(t, host, "p1", netnstest.VethOptions{}), wire(t, host, "p2", netnstest.VethOptions{})
	three := wire(t, netnstest.New(t), "p3", netnstest.VethOptions{}) // in another namespace
	p1, p2, p3 := one.open(t, cfg), two.open(t, cfg), three.open(t, cfg)

	forward := func(from, to wired, in, out *Port, number int) {
		t.Helper()
		r, s, c := from.tester(t), to.tester(t), arena.NewCache()
		defer c.Flush()
		r.send(pattern(500, number))
		var bufs [1]packet.Index
		eventually(t, "a frame arrives", func() bool { return in.Rx(0, c, bufs[:]) == 1 })
		before := bufs[0]
		require.False(t, arena.IsSuper(before))
		require.Equal(t, 1, out.Tx(0, c, bufs[:]))
		require.Equal(t, pattern(500, number), s.receive())
		eventually(t, "the buffer comes back", func() bool { out.Rx(0, c, bufs[:]); return out.queues[0].inFlight.Load() == 0 })
	}
	forward(one, two, p1, p2, 1)
	forward(two, three, p2, p3, 2)
	forward(three, one, p3, p1, 3)
	registrations := func() (n int) {
		for _, fds := range umem.bound {
			n += len(fds)
		}
		return n
	}
	require.Equal(t, 3, registrations())

	host.Delete("p1") // whose socket had registered the memory, and is still open
	four := wire(t, host, "p4", netnstest.VethOptions{})
	p4 := four.open(t, cfg)
	forward(four, two, p4, p2, 4)
	require.Error(t, p1.Err())
	require.NoError(t, p1.Close())
	host.Delete("p2")
	host.Delete("p4")
	three.host.Delete("p3")
	// Nobody is left to share with.
	five := wire(t, host, "p5", netnstest.VethOptions{})
	p5 := five.open(t, cfg)
	six := wire(t, host, "p6", netnstest.VethOptions{})
	p6 := six.open(t, cfg)
	forward(five, six, p5, p6, 5)
}

func TestReopenAtOnce(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	for n := range 5 {
		r, u := w.tester(t), use(t, p)
		u.send(pattern(60, n), pattern(60, n+1))
		require.Equal(t, pattern(60, n), r.receive())
		u.c.Flush()
		require.NoError(t, p.Close())
		require.Zero(t, u.a.InUse())
		info, err := netdev.Link(w.host.Name, "p1")
		require.NoError(t, err)
		require.Zero(t, info.XDP, "the program is off")
		p = w.open(t, Config{Arena: u.a})
	}
}
