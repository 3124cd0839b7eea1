package afxdp

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

func TestConfigFaults(t *testing.T) {
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 8})
	require.NoError(t, err)
	defer arena.Close()
	other, err := packet.NewArena(packet.ArenaConfig{Buffers: 8})
	require.NoError(t, err)
	defer other.Close()
	rows := []struct {
		why  string
		cfg  Config
		want []string
	}{
		{"all faults are told at once", Config{Queues: -1, MTU: -5, Ring: 100}, []string{"name of a device", "1 to 64", "0 to 65535", "power of two", "no arena"}},
		{"a name that no device can have", Config{Name: "a/b", Arena: arena}, []string{"name of a device"}},
		{"and one that is too long", Config{Name: "sixteen-bytes-ab", Arena: arena}, []string{"1 to 15 bytes"}},
		{"memory that is another's", Config{Name: "p1", Arena: arena, UMEM: NewUMEM(other)}, []string{"another arena"}},
		{"a device that is not there", Config{Name: "sl-none", Arena: arena}, []string{"open afxdp sl-none", netdev.ErrNoDevice.Error()}},
	}
	for _, row := range rows {
		_, err := Open(row.cfg)
		for _, part := range row.want {
			require.ErrorContains(t, err, part, row.why)
		}
	}
}

func TestWhatKeepsADeviceFromBeingOpened(t *testing.T) {
	needXDP(t)
	arena := newArena(t, packet.ArenaConfig{Buffers: 1024, Debug: true})
	rows := []struct {
		why     string
		devices netnstest.VethOptions
		before  func(w wired)
		cfg     Config
		want    []string
	}{
		{
			why:    "another port has it",
			before: func(w wired) { w.open(t, Config{Arena: arena}) },
			want:   []string{"another Sluice, or another port of this one, has the device"},
		},
		{
			why:    "another program has it",
			before: func(w wired) { passAll(t, w) },
			want:   []string{"another XDP program (number ", "bpftool link", "where no BPF link holds it", "(ip -n NS link set p1 xdp off)"},
		},
		{
			why: "frames of other queues would be lost", devices: netnstest.VethOptions{Queues: 2},
			want: []string{"p1 has 2 receive queues", "(ip netns exec NS ethtool -L p1 rx 1)"},
		},
		{
			why: "there are not as many queues", cfg: Config{Queues: 2},
			want: []string{"p1 has 1 receive queues in use, not 2", "(ip netns exec NS ethtool -L p1 rx 2)"},
		},
		{
			why: "frames are longer than any buffer", devices: netnstest.VethOptions{MTU: 4000},
			want: []string{"MTU 4000", "ip -n NS link set p1 mtu 1770", "super-frame buffers"},
		},
		{
			why: "packets of the port are longer than the device's", cfg: Config{MTU: 9000},
			want: []string{"its MTU is 1500", "up to 9000 bytes", "ip -n NS link set p1 mtu 9000; of a veth both ends", "segment's mtu"},
		},
		{
			why:    "the other end has longer ones than native XDP takes",
			before: func(w wired) { require.NoError(t, netdev.SetMTU(w.pod.Name, "eth0", 65535)) },
			// The program takes frames in pieces, so that the veth has no limit.
		},
		{
			why: "it is no Ethernet device", cfg: Config{Name: "lo"},
			want: []string{"no Ethernet frames"},
		},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			w := wire(t, netnstest.New(t), "p1", row.devices)
			if row.before != nil {
				row.before(w)
			}
			info, err := netdev.Link(w.host.Name, "p1")
			require.NoError(t, err)
			row.cfg.Name, row.cfg.NetNS, row.cfg.Arena = cmp.Or(row.cfg.Name, "p1"), w.host.Name, arena
			p, err := Open(row.cfg)
			if len(row.want) == 0 {
				require.NoError(t, err)
				require.NoError(t, p.Close())
			}
			for _, part := range row.want {
				require.ErrorContains(t, err, strings.ReplaceAll(part, "NS", w.host.Name))
			}
			t.Log(err)
			after, err := netdev.Link(w.host.Name, "p1")
			require.NoError(t, err)
			require.Equal(t, info.MTU, after.MTU, "as it was, whatever came of it")
		})
	}
}

// passAll attaches an XDP program that passes everything on to the host.
func passAll(t *testing.T, w wired) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	require.NoError(t, err)
	defer program.Close()
	info, err := netdev.Link(w.host.Name, w.name)
	require.NoError(t, err)
	require.NoError(t, w.host.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: info.Index})
		if err == nil {
			t.Cleanup(func() { require.NoError(t, l.Close()) })
		}
		return err
	}))
}

// TestQueuesShareTheArena opens ports until no buffers are left for another.
func TestQueuesShareTheArena(t *testing.T) {
	arena := newArena(t, packet.ArenaConfig{Buffers: 512, Debug: true})
	rows := []struct {
		why   string
		taken int // before, by somebody else
		want  uint32
	}{
		{"an eighth is the most", 0, 64},
		{"three quarters may be taken", 384 - 64, 64},
		{"what is left is too little to work with", 384 - 63, 0},
		{"nothing is left", 512, 0},
	}
	for _, row := range rows {
		cache, taken := arena.NewCache(), make([]packet.Index, row.taken)
		require.Equal(t, row.taken, cache.AllocN(taken))
		require.Equal(t, row.want, level(arena, defaultRing), row.why)
		cache.FreeN(taken)
	}
	host := netnstest.New(t)
	for n := range 6 {
		name := fmt.Sprintf("p%d", n)
		wire(t, host, name, netnstest.VethOptions{}).open(t, Config{Arena: arena})
	}
	wire(t, host, "p6", netnstest.VethOptions{})
	_, err := Open(Config{Name: "p6", NetNS: host.Name, Arena: arena})
	require.ErrorContains(t, err, "give the arena more than its 512")
}

// TestFallback opens a device whose driver has no native XDP.
func TestFallback(t *testing.T) {
	needXDP(t)
	arena := newArena(t, packet.ArenaConfig{Buffers: 1024, Debug: true})
	host := netnstest.New(t)
	w := wire(t, host, "p1", netnstest.VethOptions{})
	host.Run("ip", "link", "add", "br0", "type", "bridge")
	host.Run("ip", "link", "set", "p1", "master", "br0")
	cfg := Config{Name: "br0", NetNS: host.Name, Arena: arena}
	_, err := Open(cfg)
	require.ErrorIs(t, err, ErrNoXDP)
	require.ErrorContains(t, err, `driver "bridge" has no native XDP`)
	require.ErrorContains(t, err, "allow generic XDP, which is no faster than that (allowFallback: true)")
	require.Zero(t, arena.InUse())

	cfg.AllowFallback = true
	p, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.Contains(t, p.Mode(), "generic, copy")
	r, u := w.tester(t), use(t, p)
	f := pattern(100, 1)
	for i := range 6 {
		f[i] = 0xff // a bridge keeps to itself what is for nobody it knows
	}
	r.send(f)
	frames, _ := u.receive(1)
	require.Equal(t, f, frames[0])
	u.send(f)
	require.Equal(t, f, r.receive())
}

// TestRxAndTxDoNotAllocate counts what a worker's turn allocates: frames that
// come, frames that go as they are, with metadata, and in copies.
func TestRxAndTxDoNotAllocate(t *testing.T) {
	arena := newArena(t, packet.ArenaConfig{Buffers: 2048, Supers: 8})
	w, p := newPort(t, netnstest.VethOptions{MTU: 4000}, Config{Arena: arena, Offload: true})
	r, u := w.tester(t), use(t, p)
	plain, long := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 99"), pattern(4000, 1)
	bufs := make([]packet.Index, 64)
	received := 0
	allocations := testing.AllocsPerRun(300, func() {
		if r.try(plain) != nil || r.try(long) != nil {
			return
		}
		n := p.Rx(0, u.c, bufs)
		received += n
		u.c.FreeN(bufs[:n])
		for i, f := range [][]byte{plain, plain, long} {
			b := u.c.AllocFor(len(f))
			u.a.Meta(b).Len = uint32(len(f))
			copy(u.a.Frame(b), f)
			bufs[i] = b
		}
		m := u.a.Meta(bufs[1])
		m.CsumPartial, m.CsumStart, m.CsumOffset = true, 34, 6
		n = p.Tx(0, u.c, bufs[:3])
		u.c.FreeN(bufs[n:3])
	})
	require.NotZero(t, received)
	require.Greater(t, p.Counters().Sent, uint64(600))
	// The packet socket's address is made anew for each frame that the test sends.
	socket := testing.AllocsPerRun(300, func() { _, _ = r.try(plain), r.try(long) })
	require.LessOrEqual(t, allocations, socket)
}

// TestTagsThatANICTakesOff treats a veth as a NIC, with a driver that hands tags to programs and
// one that does not: that this does not take them off any more outlives a process that is killed,
// so Mode says it.
func TestTagsThatANICTakesOff(t *testing.T) {
	w, p := newPort(t, netnstest.VethOptions{}, Config{})
	taking := func() bool {
		f, err := netdev.DeviceFeatures(w.host.Name, w.name)
		require.NoError(t, err)
		return f.Active("rxvlan")
	}
	require.True(t, taking())
	require.NotContains(t, p.Mode(), "rxvlan")
	p.device.info.Driver = "nic"
	if p.redirect.tags {
		p.keepTags()
		require.True(t, taking(), "programs are handed the tags")
		require.NotContains(t, p.describe(false), "rxvlan")
	}
	p.device.xdp.VLANTags = false
	p.keepTags()
	require.False(t, taking())
	require.NotContains(t, p.describe(false), "vlan tags")
	require.Contains(t, p.describe(false), ", rxvlan off (stays if the process is killed)")
	require.NoError(t, p.Close())
	require.True(t, taking(), "as it was")
}
