package afpacket

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
	}{
		{"VXLAN over IPv4", "type vxlan id 42 dstport 4789 local LOCAL4 remote REMOTE4 dev eth0", [2]string{"10.77.0.1/24", "10.77.0.2/24"}},
		{"VXLAN over IPv6, IPv6 in it", "type vxlan id 42 dstport 4789 local LOCAL6 remote REMOTE6 dev eth0", [2]string{"fd77::1/64", "fd77::2/64"}},
		{"Geneve", "type geneve id 42 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}},
		{"GRE", "type gre local LOCAL4 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}},
		{"IP in IP", "type ipip local LOCAL4 remote REMOTE4", [2]string{"10.77.0.1/24", "10.77.0.2/24"}},
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
			// The first ones may find too little room, until it is known that they come.
			require.Less(t, a.RxRefused+b.RxRefused, uint64(2*64))
			require.Zero(t, a.TxErrors+b.TxErrors)
			t.Logf("refused %d and %d of %d and %d", a.RxRefused, b.RxRefused, a.Received, b.Received)
		})
	}
}
