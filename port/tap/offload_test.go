package tap

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

func TestStreamsTravelInSuperFrames(t *testing.T) {
	const size = 4 << 20
	for _, row := range []struct {
		why     string
		cfg     Config
		address string // where b listens
		gso     byte   // of most frames
		longest int    // bytes that the longest frame has at least
	}{
		{"IPv4", Config{Offload: true}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"IPv6", Config{Offload: true}, "[fd09::2]:80", packet.GSOTCPv6, 30_000},
		{"a larger MTU makes larger segments", Config{Offload: true, MTU: 9000}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"the largest MTU leaves nothing to segment", Config{Offload: true, MTU: maxMTU}, "10.9.0.2:80", packet.GSONone, 30_000},
		{"several queues", Config{Offload: true, Queues: 2}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"without offloads frames are plain", Config{}, "10.9.0.2:80", packet.GSONone, 1514},
		{"and may be jumbos", Config{MTU: 9000}, "[fd09::2]:80", packet.GSONone, 9014},
	} {
		t.Run(row.why, func(t *testing.T) {
			l := newLink(t, row.cfg)
			l.stream(row.address, size)
			from := &l.seen[0]
			require.GreaterOrEqual(t, from.longest.Load(), uint64(row.longest))
			frames := from.frames.Load()
			require.NotZero(t, from.supers[row.gso].Load())
			if row.cfg.Offload {
				require.Less(t, frames, uint64(size/8000), "most bytes came in long frames")
			} else {
				require.Equal(t, frames, from.supers[packet.GSONone].Load())
				require.Zero(t, from.partial.Load())
			}
			counters := l.ports[0].Counters()
			require.Zero(t, counters.RxRefused+counters.TxErrors+counters.RxLost, "%+v", counters)
		})
	}
}

// TestDatagramsTravelInSuperFrames sends UDP with UDP_SEGMENT (udp(7)).
func TestDatagramsTravelInSuperFrames(t *testing.T) {
	const segment, segments = 1000, 20
	for _, address := range []string{"10.9.0.2:53", "[fd09::2]:53"} {
		t.Run(address, func(t *testing.T) {
			l := newLink(t, Config{Offload: true})
			if l.ports[0].Mode() != "vnet_hdr: csum, TSO, USO; 1 queue" {
				t.Skipf("this kernel has no USO: %s", l.ports[0].Mode())
			}
			var to net.PacketConn
			l.ends[1].do(func() (err error) { to, err = net.ListenPacket("udp", address); return err })
			defer to.Close()
			var from net.Conn
			l.ends[0].do(func() (err error) { from, err = net.Dial("udp", address); return err })
			defer from.Close()
			raw, err := from.(*net.UDPConn).SyscallConn()
			require.NoError(t, err)
			var sockErr error
			require.NoError(t, raw.Control(func(fd uintptr) {
				sockErr = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, segment)
			}))
			require.NoError(t, sockErr)
			message := pattern(segment*segments, 1)
			_, err = from.Write(message)
			require.NoError(t, err)
			require.NoError(t, to.SetReadDeadline(time.Now().Add(patience)))
			buf := make([]byte, 65536)
			for i := range segments {
				n, _, err := to.ReadFrom(buf)
				require.NoError(t, err)
				require.Equal(t, message[i*segment:(i+1)*segment], buf[:n])
			}
			require.EqualValues(t, 1, l.seen[0].supers[packet.GSOUDP].Load())
		})
	}
}

// TestTagsStayInFrames puts a VLAN device on either TAP.
func TestTagsStayInFrames(t *testing.T) {
	l := newLink(t, Config{Offload: true})
	for i, ns := range l.ends {
		err := ns.try(func() error {
			parent, err := netlink.LinkByName("t0")
			if err != nil {
				return err
			}
			vlan := &netlink.Vlan{VlanId: 5, LinkAttrs: netlink.LinkAttrs{Name: "v5", ParentIndex: parent.Attrs().Index}}
			if err := netlink.LinkAdd(vlan); err != nil {
				return err
			}
			address, err := netlink.ParseAddr(fmt.Sprintf("10.9.5.%d/24", i+1))
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(vlan, address); err != nil {
				return err
			}
			return netlink.LinkSetUp(vlan)
		})
		if err != nil {
			t.Skipf("this kernel has no VLAN devices: %v", err)
		}
	}
	l.stream("10.9.5.2:80", 1<<20)
	require.NotZero(t, l.seen[0].supers[packet.GSOTCPv4].Load())
}
