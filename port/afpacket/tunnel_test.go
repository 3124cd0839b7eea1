package afpacket

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// TestTunnelsOfPods lets pods talk TCP through tunnels of their own. Their
// kernels make super-frames of these, which no virtio header describes.
func TestTunnelsOfPods(t *testing.T) {
	for _, row := range []struct {
		why     string
		tunnel  string // arguments of ip link add; LOCAL and REMOTE are addresses
		address [2]string
		vector  int
	}{
		{"VXLAN over IPv4", "type vxlan id 42 dstport 4789 local LOCAL4 remote REMOTE4 dev eth0", [2]string{"10.77.0.1/24", "10.77.0.2/24"}, 0},
		{"VXLAN over IPv6, IPv6 in it", "type vxlan id 42 dstport 4789 local LOCAL6 remote REMOTE6 dev eth0", [2]string{"fd77::1/64", "fd77::2/64"}, 0},
		{"to a worker that asks for few frames at a time", "type vxlan id 42 dstport 4789 local LOCAL4 remote REMOTE4 dev eth0", [2]string{"10.77.0.1/24", "10.77.0.2/24"}, 3},
		{"Geneve", "type geneve id 42 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}, 0},
		{"GRE", "type gre local LOCAL4 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}, 0},
		{"IP in IP", "type ipip local LOCAL4 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}, 0},
	} {
		t.Run(row.why, func(t *testing.T) {
			h := host(t)
			ends := pods(t, h, netnstest.VethOptions{})
			u := newUser(t, debugging)
			var ports [2]*Port
			for i, e := range ends {
				ports[i] = u.open(Config{Name: e.device, NetNS: h.Name, Offload: true, Exclusive: true})
				local, remote := string(rune('1'+i)), string(rune('2'-i))
				args := strings.NewReplacer("LOCAL4", "10.9.0."+local, "REMOTE4", "10.9.0."+remote,
					"LOCAL6", "fd09::"+local, "REMOTE6", "fd09::"+remote).Replace(row.tunnel)
				if _, stderr, err := e.Try(strings.Fields("ip link add tun0 " + args)...); err != nil {
					t.Skipf("no such tunnel here: %v: %s", err, stderr)
				}
				e.Up("tun0")
				e.Addr("tun0", row.address[i])
			}
			u.vector = row.vector
			longest := 0
			stop := u.forward(ports[0], ports[1], func(_ *packet.Meta, f []byte) { longest = max(longest, len(f)) })
			to, _, err := net.ParseCIDR(row.address[1])
			require.NoError(t, err)
			address := net.JoinHostPort(to.String(), "80")
			l := listen(t, ends[1].NS, address)
			message := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = io.Copy(struct{ io.Writer }{conn}, conn)
					conn.Close()
				}
			}()
			conn := dial(t, ends[0].NS, address)
			go func() {
				_, _ = conn.Write(message)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			echo, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, echo), "%d of %d bytes came back", len(echo), len(message))
			stop()
			require.LessOrEqual(t, longest, 1514)
			a, b := ports[0].Counters(), ports[1].Counters()
			require.Zero(t, a.RxRefused+b.RxRefused)
			require.Zero(t, a.TxErrors+b.TxErrors)
		})
	}
}

// TestSegmentsThatWait belong to the port: closing it frees them.
func TestSegmentsThatWait(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	far.Addr("eth0", "10.9.0.1/24")
	if _, stderr, err := far.Try(strings.Fields("ip link add tun0 type vxlan id 42 dstport 4789 local 10.9.0.1 remote 10.9.0.2 dev eth0")...); err != nil {
		t.Skipf("no VXLAN here: %v: %s", err, stderr)
	}
	require.NoError(t, netdev.DisableIPv6(far.Name, "tun0"))
	far.Up("tun0")
	far.Addr("tun0", "10.77.0.1/24")
	for _, device := range []string{"eth0", "tun0"} {
		far.Run("ip", "link", "set", device, "arp", "off") // nobody would answer
	}
	var conn net.Conn
	require.NoError(t, far.Do(func() (err error) { conn, err = net.Dial("udp4", "10.77.0.2:53"); return err }))
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000) }))
	require.NoError(t, err)
	_, err = conn.Write(make([]byte, 20*1000))
	require.NoError(t, err)
	require.True(t, wait(t, patience, p))
	var bufs [8]packet.Index
	for range 2 {
		require.Equal(t, len(bufs), p.Rx(0, u.c, bufs[:]))
		for _, b := range bufs {
			require.Len(t, u.c.Arena().Frame(b), 50+42+1000)
		}
		u.c.FreeN(bufs[:])
	}
	require.NoError(t, p.Close())
	require.Zero(t, p.Rx(0, u.c, bufs[:]))
	require.EqualValues(t, 16, p.Counters().Received)
}
