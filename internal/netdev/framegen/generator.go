// Package framegen makes packets, and counts them, at rates that no program can:
// programs in the kernel do it, at the far ends of what is to be measured.
//
//	pod a                       what is measured                  pod b
//	Generator ── eth0 ══ port ──── forwards ──── port ══ eth0 ── Sink
package framegen

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// Generator sends copies of a frame out of a device: a million and more a second of
// CPU time, by running an XDP program on "live frames" (Linux 5.18,
// Documentation/bpf/bpf_prog_run.rst). The other end of a veth receives
// them only if it has native XDP, or GRO is on there (ethtool -K DEV gro on);
// they are counted as sent in any case.
type Generator struct {
	netNS   string
	program *ebpf.Program
	frame   []byte
	sent    atomic.Uint64

	run   sync.WaitGroup
	stop  atomic.Bool
	fault error // that has ended what Start began; valid after run.Wait
}

// A system call sends a burst. The kernel waits for tens of milliseconds before
// and after it, for RCU, so that with bursts of 1<<17 a generator rests for two
// thirds of the time; bursts grow until they take longEnough.
const (
	firstBurst = 1 << 17
	lastBurst  = 1 << 26
	longEnough = 250 * time.Millisecond
)

// NewGenerator prepares to send a frame out of a device in a network namespace
// (netdev.In), and sends one to try. It is an IPv4 packet without options of UDP
// or TCP if flows, a power of two up to 65536, is more than 1: then each copy has a
// random one of so many source ports, and no UDP checksum.
//
// errors.ErrUnsupported is wrapped if the kernel has no XDP, or knows no live frames.
func NewGenerator(netNS, device string, frame []byte, flows int) (*Generator, error) {
	if flows > 1<<16 || flows > 1 && flows&(flows-1) != 0 {
		return nil, fmt.Errorf("%d flows: want a power of two up to 65536", flows)
	}
	info, err := netdev.Link(netNS, device)
	if err != nil {
		return nil, err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: redirect(info.Index, flows)})
	if err != nil {
		return nil, fmt.Errorf("load the program that sends: %w", unsupported(err))
	}
	g := &Generator{netNS: netNS, program: program, frame: frame}
	if err := g.Send(1); err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			err = fmt.Errorf("%w: this needs a kernel that runs XDP programs on live frames (Linux 5.18): %w", errors.ErrUnsupported, err)
		}
		return nil, errors.Join(err, program.Close())
	}
	return g, nil
}

// unsupported says in the standard library's words what the kernel lacks.
func unsupported(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// redirect is the program that has each frame sent.
func redirect(device, flows int) asm.Instructions {
	const data, dataEnd, port, checksum = 0, 4, 34, 40 // of xdp_md, and of the frame
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	if flows > 1 {
		code = append(
			code, asm.FnGetPrandomU32.Call(), asm.And.Imm(asm.R0, int32(flows-1)),
			asm.LoadMem(asm.R2, asm.R6, data, asm.Word), asm.LoadMem(asm.R3, asm.R6, dataEnd, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, checksum+2), asm.JGT.Reg(asm.R4, asm.R3, "send"),
			asm.StoreMem(asm.R2, port, asm.R0, asm.Half), asm.StoreImm(asm.R2, checksum, 0, asm.Half),
		)
	}
	return append(
		code, asm.Mov.Imm(asm.R1, int32(device)).WithSymbol("send"), asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(), asm.Return(),
	)
}

// Send sends n frames, 1 to 1<<32-1.
func (g *Generator) Send(n int) error {
	return netdev.In(g.netNS, func() error { return g.send(n) })
}

// send sends a burst from a thread that is in the namespace.
func (g *Generator) send(n int) error {
	_, err := g.program.Run(&ebpf.RunOptions{Data: g.frame, Repeat: uint32(n), Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES})
	if err != nil {
		return fmt.Errorf("send frames: %w", err)
	}
	g.sent.Add(uint64(n))
	return nil
}

// Start sends until Stop, from a thread of its own.
func (g *Generator) Start() {
	g.stop.Store(false)
	g.run.Go(func() {
		g.fault = netdev.In(g.netNS, func() (err error) {
			for burst := firstBurst; err == nil && !g.stop.Load(); {
				begin := time.Now()
				err = g.send(burst)
				if time.Since(begin) < longEnough {
					burst = min(2*burst, lastBurst)
				}
			}
			return err
		})
	})
}

// Stop ends what Start has begun, after half a second or so, and returns
// what has ended it before.
func (g *Generator) Stop() error {
	g.stop.Store(true)
	g.run.Wait()
	return g.fault
}

// Sent returns how many frames have been sent, burst by burst.
func (g *Generator) Sent() uint64 { return g.sent.Load() }

// Close stops, and lets go of the program.
func (g *Generator) Close() error { return errors.Join(g.Stop(), g.program.Close()) }
