package daemon

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALatencyIsAskedForByAnOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latency")
	r := latencyRequest{path: path, latency: 10 * time.Microsecond}
	require.Error(t, r.set(true), "a kernel without the file")
	require.Nil(t, r.file)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, r.set(true))
	require.NotNil(t, r.file, "the request lasts as long as the file is open")
	require.NoError(t, r.set(true), "once is enough")
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, binary.NativeEndian.AppendUint32(nil, 10), written)
	require.NoError(t, r.set(false))
	require.Nil(t, r.file)
}
