package devices_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node"
)

// resourcesOf counts, when what is ending has ended.
func resourcesOf(t *testing.T, n *node.Node) (r resources) {
	t.Helper()
	count := func() resources {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return resources{len(entries), runtime.NumGoroutine(), n.Arena().InUse()}
	}
	for r = count(); ; {
		time.Sleep(50 * time.Millisecond)
		again := count()
		if again.descriptors >= r.descriptors && again.goroutines >= r.goroutines {
			return again
		}
		r = again
	}
}

// resident returns the process's resident memory in KiB.
func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found)
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(t, err)
	return kib
}
