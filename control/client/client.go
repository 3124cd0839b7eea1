// Package client asks a running daemon over its API. Package api has what there
// is to ask and what the answers look like.
package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
)

// Client asks one daemon. It is safe for use by several goroutines.
type Client struct {
	address string // as given, unix:PATH or https://HOST:PORT
	base    url.URL
	http    *http.Client
}

// Options are what a daemon elsewhere is asked with. Paths of files in PEM.
type Options struct {
	CertFile, KeyFile string // the client's certificate, whose organization says what it may do
	CAFile            string // who the daemon's certificate must be from; empty: whoever the machine trusts
}

// dialTimeout bounds how long a daemon may take to accept; answerTimeout, until the
// answer to a question begins; changeTimeout, until that to a change does, which may
// have many objects.
const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 15 * time.Second
	changeTimeout = 5 * time.Minute
)

// New returns a client of the daemon at an address, unix:PATH. Nothing is
// dialled yet.
func New(address string) (*Client, error) { return NewWith(address, Options{}) }

// NewWith is New for an address that may be https://HOST:PORT, too.
func NewWith(address string, o Options) (*Client, error) {
	t := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true, ExpectContinueTimeout: answerTimeout}
	c := &Client{address: address, http: &http.Client{Transport: t}}
	dialer := net.Dialer{Timeout: dialTimeout}
	if strings.HasPrefix(address, "https:") {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			return nil, fmt.Errorf("API address %q: want https://HOST:PORT, or unix:PATH, such as %s", address, api.DefaultAPI)
		}
		c.base = url.URL{Scheme: "https", Host: u.Host}
		t.DialContext, t.TLSHandshakeTimeout = dialer.DialContext, dialTimeout
		t.TLSClientConfig, err = o.config()
		return c, err
	}
	path, err := api.SocketPath(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w, or https://HOST:PORT", err)
	case o != Options{}:
		return nil, fmt.Errorf("a certificate is for an address https://HOST:PORT, and the API address is %s", address)
	}
	c.base = url.URL{Scheme: "http", Host: "sluice"}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns how the node does.
func (c *Client) Status(ctx context.Context) (st api.Status, err error) {
	err = c.value(ctx, question{path: "/v1/status"}, &st)
	return st, err
}

// EvaluatePolicy returns what the firewall would do with a packet.
func (c *Client) EvaluatePolicy(ctx context.Context, q *api.PolicyQuery) (*api.PolicyAnswer, error) {
	var a api.PolicyAnswer
	if err := c.value(ctx, question{path: "/v1/policy/eval", query: q.Query()}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// FirewallLog returns the newest lines of the firewall's log, oldest first.
func (c *Client) FirewallLog(ctx context.Context, f *api.FirewallLogFilter) ([]api.FirewallLogLine, error) {
	q := url.Values{}
	for name, n := range map[string]uint64{"after": f.After, "lines": uint64(max(f.Lines, 0)), "rule": uint64(f.Rule)} {
		if n != 0 {
			q.Set(name, strconv.FormatUint(n, 10))
		}
	}
	if f.Port != "" {
		q.Set("port", f.Port)
	}
	var list api.List[api.FirewallLogLine]
	if err := c.value(ctx, question{path: "/v1/log/firewall", query: q}, &list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// LintPolicy returns which of the firewall's rules do not do what they seem to.
func (c *Client) LintPolicy(ctx context.Context) (*api.PolicyLint, error) {
	var r api.PolicyLint
	if err := c.value(ctx, question{path: "/v1/policy/lint"}, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// Config copies the objects in force to w, as json or yaml.
func (c *Client) Config(ctx context.Context, format string, w io.Writer) error {
	return c.text(ctx, question{path: "/v1/config", query: url.Values{"format": {format}}}, w)
}

// ConfirmTakeover keeps a device that was taken over on trial.
func (c *Client) ConfirmTakeover(ctx context.Context) error {
	var none struct{}
	return c.value(ctx, question{method: http.MethodPost, path: "/v1/takeover/confirm"}, &none)
}

// Each asks for the items of a kind that a filter wants, and calls yield for each as it
// comes in, until that returns an error, which Each returns. more says that the
// filter's limit has cut the answer off. An answer that breaks off is an error after
// the items that had come.
func Each[T any](ctx context.Context, c *Client, kind string, f api.Filter, yield func(*T) error) (more bool, err error) {
	answer, err := c.do(ctx, question{path: "/v1/" + kind, query: f.Query()})
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
