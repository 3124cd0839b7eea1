package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-net/sluice/api"
)

// client asks the node's API.
type client struct{ http http.Client }

func newClient(socket string) *client {
	var d net.Dialer
	return &client{http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // the node under it is restarted now and then
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// get returns the body of an answer; any status but 200 is an error.
func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, answer.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}

func (c *client) into(ctx context.Context, path string, value any) error {
	body, err := c.get(ctx, path)
	if err == nil {
		err = json.Unmarshal(body, value)
	}
	return err
}

func (c *client) status(ctx context.Context) (s api.Status, err error) {
	return s, c.into(ctx, "/v1/status", &s)
}

func (c *client) ports(ctx context.Context) ([]api.PortView, error) {
	var list api.List[api.PortView]
	err := c.into(ctx, "/v1/ports", &list)
	return list.Items, err
}

func (c *client) rules(ctx context.Context) ([]api.RuleView, error) {
	var list api.List[api.RuleView]
	err := c.into(ctx, "/v1/rules", &list)
	return list.Items, err
}

func (c *client) drops(ctx context.Context) ([]api.DropView, error) {
	var list api.List[api.DropView]
	err := c.into(ctx, "/v1/drops", &list)
	return list.Items, err
}
