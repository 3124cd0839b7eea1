package server

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// unnamed is what faults call a file that has no name.
const unnamed = "request"

// Bounds of bodies.
const (
	// maxSmall is how long a body may be that is no document, bytes.
	maxSmall = 64 << 10
	// maxFiles is how many files a request may have: each has a header to be read.
	maxFiles = 65536
	// slowest is what a client must send in the mean, bytes per second: who
	// sends a byte now and then would keep a slot for ever.
	slowest = 64 << 10
	// grain is how much of a budget a body of unknown length takes at a time, bytes.
	grain = 1 << 20
)

// docs are the files of a request.
type docs struct {
	files []control.File
	raw   bool // the body is one file, not parts
	body  *bodyReader
}

// free gives back what the files take of the budget.
func (d *docs) free() {
	if d.body != nil {
		d.body.free()
	}
}

// documents reads the files of a request. The caller frees them, also after an error.
func (s *Server) documents(w *response, r *request) (*docs, error) {
	b, err := s.read(w, r, s.options.MaxBody)
	d := &docs{body: b}
	defer func() {
		if err != nil {
			b.discard()
		}
	}()
	if err != nil {
		return d, err
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && media == "multipart/form-data":
		d.files, err = parts(b, params["boundary"])
	case strings.HasPrefix(media, "multipart/"):
		err = api.Invalid("Content-Type %s: want multipart/form-data with a part for each file, or a stream of documents", media)
	default: // of YAML there are many names, and curl sends another one
		d.raw = true
		name := r.Get("name")
		if name == "" {
			name = unnamed
		}
		var data []byte
		data, err = b.all()
		d.files = []control.File{{Name: name, Data: data}}
	}
	if err == nil {
		err = b.end()
	}
	err = b.explain(err)
	return d, err
}

// small reads a body that is no document.
func (s *Server) small(w *response, r *request) ([]byte, error) {
	b, err := s.read(w, r, maxSmall)
	defer b.free()
	if err != nil {
		return nil, err
	}
	data, err := b.all()
	return data, b.explain(err)
}

// parts reads the files of a form.
func parts(b *bodyReader, boundary string) ([]control.File, error) {
	if boundary == "" {
		return nil, api.Invalid("Content-Type multipart/form-data has no boundary")
	}
	form := multipart.NewReader(b, boundary)
	var files []control.File
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) && b.ended == nil {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, err := partName(part.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, err
		}
		if len(files) == maxFiles {
			return nil, api.Invalid("the request has more than %d files: join some, with --- between documents", maxFiles)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		files = append(files, control.File{Name: name, Data: data})
	}
}

// partName is the filename of a part as it was given: multipart's own takes the
// directories away, by which users tell files apart.
func partName(disposition string) (string, error) {
	if disposition == "" {
		return unnamed, nil
	}
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		return "", api.Invalid("a part's Content-Disposition: %v", err)
	}
	name := params["filename"]
	if name == "" {
		name = params["name"]
	}
	switch {
	case name == "":
		return unnamed, nil
	case len(name) > maxArgument:
		return "", api.Invalid("the name of a file has %d bytes; at most %d", len(name), maxArgument)
	case !printable(name):
		return "", api.Invalid("the name of the file %q has control characters, or is no UTF-8: rename it", clip(name))
	}
	return name, nil
}

// bodyReader reads a body within bounds: of its length, of what all bodies take together,
// and of how slowly it may come.
type bodyReader struct {
	s     *Server
	r     *http.Request
	w     *response
	from  io.Reader // the body, inflated
	start time.Time // of the first read
	most  int64     // bytes
	n     int64     // bytes read
	wire  int64     // bytes read before they were inflated
	held  int64     // of the budget
	ended error     // what it can't be read further for
}

// read begins to read a request's body. The caller frees it, also after an error.
func (s *Server) read(w *response, r *request, most int64) (*bodyReader, error) {
	b := &bodyReader{s: s, r: r.Request, w: w, most: most}
	b.from = wireReader{b}
	if r.ContentLength > b.most {
		return b, b.tooLarge()
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		if r.ContentLength > 0 {
			if err := b.hold(r.ContentLength); err != nil {
				return b, err
			}
		}
	case "gzip":
		inflated, err := gzip.NewReader(b.from)
		if err != nil {
			return b, b.explain(fmt.Errorf("gzip: %w", err))
		}
		b.from = inflated
	default:
		return b, api.Invalid("Content-Encoding %q: want gzip, or none", clip(encoding))
	}
	return b, nil
}

// wireReader reads what comes, and moves the deadline on with it.
type wireReader struct{ b *bodyReader }

func (w wireReader) Read(p []byte) (int, error) {
	b := w.b
	if b.start.IsZero() {
		b.start = time.Now()
	}
	allowed := b.s.options.Stall + time.Duration(b.wire)*time.Second/slowest
	_ = b.w.control.SetReadDeadline(b.start.Add(allowed)) // what is no socket, in tests, has no deadline
	n, err := b.r.Body.Read(p)
	b.wire += int64(n)
	if errors.Is(err, io.EOF) {
		// net/http reads on, to see whether the client goes.
		_ = b.w.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.ended != nil {
		return 0, b.ended
	}
	n, err := b.from.Read(p)
	b.n += int64(n)
	switch {
	case b.n > b.most:
		err = b.tooLarge()
	case b.n > b.held:
		if wait := b.hold(min(grain, b.most-b.held)); wait != nil {
			err = wait
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.ended = err
	}
	return n, err
}

// all reads the whole.
func (b *bodyReader) all() ([]byte, error) {
	if b.r.ContentLength > 0 && b.held == b.r.ContentLength {
		data := make([]byte, b.held)
		_, err := io.ReadFull(b, data)
		return data, err
	}
	return io.ReadAll(b)
}

// end makes sure that nothing follows.
func (b *bodyReader) end() error {
	_, err := io.Copy(io.Discard, b)
	return err
}

// discard reads the rest of a body that is refused, within the same bounds: a client that
// is cut off while it sends does not look for the answer. One that asks before it sends
// (RFC 9110, section 10.1.1) needs none of it.
func (b *bodyReader) discard() {
	if b.wire == 0 && b.r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, wireReader{b}, max(0, b.s.options.MaxBody-b.wire)) // there is nobody to tell
}

// hold takes more of the budget, and waits a while for it.
func (b *bodyReader) hold(n int64) error {
	ctx, cancel := context.WithTimeout(b.r.Context(), b.s.options.Stall/2)
	defer cancel()
	if b.s.bodies.take(ctx, n) != nil {
		return busy("documents of %d MiB are being worked on already; come again", b.s.options.Bodies>>20)
	}
	b.held += n
	return nil
}

// free gives back what the body takes of the budget.
func (b *bodyReader) free() {
	b.s.bodies.give(b.held)
	b.held = 0
}

func (b *bodyReader) tooLarge() error {
	b.w.Header().Set("Connection", "close") // rather than to read the rest
	return refusal(http.StatusRequestEntityTooLarge, api.ReasonTooLarge,
		"the request has more than %d bytes of documents: send them in several requests", b.most)
}

// explain says whose fault it is that a body can't be read.
func (b *bodyReader) explain(err error) error {
	if b.ended != nil {
		err = b.ended
	}
	if err == nil || errors.Is(err, api.ErrInvalid) {
		return err
	}
	if _, ok := errors.AsType[*refused](err); ok {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refusal(http.StatusRequestTimeout, api.ReasonTimeout, "the body comes too slowly: at least %d bytes a second are needed", slowest)
	}
	return api.Invalid("the body: %v", err)
}
