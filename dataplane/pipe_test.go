package dataplane_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pipe returns a pipe's two ends.
func pipe(t *testing.T) (fds [2]int) {
	require.NoError(t, unix.Pipe2(fds[:], unix.O_NONBLOCK))
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return fds
}

// wake makes the other end readable.
func wake(t *testing.T, fd int) {
	_, err := unix.Write(fd, []byte{1})
	require.NoError(t, err)
}
