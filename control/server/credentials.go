package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credentials are those of a process when it connected.
type credentials struct {
	uid, gid, pid int
	groups        []int // the supplementary ones
}

// ownUID is the daemon's.
func ownUID() int { return os.Geteuid() }

// credentialsOf asks the kernel who is at the other end of a socket: SO_PEERCRED and
// SO_PEERGROUPS (unix(7), socket(7); Linux 4.13).
func credentialsOf(c *net.UnixConn) (id credentials, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return id, fmt.Errorf("the peer of the API's socket: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed == nil {
			id = credentials{uid: int(cred.Uid), gid: int(cred.Gid), pid: int(cred.Pid)}
			id.groups, failed = peerGroups(fd)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return id, fmt.Errorf("the peer of the API's socket: %w", err)
	}
	return id, nil
}

// maxGroups is NGROUPS_MAX (linux/limits.h).
const maxGroups = 65536

// peerGroups returns the supplementary groups of the peer. x/sys has no call that keeps
// bytes that are zero.
func peerGroups(fd uintptr) ([]int, error) {
	for n := 32; ; n = min(4*n, maxGroups) {
		gids := make([]uint32, n)
		size := uint32(4 * n)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && n < maxGroups:
			continue
		case errno != 0:
			return nil, fmt.Errorf("SO_PEERGROUPS: %w", errno)
		}
		groups := make([]int, 0, size/4)
		for _, g := range gids[:min(size/4, uint32(n))] {
			groups = append(groups, int(g))
		}
		return groups, nil
	}
}
