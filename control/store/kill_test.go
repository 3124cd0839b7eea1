package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
)

// victimEnv names the file that a child process saves to until it is killed.
const victimEnv = "SLUICE_STORE_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		victim(path)
	}
	os.Exit(m.Run())
}

// victim saves states without end, each with one more port, and says after
// each which revision is in force.
func victim(path string) {
	b, err := OpenBolt(path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	state, err := LoadState(b)
	for err == nil {
		grow(&state)
		if err = SaveState(b, state); err == nil {
			_, err = fmt.Println(state.Revision)
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}

// grow makes the next state: with as many numbers as its revision says, up to a
// bound, so that values of all sizes are written.
func grow(s *State) {
	s.Revision++
	s.Digest = fmt.Sprintf("%016x", s.Revision)
	numbers := map[string]uint16{}
	for i := range s.Revision % 500 {
		numbers[fmt.Sprintf("namespace/port-%d", i)] = uint16(i + 1)
	}
	s.Allocations = control.Allocations{Numbers: numbers, LastZone: uint32(s.Revision)}
}

// TestKill kills a process that saves, again and again at any moment: what it
// said to be in force is there afterwards, as a whole.
func TestKill(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	path := filepath.Join(t.TempDir(), "state.db")
	random := rand.New(rand.NewPCG(3, 4))
	var inForce uint64
	for range rounds {
		inForce = max(inForce, killOne(t, path, time.Duration(random.Int64N(int64(40*time.Millisecond)))))
		b, err := OpenBolt(path)
		require.NoError(t, err)
		state, err := LoadState(b)
		require.NoError(t, err)
		require.NoError(t, b.Close())
		require.GreaterOrEqual(t, state.Revision, inForce)
		if state.Revision == 0 {
			continue // killed before the first
		}
		want := State{Revision: state.Revision - 1}
		grow(&want)
		require.Equal(t, asJSON(t, want), asJSON(t, state), "all of one transaction")
	}
	require.Greater(t, inForce, uint64(rounds), "the victim got somewhere")
	t.Logf("%d transactions, %d kills", inForce, rounds)
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	for _, name := range left {
		require.NotContains(t, name, "damaged")
	}
}

// killOne runs a victim, kills it a while after it begins (the first one at
// once, while it makes the file) and returns the last revision that it said was in force.
func killOne(t *testing.T, path string, after time.Duration) (last uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // what is cut off was not said
		}
		require.NoError(t, err)
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		require.NoError(t, err, line)
		last = n
	}
	require.Error(t, cmd.Wait(), "it was killed")
	return last
}

func asJSON(t *testing.T, s State) string {
	t.Helper()
	data, err := json.Marshal(s)
	require.NoError(t, err)
	return string(data)
}
