package netdev

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// FirewallTables returns the nftables of a network namespace, as "inet filter":
// family and name. iptables-nft makes such tables too. ErrUnsupported is wrapped
// if the kernel has no nftables.
func FirewallTables(netNS string) (tables []string, err error) {
	r := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETTABLE, unix.NLM_F_DUMP)
	r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_UNSPEC, Version: nl.NFNETLINK_V0})
	messages, err := request(netNS, unix.NETLINK_NETFILTER, r, 0)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return nil, fmt.Errorf("list nftables: %w: %w", ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("list nftables: %w", explainRights(err))
	}
	for _, m := range messages {
		if len(m) < nl.SizeofNfgenmsg {
			continue
		}
		a, err := attributesOf(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return tables, fmt.Errorf("list nftables: %w", err)
		}
		tables = append(tables, tableFamily(m[0])+" "+unix.ByteSliceToString(a[unix.NFTA_TABLE_NAME]))
	}
	return tables, nil
}

// tableFamily is how nft calls a protocol family.
func tableFamily(family byte) string {
	switch family {
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_IPV6:
		return "ip6"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	case unix.NFPROTO_BRIDGE:
		return "bridge"
	}
	return fmt.Sprintf("family %d", family)
}
