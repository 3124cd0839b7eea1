package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-net/sluice/internal/netdev"
)

// dhcpScript does what udhcpc(8) says. It touches the interface only: the one
// that udhcpc comes with writes to the machine's /etc/resolv.conf.
const dhcpScript = `#!/bin/sh
case $1 in
deconfig)
	ip -4 address flush dev "$interface"
	ip link set "$interface" up
	;;
bound | renew)
	ip -4 address replace "$ip/$mask" valid_lft "$lease" preferred_lft "$lease" dev "$interface"
	# RFC 3442: whoever takes option 121 takes no default route from elsewhere.
	if [ -n "$staticroutes" ]; then
		set -- $staticroutes
		while [ $# -ge 2 ]; do
			ip route replace "$1" via "$2" dev "$interface"
			shift 2
		done
	else
		for r in $router; do ip route replace default via "$r" dev "$interface"; done
	fi
	;;
esac
`

// startClients runs a DHCP client for each interface that is to be told its
// address so, and waits until all have one.
func (l *Lab) startClients(ctx context.Context) error {
	script := filepath.Join(l.dir, "bin", "dhcp-script")
	if err := os.WriteFile(script, []byte(dhcpScript), 0o755); err != nil {
		return err
	}
	var waiting []*netInterface
	for _, ns := range l.plan.namespaces {
		for _, f := range ns.interfaces {
			if f.configure != "dhcp" {
				continue
			}
			argv := []string{"udhcpc", "-f", "-i", f.name, "-t", "20", "-T", "1", "-s", script, "-O", "staticroutes"}
			p, err := l.start(ns, f.port, f.port+": udhcpc", argv)
			if err != nil {
				return err
			}
			l.programs = append(l.programs, p)
			waiting = append(waiting, f)
		}
	}
	for _, f := range waiting {
		for !f.hasIPv4() {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: the DHCP client has got no address: %w", f.port, context.Cause(ctx))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func (f *netInterface) hasIPv4() bool {
	info, err := netdev.Link(f.ns.netns, f.name)
	if err != nil {
		return false
	}
	for _, a := range info.Addresses {
		if a.Addr().Is4() {
			return true
		}
	}
	return false
}

// given are the addresses that the lab gives the interface; others come from
// the network.
func (f *netInterface) given() (addresses []netip.Prefix) {
	for _, a := range f.addresses {
		if f.configure == "static" || f.configure == "ra" && a.Addr().Is4() {
			addresses = append(addresses, a)
		}
	}
	return addresses
}
