package afxdptest

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// Sink counts and drops all that a device receives, in the driver.
type Sink struct {
	t      testing.TB
	counts *ebpf.Map
}

// NewSink takes a device in ns, which must have native XDP, until the test ends.
func NewSink(t testing.TB, ns *netnstest.NS, device string) *Sink {
	t.Helper()
	info, err := netdev.Link(ns.Name, device)
	require.NoError(t, err)
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	const xdpDrop = 1
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, counts.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "drop"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.Add.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
			asm.Return(),
		},
	})
	require.NoError(t, err)
	var l link.Link
	require.NoError(t, ns.Do(func() (err error) {
		l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: info.Index, Flags: link.XDPDriverMode})
		return err
	}))
	t.Cleanup(func() { l.Close(); program.Close(); counts.Close() })
	return &Sink{t: t, counts: counts}
}

// Count returns how many frames have come.
func (s *Sink) Count() (n uint64) {
	s.t.Helper()
	var perCPU []uint64
	require.NoError(s.t, s.counts.Lookup(uint32(0), &perCPU))
	for _, c := range perCPU {
		n += c
	}
	return n
}
