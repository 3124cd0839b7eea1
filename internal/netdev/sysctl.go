package netdev

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysctl returns a setting of a network namespace without the line's end. name
// is its path below /proc/sys with slashes (net/ipv4/conf/eth0.5/rp_filter), or,
// if it has none, with dots (net.ipv4.ip_forward).
func Sysctl(netNS, name string) (value string, err error) {
	file, err := sysctlFile(name)
	if err != nil {
		return "", err
	}
	err = In(netNS, func() error {
		b, err := os.ReadFile(file)
		value = strings.TrimSuffix(string(b), "\n")
		return err
	})
	return value, err
}

// SetSysctl changes a setting of a network namespace; name is as for Sysctl.
func SetSysctl(netNS, name, value string) error {
	file, err := sysctlFile(name)
	if err != nil {
		return err
	}
	err = In(netNS, func() error { return os.WriteFile(file, []byte(value), 0) })
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("set %s to %s: the container may not change settings: have it started with them, or privileged: %w", name, value, err)
	case err != nil:
		return fmt.Errorf("set %s to %s: %w", name, value, explainRights(err))
	}
	return nil
}

// sysctlFile allows settings of the network only: the others are the machine's.
func sysctlFile(name string) (string, error) {
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	if path.Clean(name) != name || !strings.HasPrefix(name, "net/") {
		return "", fmt.Errorf("%q is no setting of a network namespace: want a path below net/", name)
	}
	return "/proc/sys/" + name, nil
}
