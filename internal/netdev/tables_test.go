package netdev_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

func TestFirewallTables(t *testing.T) {
	ns := netnstest.New(t)
	tables, err := netdev.FirewallTables(ns.Name)
	supported(t, err)
	require.Empty(t, tables)
	if err := addTables(ns, map[string]byte{"filter": unix.NFPROTO_INET, "nat": unix.NFPROTO_IPV4}); err != nil {
		t.Skipf("no table of nftables can be made: %v", err)
	}
	tables, err = netdev.FirewallTables(ns.Name)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"inet filter", "ip nat"}, tables)
}

// addTables makes tables of nftables as nft does, in one transaction
// (linux/netfilter/nfnetlink.h, NFNL_MSG_BATCH_BEGIN).
func addTables(ns *netnstest.NS, tables map[string]byte) error {
	var batch []byte
	message := func(kind, flags uint16, family byte, resource uint16, name string) {
		m := make([]byte, unix.NLMSG_HDRLEN)
		m = append(m, family, 0, byte(resource>>8), byte(resource))
		if name != "" {
			value := append([]byte(name), 0)
			m = binary.NativeEndian.AppendUint16(m, uint16(4+len(value)))
			m = binary.NativeEndian.AppendUint16(m, unix.NFTA_TABLE_NAME)
			m = append(m, value...)
			for len(m)%4 != 0 {
				m = append(m, 0)
			}
		}
		binary.NativeEndian.PutUint32(m, uint32(len(m)))
		binary.NativeEndian.PutUint16(m[4:], kind)
		binary.NativeEndian.PutUint16(m[6:], flags|unix.NLM_F_REQUEST)
		batch = append(batch, m...)
	}
	const begin, end = 0x10, 0x11
	message(begin, 0, 0, unix.NFNL_SUBSYS_NFTABLES, "")
	for name, family := range tables {
		message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK, family, 0, name)
	}
	message(end, 0, 0, unix.NFNL_SUBSYS_NFTABLES, "")
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		answer := make([]byte, 4096) // an acknowledgement, or the error
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err == nil && n >= unix.NLMSG_HDRLEN+4 {
			if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
				return unix.Errno(-code)
			}
		}
		return err
	})
}
