package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Recovery tells what took the place of a file that is damaged or missing.
type Recovery struct {
	Path   string // of the file
	Damage error  // what is wrong with it
	Kept   string // the name that the damaged file has now; empty if it was missing
	// From is the copy that took its place; empty if it was what the damaged file itself had before its
	// last transaction.
	From     string
	Made     time.Time // when the copy was made: changes since then are lost
	Revision uint64    // of the store now
	Lost     int       // transactions; -1 if it can't be told
}

// String tells it in a sentence or two.
func (r *Recovery) String() string {
	text := r.Damage.Error()
	if r.Kept != "" {
		text += "; it is kept as " + r.Kept
	}
	if r.From == "" {
		return text + "; its last transaction is lost, and what was before is in force"
	}
	text += "; the copy " + r.From + " of " + r.Made.UTC().Format(time.RFC3339) + " took its place"
	switch {
	case r.Lost < 0:
		text += "; what was changed since then is lost"
	case r.Lost == 0:
		text += "; nothing is lost"
	default:
		text += "; what was changed since then is lost, " + strconv.Itoa(r.Lost) + " transactions"
	}
	return text
}

// Recovered tells what OpenBolt did because the file was damaged or missing; nil if it was in order.
func (b *Bolt) Recovered() *Recovery { return b.recovered }

// repair puts in the place of a damaged file what is left, and opens that: what the file itself had
// before its last transaction or the good copy, whichever is newer.
func repair(path string) (b *Bolt, err error) {
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, readErr := io.ReadAll(f) // as far as the disk can
	_, damage := inspectInMemory(path, data)
	if damage = errors.Join(damage, readErr); damage == nil {
		return nil, fmt.Errorf("%s: %w by another process, which has repaired it meanwhile: try again", path, ErrLocked)
	}
	r := &Recovery{Path: path, Damage: damage, Lost: -1}
	last, _, lastErr := lastMeta(data)
	previous, rewound := rewind(path, data)
	good, goodErr := inspect(path + goodSuffix)
	is, put := good, func() error { return copyWhole(path, path+goodSuffix) }
	switch {
	// With revision 0, nothing was ever saved: that is no state to go back to.
	case rewound != nil && previous.revision > 0 && (goodErr != nil || good.transaction <= previous.transaction):
		is, put = previous, func() error { return writeWhole(path, func(w io.Writer) error { return writeAll(w, rewound) }) }
	case goodErr == nil:
		r.From, r.Made = path+goodSuffix, good.made
	case errors.Is(goodErr, fs.ErrNotExist):
		return nil, keepCopy(path, data, damage)
	default:
		return nil, fmt.Errorf("%w; its copy is of no use either: %w", keepCopy(path, data, damage), goodErr)
	}
	if r.Revision = is.revision; lastErr == nil && last.transaction >= is.transaction {
		r.Lost = int(last.transaction - is.transaction)
	}
	if r.Kept, err = keepAside(path, time.Now()); err != nil {
		return nil, fmt.Errorf("%w; it can't be kept aside: %w", damage, err)
	}
	if err := put(); err != nil {
		return nil, fmt.Errorf("%w; it is kept as %s; put a copy in its place: %w", damage, r.Kept, err)
	}
	if b, err = open(path); err != nil {
		return nil, err
	}
	b.recovered = r
	return b, nil
}

// rewind returns the content of a damaged file as it was before its last transaction, which bbolt
// leaves untouched until the next; nil if that is damaged too.
func rewind(path string, data []byte) (found, []byte) {
	last, at, err := lastMeta(data)
	if err != nil {
		return found{}, nil
	}
	rewound := bytes.Clone(data)
	clear(rewound[at:min(uint64(at)+last.size, uint64(len(rewound)))])
	is, err := inspectInMemory(path, rewound)
	if err != nil {
		return found{}, nil
	}
	return is, rewound
}

// inspectInMemory is inspect of a content that is in no file, or in one that is locked.
func inspectInMemory(name string, data []byte) (found, error) {
	return inspectData(name, data, func(string, int, os.FileMode) (*os.File, error) {
		fd, err := unix.MemfdCreate("sluice-state", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("memfd_create: %w", err)
		}
		f := os.NewFile(uintptr(fd), name)
		if err := writeAll(f, data); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	})
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// keepAside gives a file a second name, that of the time. So it is never without one, and who is
// killed now begins anew.
func keepAside(path string, now time.Time) (name string, err error) {
	base := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	for i := 1; ; i++ {
		name = base
		if i > 1 {
			name += "-" + strconv.Itoa(i)
		}
		if err = os.Link(path, name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}
