package devices

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
)

// attachable refuses a device that is not there, is of no use to a switch, or is
// needed by somebody else.
func (o *Opener) attachable(d *control.Device) error {
	// The kernel would look for a longer one among the devices' alternative names.
	if len(d.Name) >= unix.IFNAMSIZ {
		return fmt.Errorf("device %q: the name has %d bytes: want at most %d", d.Name, len(d.Name), unix.IFNAMSIZ-1)
	}
	info, err := netdev.Link(d.NetNS, d.Name)
	if errors.Is(err, netdev.ErrNoDevice) {
		return fmt.Errorf("%w; make it (%s) or correct the name: the port takes it once it is there",
			err, netdev.Command(d.NetNS, "ip link add %s ...", d.Name))
	}
	if err != nil {
		return err
	}
	if !info.Ether {
		return fmt.Errorf("device %s carries no Ethernet frames, so there is nothing to switch: choose a veth, a NIC or a TAP", d.Name)
	}
	// To permit it would not help: the kernel lets a device have one program only.
	if info.XDP != 0 && d.Type == api.DeviceAFXDP {
		return fmt.Errorf("device %s is in use: %s: %s", d.Name, theProgram(&info), freed(d, &info))
	}
	why := info.InUse()
	switch {
	case why == "":
		return nil
	case o.Permit == nil:
		return fmt.Errorf("device %s is in use: %s: %s", d.Name, why, freed(d, &info))
	}
	if err := o.Permit(d, &info); err != nil {
		return fmt.Errorf("%w; else %s", err, freed(d, &info))
	}
	return nil
}

func theProgram(info *netdev.Info) string {
	return fmt.Sprintf("another program (XDP program %d) takes its frames", info.XDP)
}

// freed says how the host lets go of a device: everything that it uses it for,
// as the next attempt would be refused for the rest.
func freed(d *control.Device, info *netdev.Info) string {
	var ways []string
	if info.DefaultRoute || len(info.Addresses) > 0 {
		ways = append(ways, netdev.Command(d.NetNS, "ip address flush dev %s", d.Name))
	}
	if info.Master != "" {
		ways = append(ways, netdev.Command(d.NetNS, "ip link set %s nomaster", d.Name))
	}
	if info.XDP != 0 {
		ways = append(ways, "end the program that has loaded it (bpftool link names the one that holds it), or, where no BPF link holds it, "+
			netdev.Command(d.NetNS, "ip link set %s xdp off", d.Name))
	}
	return "free it (" + strings.Join(ways, "; ") + "), or choose another device"
}

// capability is a right of Linux (capabilities(7)).
type capability struct {
	number uint
	name   string
}

// rights are the capabilities that a device needs, each alone or in the place of
// another.
func rights(d *control.Device) [][]capability {
	admin := capability{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}
	need := [][]capability{{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}}}
	if d.Type != api.DeviceTAP && d.Type != control.DeviceInside {
		need = append(need, []capability{{unix.CAP_NET_RAW, "CAP_NET_RAW"}}, []capability{{unix.CAP_BPF, "CAP_BPF"}, admin})
	}
	if d.NetNS != "" || d.Type == control.DeviceInside {
		need = append(need, []capability{admin})
	}
	return need
}

// explainRights adds to a refusal which rights are missing: a driver names the
// one that it was stopped by, and whoever gives that is stopped by the next.
func explainRights(d *control.Device, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	if unix.Capget(&header, &sets[0]) != nil {
		return err
	}
	var lacking []string
	for _, right := range rights(d) {
		given := func(c capability) bool { return sets[c.number/32].Effective&(1<<(c.number%32)) != 0 }
		if !slices.ContainsFunc(right, given) {
			lacking = append(lacking, right[0].name)
		}
	}
	if len(lacking) == 0 {
		return fmt.Errorf("%w (the program has the capabilities that this takes: a seccomp profile, AppArmor or SELinux may forbid it, "+
			"or it is not root of the namespace; in a container try --security-opt seccomp=unconfined)", err)
	}
	return fmt.Errorf("%w (of all that this port takes, the program lacks %s)", err, strings.Join(lacking, ", "))
}
