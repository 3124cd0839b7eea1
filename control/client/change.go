package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// ChangeOptions say how a change is to be made. What has no meaning for a verb is ignored.
type ChangeOptions struct {
	DryRun bool // say what would be done, and do nothing
	Diff   bool // say what changes in each object

	SkipUnknown   bool // of Apply: leave out objects of kinds that the daemon does not know
	IgnoreMissing bool // of Delete: what is not there is gone already
	// IfUnchanged, of Apply: only if each object is still of its metadata.resourceVersion;
	// one without must not be there. Otherwise the error is api.ErrConflict.
	IfUnchanged bool

	Message string // why, for the history
}

// query returns the options that are set, of those that a verb has.
func (o *ChangeOptions) query(more map[string]bool) url.Values {
	q := url.Values{}
	set := func(name string, on bool) {
		if on {
			q.Set(name, "true")
		}
	}
	set("dryRun", o.DryRun)
	set("diff", o.Diff)
	for name, on := range more {
		set(name, on)
	}
	if o.Message != "" {
		q.Set("message", o.Message)
	}
	return q
}

// Apply makes objects what files say, all of them or none. What is wrong in the files
// is a control.Faults.
func (c *Client) Apply(ctx context.Context, files []control.File, o ChangeOptions) (*api.ChangeResult, error) {
	body, err := formOf(files)
	if err != nil {
		return nil, err
	}
	q := o.query(map[string]bool{"skipUnknown": o.SkipUnknown, "ifUnchanged": o.IfUnchanged})
	return c.change(ctx, "/v1/apply", q, body)
}

// Delete deletes objects, all of them or none.
func (c *Client) Delete(ctx context.Context, refs []api.ObjectRef, o ChangeOptions) (*api.ChangeResult, error) {
	body, err := jsonBody(api.DeleteRequest{Objects: refs})
	if err != nil {
		return nil, err
	}
	return c.change(ctx, "/v1/delete", o.query(map[string]bool{"ignoreMissing": o.IgnoreMissing}), body)
}

// DeleteFiles deletes the objects that files have.
func (c *Client) DeleteFiles(ctx context.Context, files []control.File, o ChangeOptions) (*api.ChangeResult, error) {
	body, err := formOf(files)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, "/v1/delete", o.query(map[string]bool{"ignoreMissing": o.IgnoreMissing}), body)
}

// Rollback goes back to the objects of a revision.
func (c *Client) Rollback(ctx context.Context, to uint64, o ChangeOptions) (*api.ChangeResult, error) {
	q := o.query(nil)
	q.Set("to", strconv.FormatUint(to, 10))
	return c.change(ctx, "/v1/rollback", q, nil)
}

func (c *Client) change(ctx context.Context, path string, q url.Values, b *body) (*api.ChangeResult, error) {
	var result api.ChangeResult
	if err := c.value(ctx, question{method: http.MethodPost, path: path, query: q, body: b, patience: changeTimeout}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// body is what a request brings: pieces, which are sent without being joined.
type body struct {
	media  string
	pieces [][]byte
}

// longBody is from where on the daemon is asked whether it wants a body, bytes.
const longBody = 64 << 10

func (b *body) attach(r *http.Request) {
	r.GetBody = func() (io.ReadCloser, error) {
		readers := make([]io.Reader, len(b.pieces))
		for i, piece := range b.pieces {
			readers[i] = bytes.NewReader(piece)
		}
		return io.NopCloser(io.MultiReader(readers...)), nil
	}
	r.Body, _ = r.GetBody() // it never fails
	for _, piece := range b.pieces {
		r.ContentLength += int64(len(piece))
	}
	r.Header.Set("Content-Type", b.media)
	if r.ContentLength > longBody {
		// So that one who may not, or brings too much, is told before he sends it.
		r.Header.Set("Expect", "100-continue")
	}
}

func jsonBody(v any) (*body, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return &body{"application/json", [][]byte{data}}, nil
}

// formOf is a form with a part for each file, whose filename is the file's path: what
// faults call it.
func formOf(files []control.File) (*body, error) {
	if len(files) == 0 {
		return nil, errors.New("no file is given")
	}
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	b := &body{media: w.FormDataContentType()}
	cut := func() {
		b.pieces = append(b.pieces, bytes.Clone(head.Bytes()))
		head.Reset()
	}
	for _, f := range files {
		disposition := mime.FormatMediaType("form-data", map[string]string{"name": "file", "filename": f.Name})
		if _, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}}); err != nil {
			return nil, fmt.Errorf("send %s: %w", f.Name, err)
		}
		cut()
		b.pieces = append(b.pieces, f.Data)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("send files: %w", err)
	}
	cut()
	return b, nil
}
