package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// redirect is the program on the device with the map of sockets that it sends
// frames to.
type redirect struct {
	sockets *ebpf.Map // XSKMAP: receive queue to socket
	program *ebpf.Program
	tags    bool // it puts back the VLAN tags that the kernel keeps beside the frame, if the driver hands them to it
}

func (r *redirect) Close() error { return errors.Join(r.program.Close(), r.sockets.Close()) }

// Offsets in struct xdp_md (linux/bpf.h).
const (
	mdData    = 0
	mdDataEnd = 4
	mdQueue   = 16
)

// xdpDrop is XDP_DROP (linux/bpf.h).
const xdpDrop = 1

// newRedirect loads the program for a device. With tagOf (see findTagOf) it
// restores VLAN tags, which binds it to the device and to native mode. A frame
// of a queue that has no socket is dropped: a device that a switch has does not
// talk to the host.
func newRedirect(ifindex, queues int, tagOf btf.TypeID) (*redirect, error) {
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "sluice_sockets", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues),
	})
	if err != nil {
		return nil, fmt.Errorf("make the map of sockets: %w", explainBPF(err))
	}
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	spec := &ebpf.ProgramSpec{
		Name: "sluice_redirect", Type: ebpf.XDP,
		// Functions of the kernel proper may be called by programs under the
		// GPL only, which the program, not Sluice, is offered under too.
		License: "Dual BSD/GPL",
		Flags:   unix.BPF_F_XDP_HAS_FRAGS,
	}
	if tagOf != 0 {
		code = append(code, restoreTag(tagOf)...)
		spec.Ifindex = uint32(ifindex)
		spec.Flags |= unix.BPF_F_XDP_DEV_BOUND_ONLY
	}
	spec.Instructions = append(code,
		asm.LoadMem(asm.R2, asm.R6, mdQueue, asm.Word).WithSymbol("redirect"),
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.Mov.Imm(asm.R3, xdpDrop), // the verdict if the queue has no socket
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
	if tagOf != 0 {
		spec.Instructions = append(spec.Instructions, asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"), asm.Return())
	}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the XDP program: %w", explainBPF(err)), sockets.Close())
	}
	return &redirect{sockets: sockets, program: program, tags: tagOf != 0}, nil
}

// restoreTag puts the VLAN tag that the kernel keeps beside the frame back into
// it: a veth's peer whose VLAN devices leave tagging to the hardware never writes
// it, and a redirected frame loses it. The tag (802.1Q-2022 section 9.3) goes
// behind the addresses, which move forward by four bytes.
func restoreTag(tagOf btf.TypeID) asm.Instructions {
	const protocol, tci = -8, -4 // on the stack: __be16, and __u16 in host order
	return asm.Instructions{
		asm.StoreImm(asm.RFP, protocol, 0, asm.Word),
		asm.StoreImm(asm.RFP, tci, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, protocol),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, tci),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: int64(tagOf)},
		// ENODATA: there is none. EOPNOTSUPP: the driver keeps none there.
		asm.JNE.Imm(asm.R0, 0, "redirect"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, -4),
		asm.FnXdpAdjustHead.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"), // no headroom: better lost than in another VLAN
		asm.LoadMem(asm.R2, asm.R6, mdData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, mdDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 18),
		asm.JGT.Reg(asm.R4, asm.R3, "drop"),
		asm.LoadMem(asm.R0, asm.R2, 4, asm.Word),
		asm.StoreMem(asm.R2, 0, asm.R0, asm.Word),
		asm.LoadMem(asm.R0, asm.R2, 8, asm.Word),
		asm.StoreMem(asm.R2, 4, asm.R0, asm.Word),
		asm.LoadMem(asm.R0, asm.R2, 12, asm.Word),
		asm.StoreMem(asm.R2, 8, asm.R0, asm.Word),
		asm.LoadMem(asm.R0, asm.RFP, protocol, asm.Half),
		asm.StoreMem(asm.R2, 12, asm.R0, asm.Half),
		asm.LoadMem(asm.R0, asm.RFP, tci, asm.Half),
		asm.HostTo(asm.BE, asm.R0, asm.Half),
		asm.StoreMem(asm.R2, 14, asm.R0, asm.Half),
	}
}

// findTagOf returns the number of bpf_xdp_metadata_rx_vlan_tag (Linux 6.8) in the
// kernel's type information, 0 if it has neither. That is some megabytes to parse.
func findTagOf() btf.TypeID {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return 0
	}
	var f *btf.Func
	if err := kernel.TypeByName("bpf_xdp_metadata_rx_vlan_tag", &f); err != nil {
		return 0
	}
	id, err := kernel.TypeID(f)
	if err != nil {
		return 0
	}
	return id
}
