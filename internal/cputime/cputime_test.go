package cputime_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/cputime"
)

func TestOfProcess(t *testing.T) {
	before := cputime.Process()
	used, err := cputime.OfProcess(os.Getpid())
	require.NoError(t, err)
	require.GreaterOrEqual(t, used, before, "one's own time is that of the process")
	require.LessOrEqual(t, used, cputime.Process()+before, "and of the same unit")
	_, err = cputime.OfProcess(1 << 23)
	require.ErrorContains(t, err, "the CPU time of process 8388608", "no process has so high a number")
}
