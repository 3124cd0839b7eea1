package afxdp

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// TestMissingRights opens a port in processes that lack a right each, and may lock
// no memory. The children run this test too, with the row's number.
func TestMissingRights(t *testing.T) {
	rows := []struct {
		why  string
		drop []uint
		want []string
	}{
		{"the buffers can't be pinned", []uint{unix.CAP_IPC_LOCK, unix.CAP_SYS_RESOURCE}, []string{"pin 2 MiB", "CAP_IPC_LOCK", "LimitMEMLOCK"}},
		{"no raw sockets", []uint{unix.CAP_NET_RAW}, []string{"no right to make packet sockets", "CAP_NET_RAW"}},
		{"no BPF", []uint{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, []string{"no right to load BPF programs", "CAP_BPF", "ulimit -l"}},
	}
	const number = "SLUICE_AFXDP_TEST_ROW"
	if text := os.Getenv(number); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		runtime.LockOSThread()
		arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024})
		require.NoError(t, err)
		require.NoError(t, unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}, nil))
		drop(t, rows[n].drop)
		_, err = Open(Config{Name: "p1", Arena: arena})
		for _, part := range rows[n].want {
			require.ErrorContains(t, err, part)
		}
		require.NotContains(t, err.Error(), "RemoveMemlock", "which is nothing that a user can do")
		return
	}
	w := wire(t, netnstest.New(t), "p1", netnstest.VethOptions{})
	for n, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.run=^TestMissingRights$")
			child.Env = append(os.Environ(), number+"="+strconv.Itoa(n))
			var output []byte
			err := w.host.Do(func() (err error) { output, err = child.CombinedOutput(); return err })
			require.NoError(t, err, "%s", output)
			require.Contains(t, string(output), "PASS")
		})
	}
}

// drop takes capabilities from the calling thread.
func drop(t *testing.T, capabilities []uint) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	require.NoError(t, unix.Capget(&header, &sets[0]))
	for _, c := range capabilities {
		sets[c/32].Effective &^= 1 << (c % 32)
	}
	require.NoError(t, unix.Capset(&header, &sets[0]))
}
