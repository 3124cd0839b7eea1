package afpacket

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// TestTCP lets two namespaces talk TCP through a wire of two ports, with the
// offloads that every veth has.
func TestTCP(t *testing.T) {
	for _, row := range []struct {
		why     string
		address string
		mtu     int
		queues  int
		arena   packet.ArenaConfig
		supers  bool // super-frames pass
	}{
		{"IPv4 by super-frames", "10.9.0.2:80", 0, 1, debugging, true},
		{"IPv6 by super-frames", "[fd09::2]:80", 0, 1, debugging, true},
		{"packets of 9000 bytes", "10.9.0.2:80", 9000, 1, debugging, true},
		{"two queues", "10.9.0.2:80", 0, 2, debugging, true},
		{"a single super-frame buffer at a time", "10.9.0.2:80", 0, 1, packet.ArenaConfig{Buffers: 512, Supers: 4, Debug: true}, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			h := host(t)
			ends := pods(t, h, netnstest.VethOptions{MTU: row.mtu, Queues: row.queues})
			u := newUser(t, row.arena)
			var ports [2]*Port
			for i := range ports {
				ports[i] = u.open(Config{Name: ends[i].device, NetNS: h.Name, Queues: row.queues, MTU: row.mtu, Offload: true, Exclusive: true})
			}
			longest, packets := 0, uint64(0)
			stop := u.forward(ports[0], ports[1], func(m *packet.Meta, f []byte) {
				longest = max(longest, len(f))
				packets++
				if len(f) > 9014 && m.GSOType == packet.GSONone {
					t.Errorf("a frame of %d bytes is no super-frame", len(f))
				}
			})
			l := listen(t, ends[1].NS, row.address)
			message := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = io.Copy(struct{ io.Writer }{conn}, conn)
					conn.Close()
				}
			}()
			conn := dial(t, ends[0].NS, row.address)
			go func() {
				_, _ = conn.Write(message)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			echo, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, echo), "%d of %d bytes came back", len(echo), len(message))
			stop()
			require.Equal(t, row.supers, longest > 20000, "the longest frame had %d bytes", longest)
			a, b := ports[0].Counters(), ports[1].Counters()
			require.Equal(t, packets, a.Received+b.Received)
			require.Equal(t, a.Received, b.Sent)
			require.Equal(t, b.Received, a.Sent)
			require.Zero(t, a.TxErrors+b.TxErrors)
			require.Zero(t, a.RxRefused+b.RxRefused)
			t.Logf("%+v %+v longest %d", a, b, longest)
		})
	}
}
