package reply

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/afpacket"
)

// patience is how long these tests wait for what must come before they fail.
const patience = 20 * time.Second

// Ports of the server, by what becomes of packets to them.
const (
	openPort     = 80 // they pass
	rejectedPort = 81 // they are rejected
	onewayPort   = 82 // they pass, answers do not
)

// kernelBed is an engine between two namespaces, whose kernels talk to each other through it.
type kernelBed struct {
	t      *testing.T
	pods   [2]*netnstest.NS
	engine *dataplane.Engine
	table  *flowtable.Table
	hop    [3][2]uint32
	reject *Rejector
	resets *Resets

	end  atomic.Bool // sessions are to end
	shut atomic.Bool // and their packets pass no more
}

// newKernelBed makes one, or skips the test. The pods are at .1 and .2 of 10.9.0.0/24, and of fd09::/64.
func newKernelBed(t *testing.T) *kernelBed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("packet sockets and namespaces need root")
	}
	k := &kernelBed{t: t, resets: NewResets(1)}
	limit := answer.NewLimit(0)
	limit.MakeRoom(2)
	k.reject = NewRejector(limit)
	host := netnstest.New(t)
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048, Supers: 64})
	require.NoError(t, err)
	k.table, err = flowtable.New(flowtable.Config{Sessions: 1024, Workers: 1, Ended: func(_ int, r *flowtable.Record) {
		k.resets.Add(0, r, Both)
	}})
	require.NoError(t, err)
	frags, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(8)
	k.engine, err = dataplane.New(dataplane.Config{Workers: 1, Ports: 2, Arena: arena, Table: k.table, Fragments: frags, Hops: hops})
	require.NoError(t, err)
	s := &dataplane.Snapshot{
		Epoch: 1, Deciders: []dataplane.Step{{Name: "test", Decider: k}}, Ports: make([]*dataplane.PortConfig, 3),
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
		Tickers: []dataplane.Ticker{k.resets, k},
	}
	var kits afpacket.Kits
	var ports []*afpacket.Port
	for i := range k.pods {
		device := fmt.Sprintf("p%d", i+1)
		k.pods[i] = netnstest.New(t)
		netnstest.Veth(t, k.pods[i], "eth0", host, device, netnstest.VethOptions{})
		k.pods[i].Addr("eth0", fmt.Sprintf("10.9.0.%d/24", i+1))
		k.pods[i].Addr("eth0", fmt.Sprintf("fd09::%d/64", i+1))
		p, err := afpacket.Open(afpacket.Config{Name: device, NetNS: host.Name, Offload: true, Exclusive: true, Arena: arena, Kits: &kits})
		require.NoError(t, err)
		ports = append(ports, p)
		number := uint16(i + 1)
		s.Ports[number] = &dataplane.PortConfig{
			Number: number, Name: device, Port: p, Caps: p.Caps(), Queues: 1, MTU: p.Caps().MTU, VLAN: dataplane.Attachment{Untagged: 7},
		}
		k.hop[number][0], k.hop[number][1], err = hops.New(dataplane.Hop{Port: number, Zone: 7})
		require.NoError(t, err)
	}
	require.NoError(t, k.engine.Publish(s))
	require.NoError(t, k.engine.Start(dataplane.RunConfig{Idle: dataplane.DefaultIdle}))
	t.Cleanup(func() {
		k.engine.Stop()
		kits.Close()
		for _, p := range ports {
			require.NoError(t, p.Close())
		}
		require.Zero(t, k.engine.Ledger().Unexplained, "%+v", k.engine.Ledger())
		_, crashes := k.engine.Crashes()
		require.Zero(t, crashes)
		require.NoError(t, k.table.Close())
		require.NoError(t, arena.Close())
	})
	return k
}

// Decide passes what is not for the ports that say otherwise to the other pod.
func (k *kernelBed) Decide(d *dataplane.Decision) {
	key := &d.Info.Key
	switch tracked := d.Info.Proto == packet.ProtoTCP || d.Info.Proto == packet.ProtoUDP; {
	case tracked && key.DstPort() == rejectedPort:
		k.reject.Reject(d, answer.AdminProhibited)
		d.Drop(packet.PolicyRejected)
	case tracked && key.SrcPort() == onewayPort, tracked && k.shut.Load():
		d.Drop(packet.PolicyDenied)
	default:
		hop := k.hop[3-d.In.Number]
		d.Forward(hop[0], hop[1])
	}
}

// Tick ends all sessions when that is asked for.
func (k *kernelBed) Tick(w *dataplane.Worker, now int64) {
	if k.end.CompareAndSwap(true, false) {
		w.Flows().EndMatching(0, 1<<20, nil, flowtable.EndPolicy, now)
	}
}

// cut ends all sessions, and lets none go on.
func (k *kernelBed) cut() {
	k.shut.Store(true)
	k.end.Store(true)
}

func (k *kernelBed) listen(address string) net.Listener {
	k.t.Helper()
	var l net.Listener
	require.NoError(k.t, k.pods[1].Do(func() (err error) { l, err = net.Listen("tcp", address); return err }))
	k.t.Cleanup(func() { l.Close() })
	return l
}

func (k *kernelBed) dial(network, address string) (c net.Conn, err error) {
	k.t.Helper()
	err = k.pods[0].Do(func() (err error) { c, err = net.DialTimeout(network, address, patience); return err })
	if err == nil {
		k.t.Cleanup(func() { c.Close() })
		require.NoError(k.t, c.SetDeadline(time.Now().Add(patience)))
	}
	return c, err
}

// pods' addresses in both versions, as net wants the server's.
var servers = []struct{ version, host string }{{"IPv4", "10.9.0.2"}, {"IPv6", "fd09::2"}}

func address(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

// TestKernelUnderstandsRejections has Linux' stack say what it makes of them.
func TestKernelUnderstandsRejections(t *testing.T) {
	for _, row := range servers {
		t.Run(row.version, func(t *testing.T) {
			k := newKernelBed(t)
			_, err := k.dial("tcp", address(row.host, rejectedPort))
			require.ErrorIs(t, err, syscall.ECONNREFUSED, "a connection is refused at once")

			// EHOSTUNREACH and EACCES are what Linux makes of the codes (icmp_err_convert, icmpv6_err_convert).
			c, err := k.dial("udp", address(row.host, rejectedPort))
			require.NoError(t, err)
			_, err = c.Write([]byte("hello"))
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 10))
			want := map[string]error{"IPv4": syscall.EHOSTUNREACH, "IPv6": syscall.EACCES}[row.version]
			require.ErrorIs(t, err, want, "and a socket that is connected learns of the datagram's fate")
		})
	}
}

// TestKernelUnderstandsResets: a stack closes a connection only if the number is exactly right (RFC 5961).
func TestKernelUnderstandsResets(t *testing.T) {
	for _, row := range servers {
		t.Run(row.version, func(t *testing.T) {
			k := newKernelBed(t)
			l := k.listen(address(row.host, openPort))
			served := make(chan net.Conn, 1)
			go func() {
				if c, err := l.Accept(); err == nil {
					served <- c
				}
			}()
			client, err := k.dial("tcp", address(row.host, openPort))
			require.NoError(t, err)
			server := <-served
			defer server.Close()
			require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
			b := make([]byte, 100000)
			for range 5 {
				_, err = client.Write(b)
				require.NoError(t, err)
				_, err = io.ReadFull(server, b)
				require.NoError(t, err)
				_, err = server.Write(b[:5]) // whose acknowledgement is delayed
				require.NoError(t, err)
				_, err = io.ReadFull(client, b[:5])
				require.NoError(t, err)
			}
			k.cut()
			for end, c := range map[string]net.Conn{"client": client, "server": server} {
				_, err := c.Read(b)
				require.ErrorIs(t, err, syscall.ECONNRESET, end)
			}
		})
	}
}

// TestKernelUnderstandsResetsOfHalfOpenConnections: the client waits for an answer, the server for the handshake's end.
func TestKernelUnderstandsResetsOfHalfOpenConnections(t *testing.T) {
	for _, row := range servers {
		t.Run(row.version, func(t *testing.T) {
			k := newKernelBed(t)
			k.listen(address(row.host, onewayPort))
			dialed := make(chan error, 1)
			go func() {
				dialed <- k.pods[0].Do(func() error {
					c, err := net.DialTimeout("tcp", address(row.host, onewayPort), patience)
					if err == nil {
						c.Close()
					}
					return err
				})
			}()
			k.until(true, "the server has received the SYN")
			k.cut()
			require.ErrorIs(t, <-dialed, syscall.ECONNREFUSED, "the client gives up")
			k.until(false, "and the server forgets it")
		})
	}
}

// until waits until the server has a half-open connection, or none.
func (k *kernelBed) until(halfOpen bool, why string) {
	k.t.Helper()
	for deadline := time.Now().Add(patience); k.halfOpen() != halfOpen; time.Sleep(5 * time.Millisecond) {
		require.True(k.t, time.Now().Before(deadline), why)
	}
}

// halfOpen reports whether the server has a connection in SYN_RECV.
func (k *kernelBed) halfOpen() (found bool) {
	require.NoError(k.t, k.pods[1].Do(func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				const state, synRecv = 3, "03" // TCP_SYN_RECV, include/net/tcp_states.h
				if f := strings.Fields(line); len(f) > state && f[state] == synRecv {
					found = true
				}
			}
		}
		return nil
	}))
	return found
}
