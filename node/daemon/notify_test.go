package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manager is a service manager that listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	env  map[string]string
}

func listenAs(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, map[string]string{"NOTIFY_SOCKET": name}}
}

// next waits for a datagram that has a variable, and returns it.
func (m *manager) next(variable string) string {
	m.t.Helper()
	require.NoError(m.t, m.conn.SetReadDeadline(time.Now().Add(testPatience)))
	for {
		var b [4096]byte
		n, err := m.conn.Read(b[:])
		require.NoError(m.t, err, variable)
		if strings.Contains("\n"+string(b[:n])+"\n", "\n"+variable) {
			return string(b[:n])
		}
	}
}

func (m *manager) getenv(name string) string { return m.env[name] }

func TestNotify(t *testing.T) {
	for _, name := range []string{
		filepath.Join(t.TempDir(), "notify"),
		fmt.Sprintf("@sluice-test-%d-%s", os.Getpid(), t.Name()), // abstract
	} {
		m := listenAs(t, name)
		m.env["WATCHDOG_USEC"], m.env["WATCHDOG_PID"] = "100000", fmt.Sprint(os.Getpid())
		path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
		r := begin(t, Config{Paths: []string{path}, Getenv: m.getenv})
		require.Equal(t, "READY=1\nSTATUS=revision 1 in force, 1 ports", m.next("READY=1"))
		m.next("WATCHDOG=1")
		m.next("WATCHDOG=1")
		r.signals <- syscall.SIGHUP
		require.Regexp(t, regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]{6,}$`), m.next("RELOADING=1"))
		m.next("READY=1")
		replaceFile(t, path, "nonsense: true\nmore: [\n")
		require.NotContains(t, strings.TrimPrefix(m.next("STATUS=revision 1 in force; the configuration given since has faults"), "STATUS="), "\n",
			"a line break would end the assignment")
		r.cancel()
		m.next("STOPPING=1")
		require.NoError(t, r.end())
	}
}

func TestNotifySocketThatIsNone(t *testing.T) {
	for _, tt := range []struct{ why, socket string }{
		{"nobody listens", filepath.Join(t.TempDir(), "nobody")},
		{"a vsock address, which systemd gives to virtual machines", "vsock:2:1234"},
	} {
		r := start(t, Config{Getenv: func(name string) string {
			return map[string]string{"NOTIFY_SOCKET": tt.socket}[name]
		}})
		require.Equal(t, 1, r.lines("WARN", "the service manager can't be told"), tt.why)
		r.stop()
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		why       string
		usec, pid string
		want      time.Duration
	}{
		{"as systemd gives it", "30000000", fmt.Sprint(os.Getpid()), 30 * time.Second},
		{"without a process it is for whoever reads it", "2000000", "", 2 * time.Second},
		{"it is another's, inherited by a child", "2000000", "1", 0},
		{"none is wanted", "", "", 0},
		{"zero is none", "0", "", 0},
		{"nonsense is none", "30s", "", 0},
		{"beyond all sense is none, and does not overflow", "9223372036854775807", "", 0},
	} {
		env := map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}
		require.Equal(t, tt.want, watchdogInterval(func(name string) string { return env[name] }), tt.why)
	}
}

func TestWatchdogSeesAWorkerThatIsStuck(t *testing.T) {
	beats := []uint64{5, 5}
	w := watchdog{heart: func() []uint64 { return append([]uint64{}, beats...) }}
	require.Equal(t, -1, w.stuck(), "nothing is known at first")
	beats[0], beats[1] = 6, 9
	require.Equal(t, -1, w.stuck())
	beats[0] = 7
	require.Equal(t, 1, w.stuck())
	beats[0], beats[1] = 8, 10
	require.Equal(t, -1, w.stuck(), "it was only slow")
}

func TestStuckWorkerIsNotToldToBeWell(t *testing.T) {
	m := listenAs(t, filepath.Join(t.TempDir(), "notify"))
	m.env["WATCHDOG_USEC"] = "40000"
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a"))
	stuck := newStuck()
	r := begin(t, Config{Paths: []string{path}, Getenv: m.getenv, Open: stuck.open, DrainTimeout: time.Millisecond})
	defer close(stuck.release)
	r.until(func() bool { return r.lines("ERROR", "makes no progress") > 0 }, "it is noticed")
	r.cancel()
	require.Error(t, r.end())
}
