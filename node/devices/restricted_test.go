package devices_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/devices"
)

// restriction is what a process lacks.
type restriction struct {
	lacks  []uintptr // capabilities
	only   []uintptr // if not nil, all others, too
	nobody bool      // it is an ordinary user's
	locked bool      // it may lock 64 KiB of memory
	noXDP  bool      // the kernel has no AF_XDP

	noBPF unix.Errno // what bpf(2) returns; 0: as ever
}

// enter makes the restriction that of the calling thread, and of what it executes.
func (r restriction) enter() error {
	if r.locked {
		if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}, nil); err != nil {
			return err
		}
	}
	if err := r.forbid(); err != nil {
		return err
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if !slices.Contains(r.lacks, c) && (r.only == nil || slices.Contains(r.only, c)) {
			continue
		}
		// Root has after execve(2) what this set holds. EINVAL: the kernel does not know c.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if r.nobody {
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			return errno
		}
	}
	return nil
}

// forbid has the kernel refuse system calls by a filter (seccomp(2)), as one that
// does not know them would.
func (r restriction) forbid() error {
	const number, argument = 0, 16 // offsets in struct seccomp_data; arguments are 64 bits, little-endian
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
	}
	answer := func(a uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: a} }
	filter := []unix.SockFilter{load(number)}
	if r.noBPF != 0 {
		filter = append(filter, unless(unix.SYS_BPF, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(r.noBPF)))
	}
	if r.noXDP {
		filter = append(filter, unless(unix.SYS_SOCKET, 3), load(argument), unless(unix.AF_XDP, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EAFNOSUPPORT)))
	}
	if len(filter) == 1 {
		return nil
	}
	filter = append(filter, answer(unix.SECCOMP_RET_ALLOW))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// Environment of a restricted process, which is this test's binary.
const (
	rowVariable   = "SLUICE_DEVICES_TEST_ROW"
	stageVariable = "SLUICE_DEVICES_TEST_STAGE" // "enter", then "run"
	netnsVariable = "SLUICE_DEVICES_TEST_NETNS"
)

// TestRestricted opens devices in processes that lack something. Rows have a port
// of their device's namespace; of pods 0 and 1, where these are said to go on, too.
func TestRestricted(t *testing.T) {
	var (
		network = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF}
		none    = restriction{only: []uintptr{}}
		noLock  = restriction{lacks: []uintptr{unix.CAP_IPC_LOCK, unix.CAP_SYS_RESOURCE}, locked: true}
		but     = func(c ...uintptr) restriction { return restriction{lacks: c} }
		just    = func(c ...uintptr) restriction { return restriction{only: c} }
	)
	rows := []restrictedRow{
		{why: "root of a container without capabilities", kind: "tap", lacks: none, want: []string{"CAP_NET_ADMIN (setcap cap_net_admin+ep FILE)", "the program lacks CAP_NET_ADMIN)"}},
		{why: "an ordinary user", kind: "tap", lacks: restriction{nobody: true}, want: []string{"run as root", "the program lacks CAP_NET_ADMIN)"}},
		{why: "no more rights than are needed", kind: "tap", lacks: just(unix.CAP_NET_ADMIN), mode: []string{"vnet_hdr: csum, TSO"}},
		{why: "no right to enter namespaces", kind: "tap", elsewhere: true, lacks: just(network...), want: []string{"enter network namespace /run/netns/", "run as root or give the program CAP_SYS_ADMIN", "lacks CAP_SYS_ADMIN)"}},

		{why: "root of a container without capabilities", kind: "afpacket", lacks: none, want: []string{"run as root or give the program CAP", "the program lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF)"}},
		{why: "an ordinary user", kind: "afpacket", lacks: restriction{nobody: true}, want: []string{"run as root", "the program lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF)"}},
		{why: "no raw sockets", kind: "afpacket", lacks: but(unix.CAP_NET_RAW), want: []string{"no right to open packet sockets", "lacks CAP_NET_RAW)"}},
		{why: "no BPF", kind: "afpacket", lacks: but(unix.CAP_BPF, unix.CAP_SYS_ADMIN), want: []string{"no right to drop frames before the host's stack", "lacks CAP_BPF)"}},
		{why: "no more rights than are needed", kind: "afpacket", lacks: just(network...), mode: []string{"packet socket, vnet_hdr", "host kept off"}},
		{why: "CAP_SYS_ADMIN stands for CAP_BPF", kind: "afpacket", elsewhere: true, lacks: just(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN), mode: []string{"packet socket, vnet_hdr", "host kept off"}},
		{why: "no right to enter namespaces", kind: "afpacket", elsewhere: true, lacks: just(network...), want: []string{"enter network namespace", "lacks CAP_SYS_ADMIN)"}},
		{why: "a kernel without BPF", kind: "afpacket", lacks: restriction{noBPF: unix.ENOSYS}, want: []string{"the kernel can't drop frames before the host's stack: it needs CONFIG_BPF_SYSCALL"}},
		{why: "BPF that is forbidden, whatever the rights", kind: "afpacket", lacks: restriction{noBPF: unix.EPERM}, want: []string{"--security-opt seccomp=unconfined"}},

		{why: "root of a container without capabilities", kind: "afxdp", lacks: none, want: []string{"run as root", "the program lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF)"}},
		{why: "an ordinary user", kind: "afxdp", lacks: restriction{nobody: true}, want: []string{"run as root", "the program lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF)"}},
		{why: "no BPF", kind: "afxdp", lacks: but(unix.CAP_BPF, unix.CAP_SYS_ADMIN), want: []string{"no right to load BPF programs", "lacks CAP_BPF)"}},
		{why: "a lack of rights is no lack of AF_XDP", kind: "afxdp", extra: ", allowFallback: true", lacks: but(unix.CAP_BPF, unix.CAP_SYS_ADMIN), want: []string{"lacks CAP_BPF)"}},
		{why: "no more rights than are needed", kind: "afxdp", lacks: just(append(network, unix.CAP_IPC_LOCK)...), mode: []string{"native, copy"}},
		{
			why: "too little memory may be locked, until more may", kind: "afxdp", lacks: noLock, serves: true,
			want: []string{"MiB of packet buffers: more than the process may lock", "give the program CAP_IPC_LOCK", "ulimit -l unlimited; LimitMEMLOCK=infinity"},
			mend: func(pid int) error {
				return unix.Prlimit(pid, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}, nil)
			},
		},
		{
			why: "a kernel without AF_XDP", kind: "afxdp", lacks: restriction{noXDP: true},
			want: []string{"AF_XDP is not possible here: the kernel has no AF_XDP (CONFIG_XDP_SOCKETS): use the device type afpacket", "allowFallback: true"},
		},
		{
			why: "a kernel without AF_XDP, and a packet socket will do", kind: "afxdp", extra: ", allowFallback: true",
			lacks: restriction{noXDP: true}, serves: true,
			mode: []string{"packet socket, vnet_hdr", "instead of AF_XDP: ", "the kernel has no AF_XDP"},
		},
		{
			why: "a kernel without BPF has no packet sockets for a switch, either", kind: "afxdp", extra: ", allowFallback: true",
			lacks: restriction{noXDP: true, noBPF: unix.ENOSYS},
			want:  []string{"AF_XDP is not possible here", "and the packet socket in its place: ", "it needs CONFIG_BPF_SYSCALL"},
		},
		{
			why: "BPF that is forbidden, whatever the rights", kind: "afxdp", extra: ", allowFallback: true",
			lacks: restriction{noBPF: unix.EPERM}, want: []string{"no right to load BPF programs", "--security-opt seccomp=unconfined"},
		},
	}
	if text := os.Getenv(rowVariable); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		if os.Getenv(stageVariable) == "enter" {
			rows[n].enter(t)
		}
		rows[n].run(t)
		return
	}
	for n, row := range rows {
		t.Run(row.kind+", "+row.why, func(t *testing.T) {
			t.Setenv(rowVariable, strconv.Itoa(n))
			t.Setenv(stageVariable, "enter")
			row.watch(t)
		})
	}
}

// restrictedRow is a row of TestRestricted.
type restrictedRow struct {
	why, kind, extra string // as in rows of TestTroubles
	elsewhere        bool   // the process is in another namespace than the device
	lacks            restriction
	want             []string            // of the error; nil: the device is opened, and
	mode             []string            // this is what Mode says
	serves           bool                // it runs on, so that pods can be reached
	mend             func(pid int) error // makes the error go
}

// enter executes the test anew, restricted.
func (row *restrictedRow) enter(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Setenv(stageVariable, "run"))
	// execve(2) ends all threads but the one that calls it, whose lacks are the
	// process's then. The binary may be in a folder that is root's.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := row.lacks.enter()
		if err == nil {
			err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

// run is the restricted process.
func (row *restrictedRow) run(t *testing.T) {
	netns := ""
	if row.elsewhere || row.serves {
		netns = ", netns: " + os.Getenv(netnsVariable)
	}
	h := &host{t: t}
	if row.serves {
		for i := range 2 {
			h.pods = append(h.pods, pod{device: fmt.Sprintf("{type: afpacket, name: p%d%s}", i, netns)})
		}
	}
	h.pods = append(h.pods, pod{device: fmt.Sprintf("{type: %s, name: g0%s%s}", row.kind, netns, row.extra)})
	opener := &devices.Opener{}
	n, err := node.New(node.Options{
		Workers: 1, Buffers: 4096, Supers: 16, Tolerant: true, Open: opener.Open, Devices: devices.Types(),
	}, h.model())
	require.NoError(t, err)
	defer n.Close()
	s := &site{h, n}
	last := len(h.pods) - 1
	d := s.device(last)
	fmt.Println(d.Err, d.Mode)
	if row.want == nil {
		row.opened(t, d)
	} else {
		require.False(t, d.Up)
		require.Error(t, d.Err)
		_, err := opener.Open(n.Arena(), s.port(last))
		require.Error(t, err)
		for _, part := range row.want {
			require.ErrorContains(t, d.Err, part)
			require.ErrorContains(t, err, part)
		}
		require.NotContains(t, err.Error(), "RemoveMemlock", "which is nothing that a user can do")
	}
	for i := range last {
		require.NoError(t, s.device(i).Err)
	}
	if !row.serves {
		return
	}
	require.NoError(t, n.Start(dataplane.DefaultIdle, 0))
	fmt.Println("serving")
	if row.mend != nil {
		s.recheck(last, up, "mended")
		fmt.Println("mended")
	}
	time.Sleep(time.Hour)
}

func (row *restrictedRow) opened(t *testing.T, d node.DeviceChange) {
	t.Helper()
	require.NoError(t, d.Err)
	require.True(t, d.Up)
	for _, part := range row.mode {
		require.Contains(t, d.Mode, part)
	}
}

// watch starts the restricted process and looks at what becomes of it.
func (row *restrictedRow) watch(t *testing.T) {
	h := newHost(t)
	t.Setenv(netnsVariable, h.ns.Name)
	for _, name := range []string{"p0", "p1", "g0"} {
		p := pod{ns: netnstest.New(t)}
		if row.kind != "tap" {
			netnstest.Veth(t, p.ns, "eth0", h.ns, name, netnstest.VethOptions{})
		}
		h.pods = append(h.pods, p)
	}
	ns := h.ns
	if row.elsewhere {
		ns = netnstest.New(t)
	}
	child := ns.Start("/proc/self/exe", "-test.run=^TestRestricted$", "-test.v")
	if !row.serves {
		require.NoError(t, child.Wait(), "%s", child.Output())
		require.Contains(t, child.Output(), "PASS")
		t.Log(child.Output())
		return
	}
	says := func(what string) {
		require.Eventually(t, func() bool { return strings.Contains(child.Output(), what+"\n") }, patience, 5*time.Millisecond, "%s", what)
	}
	says("serving")
	for i, p := range h.pods {
		h.configure(i, p)
	}
	s := &site{host: h}
	s.reaches(0, 1)
	if row.mend != nil {
		require.False(t, s.ping(0, 2, 56))
		err := row.mend(child.PID())
		if errors.Is(err, unix.EPERM) {
			t.Skip("it can't be mended from here: to raise a limit takes CAP_SYS_RESOURCE")
		}
		require.NoError(t, err)
		says("mended")
	}
	s.reaches(0, 2)
	s.reaches(0, 1)
	t.Log(child.Output())
}
