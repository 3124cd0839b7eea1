package doctor

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStateFolder(t *testing.T) {
	for _, row := range []struct {
		why   string
		state StateFolder
		want  []string // state, name and what was found
	}{
		{"nobody asked", StateFolder{}, nil},
		{"all is well", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o750, Free: 8 << 30}, []string{"OK folder /s", "OK space 8192 MiB free"}},
		{"it is made when it is needed", StateFolder{Path: "/s/x", Nearest: "/s", Mode: fs.ModeDir | 0o755, Free: 8 << 30}, []string{"OK folder /s/x is not there yet: the daemon makes it", "OK space 8192 MiB free"}},
		{"unless it can't be", StateFolder{Path: "/s/x", Nearest: "/s", WriteErr: unix.EACCES}, []string{"FAIL folder /s/x is not there, and /s: permission denied"}},
		{"it is somebody else's", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, WriteErr: unix.EACCES}, []string{"FAIL folder /s: permission denied"}},
		{"it is a file", StateFolder{Path: "/s", Nearest: "/s", Mode: 0o644}, []string{"FAIL folder /s is no folder"}},
		{"everybody may look", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o755, Free: 8 << 30}, []string{"WARN folder /s has mode 0755", "OK space 8192 MiB free"}},
		{"the disk is nearly full", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, Free: 100 << 20}, []string{"OK folder /s", "WARN space 100 MiB free"}},
		{"the disk is full", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, Free: 1 << 20}, []string{"OK folder /s", "FAIL space 1024 KiB free"}},
		{"it is in memory", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, Free: 8 << 30, Type: unix.TMPFS_MAGIC}, []string{"OK folder /s", "OK space 8192 MiB free", "WARN file system tmpfs"}},
		{"it is far away", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, Free: 8 << 30, Type: unix.NFS_SUPER_MAGIC}, []string{"OK folder /s", "OK space 8192 MiB free", "WARN file system NFS"}},
		{"it was damaged once", StateFolder{Path: "/s", Nearest: "/s", Mode: fs.ModeDir | 0o700, Free: 8 << 30, Damaged: []string{"state.db.damaged-1"}}, []string{"OK folder /s", "OK space 8192 MiB free", "INFO damaged copies state.db.damaged-1"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			var got []string
			for _, f := range stateFolder(&Facts{State: row.state}) {
				got = append(got, string(f.State)+" "+f.Name+" "+f.Found)
				require.Equal(t, f.State == OK, f.Means == "" && f.Mend == nil, "what is not well has a meaning and a remedy: %+v", f)
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestLookAtState(t *testing.T) {
	dir := t.TempDir()
	missing := lookAtState(filepath.Join(dir, "a", "b"))
	require.Equal(t, dir, missing.Nearest)
	require.NoError(t, missing.WriteErr)
	require.Positive(t, missing.Free)
	require.NoFileExists(t, filepath.Join(dir, "a"), "nothing is made")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "state.db.damaged-7"), nil, 0o600))
	require.NoError(t, os.Chmod(dir, 0o750)) //nolint:gosec // what is to be seen
	is := lookAtState(dir + "/")
	require.Equal(t, StateFolder{
		Path: dir, Nearest: dir, Mode: fs.ModeDir | 0o750, Free: is.Free, Type: is.Type, Damaged: []string{"state.db.damaged-7"},
	}, is)
}
