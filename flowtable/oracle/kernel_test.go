package oracle_test

import (
	"encoding/binary"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// ruleset is the firewall that both sides stand for: whatever is a legal part of a connection
// passes, and so does every legal beginning of one.
const ruleset = `table ip oracle {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state invalid drop
		ct state new,established,related accept
	}
}
`

// kernel is nftables on a router between two veths:
//
//	namespace ends          namespace router
//	  client ───────────── c   forward chain   s ───────────── server
//	  packet socket                                packet socket
type kernel struct {
	t      testing.TB
	ends   *netnstest.NS
	router *netnstest.NS
	fd     [2]int // packet sockets by side
	index  [2]int // of the devices
}

// side is where a packet comes from.
type side int

const (
	client side = iota
	server
)

func newKernel(t testing.TB) *kernel {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("this test compares with nftables: install nft (package nftables)")
	}
	k := &kernel{t: t, ends: netnstest.New(t), router: netnstest.New(t)}
	// Each end of the router has the address that frames for the far host are sent to.
	netnstest.Veth(t, k.ends, "client", k.router, "c", netnstest.VethOptions{MACB: macOf(hosts[server])})
	netnstest.Veth(t, k.ends, "server", k.router, "s", netnstest.VethOptions{MACB: macOf(hosts[client])})
	k.router.Addr("c", "10.1.0.1/24")
	k.router.Addr("s", "10.2.0.1/24")
	k.router.Sysctl("net/ipv4/ip_forward", "1")
	for _, device := range []string{"all", "c", "s"} {
		k.router.Sysctl("net/ipv4/conf/"+device+"/rp_filter", "0")
	}
	for s, device := range []string{"c", "s"} {
		k.run(strings.Fields("ip neigh replace "+hosts[s]+" lladdr "+macOf(hosts[s])+" dev "+device+" nud permanent"), "")
	}
	if out, err := k.try([]string{nft, "-f", "-"}, ruleset); err != nil {
		t.Skipf("this test compares with nftables' connection tracking, which this kernel does not have: %v: %s", err, out)
	}
	require.NoError(t, k.ends.Do(func() error {
		for s, device := range []string{"client", "server"} {
			if err := k.open(side(s), device); err != nil {
				return err
			}
		}
		return nil
	}))
	return k
}

// try runs a program in the router's namespace.
func (k *kernel) try(command []string, stdin string) (out []byte, err error) {
	err = k.router.Do(func() error {
		c := exec.Command(command[0], command[1:]...)
		c.Stdin = strings.NewReader(stdin)
		out, err = c.CombinedOutput()
		return err
	})
	return out, err
}

func (k *kernel) run(command []string, stdin string) {
	k.t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		k.t.Skipf("this test needs %s: install package iproute2", command[0])
	}
	out, err := k.try(command, stdin)
	require.NoError(k.t, err, "%s", out)
}

func (k *kernel) open(s side, device string) error {
	const everything = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		return err
	}
	k.t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return err
	}
	var link netdev.Info
	if link, err = netdev.Link(k.ends.Name, device); err != nil {
		return err
	}
	k.fd[s], k.index[s] = fd, link.Index
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: link.Index})
}

// play sends packets one after the other, and returns those that came out at the far side.
func (k *kernel) play(packets []sent) map[mark]bool {
	out := map[mark]bool{}
	require.NoError(k.t, k.ends.Do(func() error {
		// Both devices hand what is sent to the queue of the sender's processor, which
		// keeps the order: so the thread stays where it is.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before, here unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return err
		}
		for cpu := range 1024 {
			if before.IsSet(cpu) {
				here.Set(cpu)
				break
			}
		}
		if err := unix.SchedSetaffinity(0, &here); err != nil {
			return err
		}
		defer func() { _ = unix.SchedSetaffinity(0, &before) }()
		for i := range packets {
			if _, err := unix.Write(k.fd[packets[i].from], packets[i].frame); err != nil {
				return err
			}
			if i%64 == 63 {
				k.collect(out)
			}
		}
		for s := range k.fd {
			m := sequencer{t: k.t}.marker(side(s))
			for deadline := time.Now().Add(10 * time.Second); !out[m.mark]; k.collect(out) {
				if _, err := unix.Write(k.fd[s], m.frame); err != nil {
					return err
				}
				if time.Now().After(deadline) {
					return errors.New("nothing comes through the router")
				}
				time.Sleep(time.Millisecond)
			}
			delete(out, m.mark)
		}
		return nil
	}))
	return out
}

// collect notes what has come out.
func (k *kernel) collect(out map[mark]bool) {
	buffer := make([]byte, 65536)
	for s, fd := range k.fd {
		for {
			n, from, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			if m, ok := markOf(buffer[:n], 1-side(s)); ok {
				out[m] = true
			}
		}
	}
}

// mark tells packets apart on either side of a router: by the IPv4 identification, the place in
// the datagram, and where it came from.
type mark struct {
	from   side
	id     uint16
	offset uint16
}

func markOf(frame []byte, from side) (m mark, ok bool) {
	if len(frame) < packet.EthernetSize+packet.IPv4MinSize || binary.BigEndian.Uint16(frame[12:]) != packet.EtherTypeIPv4 {
		return m, false
	}
	ip := frame[packet.EthernetSize:]
	return mark{from, binary.BigEndian.Uint16(ip[4:]), binary.BigEndian.Uint16(ip[6:]) & 0x1fff * 8}, true
}
