package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
)

// maxDeviceName is IFNAMSIZ less the terminating zero.
const maxDeviceName = 15

// deviceKey is what devices must not share: interfaces of one network namespace share
// their names, whatever opens them.
type deviceKey struct{ space, name string }

// planDevice resolves the device of a port.
func (p *portPlan) planDevice(d *api.Device) {
	if d == nil {
		return
	}
	p.device = Device{
		Type: d.Type, Name: d.Name, NetNS: d.NetNS, Queues: d.Queues,
		Offload: d.Offload == api.OffloadAuto, AllowFallback: d.AllowFallback, Persistent: d.Persistent,
	}
	isInterface := d.Type == api.DeviceTAP || d.Type == api.DeviceAFPacket || d.Type == api.DeviceAFXDP
	switch {
	case isInterface && d.Name == "":
		p.fault("spec.device", "a device of type "+string(d.Type)+" needs a name", "")
		return
	case isInterface && len(d.Name) > maxDeviceName:
		p.fault("spec.device.name", fmt.Sprintf("%s has %d bytes", clip(d.Name), len(d.Name)),
			fmt.Sprintf("an interface's name has at most %d", maxDeviceName))
		return
	case isInterface && !isInterfaceName(d.Name):
		p.fault("spec.device.name", fmt.Sprintf("%q is no interface's name", clip(d.Name)),
			"without /, :, % and spaces, and not . or ..")
		return
	case d.Type == api.DeviceAFXDP && d.Name == "lo":
		p.fault("spec.device.name", "the loopback interface can't be an afxdp device", "")
		return
	case d.Persistent && d.Type != api.DeviceTAP:
		p.fault("spec.device.persistent", "only a TAP can be made to outlive its port", "leave it out")
	case !isInterface && d.NetNS != "":
		p.fault("spec.device.netns", "a device of type "+string(d.Type)+" is in no network namespace", "leave it out")
	}
	switch {
	case d.Name == "":
	case isInterface:
		p.deviceKey = deviceKey{"netns " + d.NetNS, d.Name}
	default:
		p.deviceKey = deviceKey{string(d.Type), d.Name}
	}
}

// isInterfaceName is the kernel's dev_valid_name, and no % (a template).
func isInterfaceName(name string) bool {
	if name == "." || name == ".." {
		return false
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("/:%", r) {
			return false
		}
	}
	return true
}

// claimDevice remembers that a port has a device.
func (c *compiler) claimDevice(p *portPlan) {
	if p.deviceKey == (deviceKey{}) {
		return
	}
	users := append(c.devices[p.deviceKey], p)
	c.devices[p.deviceKey] = users
	if len(users) > 1 {
		c.contended[p.deviceKey] = true
	}
}

// releaseDevice forgets it.
func (c *compiler) releaseDevice(p *portPlan) {
	if p.deviceKey == (deviceKey{}) {
		return
	}
	users := c.devices[p.deviceKey]
	users = slices.DeleteFunc(users, func(q *portPlan) bool { return p == q })
	c.devices[p.deviceKey] = users
	switch len(users) {
	case 0:
		delete(c.devices, p.deviceKey)
	case 1:
		delete(c.contended, p.deviceKey)
	}
}

// contendDevices reports each port whose device is that of one before it.
func (c *compiler) contendDevices() {
	for key := range c.contended {
		var first *portPlan
		users := slices.Clone(c.devices[key])
		slices.SortFunc(users, func(a, b *portPlan) int { return strings.Compare(a.name, b.name) })
		for _, p := range users {
			switch {
			case c.ports[p.name] != p: // another has its name
			case first == nil:
				first = p
			default:
				c.fault(p.object, "spec.device.name", "the device "+clip(key.name)+" is taken", "by "+first.object.where())
			}
		}
	}
}
