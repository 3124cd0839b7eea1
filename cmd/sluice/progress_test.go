package main

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestNoProgressWithoutATerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	var memory bytes.Buffer
	for _, p := range []*progress{newProgress(file), newProgress(&memory)} {
		p.say("replayed %d frames", 1)
		p.clear()
	}
	info, err := file.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.Zero(t, memory.Len())
}

func TestProgressOnATerminal(t *testing.T) {
	screen, terminal := openTerminal(t)
	p := newProgress(terminal)
	p.clear() // nothing is there yet
	p.say("replayed %d frames", 1)
	p.say("replayed %d frames", 2) // too soon for the eye
	p.clear()
	p.clear()
	const want = "\r\x1b[Kreplayed 1 frames\r\x1b[K"
	got := make([]byte, 100)
	n := 0
	for n < len(want) {
		k, err := screen.Read(got[n:])
		require.NoError(t, err)
		n += k
	}
	require.Equal(t, want, string(got[:n]))
}

// openTerminal opens a pseudo-terminal (pty(7)): what is written to terminal
// can be read from screen.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetUint32(int(screen.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}
