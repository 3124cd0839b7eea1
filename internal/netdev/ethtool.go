package netdev

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Feature is one thing that a device, or the kernel for it, can do to frames.
type Feature struct {
	Active     bool
	Changeable bool // false: it is always so
}

// featureGroups are the names that `ethtool -K` uses for several features, or
// instead of a feature's own.
var featureGroups = map[string][]string{
	"rx":     {"rx-checksum"},
	"tx":     {"tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-fcoe-crc", "tx-checksum-sctp"},
	"tso":    {"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation"},
	"uso":    {"tx-udp-segmentation"},
	"gso":    {"tx-generic-segmentation"},
	"gro":    {"rx-gro"},
	"lro":    {"rx-lro"},
	"rxvlan": {"rx-vlan-hw-parse"},
	"txvlan": {"tx-vlan-hw-insert"},
}

// Features are a device's, by the kernel's names (tx-checksum-ip-generic).
type Features map[string]Feature

// Active reports whether a feature is on; of a group's name (tx, rx, tso, gso,
// gro, lro, uso, rxvlan, txvlan) whether any of its features is.
func (f Features) Active(name string) bool {
	return slices.ContainsFunc(members(name), func(m string) bool { return f[m].Active })
}

// members are the features that a name stands for.
func members(name string) []string {
	if group, found := featureGroups[name]; found {
		return group
	}
	return []string{name}
}

// DeviceFeatures returns the features of a device. ErrUnsupported is wrapped if the
// kernel can't tell by netlink (before Linux 5.7).
func DeviceFeatures(netNS, name string) (Features, error) {
	replies, err := ethtool(netNS, name, unix.ETHTOOL_MSG_FEATURES_GET, unix.ETHTOOL_A_FEATURES_HEADER)
	if err != nil {
		return nil, fmt.Errorf("ask for the features of %s: %w", where(netNS, name), err)
	}
	features := Features{}
	for _, reply := range replies {
		attributes, err := attributesOf(reply)
		if err != nil {
			return nil, fmt.Errorf("features of %s: %w", where(netNS, name), err)
		}
		changeable := bits(attributes[unix.ETHTOOL_A_FEATURES_HW])
		active := bits(attributes[unix.ETHTOOL_A_FEATURES_ACTIVE])
		fixed := bits(attributes[unix.ETHTOOL_A_FEATURES_NOCHANGE])
		for feature, can := range changeable { // it lists all that there are
			features[feature] = Feature{Active: active[feature], Changeable: can && !fixed[feature]}
		}
	}
	return features, nil
}

// SetFeatures turns features of a device on or off, by the kernel's names or those
// of groups (see Features.Active). Of a group, what can't be changed is passed
// over, if anything can. It is an error if a feature is not as wanted in the end.
func SetFeatures(netNS, name string, want map[string]bool) error {
	what := "set the features of " + where(netNS, name)
	have, err := DeviceFeatures(netNS, name)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	list := nl.NewRtAttr(unix.ETHTOOL_A_BITSET_BITS|unix.NLA_F_NESTED, nil)
	changed := map[string]bool{}
	var refused []string
	for _, feature := range slices.Sorted(maps.Keys(want)) {
		on, fixed, known := want[feature], 0, 0
		for _, m := range members(feature) {
			f, found := have[m]
			if !found {
				continue
			}
			known++
			if f.Active == on && !f.Changeable {
				continue
			}
			if !f.Changeable {
				fixed++
				continue
			}
			changed[m] = on
			bit := list.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS_BIT|unix.NLA_F_NESTED, nil)
			bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_NAME, nl.ZeroTerminated(m))
			if on {
				bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_VALUE, nil)
			}
		}
		switch {
		case known == 0:
			refused = append(refused, fmt.Sprintf("there is no feature %q", feature))
		case fixed == known || fixed > 0 && !on:
			refused = append(refused, fmt.Sprintf("%s is always %s", feature, onOff(!on)))
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("%s: %s", what, strings.Join(refused, "; "))
	}
	if len(changed) == 0 {
		return nil
	}
	wanted := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_WANTED|unix.NLA_F_NESTED, nil)
	wanted.AddChild(list)
	if _, err := ethtool(netNS, name, unix.ETHTOOL_MSG_FEATURES_SET, unix.ETHTOOL_A_FEATURES_HEADER, wanted); err != nil {
		return fmt.Errorf("%s: %w", what, explainRights(err))
	}
	if have, err = DeviceFeatures(netNS, name); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, feature := range slices.Sorted(maps.Keys(changed)) {
		if have[feature].Active != changed[feature] {
			refused = append(refused, fmt.Sprintf("%s stays %s: another feature needs it so", feature, onOff(!changed[feature])))
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("%s: %s", what, strings.Join(refused, "; "))
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// bits reads a list of named bits: which it names, and whether they are set. In
// a list without a mask those that are named are set.
func bits(bitset []byte) map[string]bool {
	named := map[string]bool{}
	attributes, err := attributesOf(bitset)
	if err != nil {
		return named
	}
	_, noMask := attributes[unix.ETHTOOL_A_BITSET_NOMASK]
	list, err := nl.ParseRouteAttr(attributes[unix.ETHTOOL_A_BITSET_BITS])
	if err != nil {
		return named
	}
	for _, entry := range list {
		bit, err := attributesOf(entry.Value)
		if err != nil {
			return named
		}
		_, set := bit[unix.ETHTOOL_A_BITSET_BIT_VALUE]
		named[unix.ByteSliceToString(bit[unix.ETHTOOL_A_BITSET_BIT_NAME])] = set || noMask
	}
	return named
}

// Channels are how many queues of a device are in use, and may be.
type Channels struct {
	Rx, Tx, Combined          int
	MaxRx, MaxTx, MaxCombined int
}

// RxQueues is the number of queues in use that frames are received on.
func (c Channels) RxQueues() int { return c.Rx + c.Combined }

// DeviceChannels returns the channels of a device. ErrUnsupported is wrapped if the
// driver can't tell: it has one queue then, or as many as it was made with.
func DeviceChannels(netNS, name string) (c Channels, err error) {
	replies, err := ethtool(netNS, name, unix.ETHTOOL_MSG_CHANNELS_GET, unix.ETHTOOL_A_CHANNELS_HEADER)
	if err != nil {
		return c, fmt.Errorf("ask for the channels of %s: %w", where(netNS, name), err)
	}
	for _, reply := range replies {
		a, err := attributesOf(reply)
		if err != nil {
			return c, fmt.Errorf("channels of %s: %w", where(netNS, name), err)
		}
		for attribute, p := range map[uint16]*int{
			unix.ETHTOOL_A_CHANNELS_RX_COUNT: &c.Rx, unix.ETHTOOL_A_CHANNELS_RX_MAX: &c.MaxRx,
			unix.ETHTOOL_A_CHANNELS_TX_COUNT: &c.Tx, unix.ETHTOOL_A_CHANNELS_TX_MAX: &c.MaxTx,
			unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT: &c.Combined, unix.ETHTOOL_A_CHANNELS_COMBINED_MAX: &c.MaxCombined,
		} {
			*p = int(number(a[attribute]))
		}
	}
	return c, nil
}

// SetChannels sets how many queues are in use; Max* are not looked at, and zero
// is left as it is.
func SetChannels(netNS, name string, c Channels) error {
	var attributes []*nl.RtAttr
	for _, a := range []struct {
		attribute int
		n         int
	}{
		{unix.ETHTOOL_A_CHANNELS_RX_COUNT, c.Rx},
		{unix.ETHTOOL_A_CHANNELS_TX_COUNT, c.Tx},
		{unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT, c.Combined},
	} {
		if a.n < 0 {
			return fmt.Errorf("set the channels of %s: %d is negative", where(netNS, name), a.n)
		}
		if a.n > 0 {
			attributes = append(attributes, nl.NewRtAttr(a.attribute, nl.Uint32Attr(uint32(a.n))))
		}
	}
	if len(attributes) == 0 {
		return nil
	}
	_, err := ethtool(netNS, name, unix.ETHTOOL_MSG_CHANNELS_SET, unix.ETHTOOL_A_CHANNELS_HEADER, attributes...)
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EINVAL) {
		if max, e := DeviceChannels(netNS, name); e == nil {
			err = fmt.Errorf("it can use up to %d rx, %d tx and %d combined: %w", max.MaxRx, max.MaxTx, max.MaxCombined, err)
		}
	}
	return fmt.Errorf("set the channels of %s: %w", where(netNS, name), explainRights(err))
}

// ethtool sends a command about one device; header is the number of the
// attribute that names it.
func ethtool(netNS, name string, command uint8, header int, attributes ...*nl.RtAttr) ([][]byte, error) {
	h := nl.NewRtAttr(header|unix.NLA_F_NESTED, nil)
	h.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_NAME, nl.ZeroTerminated(name))
	replies, err := generic(netNS, "ethtool", command, append([]*nl.RtAttr{h}, attributes...)...)
	if errors.Is(err, unix.ENODEV) {
		return nil, use(netNS, func(c *conn) error { return c.noDevice(name) })
	}
	return replies, err
}
