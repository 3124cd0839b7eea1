package afxdp

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// echo sends a message by TCP from pod a to an address of pod b and back, and
// datagrams of several sizes by UDP.
func echo(t *testing.T, a, b *netnstest.NS, address string, message []byte) {
	t.Helper()
	var listener net.Listener
	var conn, datagrams net.Conn
	var server net.PacketConn
	require.NoError(t, b.Do(func() (err error) {
		if listener, err = net.Listen("tcp", net.JoinHostPort(address, "80")); err == nil {
			server, err = net.ListenPacket("udp", net.JoinHostPort(address, "53"))
		}
		return err
	}))
	defer listener.Close()
	defer server.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = io.Copy(struct{ io.Writer }{conn}, conn)
			conn.Close()
		}
		served <- err
	}()
	require.NoError(t, a.Do(func() (err error) {
		if conn, err = net.DialTimeout("tcp", net.JoinHostPort(address, "80"), patience); err == nil {
			datagrams, err = net.Dial("udp", net.JoinHostPort(address, "53"))
		}
		return err
	}))
	defer conn.Close()
	defer datagrams.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	go func() {
		_, _ = conn.Write(message)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, <-served)
	require.True(t, bytes.Equal(message, got), "%d of %d bytes came back", len(got), len(message))

	buffer := make([]byte, 4096)
	for _, size := range []int{0, 1, 100, 1000, 1400} {
		require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
		_, err := datagrams.Write(message[:size])
		require.NoError(t, err)
		n, _, err := server.ReadFrom(buffer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(message[:size], buffer[:n]), "%d of %d bytes arrived", n, size)
	}
}

// message is text that compresses badly and is easily recognised.
var message = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

// TestEngineSwitches lets two pods talk through a running engine, with the
// offloads that the kernel gives veths.
//
//	pod a                        engine                        pod b
//	10.9.0.1 ── eth0 ══ p1 ── port 1 ══ port 2 ── p2 ══ eth0 ── 10.9.0.2
func TestEngineSwitches(t *testing.T) {
	rows := []struct {
		why             string
		mtu, queues     int
		workers         int
		arena           packet.ArenaConfig
		offload, noCsum bool
	}{
		{why: "checksums that the pods leave to the device are finished by the kernel", mtu: 1500, queues: 1, workers: 1, offload: true},
		{why: "or in software, if offloads are not wanted", mtu: 1500, queues: 1, workers: 1},
		{why: "each queue has a socket, and either worker sends by any of them", mtu: 1500, queues: 2, workers: 2, offload: true},
		{why: "two workers share one queue to send by", mtu: 1500, queues: 1, workers: 2, offload: true},
		{why: "frames longer than a buffer come and go in several", mtu: 3000, queues: 1, workers: 1, offload: true},
		{why: "as many as jumbo frames take", mtu: 9000, queues: 2, workers: 2, offload: true},
		{why: "with buffers of 4 KiB the longest frames fit", mtu: 60000, queues: 1, workers: 1, offload: true, arena: packet.ArenaConfig{BufferSize: 4096}},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			row.arena.Buffers, row.arena.Supers, row.arena.Debug = 4096, 256, true
			arena := newArena(t, row.arena)
			umem := NewUMEM(arena)
			host := netnstest.New(t)
			o := netnstest.VethOptions{MTU: row.mtu, Queues: row.queues}
			a, b := wire(t, host, "p1", o), wire(t, host, "p2", o)
			cfg := Config{Queues: row.queues, Arena: arena, UMEM: umem, Offload: row.offload, Ring: 256}
			one, two := a.open(t, cfg), b.open(t, cfg)
			t.Log(one.Mode())
			a.pod.Addr("eth0", "10.9.0.1/24")
			b.pod.Addr("eth0", "10.9.0.2/24")
			a.pod.Addr("eth0", "fd00::1/64")
			b.pod.Addr("eth0", "fd00::2/64")
			panel := connect(t, arena, row.workers, one, two)
			echo(t, a.pod, b.pod, "10.9.0.2", message)
			echo(t, b.pod, a.pod, "fd00::1", message)

			panel.Stop()
			ledger := panel.Ledger()
			require.Zero(t, ledger.Unexplained, "%+v", ledger)
			for n, p := range []*Port{one, two} {
				counted, own := panel.PortCounters(uint16(n+1)), p.Counters()
				t.Logf("port %d: %+v", n+1, own)
				require.Equal(t, own.Received, counted.RxPackets)
				require.Equal(t, own.Sent, counted.TxPackets)
				require.Zero(t, own.TxRefused)
				require.NoError(t, p.Err())
			}
			_, crashes := panel.Crashes()
			require.Zero(t, crashes)
		})
	}
}

// TestDeviceReturnsUnderTraffic takes a device away while frames pass to it from
// another, and has it come back, as often as a pod that restarts.
func TestDeviceReturnsUnderTraffic(t *testing.T) {
	arena := newArena(t, packet.ArenaConfig{Buffers: 4096, Debug: true})
	umem := NewUMEM(arena)
	host := netnstest.New(t)
	a, b := wire(t, host, "p1", netnstest.VethOptions{}), wire(t, host, "p2", netnstest.VethOptions{})
	cfg := Config{Arena: arena, UMEM: umem, Ring: 256, Offload: true}
	one := a.open(t, cfg)
	r := a.tester(t)
	f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 99")
	for range 3 {
		two := b.open(t, cfg)
		panel := connect(t, arena, 2, one, two)
		s := b.tester(t)
		r.send(f)
		require.Equal(t, f, s.receive())
		host.Delete("p2")
		for n := 0; panel.PortCounters(1).Drops[packet.PortDown] < 10; n++ {
			r.send(f)
			if n%64 == 0 {
				time.Sleep(time.Millisecond) // lets the workers have the processor
			}
			require.Less(t, n, 1_000_000, "no frame was dropped: %+v", panel.PortCounters(1).Drops)
		}
		require.Error(t, two.Err())
		require.Equal(t, -1, two.FD(0))
		require.NoError(t, one.Err())
		panel.Stop()
		require.Zero(t, panel.Ledger().Unexplained)
		require.NoError(t, two.Close())
		netnstest.Veth(t, b.pod, "eth0", host, "p2", netnstest.VethOptions{})
	}
}
