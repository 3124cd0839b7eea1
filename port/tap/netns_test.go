package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// patience is how long a test waits for what must come before it fails. No
// test passes because time has passed.
const patience = 20 * time.Second

// namespace is a network namespace of a test's own: a thread that lives in it
// and does what it is told. Interfaces of the host are out of its reach.
type namespace struct {
	t    testing.TB
	work chan func()
}

// newNamespace skips the test unless it may make namespaces and TAPs.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("TAP devices need root")
	}
	if _, err := os.Stat(tunPath); err != nil {
		t.Skipf("TAP devices need %s: %v", tunPath, err)
	}
	ns := &namespace{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		// Never unlocked, so that the thread ends with the goroutine and
		// takes the namespace and all in it along.
		runtime.LockOSThread()
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range ns.work {
			f()
		}
	}()
	t.Cleanup(func() { close(ns.work) })
	if err := <-ready; err != nil {
		t.Skipf("network namespaces can't be made here: %v", err)
	}
	return ns
}

// try runs f in the namespace.
func (ns *namespace) try(f func() error) error {
	done := make(chan error)
	ns.work <- func() { done <- f() }
	return <-done
}

func (ns *namespace) do(f func() error) {
	ns.t.Helper()
	require.NoError(ns.t, ns.try(f))
}

// open makes a port in the namespace; it is closed with the test.
func (ns *namespace) open(cfg Config) *Port {
	ns.t.Helper()
	var p *Port
	ns.do(func() (err error) { p, err = Open(cfg); return err })
	ns.t.Cleanup(func() { require.NoError(ns.t, p.Close()) })
	return p
}

// ioctl asks or changes an interface; edit may be nil.
func (ns *namespace) ioctl(req uint, name string, edit func(*unix.Ifreq)) error {
	return ns.try(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if edit != nil {
			edit(ifr)
		}
		return unix.IoctlIfreq(s, req, ifr)
	})
}

// setUp sets the link state.
func (ns *namespace) setUp(name string, up bool) {
	ns.t.Helper()
	flags := uint16(0)
	if up {
		flags = unix.IFF_UP
	}
	require.NoError(ns.t, ns.ioctl(unix.SIOCSIFFLAGS, name, func(r *unix.Ifreq) { r.SetUint16(flags) }))
}

// address gives an interface an IPv4 address with a prefix of 24 bits.
func (ns *namespace) address(name string, ip [4]byte) {
	ns.t.Helper()
	require.NoError(ns.t, ns.ioctl(unix.SIOCSIFADDR, name, func(r *unix.Ifreq) { _ = r.SetInet4Addr(ip[:]) }))
	require.NoError(ns.t, ns.ioctl(unix.SIOCSIFNETMASK, name, func(r *unix.Ifreq) { _ = r.SetInet4Addr([]byte{255, 255, 255, 0}) }))
}

// quiet keeps the kernel from speaking IPv6 on an interface unasked.
func (ns *namespace) quiet(name string) {
	ns.t.Helper()
	ns.do(func() error {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
		if errors.Is(err, os.ErrNotExist) { // a kernel without IPv6 is quiet
			return nil
		}
		return err
	})
}

func (ns *namespace) lookup(name string) (*net.Interface, error) {
	var i *net.Interface
	err := ns.try(func() (err error) { i, err = net.InterfaceByName(name); return err })
	return i, err
}

// link sends a netlink request about an interface (rtnetlink(7)).
func (ns *namespace) link(kind uint16, name string, attrs map[uint16][]byte) error {
	i, err := ns.lookup(name)
	if err != nil {
		return err
	}
	native := binary.NativeEndian
	m := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	native.PutUint16(m[4:], kind)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	native.PutUint32(m[unix.SizeofNlMsghdr+4:], uint32(i.Index))
	for attr, value := range attrs {
		m = native.AppendUint16(m, uint16(unix.SizeofRtAttr+len(value)))
		m = native.AppendUint16(m, attr)
		m = append(m, value...)
		m = append(m, make([]byte, -len(value)&3)...)
	}
	native.PutUint32(m, uint32(len(m)))
	return ns.try(func() error {
		s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		if err := unix.Sendto(s, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		answer := make([]byte, 4096)
		n, _, err := unix.Recvfrom(s, answer, 0)
		if err != nil {
			return err
		}
		if n < unix.SizeofNlMsghdr+4 {
			return fmt.Errorf("an answer of %d bytes", n)
		}
		if errno := -int32(native.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
			return unix.Errno(errno)
		}
		return nil
	})
}

// remove deletes an interface, whoever holds it.
func (ns *namespace) remove(name string) {
	ns.t.Helper()
	require.NoError(ns.t, ns.link(unix.RTM_DELLINK, name, nil))
}

// move gives an interface to another namespace.
func (ns *namespace) move(name string, to *namespace) {
	ns.t.Helper()
	var f *os.File
	to.do(func() (err error) { f, err = os.Open("/proc/thread-self/ns/net"); return err })
	defer f.Close()
	require.NoError(ns.t, ns.link(unix.RTM_NEWLINK, name, map[uint16][]byte{
		unix.IFLA_NET_NS_FD: binary.NativeEndian.AppendUint32(nil, uint32(f.Fd())),
	}))
}

// tryRename needs the interface to be down.
func (ns *namespace) tryRename(name, to string) error {
	return ns.link(unix.RTM_NEWLINK, name, map[uint16][]byte{unix.IFLA_IFNAME: append([]byte(to), 0)})
}

// kernelCounts are the frames that the kernel has given to and taken from an interface.
func (ns *namespace) kernelCounts(name string) (toPort, fromPort uint64) {
	ns.t.Helper()
	ns.do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			before, after, _ := strings.Cut(line, ":")
			if strings.TrimSpace(before) == name {
				var skip uint64
				_, err := fmt.Sscan(after, &skip, &fromPort, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &toPort)
				return err
			}
		}
		return fmt.Errorf("%s is not in\n%s", name, text)
	})
	return toPort, fromPort
}

// wire is a packet socket at the kernel's end of an interface: what it sends
// the port receives, and the other way round, byte by byte.
type wire struct {
	t     testing.TB
	s     int
	index int
}

func (ns *namespace) wire(name string) *wire {
	ns.t.Helper()
	i, err := ns.lookup(name)
	require.NoError(ns.t, err)
	w := &wire{t: ns.t, index: i.Index}
	const all = uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)
	ns.do(func() (err error) {
		if w.s, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		wait := unix.NsecToTimeval(int64(patience))
		return errors.Join(
			unix.Bind(w.s, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}),
			unix.SetsockoptTimeval(w.s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		)
	})
	ns.t.Cleanup(func() { unix.Close(w.s) })
	return w
}

func (w *wire) trySend(frame []byte) error {
	return unix.Sendto(w.s, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index})
}

func (w *wire) send(frames ...[]byte) {
	w.t.Helper()
	for _, f := range frames {
		require.NoError(w.t, w.trySend(f), "%d bytes", len(f))
	}
}

// receive returns the next frame that came from the port.
func (w *wire) receive() []byte {
	w.t.Helper()
	for {
		buf := make([]byte, longestSpill)
		n, from, err := unix.Recvfrom(w.s, buf, 0)
		require.NoError(w.t, err)
		if l, ok := from.(*unix.SockaddrLinklayer); !ok || l.Pkttype != unix.PACKET_OUTGOING {
			return buf[:n]
		}
	}
}

// frame reads a line of text.
func frame(t testing.TB, text string) []byte {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	return f
}

// user is the port's user: an arena and a worker's cache.
type user struct {
	t testing.TB
	p *Port
	c *packet.Cache
}

func newUser(t testing.TB, p *Port, cfg packet.ArenaConfig) *user {
	t.Helper()
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	u := &user{t: t, p: p, c: a.NewCache()}
	t.Cleanup(func() {
		u.c.Flush()
		require.Zero(t, a.InUse(), "a buffer is lost")
		require.NoError(t, a.Close())
	})
	return u
}

// try sends frames and returns how many were taken.
func (u *user) try(frames ...[]byte) int {
	u.t.Helper()
	bufs := make([]packet.Index, 0, len(frames))
	for _, f := range frames {
		b := u.c.AllocFor(len(f))
		require.NotZero(u.t, b)
		u.c.Arena().Meta(b).Len = uint32(len(f))
		copy(u.c.Arena().Frame(b), f)
		bufs = append(bufs, b)
	}
	n := u.p.Tx(0, u.c, bufs)
	u.c.FreeN(bufs[n:])
	return n
}

func (u *user) send(text string) {
	u.t.Helper()
	require.Equal(u.t, 1, u.try(frame(u.t, text)))
}

// poll receives once from every queue and returns copies.
func (u *user) poll() (frames [][]byte) {
	for q := range u.p.queues {
		var bufs [64]packet.Index
		n := u.p.Rx(q, u.c, bufs[:])
		for _, b := range bufs[:n] {
			frames = append(frames, append([]byte(nil), u.c.Arena().Frame(b)...))
		}
		u.c.FreeN(bufs[:n])
	}
	return frames
}

// wait sleeps until a queue has frames, as a worker does, and reports false if
// none come.
func (u *user) wait() bool {
	u.t.Helper()
	var fds []unix.PollFd
	for q := range u.p.queues {
		fds = append(fds, unix.PollFd{Fd: int32(u.p.FD(q)), Events: unix.POLLIN})
	}
	for {
		limit := unix.NsecToTimespec(int64(patience))
		n, err := unix.Ppoll(fds, &limit, nil)
		if err == unix.EINTR {
			continue
		}
		require.NoError(u.t, err)
		return n > 0
	}
}

// expect receives until a frame reads as text; others are passed over.
func (u *user) expect(text string) {
	u.t.Helper()
	var seen []string
	for {
		for _, f := range u.poll() {
			if seen = append(seen, frametext.Format(f)); seen[len(seen)-1] == text {
				return
			}
		}
		if !u.wait() {
			require.Contains(u.t, seen, text)
			return
		}
	}
}

// receive receives n frames.
func (u *user) receive(n int) (frames [][]byte) {
	u.t.Helper()
	for frames = u.poll(); len(frames) < n; frames = append(frames, u.poll()...) {
		require.True(u.t, u.wait(), "%d of %d frames came", len(frames), n)
	}
	return frames
}
