package lab

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListens(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	require.True(t, listens(os.Getpid(), "tcp", port))
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer u.Close()
	require.True(t, listens(os.Getpid(), "udp", u.LocalAddr().(*net.UDPAddr).Port))

	client, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	require.False(t, listens(os.Getpid(), "tcp", client.LocalAddr().(*net.TCPAddr).Port), "an open connection is no server")
}

// TestLabsAreClaimedAndSwept needs no rights: these labs have nothing in the kernel.
func TestLabsAreClaimedAndSwept(t *testing.T) {
	dir := t.TempDir()
	states, err := Running(filepath.Join(dir, "nothing"))
	require.NoError(t, err)
	require.Empty(t, states)

	mine, lock, err := claim(dir, State{Scenario: "mine", PID: os.Getpid()})
	require.NoError(t, err)
	dead, deadLock, err := claim(dir, State{Scenario: "dead"})
	require.NoError(t, err)
	kept, keptLock, err := claim(dir, State{Scenario: "kept", Kept: true})
	require.NoError(t, err)
	require.NoError(t, deadLock.Close())
	require.NoError(t, keptLock.Close())
	require.Len(t, mine.ID, 4)

	swept, err := Sweep(dir)
	require.NoError(t, err)
	require.Len(t, swept, 1, "neither the one that is run nor the one that is to stay")
	require.Equal(t, dead.ID, swept[0].ID)
	states, err = Running(dir)
	require.NoError(t, err)
	require.Len(t, states, 2)

	_, err = Down(dir, "mine")
	require.ErrorContains(t, err, "no lab mine is up; there are: "+kept.ID+" (kept)", "a lab that somebody runs is his to end")
	ended, err := Down(dir, "")
	require.NoError(t, err)
	require.Equal(t, kept.ID, ended[0].ID)
	_, err = Down(dir, "")
	require.EqualError(t, err, "no lab is up")
	require.NoError(t, lock.Close())

	// A folder that was never finished belongs to nobody.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "zzzz"), 0o755))
	swept, err = Sweep(dir)
	require.NoError(t, err)
	require.Len(t, swept, 2)
	require.NoDirExists(t, filepath.Join(dir, mine.ID))
}

func TestExcerpt(t *testing.T) {
	require.Equal(t, "a\nb", excerpt("a\nb\n", 2))
	require.Equal(t, "1\n2\n… 3 lines …\n6\n7", excerpt("1\n2\n3\n4\n5\n6\n7", 4))
}

func TestVLANTagIsPutBack(t *testing.T) {
	// As recvmsg gives it: cmsghdr{len 36, SOL_PACKET 263, PACKET_AUXDATA 8}, then
	// tpacket_auxdata{status TP_STATUS_VLAN_VALID|VLAN_TPID_VALID, len, snaplen,
	// mac, net, tci 0x200a, tpid 0x8100} on a little-endian machine.
	control := []byte{
		36, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 8, 0, 0, 0,
		0x51, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 0, 0, 14, 0, 0x0a, 0x20, 0x00, 0x81, 0, 0, 0, 0,
	}
	tag, found := vlanTag(control)
	require.True(t, found)
	require.Equal(t, [4]byte{0x81, 0x00, 0x20, 0x0a}, tag)
	control[16] = 1 // no tag
	_, found = vlanTag(control)
	require.False(t, found)
	_, found = vlanTag(nil)
	require.False(t, found)
}

func TestUnknownScenario(t *testing.T) {
	_, _, err := Load("two-namespace")
	require.ErrorContains(t, err, "no scenario that comes with sluice is called two-namespace: those are afxdp-pair,")
	_, _, err = Load("./no-such-file.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}
