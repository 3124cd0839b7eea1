package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/node/doctor"
)

// Bounds of what the daemon is asked for.
const (
	maxItems     = 5_000 // of each kind
	maxRevisions = 50
	maxLogLines  = 10_000
	maxSessions  = 200_000
)

// daemonSources are what the daemon says.
func (c *collector) daemonSources() []source {
	asked := func(file, what string, collect func(context.Context) (any, error)) source {
		return source{"daemon/" + file, what, true, collect}
	}
	list := []source{
		asked("status.json", "how the node does, and the last error", c.status),
		asked("config.json", "the objects in force", c.config),
		asked("objects.json", "the objects that are wanted, with their conditions", c.objects),
		asked("history.json", "the last changes, with diffs", c.history),
		asked("log-levels.json", "what is logged", func(ctx context.Context) (any, error) { return c.Client.LogLevels(ctx) }),
		asked("log.txt", "what was logged last", func(ctx context.Context) (any, error) {
			b := limited{most: c.MostBytes}
			err := c.Client.Log(ctx, maxLogLines, &b)
			return b.content(), err
		}),
	}
	for _, kind := range api.ViewKinds() {
		if kind.Name == "sessions" {
			continue
		}
		list = append(list, asked(kind.Name+".json", kind.Name+", at most "+fmt.Sprint(maxItems), func(ctx context.Context) (any, error) {
			items, more, err := client.List[json.RawMessage](ctx, c.Client, kind.Name, api.Filter{Limit: maxItems})
			return api.List[json.RawMessage]{Items: items, More: more}, err
		}))
	}
	list = append(list, asked("sessions-summary.json", "live sessions in numbers, and the 20 largest", c.sessionSummary))
	if c.Sessions {
		list = append(list, asked("sessions.json", "live sessions, at most "+fmt.Sprint(maxSessions), func(ctx context.Context) (any, error) {
			items, more, err := client.List[json.RawMessage](ctx, c.Client, "sessions", api.Filter{Limit: maxSessions})
			return api.List[json.RawMessage]{Items: items, More: more}, err
		}))
	}
	return list
}

// version is what made the bundle, and what the daemon says that it is.
func (c *collector) version(ctx context.Context) (any, error) {
	v := struct {
		Program any    `json:"program"`
		Daemon  string `json:"daemon,omitempty"`
	}{Program: c.Version}
	if c.dead != nil {
		return v, nil
	}
	st, err := c.Client.Status(ctx)
	v.Daemon = st.Version
	return v, err
}

// maxFrame is how much of a frame over which a worker crashed is in a bundle: what
// headers need, and little of what people say.
const maxFrame = 96

func (c *collector) status(ctx context.Context) (any, error) {
	st, err := c.Client.Status(ctx)
	if err != nil {
		return nil, err
	}
	for i := range st.First {
		crash := &st.First[i]
		crash.Frame = crash.Frame[:min(len(crash.Frame), maxFrame)]
	}
	return st, nil
}

func (c *collector) config(ctx context.Context) (any, error) {
	b := limited{most: 2 * c.MostBytes}
	if err := c.Client.Config(ctx, "json", &b); err != nil {
		return nil, err
	}
	// What is no JSON is not known well enough to be without secrets.
	return decode(b.b.Bytes())
}

func (c *collector) objects(ctx context.Context) (any, error) {
	list, err := c.Client.Objects(ctx, api.ObjectFilter{Limit: maxItems})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// history is the newest revisions, with the diffs of what is no Secret.
func (c *collector) history(ctx context.Context) (any, error) {
	list, err := c.Client.History(ctx, api.HistoryFilter{Limit: maxRevisions})
	for i := range list {
		if err != nil {
			break
		}
		var full *api.RevisionView
		if full, err = c.Client.Revision(ctx, list[i].Revision); errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrGone) {
			err = nil // it was the oldest, and is forgotten by now
		} else if err == nil {
			list[i] = *full
		}
	}
	return api.List[api.RevisionView]{Items: list}, err
}

// doctor is what sluice doctor finds.
func (c *collector) doctor(context.Context) (any, error) {
	path, err := api.SocketPath(c.API)
	if err != nil {
		path = "" // no address is no finding
	}
	return doctor.Run(c.Machine, doctor.Options{Socket: path}), nil
}

// limited is a buffer that does not grow without end.
type limited struct {
	b    bytes.Buffer
	most int // bytes
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.most-l.b.Len())
	l.b.Write(b[:n])
	if n < len(b) {
		return n, fmt.Errorf("it is longer than %d KiB", l.most>>10)
	}
	return n, nil
}

// content is what was written; nil if nothing was.
func (l *limited) content() any {
	if l.b.Len() == 0 {
		return nil
	}
	return l.b.Bytes()
}

// peer returns the process that answers at an address; 0 if that can't be found out.
func peer(ctx context.Context, address string) int {
	path, err := api.SocketPath(address)
	if err != nil {
		return 0
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // 0 it is, then
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
