package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// StateFolder is where the daemon keeps what has to survive it.
type StateFolder struct {
	Path     string      // as asked for; "" if nobody asked
	Nearest  string      // it, or the innermost folder around it that there is
	Mode     fs.FileMode // of Path; valid iff it is there
	WriteErr error       // of asking whether this process may write to Nearest
	Free     uint64      // bytes of the file system for this user; valid iff SizeErr is nil
	Type     int64       // of the file system: magic numbers of linux/magic.h
	SizeErr  error
	Damaged  []string // copies of state files that were found damaged, by name
}

// there reports whether the folder exists.
func (s *StateFolder) there() bool { return s.Nearest == s.Path }

// lookAtState finds out about a folder without changing it.
func lookAtState(path string) StateFolder {
	s := StateFolder{Path: filepath.Clean(path)}
	for s.Nearest = s.Path; s.Nearest != filepath.Dir(s.Nearest); s.Nearest = filepath.Dir(s.Nearest) {
		info, err := os.Stat(s.Nearest)
		if err == nil {
			s.Mode = info.Mode()
			break
		}
	}
	s.WriteErr = unix.Access(s.Nearest, unix.W_OK|unix.X_OK)
	var size unix.Statfs_t
	if s.SizeErr = unix.Statfs(s.Nearest, &size); s.SizeErr == nil {
		s.Free, s.Type = size.Bavail*uint64(size.Bsize), int64(size.Type)
	}
	copies, _ := filepath.Glob(filepath.Join(s.Path, "*.damaged-*")) // a pattern that is none has no copies
	for _, c := range copies {
		s.Damaged = append(s.Damaged, filepath.Base(c))
	}
	slices.Sort(s.Damaged)
	return s
}

// Space that the state wants: a configuration with its history, the last good copy of
// both, and the one that takes its place.
const (
	leastSpace  = 64 << 20
	enoughSpace = 512 << 20
)

// memoryFS and distantFS are file systems that a state does not survive in, and whose
// locks and syncs are not to be relied on (linux/magic.h).
var (
	memoryFS  = map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs"}
	distantFS = map[int64]string{unix.NFS_SUPER_MAGIC: "NFS", unix.SMB2_SUPER_MAGIC: "SMB", unix.FUSE_SUPER_MAGIC: "FUSE"}
)

// stateFolder judges where the state is, or will be.
func stateFolder(f *Facts) (found []Finding) {
	s := &f.State
	if s.Path == "" {
		return nil
	}
	const other = "# or choose another folder: sluice run --state DIR"
	switch {
	case s.there() && !s.Mode.IsDir():
		return []Finding{inState.is(Fail, "folder", s.Path+" is no folder", "the daemon does not start", other)}
	case s.WriteErr != nil && s.there():
		return []Finding{inState.is(Fail, "folder", s.Path+": "+reason(s.WriteErr), "the daemon does not start: it may not write there",
			"# run as the folder's owner, or chown it", other)}
	case s.WriteErr != nil:
		return []Finding{inState.is(Fail, "folder", s.Path+" is not there, and "+s.Nearest+": "+reason(s.WriteErr),
			"the daemon does not start: it can't make its folder", "install -d -m 0750 "+s.Path, other)}
	case !s.there():
		found = append(found, inState.ok("folder", "%s is not there yet: the daemon makes it", s.Path))
	case s.Mode.Perm()&0o007 != 0:
		found = append(found, inState.is(Warn, "folder", fmt.Sprintf("%s has mode %04o", s.Path, s.Mode.Perm()),
			"others may look at what is in it, keys of Secrets included as far as files allow", "chmod o= "+s.Path))
	default:
		found = append(found, inState.ok("folder", "%s", s.Path))
	}
	found = append(found, s.fileSystem()...)
	if len(s.Damaged) > 0 {
		found = append(found, inState.is(Info, "damaged copies", strings.Join(s.Damaged, ", "),
			"a state file was found damaged and kept aside: the disk may be failing", "smartctl -a /dev/…", "# delete them when nobody wants to look at them any more"))
	}
	return found
}

func (s *StateFolder) fileSystem() (found []Finding) {
	if s.SizeErr != nil {
		return []Finding{inState.is(Warn, "space", reason(s.SizeErr), "nobody knows whether there is room for the state")}
	}
	text := size(s.Free) + " free"
	switch {
	case s.Free < leastSpace:
		found = append(found, inState.is(Fail, "space", text, "changes of the configuration are refused when they can't be saved", "df -h "+s.Nearest))
	case s.Free < enoughSpace:
		found = append(found, inState.is(Warn, "space", text, "a large configuration with its history may not fit", "df -h "+s.Nearest))
	default:
		found = append(found, inState.ok("space", "%s", text))
	}
	if name := memoryFS[s.Type]; name != "" {
		found = append(found, inState.is(Warn, "file system", name, "the configuration is lost when the machine restarts", "# choose a folder on a disk: sluice run --state DIR"))
	}
	if name := distantFS[s.Type]; name != "" {
		found = append(found, inState.is(Warn, "file system", name, "locks and syncs are not to be relied on: a crash may damage the state", "# choose a folder on a local disk: sluice run --state DIR"))
	}
	return found
}
