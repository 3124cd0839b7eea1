package afpacket

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// wire is a packet socket without any of the port's options, at the far end of
// a veth: what it sends the port receives, byte by byte.
type wire struct {
	t     testing.TB
	s     int
	index int
}

func newWire(t testing.TB, ns *netnstest.NS, name string) *wire {
	t.Helper()
	w := &wire{t: t}
	require.NoError(t, ns.Do(func() (err error) {
		info, err := netdev.Link("", name)
		if err != nil {
			return err
		}
		w.index = info.Index
		w.s, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Bind(w.s, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: info.Index})
	}))
	t.Cleanup(func() { unix.Close(w.s) })
	wait := unix.NsecToTimeval(int64(patience))
	require.NoError(t, unix.SetsockoptTimeval(w.s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
	require.NoError(t, unix.SetsockoptInt(w.s, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1))
	require.NoError(t, unix.SetsockoptInt(w.s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
	return w
}

func (w *wire) send(frames ...[]byte) {
	w.t.Helper()
	for _, f := range frames {
		require.NoError(w.t, unix.Sendto(w.s, f, 0, &unix.SockaddrLinklayer{Ifindex: w.index}), "%d bytes", len(f))
	}
}

// receive returns the next frame that came from the port, with the tag that the
// kernel tells of beside it.
func (w *wire) receive() []byte {
	w.t.Helper()
	for {
		buf, oob := make([]byte, 1<<17), make([]byte, 256)
		n, oobn, _, from, err := unix.Recvmsg(w.s, buf, oob, 0)
		require.NoError(w.t, err)
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		f := buf[:n]
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		require.NoError(w.t, err)
		for _, m := range messages {
			aux := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
			if aux.Status&unix.TP_STATUS_VLAN_VALID != 0 {
				tag := binary.BigEndian.AppendUint16(nil, aux.Vlan_tpid)
				tag = binary.BigEndian.AppendUint16(tag, aux.Vlan_tci)
				f = append(append(append([]byte(nil), f[:12]...), tag...), f[12:]...)
			}
		}
		return f
	}
}

// ethtool sets one of a device's features (linux/ethtool.h, ETHTOOL_S...).
func ethtool(t testing.TB, ns *netnstest.NS, device string, command, value uint32) {
	t.Helper()
	v := struct{ command, value uint32 }{command, value}
	ifr := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&v)}
	copy(ifr.name[:], device)
	require.NoError(t, ns.Do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
			return errno
		}
		return nil
	}))
}

// pair is a veth whose near end is to be a port and whose far end is a wire.
func pair(t testing.TB, o netnstest.VethOptions) (near, far *netnstest.NS) {
	t.Helper()
	near = host(t)
	far = netnstest.New(t)
	netnstest.Veth(t, far, "eth0", near, "p0", o)
	return near, far
}

func TestFramesPassUnchanged(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, MTU: 1500, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	for _, row := range []struct{ why, frame string }{
		{"a short frame", "udp 10.0.0.1:9 > 10.0.0.2:53"},
		{"a whole one", "udp 10.0.0.1:9 > 10.0.0.2:53 len 1472"},
		{"an ARP request, which the host would answer", "arp 10.0.0.1 who-has 10.0.0.2"},
		{"a tag, which the kernel puts aside", "udp 10.0.0.1:9 > 10.0.0.2:53 vlan 100"},
		{"a tag with a priority", "udp 10.0.0.1:9 > 10.0.0.2:53 vlan 100.5"},
		{"a whole frame with a tag", "udp 10.0.0.1:9 > 10.0.0.2:53 len 1472 vlan 100"},
		{"two tags, of which the kernel puts one aside", "udp 10.0.0.1:9 > 10.0.0.2:53 qinq 200 vlan 100"},
	} {
		t.Run(row.why, func(t *testing.T) {
			f := frame(t, row.frame)
			w.send(f)
			got := u.receive(p, 1)
			require.Len(t, got, 1)
			require.Equal(t, f, got[0].frame)
			require.False(t, got[0].meta.CsumPartial)
			require.EqualValues(t, packet.GSONone, got[0].meta.GSOType)
			require.Equal(t, 1, u.try(p, f))
			require.Equal(t, f, w.receive())
		})
	}
	c := p.Counters()
	require.EqualValues(t, 7, c.Received)
	require.EqualValues(t, 7, c.Sent)
}
