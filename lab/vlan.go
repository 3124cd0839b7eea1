package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// addVLANs makes the interfaces for VLANs: eth0.10 upon eth0. Where the kernel
// has no 802.1Q devices (CONFIG_VLAN_8021Q), pairs of devices and two programs
// take their place:
//
//	eth0.10 ═ .eth0.10 ── push the tag ──▶ eth0
//	                  ◀── take it off ───
func (f *netInterface) addVLANs() error {
	if len(f.vlans) == 0 {
		return nil
	}
	netNS := f.ns.netns
	err := netdev.In(netNS, func() error {
		parent, err := netlink.LinkByName(f.name)
		if err != nil {
			return err
		}
		if err = f.addVLANDevices(parent); errors.Is(err, unix.EOPNOTSUPP) {
			err = f.addVLANPairs(parent)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add VLANs to %s: %w", f.name, err)
	}
	for i := range f.vlans {
		v := &f.vlans[i]
		six := slices.ContainsFunc(v.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() })
		if err := setIPv6(netNS, f.vlanName(v), six); err != nil {
			return err
		}
		if err := netdev.SetUp(netNS, f.vlanName(v), true); err != nil {
			return err
		}
		if err := addAddresses(netNS, f.vlanName(v), v.Addresses); err != nil {
			return err
		}
	}
	return nil
}

func (f *netInterface) vlanName(v *VLAN) string { return fmt.Sprintf("%s.%d", f.name, v.ID) }

func (f *netInterface) addVLANDevices(parent netlink.Link) error {
	for i := range f.vlans {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = f.vlanName(&f.vlans[i]), parent.Attrs().Index
		err := netlink.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: f.vlans[i].ID})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// addVLANPairs runs in the interface's namespace.
func (f *netInterface) addVLANPairs(parent netlink.Link) error {
	indices := make([]int, len(f.vlans)) // of the hidden ends
	for i := range f.vlans {
		name := f.vlanName(&f.vlans[i])
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, parent.Attrs().MTU
		attrs.HardwareAddr = parent.Attrs().HardwareAddr // frames for it are for us
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "." + name}
		if err := netlink.LinkAdd(pair); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		hidden, err := netlink.LinkByName(pair.PeerName)
		if err != nil {
			return err
		}
		indices[i] = hidden.Attrs().Index
		if err := netdev.DisableIPv6("", pair.PeerName); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(hidden); err != nil {
			return err
		}
		if err := attach(indices[i], "sluice_push", pushVLAN(f.vlans[i].ID, parent.Attrs().Index)); err != nil {
			return err
		}
	}
	return attach(parent.Attrs().Index, "sluice_pop", popVLANs(f.vlans, indices))
}

// pushVLAN is the program of frames that a workload sends into a VLAN.
func pushVLAN(id, parent int) asm.Instructions {
	const tagProtocol = 0x0081 // 802.1Q's 0x8100 in network order
	return append(asm.Instructions{
		asm.Mov.Imm(asm.R2, tagProtocol),
		asm.Mov.Imm(asm.R3, int32(id)),
		asm.FnSkbVlanPush.Call(),
	}, redirect(parent)...)
}

// popVLANs is the program of frames that come in by the interface under the
// VLANs: those with a tag that has a device go there without it.
func popVLANs(vlans []VLAN, indices []int) asm.Instructions {
	const vlanPresent, vlanTCI = 20, 24 // offsets in struct __sk_buff, linux/bpf.h
	const goOn = -1                     // TC_ACT_UNSPEC
	program := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, vlanPresent, asm.Word),
		asm.JEq.Imm(asm.R7, 0, "not ours"),
		asm.LoadMem(asm.R7, asm.R6, vlanTCI, asm.Word),
		asm.And.Imm(asm.R7, 0xfff),
	}
	for i := range vlans {
		program = append(program, asm.JEq.Imm(asm.R7, int32(vlans[i].ID), fmt.Sprint("vlan ", i)))
	}
	program = append(program, asm.Mov.Imm(asm.R0, goOn).WithSymbol("not ours"), asm.Return())
	for i := range vlans {
		program = append(program, asm.Mov.Reg(asm.R1, asm.R6).WithSymbol(fmt.Sprint("vlan ", i)), asm.FnSkbVlanPop.Call())
		program = append(program, redirect(indices[i])...)
	}
	return program
}

func redirect(index int) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}
}

// attach has a program see what a device receives (tc-bpf(8)).
func attach(index int, name string, instructions asm.Instructions) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS, Instructions: instructions, License: "Apache-2.0"})
	if err != nil {
		return err
	}
	defer program.Close()
	err = netlink.QdiscReplace(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	})
	if err != nil {
		return err
	}
	return netlink.FilterReplace(&netlink.BpfFilter{
		FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
		Fd:           program.FD(),
		Name:         name,
		DirectAction: true,
	})
}
