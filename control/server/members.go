package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Members are users and groups of this machine, by number.
type Members struct{ UIDs, GIDs []int }

// ParseMembers reads "user:NAME" and "group:NAME", where a name may be a number. The
// error names every word that is neither.
func ParseMembers(words []string) (Members, error) {
	var m Members
	var faults []error
	for _, word := range words {
		what, name, _ := strings.Cut(word, ":")
		var n int
		var err error
		switch what {
		case "user":
			n, err = number(name, func() (string, error) {
				u, err := user.Lookup(name)
				if err != nil {
					return "", fmt.Errorf("there is no user %q on this machine", name)
				}
				return u.Uid, nil
			})
			m.UIDs = append(m.UIDs, n)
		case "group":
			n, err = number(name, func() (string, error) {
				g, err := user.LookupGroup(name)
				if err != nil {
					return "", fmt.Errorf("there is no group %q on this machine", name)
				}
				return g.Gid, nil
			})
			m.GIDs = append(m.GIDs, n)
		default:
			err = errors.New("want user:NAME or group:NAME, such as group:netops")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%q: %w", word, err))
		}
	}
	if len(faults) > 0 {
		return Members{}, errors.Join(faults...)
	}
	return m, nil
}

// number is the id that a word is, or that lookup finds.
func number(word string, lookup func() (string, error)) (int, error) {
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		// All users of other user namespaces look like this one (user_namespaces(7)).
		if n == overflowID {
			return 0, fmt.Errorf("%d stands for whoever has no number on this machine: name another", overflowID)
		}
		return int(n), nil
	}
	if word == "" {
		return 0, errors.New("the name is missing")
	}
	text, err := lookup()
	if err != nil {
		return 0, err
	}
	return number(text, func() (string, error) { return "", fmt.Errorf("%q is no number", text) })
}

// overflowID is DEFAULT_OVERFLOWUID and DEFAULT_OVERFLOWGID (linux/highuid.h).
const overflowID = 65534

// empty reports whether there is nobody.
func (m *Members) empty() bool { return len(m.UIDs)+len(m.GIDs) == 0 }

// has reports whether a process belongs to them.
func (m *Members) has(id *credentials) bool {
	return slices.Contains(m.UIDs, id.uid) || slices.ContainsFunc(m.GIDs, func(g int) bool {
		return id.gid == g || slices.Contains(id.groups, g)
	})
}

// permit sets who may connect to the socket at a path, which nobody finds yet. Whoever
// has a role must be able to; that nobody else can only keeps them off early, for
// roles are asked of the kernel for each connection.
//
//	nobody has a role, but root and the daemon's user   0660, as the file is made
//	one group has                                       0660, and the group is its
//	users, or several groups                            0666: a file has one group, and ACLs (acl(5)) are not on all file systems
func permit(path string, admins, viewers Members) error {
	mode := fs.FileMode(ownersOnly)
	gids := slices.Concat(admins.GIDs, viewers.GIDs)
	slices.Sort(gids)
	gids = slices.Compact(gids)
	switch {
	case admins.empty() && viewers.empty():
	case len(admins.UIDs)+len(viewers.UIDs) == 0 && len(gids) == 1 && os.Chown(path, -1, gids[0]) == nil:
	default: // also where the daemon may not give files away (CAP_CHOWN)
		mode = everybody
	}
	return os.Chmod(path, mode)
}

// Modes of the socket.
const (
	ownersOnly = 0o660
	everybody  = 0o666
)

// userNames knows what users are called. It asks for each once a minute at most, and
// the binary is static: that reads /etc/passwd, and no other machine is asked.
type userNames struct {
	mu    sync.Mutex
	known map[int]userName
}

type userName struct {
	name  string // empty: it has none
	until time.Time
}

// Bounds of what userNames keeps.
const (
	maxUserNames = 1024
	keepUserName = time.Minute
)

func (n *userNames) of(uid int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if known, found := n.known[uid]; found && now.Before(known.until) {
		return known.name
	}
	if n.known == nil || len(n.known) >= maxUserNames {
		n.known = map[int]userName{}
	}
	name := ""
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	n.known[uid] = userName{name, now.Add(keepUserName)}
	return name
}
