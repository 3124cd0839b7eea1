package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
)

// capability is a right and what it is for.
type capability struct {
	name   string
	bits   []int // any of them will do
	needed func(*Want) bool
	means  string
}

func forTypes(types ...api.DeviceType) func(*Want) bool {
	return func(w *Want) bool { return w.uses(types...) }
}

var capabilityTable = []capability{
	{
		"CAP_NET_ADMIN",
		[]int{unix.CAP_NET_ADMIN},
		forTypes(api.DeviceTAP, api.DeviceAFPacket, api.DeviceAFXDP),
		"TAPs can't be made, and devices can't be set up",
	},
	{
		"CAP_NET_RAW",
		[]int{unix.CAP_NET_RAW},
		forTypes(api.DeviceAFPacket, api.DeviceAFXDP),
		"packet sockets and AF_XDP sockets can't be opened",
	},
	{
		"CAP_BPF",
		[]int{unix.CAP_BPF, unix.CAP_SYS_ADMIN},
		forTypes(api.DeviceAFPacket, api.DeviceAFXDP),
		"the programs that give frames to AF_XDP, and keep the host off a device, can't be loaded",
	},
	{
		"CAP_SYS_ADMIN",
		[]int{unix.CAP_SYS_ADMIN},
		(*Want).otherNamespaces,
		"devices in other network namespaces can't be reached",
	},
}

func capabilities(f *Facts) (found []Finding) {
	for _, c := range capabilityTable {
		has := false
		for _, bit := range c.bits {
			has = has || f.Rights.may(bit)
		}
		state := Info
		if c.needed(&f.Want) {
			state = Fail
			if !f.Want.Given {
				state = Warn
			}
		}
		switch {
		case has:
			found = append(found, inRights.ok(c.name, "given"))
		case state == Info:
			found = append(found, inRights.is(Info, c.name, "not given, and not needed for this", c.means))
		default:
			found = append(found, inRights.is(state, c.name, "not given", c.means,
				"# run as root; in a container: --cap-add="+strings.TrimPrefix(c.name, "CAP_"),
				"setcap "+strings.ToLower(c.name)+"+ep FILE  # of the program"))
		}
	}
	return found
}

func container(f *Facts) (found []Finding) {
	r := &f.Rights
	if r.Container != "" {
		found = append(found, inRights.is(Info, "container", r.Container,
			"devices of the host are seen only with the host's network (--network host), or if they are moved in"))
	}
	if r.UserNamespace {
		found = append(found, inRights.is(Warn, "user namespace", "not the machine's own",
			"rights hold for network namespaces made within it; XDP programs and locked memory may be refused all the same",
			"# run as the machine's root, or start the container without a user namespace"))
	}
	return found
}

func tunDevice(f *Facts) []Finding {
	const name, path = "/dev/net/tun", "/dev/net/tun"
	err := f.Rights.Tun
	const cannot = "TAPs can't be opened"
	state := f.Want.missing(api.DeviceTAP)
	switch {
	case err == nil:
		return []Finding{inRights.ok(name, "can be opened")}
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{inRights.is(state, name, "missing", cannot,
			"modprobe tun", "mkdir -p /dev/net && mknod "+path+" c 10 200", "# in a container: --device "+path)}
	case errors.Is(err, fs.ErrPermission):
		return []Finding{inRights.is(state, name, "no access: "+reason(err), cannot, "# run as root; in a container: --device "+path)}
	}
	return []Finding{inRights.is(state, name, reason(err), cannot, "modprobe tun")}
}

// Descriptors that a daemon has open.
const (
	descriptorsOfDaemon = 64 // files, sockets of the API, inotify, the runtime's
	descriptorsPerQueue = 6  // a socket, and for AF_XDP program, map and link
)

func openFiles(f *Facts) []Finding {
	const name = "open files"
	l, queues := f.Rights.OpenFiles, f.Want.queues()
	need := uint64(descriptorsOfDaemon + descriptorsPerQueue*queues)
	switch {
	case l.Soft == 0:
		return nil // unknown
	case l.Hard < need:
		return []Finding{inRights.is(Fail, name, fmt.Sprintf("%s, at most %s", amount(l.Soft), amount(l.Hard)),
			fmt.Sprintf("%d queues need up to %d: ports can't be opened", queues, need),
			fmt.Sprintf("ulimit -Hn %d", 2*need), fmt.Sprintf("# systemd: LimitNOFILE=%d", 2*need))}
	}
	// The Go runtime raises the soft limit to the hard one.
	return []Finding{inRights.ok(name, "%s, at most %s; needed: up to %d", amount(l.Soft), amount(l.Hard), need)}
}

func amount(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// lockedMemory bounds the packet buffers that AF_XDP sockets share, without the
// right to lock memory (xdp_umem_account_pages); BPF has accounts of its own since 5.11.
func lockedMemory(f *Facts) []Finding {
	const name = "locked memory"
	l := f.Rights.LockedMemory
	need := f.Want.arena()
	switch {
	case f.Rights.may(unix.CAP_IPC_LOCK):
		return []Finding{inRights.ok(name, "not limited (CAP_IPC_LOCK)")}
	case l.Soft == 0 && l.Hard == 0:
		return nil
	case l.Soft >= need:
		return []Finding{inRights.ok(name, "%s", size(l.Soft))}
	}
	state := Info
	if f.Want.uses(api.DeviceAFXDP) {
		state = f.Want.missing(api.DeviceAFXDP)
	}
	return []Finding{inRights.is(state, name, size(l.Soft),
		fmt.Sprintf("AF_XDP ports lock the packet buffers, %s or more", size(need)),
		"ulimit -l unlimited", "# systemd: LimitMEMLOCK=infinity", "# in a container: --cap-add=IPC_LOCK")}
}

// size is bytes for a person.
func size(n uint64) string {
	switch {
	case n == Unlimited:
		return "unlimited"
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
