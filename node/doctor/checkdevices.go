package doctor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/internal/netdev"
)

// devices are those of ports, or without a configuration all that there are.
func devices(f *Facts) (found []Finding) {
	for i := range f.Devices {
		d := &f.Devices[i]
		switch {
		case d.Port != nil && d.Port.Device.Type == api.DeviceTAP:
			found = append(found, tapDevice(d)...)
		case d.Port != nil:
			found = append(found, portDevice(d, f.Leftovers.running())...)
		case d.Err != nil:
			found = append(found, group("devices").is(Fail, "list", d.Err.Error(), "nothing is known of devices"))
		default:
			found = append(found, anyDevice(d)...)
		}
	}
	return found
}

// group is "device eth0 of port web/a".
func (d *Device) group() group {
	name := "device " + d.Name + inNamespace(d.NetNS)
	if d.Port != nil {
		name += ", port " + d.Port.Name
	}
	return group(name)
}

// ip is a command of iproute2 about the device.
func (d *Device) ip(format string, args ...any) string {
	return netdev.Command(d.NetNS, "ip "+format, args...)
}

// describe is what the device is.
func (d *Device) describe() string {
	i := &d.Info
	kind := i.Kind
	switch {
	case kind == "" && i.Driver == "":
		kind = "no driver"
	case kind == "":
		kind = "NIC, driver " + i.Driver
	}
	return fmt.Sprintf("%s, MTU %d, %s", kind, i.MTU, plural(d.queues(), "receive queue"))
}

// queues are those in use, as far as the driver tells.
func (d *Device) queues() int {
	if d.ChannelsErr == nil && d.Channels.RxQueues() > 0 {
		return d.Channels.RxQueues()
	}
	return max(d.Info.RxQueues, 1)
}

// anyDevice tells what a device would be good for.
func anyDevice(d *Device) []Finding {
	g := d.group()
	if !d.Info.Ether {
		return []Finding{g.is(Info, "kind", d.describe(), "it carries no Ethernet frames, so no port can use it")}
	}
	found := []Finding{g.ok("kind", "%s", d.describe()), g.is(Info, "XDP", xdpMode(d), "")}
	if use := d.Info.InUse(); use != "" {
		found = append(found, g.is(Info, "use", use, "Sluice leaves it alone unless it is told to take it"))
	}
	return found
}

// nativeDrivers have native XDP, in all versions that are in use; asked where the kernel
// does not tell (before Linux 6.3).
var nativeDrivers = []string{
	"veth", "tun", "virtio_net", "mlx5_core", "mlx4_en", "i40e", "ice", "ixgbe", "ixgbevf", "igb", "igc",
	"bnxt_en", "ena", "qede", "nfp", "sfc", "hv_netvsc", "gve", "mvneta", "mvpp2", "stmmac", "xen-netfront",
}

// native reports whether the driver runs XDP programs and redirects frames.
func (d *Device) native() bool {
	if errors.Is(d.XDPErr, netdev.ErrUnsupported) {
		return slices.Contains(nativeDrivers, d.Info.Driver)
	}
	return d.XDP.Native && d.XDP.Redirect
}

func xdpMode(d *Device) string {
	if errors.Is(d.XDPErr, netdev.ErrUnsupported) {
		if d.native() {
			return "native, as its driver is known to have it"
		}
		return "not known; the kernel does not tell (Linux 6.3)"
	}
	if d.XDPErr != nil {
		return "not known: " + d.XDPErr.Error()
	}
	if !d.native() {
		return "generic only"
	}
	mode := "native"
	if d.XDP.ZeroCopy {
		mode += ", zero-copy"
	} else {
		mode += ", copies"
	}
	if d.XDP.MultiBuffer {
		mode += ", frames of several buffers"
	}
	return mode
}

// tapDevice is made by the port if it is not there.
func tapDevice(d *Device) []Finding {
	g := d.group()
	switch {
	case errors.Is(d.Err, netdev.ErrNoDevice):
		return []Finding{g.ok("exists", "no: the port makes it")}
	case errors.Is(d.Err, netdev.ErrNoNamespace):
		return []Finding{g.is(Fail, "exists", d.Err.Error(), "the TAP can't be made", "ip netns list  # what there is", "# or make it: ip netns add "+d.NetNS)}
	case d.Err != nil:
		return []Finding{g.is(Fail, "exists", d.Err.Error(), "the port can't be opened")}
	case d.Info.Driver != "tun":
		return []Finding{g.is(Fail, "exists", d.describe(), "the name belongs to a device that is no TAP",
			d.ip("link set %s name OTHER", d.Name), "# or give the port's device another name")}
	case !d.Info.Ether:
		return []Finding{g.is(Fail, "exists", "a TUN device, without Ethernet", "the port can't be opened", d.ip("link delete %s", d.Name))}
	}
	found := []Finding{g.ok("exists", "%s", d.describe())}
	return append(found, mtu(d)...)
}

// portDevice is one that a packet socket or AF_XDP takes frames from; running says
// that a daemon does so perhaps.
func portDevice(d *Device, running bool) []Finding {
	g := d.group()
	const cannot = "the port is down until it is there"
	switch {
	case errors.Is(d.Err, netdev.ErrNoNamespace):
		return []Finding{g.is(Fail, "exists", d.Err.Error(), cannot, "ip netns list  # what there is", "# or make it: ip netns add "+d.NetNS)}
	case d.Err != nil:
		return []Finding{g.is(Fail, "exists", d.Err.Error(), cannot, d.ip("link show")+"  # what there is")}
	}
	if !d.Info.Ether {
		return []Finding{g.is(Fail, "exists", d.describe(), "it carries no Ethernet frames", "# give the port another device")}
	}
	found := []Finding{g.ok("exists", "%s", d.describe())}
	found = append(found, use(d, running)...)
	found = append(found, state(d)...)
	found = append(found, mtu(d)...)
	if d.Port.Device.Type == api.DeviceAFXDP {
		found = append(found, xdp(d)...)
		found = append(found, offloads(d)...)
		found = append(found, xdpQueues(d)...)
	}
	return found
}

// use is what speaks against taking the device from the host.
func use(d *Device, running bool) []Finding {
	g, i := d.group(), &d.Info
	const name = "use"
	takeover := "sluice run --takeover " + d.Name
	if d.NetNS != "" {
		takeover = "sluice run --takeover " + d.NetNS + "/" + d.Name
	}
	switch {
	case i.DefaultRoute:
		return []Finding{g.is(Fail, name, i.InUse(), "the machine would lose its network, so the port is not opened without a word",
			takeover+"  # if that is what is wanted", "# or give the port another device")}
	case i.Master != "":
		return []Finding{g.is(Fail, name, i.InUse(), "both would forward each frame, so the port is not opened", d.ip("link set %s nomaster", d.Name))}
	case len(i.Addresses) > 0:
		return []Finding{g.is(Fail, name, i.InUse(), "the host could not use it any more, so the port is not opened",
			d.ip("address flush dev %s", d.Name), takeover+"  # if the host is to lose it")}
	case i.XDP != 0 && running:
		return []Finding{g.is(Info, name, fmt.Sprintf("XDP program %d is attached", i.XDP), "it is the running daemon's, or the port gets no frames")}
	case i.XDP != 0:
		return []Finding{g.is(Fail, name, i.InUse(), "the port would get no frames", d.ip("link set %s xdp off", d.Name))}
	}
	return []Finding{g.ok(name, "the host has no address, route or bridge on it")}
}

func state(d *Device) []Finding {
	g, i := d.group(), &d.Info
	const name = "state"
	switch {
	case !i.Up:
		return []Finding{g.is(Info, name, "down", "the port sets it up when it opens it")}
	case !i.Carrier && i.Kind == "veth":
		return []Finding{g.is(Warn, name, "up, no carrier", "the other end of the pair is down", "# in the other end's namespace: ip link set PEER up")}
	case !i.Carrier:
		return []Finding{g.is(Warn, name, "up, no carrier", "nothing is sent or received", "# connect the cable, or what is at the other end")}
	}
	return []Finding{g.ok(name, "up, with carrier")}
}

func mtu(d *Device) []Finding {
	g, i, want := d.group(), &d.Info, d.Port.MTU
	const name = "MTU"
	switch {
	case i.MTU < want && i.MaxMTU != 0 && i.MaxMTU < want:
		return []Finding{g.is(Fail, name, fmt.Sprintf("%d, and it can't have more than %d; the port's is %d", i.MTU, i.MaxMTU, want),
			"larger packets are dropped", fmt.Sprintf("# Port: spec.mtu: %d", i.MaxMTU))}
	case i.MTU < want:
		return []Finding{g.is(Fail, name, fmt.Sprintf("%d, and the port's is %d", i.MTU, want), "larger packets are dropped",
			d.ip("link set %s mtu %d", d.Name, want), fmt.Sprintf("# or Port: spec.mtu: %d", i.MTU))}
	case i.MTU > want:
		return []Finding{g.is(Info, name, fmt.Sprintf("%d, and the port's is %d", i.MTU, want),
			"larger packets that come from it are dropped, or answered by an ICMP error where they are routed",
			fmt.Sprintf("# Port: spec.mtu: %d, or at the other end: ip link set DEVICE mtu %d", i.MTU, want))}
	}
	return []Finding{g.ok(name, "%d", i.MTU)}
}

// largestOneBuffer is the largest MTU at which veth takes an XDP program that wants a
// frame to be in one buffer.
const largestOneBuffer = 3498

func xdp(d *Device) []Finding {
	g := d.group()
	const name = "XDP"
	mode := xdpMode(d)
	switch {
	case !d.native() && errors.Is(d.XDPErr, netdev.ErrUnsupported):
		return []Finding{g.is(Warn, name, mode, "without native XDP the port is opened only with allowFallback",
			"# Port: spec.device.allowFallback: true, or type: afpacket")}
	case !d.native() && d.Port.Device.AllowFallback:
		return []Finding{g.is(Warn, name, mode, "the kernel makes a packet of each frame first: no faster than a packet socket, and slower for TCP",
			"# Port: spec.device.type: afpacket")}
	case !d.native():
		return []Finding{g.is(Fail, name, mode, "the port can't be opened without native XDP",
			"# Port: spec.device.type: afpacket, or spec.device.allowFallback: true")}
	case d.XDPErr == nil && !d.XDP.MultiBuffer && d.Info.MTU > largestOneBuffer:
		return []Finding{g.is(Fail, name, fmt.Sprintf("%s; MTU %d", mode, d.Info.MTU), "frames must fit into one buffer",
			d.ip("link set %s mtu %d", d.Name, largestOneBuffer), "# or Port: spec.device.type: afpacket")}
	case d.Info.Kind == "veth":
		return []Finding{g.is(Info, name, mode, "the other end of a veth sends no super-frames under XDP: TCP runs at about a third of the speed of afpacket, small packets at twice")}
	}
	return []Finding{g.ok(name, "%s", mode)}
}

// offloads that join frames before XDP sees them, or that it keeps from being.
func offloads(d *Device) (found []Finding) {
	g := d.group()
	for _, o := range []struct{ feature, text, means string }{
		{"lro", "LRO is on", "the NIC joins packets, which can't be forwarded; most drivers refuse XDP with it"},
		{"rx-gro-hw", "hardware GRO is on", "the NIC joins packets before XDP; most drivers refuse XDP with it"},
		{"rxvlan", "VLAN tags are taken off by the NIC", "AF_XDP does not see the tags of frames"},
	} {
		if !d.Features.Active(o.feature) || d.Info.Kind == "veth" || o.feature == "rxvlan" && d.XDP.VLANTags { // the program puts the tag back
			continue
		}
		found = append(found, g.is(Warn, "offloads", o.text, o.means, netdev.Command(d.NetNS, "ethtool -K %s %s off", d.Name, o.feature)))
	}
	if len(found) == 0 && d.Features != nil {
		found = append(found, g.ok("offloads", "none that hurts"))
	}
	return found
}

func xdpQueues(d *Device) []Finding {
	g, want, has := d.group(), max(d.Port.Device.Queues, 1), d.queues()
	const name = "queues"
	set := func(n int) string {
		kind := "combined"
		if d.Channels.MaxCombined == 0 && d.Channels.MaxRx > 0 {
			kind = "rx"
		}
		return netdev.Command(d.NetNS, "ethtool -L %s %s %d", d.Name, kind, n)
	}
	text := fmt.Sprintf("%d in use, and the port's are %d", has, want)
	most := max(d.Channels.MaxCombined+d.Channels.MaxRx, has)
	switch {
	case want > most:
		return []Finding{g.is(Fail, name, text, "there are no more", fmt.Sprintf("# Port: spec.device.queues: %d", most))}
	case want > has:
		return []Finding{g.is(Fail, name, text, "the port can't be opened on queues that are not in use", set(want))}
	case want < has:
		return []Finding{g.is(Warn, name, text, "frames that the device puts into the other queues do not reach the port",
			set(want), fmt.Sprintf("# or Port: spec.device.queues: %d", has))}
	}
	return []Finding{g.ok(name, "%d", has)}
}
