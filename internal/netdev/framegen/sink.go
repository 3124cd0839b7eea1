package framegen

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sluice-net/sluice/internal/netdev"
)

// Place is where a Sink takes frames.
type Place uint8

const (
	// InDriver is before the kernel makes a packet of the frame: native XDP. On a
	// veth it changes the way of the frames, which go through NAPI then, and what the
	// other end offloads.
	InDriver Place = iota
	// InStack is where the kernel's own stack would begin with the packet (tcx,
	// Linux 6.6): for the device all is as it would be without the Sink.
	InStack
)

// Sink counts and drops all that a device receives.
type Sink struct {
	link    link.Link
	program *ebpf.Program
	counts  *ebpf.Map // one number for each CPU, of the frames that came there
}

// NewSink takes what a device in a network namespace (netdev.In) receives, until
// Close. errors.ErrUnsupported is wrapped if the device or the kernel has no such place.
func NewSink(netNS, device string, at Place) (*Sink, error) {
	info, err := netdev.Link(netNS, device)
	if err != nil {
		return nil, err
	}
	s := &Sink{}
	if err := s.open(netNS, info.Index, at); err != nil {
		return nil, errors.Join(fmt.Errorf("count what %s receives: %w", device, unsupported(err)), s.Close())
	}
	return s, nil
}

func (s *Sink) open(netNS string, index int, at Place) (err error) {
	s.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	const xdpDrop, tcxDrop = 1, 2 // linux/bpf.h
	kind, verdict := ebpf.XDP, int32(xdpDrop)
	if at == InStack {
		kind, verdict = ebpf.SchedCLS, tcxDrop
	}
	s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, s.counts.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.Add.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, verdict).WithSymbol("drop"),
		asm.Return(),
	}})
	if err != nil {
		return err
	}
	return netdev.In(netNS, func() (err error) {
		if at == InStack {
			s.link, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: s.program, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
		} else {
			s.link, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: index, Flags: link.XDPDriverMode})
		}
		return err
	})
}

// Count returns how many frames have come.
func (s *Sink) Count() (n uint64, err error) {
	var perCPU []uint64
	if err := s.counts.Lookup(uint32(0), &perCPU); err != nil {
		return 0, fmt.Errorf("read a counter: %w", err)
	}
	for _, c := range perCPU {
		n += c
	}
	return n, nil
}

// Close lets the device's frames pass again.
func (s *Sink) Close() error {
	var errs []error
	if s.link != nil {
		errs = append(errs, netdev.CloseLink(s.link))
	}
	errs = append(errs, s.program.Close(), s.counts.Close())
	return errors.Join(errs...)
}
