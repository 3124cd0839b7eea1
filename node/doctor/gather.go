package doctor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Gather finds out what the checks want to know.
func Gather(s *System, o Options) *Facts {
	r := reader{s.Root}
	f := &Facts{
		Want:    wanted(o.Model),
		Kernel:  r.kernel(),
		Rights:  r.rights(),
		Machine: r.machine(),
	}
	f.Kernel.XDPSocket = s.XDPSocket()
	f.Kernel.TxMetadata = s.TxMetadata()
	f.Rights.Tun = s.Tun()
	f.Devices = s.devices(&f.Want)
	f.Namespaces = s.namespaces(&f.Want)
	f.Leftovers = s.leftovers(r, o.Socket)
	if o.State != "" {
		f.State = s.State(o.State)
	}
	return f
}

func wanted(m *control.Model) Want {
	if m == nil {
		return Want{}
	}
	return Want{
		Given: true, Ports: m.Ports, Segments: m.Segments,
		Workers: m.Node.Workers, CPUs: m.Node.CPUs, Sessions: m.Node.Limits.Sessions,
	}
}

// devices asks for those that ports name, or for all in the own namespace.
func (s *System) devices(w *Want) (found []Device) {
	if !w.Given {
		infos, err := s.Links("")
		if err != nil {
			return []Device{{Name: "all", Err: err}}
		}
		for _, i := range infos {
			d := Device{Name: i.Name, Info: i}
			s.details(&d)
			found = append(found, d)
		}
		return found
	}
	for i := range w.Ports {
		p := w.Ports[i]
		if !isReal(p.Device.Type) {
			continue
		}
		d := Device{Port: p, NetNS: p.Device.NetNS, Name: p.Device.Name}
		d.Info, d.Err = s.Link(d.NetNS, d.Name)
		if d.Err == nil {
			s.details(&d)
		}
		found = append(found, d)
	}
	return found
}

// details are nil where the kernel can't tell.
func (s *System) details(d *Device) {
	d.XDP, d.XDPErr = s.XDP(d.NetNS, d.Name)
	d.Features, _ = s.Features(d.NetNS, d.Name)
	d.Channels, d.ChannelsErr = s.Channels(d.NetNS, d.Name)
}

// Settings of a namespace that are read; those of devices are in perDevice.
var namespaceSettings = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding",
	"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/all/arp_ignore",
	"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
	"net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max",
	"net/core/rmem_max", "net/core/wmem_max", "net/core/netdev_max_backlog",
}

// perDevice are settings of the host's side of a device.
func perDevice(name string) []string {
	return []string{
		"net/ipv4/conf/" + name + "/rp_filter",
		"net/ipv4/conf/" + name + "/arp_ignore",
		"net/ipv6/conf/" + name + "/disable_ipv6",
	}
}

func (s *System) namespaces(w *Want) map[string]Namespace {
	all := map[string]Namespace{"": s.namespace("", nil)}
	for i := range w.Ports {
		netNS := w.Ports[i].Device.NetNS
		if _, known := all[netNS]; known && netNS != "" || !isReal(w.Ports[i].Device.Type) {
			continue
		}
		var devices []string
		for j := range w.Ports {
			if d := &w.Ports[j].Device; d.NetNS == netNS && d.Type == api.DeviceTAP {
				devices = append(devices, d.Name)
			}
		}
		all[netNS] = s.namespace(netNS, devices)
	}
	return all
}

func (s *System) namespace(netNS string, devices []string) Namespace {
	n := Namespace{Settings: map[string]string{}}
	infos, err := s.Links(netNS)
	if err != nil {
		n.Err = err
		return n
	}
	for _, i := range infos {
		if i.Name != "lo" {
			n.Addresses = append(n.Addresses, i.Addresses...)
		}
		n.Bridge = n.Bridge || i.Kind == "bridge"
	}
	names := slices.Clone(namespaceSettings)
	for _, d := range devices {
		names = append(names, perDevice(d)...)
	}
	for _, name := range names {
		if value, err := s.Setting(netNS, name); err == nil {
			n.Settings[name] = value
		}
	}
	n.Tables, _ = s.Tables(netNS)
	return n
}

// number is a setting's value; false if it is not there.
func (n *Namespace) number(name string) (int, bool) {
	value, err := strconv.Atoi(n.Settings[name])
	return value, err == nil
}

func (s *System) leftovers(r reader, socket string) (l Leftovers) {
	names, _ := s.Namespaces()
	for _, name := range names {
		if err := s.Namespace(name); err != nil && !errors.Is(err, fs.ErrPermission) {
			l.Dead = append(l.Dead, name)
			continue
		}
		// Tests name theirs sl-PROCESS-NUMBER (internal/netdev/netnstest).
		rest, found := strings.CutPrefix(name, "sl-")
		pid, _, two := strings.Cut(rest, "-")
		if _, err := strconv.ParseUint(pid, 10, 32); found && two && err == nil && !r.exists(path.Join("proc", pid)) {
			l.Namespaces = append(l.Namespaces, name)
		}
	}
	l.Labs = r.labs()
	if socket != "" && r.exists(strings.TrimPrefix(socket, "/")) {
		l.Socket, l.SocketErr = socket, s.Connect(socket)
	}
	return l
}

// labs are those of which nobody takes care: see lab.State.
func (r reader) labs() (left []Lab) {
	const dir = "run/sluice/lab"
	entries, _ := fs.ReadDir(r.root, dir)
	for _, e := range entries {
		var state struct {
			Scenario string `json:"scenario"`
			PID      int    `json:"pid"`
			Kept     bool   `json:"kept"`
		}
		data, err := fs.ReadFile(r.root, path.Join(dir, e.Name(), "state.json"))
		if err != nil || json.Unmarshal(data, &state) != nil {
			continue
		}
		if state.Kept || !r.exists(path.Join("proc", strconv.Itoa(state.PID))) {
			left = append(left, Lab{ID: e.Name(), Scenario: state.Scenario, Kept: state.Kept})
		}
	}
	return left
}

// overlaps returns the segment that an address of the host is in.
func (w *Want) overlaps(a netip.Prefix) (segment string, found bool) {
	for i := range w.Segments {
		for _, s := range w.Segments[i].Subnets {
			if s.Prefix.Contains(a.Addr()) {
				return w.Segments[i].Name, true
			}
		}
	}
	return "", false
}
