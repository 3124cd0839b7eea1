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
	"github.com/sluice-net/sluice/control"
)

// Error is what a daemon says about a request. It is the error of package api that its
// status is for: ErrNotFound, ErrInvalid, ErrForbidden, ErrConflict, ErrGone.
type Error struct {
	Status int // HTTP's
	Reason api.Reason
	Text   string
	Faults control.Faults // of the documents that were sent; Text has a line for each
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the faults, if there are any: errors.As finds control.Faults.
func (e *Error) Unwrap() error { return e.Faults.Err() }

// Is compares with the errors of package api.
func (e *Error) Is(target error) bool {
	switch target {
	case api.ErrNotFound:
		return e.Status == http.StatusNotFound
	case api.ErrInvalid:
		return e.Status == http.StatusBadRequest
	case api.ErrForbidden:
		return e.Status == http.StatusForbidden
	case api.ErrConflict:
		return e.Status == http.StatusConflict
	case api.ErrGone:
		return e.Status == http.StatusGone
	}
	return false
}

var (
	// ErrNoDaemon is wrapped by the error that nobody answers.
	ErrNoDaemon = errors.New("no daemon answers")
	// ErrBroken is wrapped by the error that an answer has ended before its end.
	ErrBroken = errors.New("the answer breaks off")

	errLate = errors.New("no answer in time")
)

// question is a request. Zero fields are a GET without a body.
type question struct {
	method, path string
	query        url.Values
	body         *body
	patience     time.Duration // until the answer begins; 0 is answerTimeout
}

// do asks, and returns an answer whose status is 200. The caller closes its body.
func (c *Client) do(ctx context.Context, q question) (*http.Response, error) {
	u := c.base
	u.Path, u.RawQuery = q.path, q.query.Encode()
	asked, cancel := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(asked, q.method, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("ask %s: %w", c.address, err)
	}
	if q.body != nil {
		q.body.attach(r)
	}
	if q.patience == 0 {
		q.patience = answerTimeout
	}
	late := time.AfterFunc(q.patience, func() { cancel(errLate) })
	answer, err := c.http.Do(r)
	late.Stop()
	if err != nil {
		err = c.explain(ctx, errors.Join(err, context.Cause(asked)))
		cancel(nil)
		return nil, err
	}
	answer.Body = &cancelling{answer.Body, cancel}
	if err := c.check(answer); err != nil {
		_ = answer.Body.Close() // what matters of it is in the error
		return nil, err
	}
	return answer, nil
}

// cancelling is an answer's body that ends the request when it is closed.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelling) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// value asks, and decodes the answer.
func (c *Client) value(ctx context.Context, q question, v any) error {
	answer, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(v); err != nil {
		return c.broken(ctx, err)
	}
	return nil
}

// text asks, and copies the answer.
func (c *Client) text(ctx context.Context, q question, w io.Writer) error {
	answer, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return c.broken(ctx, err)
	}
	return nil
}

// explain says what it means that no answer came.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errLate) {
		return c.late()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the URL is not what the user gave
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w on %s: start one (sluice run), or name its socket (--api)", ErrNoDaemon, c.address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon on %s may not be asked by this user: run as root, or have it started with --api-viewer or --api-admin user:NAME", c.address)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%s is no socket that a daemon answers on: name its socket (--api)", c.address)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.broken(ctx, err)
	}
	if text := certificateTrouble(err); text != "" {
		return fmt.Errorf("ask %s: %w: %s", c.address, err, text)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return c.late()
	}
	return fmt.Errorf("ask %s: %w", c.address, err)
}

func (c *Client) late() error {
	return fmt.Errorf("the daemon on %s does not answer in time: look at its log, or start it anew", c.address)
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
	const most = 16 << 20 // a fault for each line of many
	if json.NewDecoder(io.LimitReader(answer.Body, most)).Decode(&f) != nil || f.Error == "" {
		f.Error = "the daemon answers " + answer.Status
	}
	return failed(answer.StatusCode, &f)
}

// failed is a failure as an error.
func failed(status int, f *api.Failure) error {
	e := &Error{Status: status, Reason: f.Reason, Text: f.Error}
	for _, fault := range f.Faults {
		e.Faults = append(e.Faults, control.Fault(fault))
	}
	return e
}

// broken is an answer that is not what it should be.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return brokenOff{fmt.Sprintf("the answer of %s breaks off: the daemon has ended, or its log says what went wrong", c.address)}
	}
	return fmt.Errorf("the answer of %s: %w", c.address, err)
}

// brokenOff is ErrBroken with the daemon's address.
type brokenOff struct{ text string }

func (e brokenOff) Error() string      { return e.text }
func (brokenOff) Is(target error) bool { return target == ErrBroken }
