package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxServed is the largest answer that a Web makes, bytes.
const MaxServed = 1 << 30

// Web is the web server of labs. It tells who it is, so that a client sees which of several has answered:
//
//	GET /         NAME, and below it what each of Ask has answered, indented
//	GET /client   the client's address, as the server sees it
//	GET /bytes/N  N bytes, at most MaxServed
//
// A tier of an application is a Web that asks those behind it: its page tells the whole chain, or where it is broken.
type Web struct {
	Listen string // address and port
	Name   string

	Ask      []string      // URLs
	Patience time.Duration // with each of them
}

// Run serves until ctx is done.
func (s *Web) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Web) handler() http.Handler {
	// A connection for each page: whether it may be made is what is asked.
	client := &http.Client{Timeout: s.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		page, ok := s.page(r.Context(), client)
		if !ok {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, page) // the client may go away
	})
	mux.HandleFunc("GET /client", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintln(w, host)
	})
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 || n > MaxServed {
			http.Error(w, fmt.Sprintf("want a number up to %d", int64(MaxServed)), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, pattern{}, n)
	})
	return mux
}

// maxPage is the most of another server's page that is told, bytes.
const maxPage = 16 << 10

// page is the name and what the others say; ok is whether all of them do.
func (s *Web) page(ctx context.Context, client *http.Client) (page string, ok bool) {
	page, ok = s.Name+"\n", true
	for _, url := range s.Ask {
		text, fine := ask(ctx, client, url)
		ok = ok && fine
		for line := range strings.Lines(text) {
			page += "  " + line
		}
	}
	return page, ok
}

func ask(ctx context.Context, client *http.Client, url string) (text string, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error() + "\n", false
	}
	answer, err := client.Do(r)
	if err != nil {
		why, known := outcomeOf(err)
		if !known {
			return err.Error() + "\n", false
		}
		return fmt.Sprintf("%s: %s\n", url, why), false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return fmt.Sprintf("%s: %v\n", url, err), false
	}
	return string(body), answer.StatusCode == http.StatusOK
}
