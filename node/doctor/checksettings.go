package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/internal/netdev"
)

// socketBuffer is what a packet socket asks for, in bytes.
const socketBuffer = 4 << 20

// socketBuffers bound what waits in a packet socket, without the right to go beyond.
func socketBuffers(f *Facts) (found []Finding) {
	own := f.Namespaces[""]
	if !f.Want.uses(api.DeviceAFPacket, api.DeviceAFXDP) {
		return nil
	}
	for _, name := range []string{"rmem_max", "wmem_max"} {
		n, known := own.number("net/core/" + name)
		full := "net.core." + name
		switch {
		case !known:
		case f.Rights.may(unix.CAP_NET_ADMIN):
			found = append(found, inSettings.ok(full, "%d; not binding with CAP_NET_ADMIN", n))
		case n < socketBuffer:
			found = append(found, inSettings.is(Warn, full, fmt.Sprint(n),
				"packet sockets get small buffers, and lose frames when many come at once",
				fmt.Sprintf("sysctl -w %s=%d", full, socketBuffer)))
		default:
			found = append(found, inSettings.ok(full, "%d", n))
		}
	}
	return found
}

// sysctl is the command that changes a setting; a device's name may have dots.
func sysctl(netNS, path, value string) string {
	return netdev.Command(netNS, "sysctl -w %s=%s", path, value)
}

// inNamespace is appended to the name of a setting of another namespace.
func inNamespace(netNS string) string {
	if netNS == "" {
		return ""
	}
	return " in " + netNS
}

// hostSide is about the host as a workload: what is behind a TAP is the host's own
// stack, or a virtual machine's. Behind packet sockets and AF_XDP it sees no frame.
func hostSide(f *Facts) (found []Finding) {
	for _, netNS := range slices.Sorted(maps.Keys(f.Namespaces)) {
		n := f.Namespaces[netNS]
		if n.Err != nil {
			continue // each device in it is a finding already
		}
		found = append(found, bridgeFilter(netNS, &n)...)
		var taps []string
		for i := range f.Want.Ports {
			if d := &f.Want.Ports[i].Device; d.Type == api.DeviceTAP && d.NetNS == netNS {
				taps = append(taps, d.Name)
			}
		}
		if len(taps) > 0 {
			found = append(found, behindTAPs(f, netNS, &n, taps)...)
		}
	}
	return found
}

func behindTAPs(f *Facts, netNS string, n *Namespace, taps []string) (found []Finding) {
	where := inNamespace(netNS)
	if on, _ := n.number("net/ipv4/ip_forward"); on == 1 {
		found = append(found, inSettings.is(Info, "net.ipv4.ip_forward"+where, "1",
			"the host forwards between its devices, TAPs among them: what it has a route for may pass by the switch and its rules",
			sysctl(netNS, "net.ipv4.ip_forward", "0")+"  # if the host is to be no router"))
	}
	all, _ := n.number("net/ipv4/conf/all/rp_filter")
	arpAll, _ := n.number("net/ipv4/conf/all/arp_ignore")
	for _, tap := range taps {
		path := "net/ipv4/conf/" + tap + "/rp_filter"
		own, known := n.number(path)
		if max(all, own) == 1 { // the larger counts (ip-sysctl.rst); 1 is strict
			mend := []string{sysctl(netNS, path, "2")}
			if !known { // the TAP is not there yet
				mend = []string{sysctl(netNS, "net/ipv4/conf/default/rp_filter", "2")}
			}
			found = append(found, inSettings.is(Info, "rp_filter of "+tap+where, "1, strict",
				"the host drops what comes from the switch if its own route to the source is by another device", mend...))
		}
		path = "net/ipv4/conf/" + tap + "/arp_ignore"
		ownARP, _ := n.number(path)
		if max(arpAll, ownARP) != 0 {
			continue
		}
		for _, a := range n.Addresses {
			if segment, overlaps := f.Want.overlaps(a); overlaps && a.Addr().Is4() && !ownsAddress(f, netNS, tap, a.Addr().String()) {
				found = append(found, inSettings.is(Warn, "arp_ignore of "+tap+where,
					fmt.Sprintf("0, and the host has %s, which is in segment %s", a, segment),
					"the host answers ARP on the TAP for addresses of its other devices, so that workloads take it for a neighbour",
					sysctl(netNS, path, "1")))
				break
			}
		}
	}
	return found
}

// ownsAddress reports whether the address is on the device itself.
func ownsAddress(f *Facts, netNS, name, address string) bool {
	for i := range f.Devices {
		d := &f.Devices[i]
		if d.NetNS != netNS || d.Name != name {
			continue
		}
		for _, a := range d.Info.Addresses {
			if a.Addr().String() == address {
				return true
			}
		}
	}
	return false
}

func bridgeFilter(netNS string, n *Namespace) (found []Finding) {
	if !n.Bridge {
		return nil
	}
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		if on, _ := n.number("net/bridge/" + name); on == 1 {
			found = append(found, inSettings.is(Info, "net.bridge."+name+inNamespace(netNS), "1",
				"frames within Linux bridges pass the host's firewall, which may drop what goes on to a port of the switch",
				sysctl(netNS, "net.bridge."+name, "0")+"  # if no container runtime needs it"))
		}
	}
	return found
}

// firewall only tells: ports' frames come before the host's rules, or pass by
// them, except at the egress of devices and in the stack behind TAPs.
func firewall(f *Facts) (found []Finding) {
	for _, netNS := range slices.Sorted(maps.Keys(f.Namespaces)) {
		n := f.Namespaces[netNS]
		if len(n.Tables) == 0 {
			continue
		}
		found = append(found, inSettings.is(Info, "nftables"+inNamespace(netNS), shortList(n.Tables),
			"rules at the egress of devices (netdev), and behind TAPs all of them, hold for frames of the switch too",
			netdev.Command(netNS, "nft list ruleset")))
	}
	return found
}

func shortList(names []string) string {
	const most = 6
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func connectionTracking(f *Facts) (found []Finding) {
	for _, netNS := range slices.Sorted(maps.Keys(f.Namespaces)) {
		n := f.Namespaces[netNS]
		count, known := n.number("net/netfilter/nf_conntrack_count")
		most, _ := n.number("net/netfilter/nf_conntrack_max")
		if !known || most == 0 || count < most-most/10 {
			continue
		}
		found = append(found, inSettings.is(Warn, "nf_conntrack"+inNamespace(netNS), fmt.Sprintf("%d of %d connections", count, most),
			"the host drops new connections when its own table is full: those of the API, and behind TAPs",
			netdev.Command(netNS, "sysctl -w net.netfilter.nf_conntrack_max=%d", 4*most)))
	}
	return found
}

func leftovers(f *Facts) (found []Finding) {
	l := &f.Leftovers
	if len(l.Namespaces) > 0 {
		found = append(found, inLeftovers.is(Warn, "test namespaces", shortList(l.Namespaces),
			"tests that were killed have left them", "for n in "+strings.Join(l.Namespaces, " ")+"; do ip netns delete $n; done"))
	}
	if len(l.Dead) > 0 {
		found = append(found, inLeftovers.is(Warn, "dead namespaces", shortList(l.Dead),
			"the files stand for no network namespace; ports in them can't be opened",
			"for n in "+strings.Join(l.Dead, " ")+"; do ip netns delete $n; done"))
	}
	for _, lab := range l.Labs {
		found = append(found, leftLab(lab))
	}
	switch {
	case l.Socket == "":
	case l.running():
		found = append(found, inLeftovers.is(Info, "daemon", "one runs at "+l.Socket, "a second one needs a socket and a state folder of its own (--api, --state)"))
	default:
		found = append(found, inLeftovers.is(Warn, "socket", l.Socket+": "+dialReason(l.SocketErr),
			"nobody answers there: a daemon has been killed, or it may not be asked", "rm "+l.Socket+"  # if no daemon runs"))
	}
	if len(found) == 0 {
		found = append(found, inLeftovers.ok("all", "nothing is left of tests, labs and daemons"))
	}
	return found
}

func leftLab(lab Lab) Finding {
	name := "lab " + lab.ID
	if lab.Kept {
		return inLeftovers.is(Info, name, lab.Scenario+", which was to stay", "it has namespaces and devices of its own", "sluice lab down "+lab.ID)
	}
	return inLeftovers.is(Warn, name, lab.Scenario+", whose process has ended", "its namespaces and devices are still there", "sluice lab down "+lab.ID)
}

// dialReason is the error without address and network, which are in the finding.
func dialReason(err error) string {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || inner.Unwrap() == nil {
			return err.Error()
		}
		err = inner.Unwrap()
	}
}
