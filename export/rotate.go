package export

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// RotateConfig says when a log file has become long enough. Zero values are defaults.
type RotateConfig struct {
	Size  int64 // of one file, bytes; default 64 MiB
	Files int   // that are kept, the one that is written included; default 4
}

// RotatedFile is a log file that is replaced when it is long: FILE becomes FILE.1, that FILE.2, and the oldest goes. It also
// goes on in a new file when somebody else has renamed or removed FILE (logrotate), and from the beginning when somebody has
// emptied it. It is for one goroutine.
type RotatedFile struct {
	path   string
	config RotateConfig
	file   *os.File // nil: to be opened again
}

// OpenRotated opens a log file to append to, and makes it if there is none.
func OpenRotated(path string, c RotateConfig) (*RotatedFile, error) {
	if c.Size <= 0 {
		c.Size = 64 << 20
	}
	if c.Files <= 0 {
		c.Files = 4
	}
	f := &RotatedFile{path: path, config: c}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *RotatedFile) open() error {
	// Not for others to read: it tells who talks to whom.
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	f.file = file
	return nil
}

// Write writes whole lines, all or none of them: what a full disk takes a part of is taken back.
func (f *RotatedFile) Write(lines []byte) (int, error) {
	size, err := f.ready()
	if err == nil && size > 0 && size+int64(len(lines)) > f.config.Size {
		if err = f.rotate(); err == nil {
			size = 0
		}
	}
	if err != nil {
		return 0, err
	}
	n, err := f.file.Write(lines)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, f.file.Truncate(size))
		}
		return 0, fmt.Errorf("write log file: %w", err)
	}
	return n, nil
}

// ready sees to it that the file which is open is the one at the path, and returns its size.
func (f *RotatedFile) ready() (size int64, err error) {
	if f.file != nil {
		open, err := f.file.Stat()
		if err != nil {
			return 0, fmt.Errorf("log file: %w", err)
		}
		if there, err := os.Stat(f.path); err == nil && os.SameFile(open, there) {
			return open.Size(), nil
		}
		_ = f.file.Close() // what it has is written; there is nothing more to lose
		f.file = nil
	}
	if err := f.open(); err != nil {
		return 0, err
	}
	info, err := f.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("log file: %w", err)
	}
	return info.Size(), nil
}

// rotate gives every file the next number, and begins a new one. If a name cannot be given, the file that is open goes on.
func (f *RotatedFile) rotate() error {
	if f.config.Files == 1 {
		return f.file.Truncate(0)
	}
	for i := f.config.Files - 1; i > 0; i-- {
		if err := os.Rename(f.name(i-1), f.name(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate log file: %w", err)
		}
	}
	_ = f.file.Close()
	f.file = nil
	return f.open()
}

// name returns the path of the file that has been replaced so many times.
func (f *RotatedFile) name(i int) string {
	if i == 0 {
		return f.path
	}
	return fmt.Sprintf("%s.%d", f.path, i)
}

// Close closes the file.
func (f *RotatedFile) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

var _ io.WriteCloser = (*RotatedFile)(nil)
