package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-net/sluice/api"
)

// Objects returns the objects that a filter wants, with their status.
func (c *Client) Objects(ctx context.Context, f api.ObjectFilter) (*api.ObjectList, error) {
	var list api.ObjectList
	if err := c.value(ctx, question{path: "/v1/objects", query: f.Query()}, &list); err != nil {
		return nil, err
	}
	return &list, nil
}

// History returns the revisions that a filter wants, newest first, without diffs.
func (c *Client) History(ctx context.Context, f api.HistoryFilter) ([]api.RevisionView, error) {
	var list api.List[api.RevisionView]
	err := c.value(ctx, question{path: "/v1/history", query: f.Query()}, &list)
	return list.Items, err
}

// Revision returns a revision, with diffs.
func (c *Client) Revision(ctx context.Context, n uint64) (*api.RevisionView, error) {
	var v api.RevisionView
	if err := c.value(ctx, question{path: "/v1/history/" + strconv.FormatUint(n, 10)}, &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// logLevels is where the daemon's log levels are.
const logLevels = "/v1/log/levels"

// LogLevels returns the level of each component of the daemon, "" for the others.
func (c *Client) LogLevels(ctx context.Context) (levels map[string]string, err error) {
	err = c.value(ctx, question{path: logLevels}, &levels)
	return levels, err
}

// SetLogLevels changes those that are given.
func (c *Client) SetLogLevels(ctx context.Context, levels map[string]string) error {
	body, err := jsonBody(levels)
	if err != nil {
		return err
	}
	return c.value(ctx, question{method: http.MethodPatch, path: logLevels, body: body}, &levels)
}

// Log copies the last lines that the daemon logged to w.
func (c *Client) Log(ctx context.Context, lines int, w io.Writer) error {
	return c.text(ctx, question{path: "/v1/log", query: url.Values{"lines": {strconv.Itoa(lines)}}}, w)
}
