package daemon

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells the service manager about the daemon, in the datagrams of
// sd_notify(3). A nil notifier tells nobody.
type notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration // a sign of life is wanted at least this often; 0: none
}

// newNotifier connects to the socket that the environment names, if it does.
func newNotifier(getenv func(string) string) (*notifier, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	// A name that begins with @ is in the abstract namespace, for net as for systemd.
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s: want a path, or @ and a name", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connect to the service manager: %w", err)
	}
	return &notifier{conn, watchdogInterval(getenv)}, nil
}

// watchdogInterval is how often the service manager wants to hear from this
// process (sd_watchdog_enabled(3)); 0: it does not.
func watchdogInterval(getenv func(string) string) time.Duration {
	µs, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || µs <= 0 || µs > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0 // it is meant for another process
	}
	return time.Duration(µs) * time.Microsecond
}

// tell sends assignments, each VARIABLE=VALUE without a line break. Nobody waits
// for the manager: what it does not take is lost, as it is when it is restarted.
func (n *notifier) tell(assignments ...string) {
	if n == nil {
		return
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = n.conn.Write([]byte(strings.Join(assignments, "\n")))
}

// reloading says that the configuration is being read again: with the time, so that
// the manager knows which of its signals is meant (Type=notify-reload).
func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	n.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// status makes a line for a person.
func status(format string, args ...any) string {
	return "STATUS=" + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close()
	}
}
