package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/port/internal/shield"
)

// device is the network device under a port: what was found, and what was
// changed and is put back in the end.
type device struct {
	netNS string
	info  netdev.Info

	// In use, not what the device could have; txQueues is 0 if not known.
	rxQueues, txQueues int

	xdp netdev.XDP // what the driver says; nothing before Linux 6.3

	ctl     int // socket in the device's namespace, for what is asked by name; -1 is none
	promisc int // packet socket that holds the device promiscuous; -1 is none

	shield   *shield.Shield
	keepTags bool // taking VLAN tags off was on, and is off now
}

// prepare finds the device and makes it ready for a switch: promiscuous, up, and
// before it is up without the host's own stack on it. That this hears
// nothing of the device is the XDP program's work.
func prepare(cfg Config) (d *device, err error) {
	d = &device{netNS: cfg.NetNS, ctl: -1, promisc: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.restore())
		}
	}()
	if d.info, err = netdev.Link(cfg.NetNS, cfg.Name); err != nil {
		return d, err
	}
	if !d.info.Ether {
		return d, fmt.Errorf("device %s carries no Ethernet frames: choose another", cfg.Name)
	}
	if err = netdev.In(cfg.NetNS, d.openSockets); err != nil {
		return d, err
	}
	// Without such a setting all that it was made with are in use.
	d.rxQueues, d.txQueues = max(d.info.RxQueues, 1), max(d.info.TxQueues, 1)
	if c, err := netdev.DeviceChannels(cfg.NetNS, cfg.Name); err == nil && c.RxQueues() > 0 {
		d.rxQueues, d.txQueues = c.RxQueues(), c.Tx+c.Combined
	}
	// Without an answer nothing is expected of the driver: copy mode works with any.
	d.xdp, _ = netdev.XDPFeatures(cfg.NetNS, cfg.Name)
	if err = d.checkQueues(cfg.Queues); err != nil {
		return d, err
	}
	if d.info.MTU < cfg.MTU {
		return d, fmt.Errorf("its MTU is %d, packets of the port have up to %d bytes: raise it (%s; of a veth both ends), or lower the segment's mtu",
			d.info.MTU, cfg.MTU, d.command("ip link set %s mtu %d", cfg.Name, cfg.MTU))
	}
	d.shield, err = shield.Attach(shield.Config{NetNS: cfg.NetNS, Name: d.info.Name, Index: d.info.Index})
	if err != nil {
		return d, fmt.Errorf("keep the host off: %w", explainBPF(err))
	}
	if !d.info.Up {
		if err = netdev.SetUp(cfg.NetNS, cfg.Name, true); err != nil {
			return d, err
		}
	}
	return d, nil
}

// openSockets is called in the device's namespace.
func (d *device) openSockets() (err error) {
	if d.ctl, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		d.ctl = -1
		return fmt.Errorf("control socket: %w", err)
	}
	// A membership is counted, and ends with the process however that ends,
	// unlike the flag of the device. Protocol 0: the socket receives nothing.
	if d.promisc, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		d.promisc = -1
		if err == unix.EPERM {
			return fmt.Errorf("no right to make packet sockets: %s: %w", getRights, err)
		}
		return fmt.Errorf("packet socket: %w", err)
	}
	member := &unix.PacketMreq{Ifindex: int32(d.info.Index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(d.promisc, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, member); err != nil {
		return fmt.Errorf("make %s promiscuous: %w", d.info.Name, err)
	}
	return nil
}

// checkQueues refuses a port that would not see all frames, or has no queue to
// read.
func (d *device) checkQueues(want int) error {
	have, name, kind := d.rxQueues, d.info.Name, "combined"
	if d.veth() {
		kind = "rx"
	}
	set := d.command("ethtool -L %s %s %d", name, kind, want)
	switch {
	case want < have:
		return fmt.Errorf("%s has %d receive queues in use, and frames of all but the first %d would be lost: "+
			"ask for %d, or let it use fewer (%s)", name, have, want, have, set)
	case want > have:
		return fmt.Errorf("%s has %d receive queues in use, not %d: ask for %d, or let it use more (%s)", name, have, want, have, set)
	}
	return nil
}

// command is a remedy in the device's namespace.
func (d *device) command(format string, args ...any) string {
	return netdev.Command(d.netNS, format, args...)
}

func (d *device) veth() bool { return d.info.Driver == "veth" }

// programNote names the XDP program that is on the device now.
func (d *device) programNote() string {
	now, err := netdev.Link(d.netNS, d.info.Name)
	if err != nil || now.XDP == 0 {
		return ""
	}
	return fmt.Sprintf(" (number %d)", now.XDP)
}

// setTaking has the device take VLAN tags off received frames or not, and reports
// whether that was a change. One without the feature leaves them anyway.
func (d *device) setTaking(on bool) (changed bool) {
	f, err := netdev.DeviceFeatures(d.netNS, d.info.Name)
	if err != nil || f.Active("rxvlan") == on {
		return false
	}
	return netdev.SetFeatures(d.netNS, d.info.Name, map[string]bool{"rxvlan": on}) == nil
}

// restore puts back what prepare has changed and lets go of the device. One that
// is gone has nothing to put back.
func (d *device) restore() error {
	var errs []error
	if d.ctl >= 0 {
		_, _, there := d.state()
		if there && d.keepTags {
			d.setTaking(true)
		}
		if d.shield != nil {
			errs = append(errs, d.shield.Close(!there))
		}
		errs = append(errs, unix.Close(d.ctl))
		d.ctl = -1
	}
	if d.promisc >= 0 {
		errs = append(errs, unix.Close(d.promisc))
		d.promisc = -1
	}
	return errors.Join(errs...)
}

// state asks for link state and MTU as they are now, by the device's number: its
// name may have changed, and is kept up to date.
func (d *device) state() (up bool, mtu int, there bool) {
	r, err := unix.NewIfreq("")
	if err != nil {
		return false, 0, false
	}
	r.SetUint32(uint32(d.info.Index))
	if unix.IoctlIfreq(d.ctl, unix.SIOCGIFNAME, r) != nil {
		return false, 0, false
	}
	d.info.Name = r.Name()
	if unix.IoctlIfreq(d.ctl, unix.SIOCGIFFLAGS, r) != nil {
		return false, 0, false
	}
	const running = unix.IFF_UP | unix.IFF_RUNNING // RUNNING is what carrier is seen as
	up = r.Uint16()&running == running
	if unix.IoctlIfreq(d.ctl, unix.SIOCGIFMTU, r) != nil {
		return false, 0, false
	}
	return up, int(r.Uint32()), true
}
