// Package afxdptest makes and counts packets at rates that no program can, for
// benchmarks of ports: programs in the kernel do it, at the far ends of veth
// pairs.
//
//	pod a                       what is measured                  pod b
//	Generator ── eth0 ══ port ──── forwards ──── port ══ eth0 ── Sink
package afxdptest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// Generator sends copies of a frame out of a device: a million and more a second of
// CPU time, by running an XDP program on "live frames" (Linux 5.18,
// Documentation/bpf/bpf_prog_run.rst). The other end of a veth receives
// them only if it has native XDP, or GRO is on there (ethtool -K DEV gro on);
// they are counted as sent in any case.
type Generator struct {
	t       testing.TB
	ns      *netnstest.NS
	program *ebpf.Program
	frame   []byte
	run     sync.WaitGroup
	stop    atomic.Bool
}

// burst is how many frames a system call sends: the kernel needs milliseconds
// to prepare for it.
const burst = 1 << 17

// NewGenerator prepares to send a frame out of a device in ns. It is an IPv4
// packet without options of UDP or TCP if flows, a power of two up to 65536, is more
// than 1: then each copy has a random one of so many source ports, and no UDP
// checksum.
func NewGenerator(t testing.TB, ns *netnstest.NS, device string, frame []byte, flows int) *Generator {
	t.Helper()
	info, err := netdev.Link(ns.Name, device)
	require.NoError(t, err)
	const data, dataEnd, port, checksum = 0, 4, 34, 40 // of xdp_md, and of the frame
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	if flows > 1 {
		require.Zero(t, flows&(flows-1), "flows is a power of two")
		code = append(
			code, asm.FnGetPrandomU32.Call(), asm.And.Imm(asm.R0, int32(flows-1)),
			asm.LoadMem(asm.R2, asm.R6, data, asm.Word), asm.LoadMem(asm.R3, asm.R6, dataEnd, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, checksum+2), asm.JGT.Reg(asm.R4, asm.R3, "send"),
			asm.StoreMem(asm.R2, port, asm.R0, asm.Half), asm.StoreImm(asm.R2, checksum, 0, asm.Half),
		)
	}
	code = append(
		code, asm.Mov.Imm(asm.R1, int32(info.Index)).WithSymbol("send"), asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(), asm.Return(),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: code})
	require.NoError(t, err)
	g := &Generator{t: t, ns: ns, program: program, frame: frame}
	t.Cleanup(func() { g.Stop(); program.Close() })
	// A kernel that knows no live frames says so now.
	if err := g.send(1); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("this needs a kernel that runs XDP programs on live frames (Linux 5.18): %v", err)
	}
	return g
}

// Send sends n frames.
func (g *Generator) Send(n int) {
	g.t.Helper()
	require.NoError(g.t, g.send(n))
}

func (g *Generator) send(n int) error {
	return g.ns.Do(func() error {
		for ; n > 0; n -= burst {
			_, err := g.program.Run(&ebpf.RunOptions{Data: g.frame, Repeat: uint32(min(n, burst)), Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES})
			if err != nil {
				return fmt.Errorf("send frames: %w", err)
			}
		}
		return nil
	})
}

// Start sends until Stop, from a thread of its own.
func (g *Generator) Start() {
	g.stop.Store(false)
	g.run.Go(func() {
		for !g.stop.Load() {
			if err := g.send(burst); err != nil {
				g.t.Error(err)
				return
			}
		}
	})
}

// Stop ends what Start has begun, after some tenths of a second.
func (g *Generator) Stop() {
	g.stop.Store(true)
	g.run.Wait()
}
