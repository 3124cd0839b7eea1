// Package client asks a running daemon over its API. Package api has what there
// is to ask and what the answers look like.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/api"
)

// Client asks one daemon. It is safe for use by several goroutines.
type Client struct {
	address string // as given, unix:PATH
	http    *http.Client
}

// dialTimeout bounds how long a daemon may take to accept, answerTimeout how long
// until its answer begins. Both are local: whatever takes longer hangs.
const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 15 * time.Second
)

// New returns a client of the daemon at an address, unix:PATH. Nothing is
// dialled yet.
func New(address string) (*Client, error) {
	path, err := api.SocketPath(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{address: address, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		ResponseHeaderTimeout: answerTimeout, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second,
		DisableCompression: true,
	}}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is what a daemon says about a question. It is api.ErrNotFound or
// api.ErrInvalid if the question was about what is not there, or made no sense.
type Error struct {
	Status int // HTTP's
	Text   string
}

func (e *Error) Error() string { return e.Text }

// Is compares with the errors of package api.
func (e *Error) Is(target error) bool {
	switch target {
	case api.ErrNotFound:
		return e.Status == http.StatusNotFound
	case api.ErrInvalid:
		return e.Status == http.StatusBadRequest
	}
	return false
}

// ErrNoDaemon is wrapped by the error that nobody answers.
var ErrNoDaemon = errors.New("no daemon answers")

// do asks, and returns an answer whose status is 200. The caller closes its body.
func (c *Client) do(ctx context.Context, method, path string, q url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "sluice", Path: path, RawQuery: q.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.address, err)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if err := c.check(answer); err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer, nil
}

// explain says what it means that no answer came.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the URL is not what the user gave
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w on %s: start one (sluice run), or name its socket (--api)", ErrNoDaemon, c.address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon on %s may not be asked by this user: run as root, or as a member of the socket's group", c.address)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is no socket that a daemon answers on: name its socket (--api)", c.address)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return fmt.Errorf("the daemon on %s does not answer in time: look at its log, or start it anew", c.address)
	}
	return fmt.Errorf("ask %s: %w", c.address, err)
}

// check looks at who answers, and what the status is.
func (c *Client) check(answer *http.Response) error {
	switch version := answer.Header.Get(api.APIHeader); version {
	case api.ViewVersion:
	case "":
		return fmt.Errorf("what answers on %s is no daemon of Sluice: name its socket (--api)", c.address)
	default:
		return fmt.Errorf("the daemon on %s speaks version %s of the API and this program %s: use the sluice that the daemon is of",
			c.address, version, api.ViewVersion)
	}
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var f api.Failure
	const most = 64 << 10
	if json.NewDecoder(io.LimitReader(answer.Body, most)).Decode(&f) != nil || f.Error == "" {
		f.Error = "the daemon answers " + answer.Status
	}
	return &Error{answer.StatusCode, f.Error}
}

// broken is an answer that is not what it should be.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the answer of %s breaks off: the daemon has ended, or its log says what went wrong", c.address)
	}
	return fmt.Errorf("the answer of %s: %w", c.address, err)
}

// Status returns how the node does.
func (c *Client) Status(ctx context.Context) (st api.Status, err error) {
	answer, err := c.do(ctx, http.MethodGet, "/v1/status", nil)
	if err != nil {
		return st, err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&st); err != nil {
		return st, c.broken(ctx, err)
	}
	return st, nil
}

// Config copies the objects in force to w, as json or yaml.
func (c *Client) Config(ctx context.Context, format string, w io.Writer) error {
	answer, err := c.do(ctx, http.MethodGet, "/v1/config", url.Values{"format": {format}})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return c.broken(ctx, err)
	}
	return nil
}

// ConfirmTakeover keeps a device that was taken over on trial.
func (c *Client) ConfirmTakeover(ctx context.Context) error {
	answer, err := c.do(ctx, http.MethodPost, "/v1/takeover/confirm", nil)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// Each asks for the items of a kind that a filter wants, and calls yield for each as it
// comes in, until that returns an error, which Each returns. more says that the
// filter's limit has cut the answer off. An answer that breaks off is an error after
// the items that had come.
func Each[T any](ctx context.Context, c *Client, kind string, f api.Filter, yield func(*T) error) (more bool, err error) {
	answer, err := c.do(ctx, http.MethodGet, "/v1/"+kind, f.Query())
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	d := json.NewDecoder(answer.Body)
	if err := expect(d, json.Delim('{')); err != nil {
		return false, c.broken(ctx, err)
	}
	for d.More() {
		field, err := d.Token()
		if err != nil {
			return false, c.broken(ctx, err)
		}
		switch field {
		case "items":
			var own bool // whether the error is yield's
			if own, err = items(d, yield); own {
				return false, err
			}
		case "more":
			err = d.Decode(&more)
		default:
			var other json.RawMessage // a newer daemon's
			err = d.Decode(&other)
		}
		if err != nil {
			return false, c.broken(ctx, err)
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace: else it breaks off
		return false, c.broken(ctx, err)
	}
	return more, nil
}

func items[T any](d *json.Decoder, yield func(*T) error) (own bool, err error) {
	if err := expect(d, json.Delim('[')); err != nil {
		return false, err
	}
	for d.More() {
		var item T
		if err := d.Decode(&item); err != nil {
			return false, err
		}
		if err := yield(&item); err != nil {
			return true, err
		}
	}
	_, err = d.Token()
	return false, err
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("it has %v where %v should be", got, want)
	}
	return nil
}

// List is Each for as many items as there is memory for.
func List[T any](ctx context.Context, c *Client, kind string, f api.Filter) (list []T, more bool, err error) {
	more, err = Each(ctx, c, kind, f, func(item *T) error {
		list = append(list, *item)
		return nil
	})
	return list, more, err
}
