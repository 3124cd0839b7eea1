package health

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/lb/service"
)

// exchange is one request and its response (RFC 9112). It is written as the monitor has it: net/http's client
// speaks no HTTP/1.0, and has goroutines and connections of its own for each of many members.
type exchange struct {
	monitor *service.Monitor
	request []byte
	method  string
	secure  *tls.Config // nil: HTTP
	broken  error       // the monitor can't be put to use
}

// most of a response is read: header and body each.
const mostResponse = 64 << 10

func newExchange(m *service.Monitor, to netip.AddrPort) *exchange {
	e := &exchange{monitor: m, method: cmp.Or(m.Method, http.MethodGet)}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n", e.method, cmp.Or(m.Path, "/"), cmp.Or(m.Version, "1.1"))
	own := map[string]bool{}
	for _, h := range m.Headers {
		own[strings.ToLower(h[0])] = true
	}
	add := func(name, value string) {
		if !own[strings.ToLower(name)] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	add("Host", cmp.Or(m.Host, hostOf(to, m.Type)))
	add("User-Agent", "sluice-monitor")
	add("Accept", "*/*")
	add("Connection", "close")
	if len(m.Body) > 0 {
		add("Content-Length", strconv.Itoa(len(m.Body)))
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	b.Write(m.Body)
	e.request = b.Bytes()
	return e
}

// hostOf is the Host of a request to an address (RFC 9110, section 7.2): without the port if that is the default.
func hostOf(to netip.AddrPort, t service.MonitorType) string {
	standard := uint16(80)
	if t == service.MonitorHTTPS {
		standard = 443
	}
	switch {
	case to.Port() != standard:
		return to.String()
	case to.Addr().Is6():
		return "[" + to.Addr().String() + "]"
	}
	return to.Addr().String()
}

func newSecureExchange(m *service.Monitor, to netip.AddrPort) *exchange {
	e := newExchange(m, to)
	name := m.ServerName
	if name == "" {
		if u, err := url.Parse("//" + m.Host); err == nil {
			name = u.Hostname()
		}
	}
	// Without a name the certificate has to be for the address.
	e.secure = &tls.Config{
		ServerName: cmp.Or(name, to.Addr().String()), InsecureSkipVerify: !m.Verify, NextProtos: []string{"http/1.1"},
	}
	if len(m.CA) > 0 {
		e.secure.RootCAs = x509.NewCertPool()
		if !e.secure.RootCAs.AppendCertsFromPEM(m.CA) && m.Verify {
			e.broken = unexpectedf("the monitor's CA has no certificate in PEM: correct it")
		}
	}
	return e
}

// talk asks and judges the answer.
func (e *exchange) talk(c net.Conn, _ time.Time) (string, error) {
	if e.broken != nil {
		return "", e.broken
	}
	if e.secure != nil {
		s := tls.Client(c, e.secure)
		if err := s.Handshake(); err != nil {
			return "", explainTLS(err)
		}
		c = s
	}
	if _, err := c.Write(e.request); err != nil {
		return "", err
	}
	limited := &io.LimitedReader{R: c, N: 2 * mostResponse}
	response, err := e.read(bufio.NewReader(limited))
	switch {
	case err != nil && limited.N <= 0:
		return "", unexpectedf("a header of more than %d KiB", 2*mostResponse>>10)
	case err != nil:
		return "", explainHTTP(err)
	}
	defer response.Body.Close()
	if want, good := e.statusFits(response.StatusCode); !good {
		return "", unexpectedf("status %d, want %s", response.StatusCode, want)
	}
	answer := fmt.Sprintf("status %d", response.StatusCode)
	if e.monitor.ResponseBody == "" {
		return answer, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, mostResponse))
	switch {
	case bytes.Contains(body, []byte(e.monitor.ResponseBody)):
		return answer + ", with the expected body", nil
	case err != nil && limited.N > 0:
		return "", err
	}
	return "", unexpectedf("%s, and no %.64q in the first %d KiB of the body", answer, e.monitor.ResponseBody, mostResponse>>10)
}

// read returns the final response: those of status 1xx come before it (RFC 9110, section 15.2).
func (e *exchange) read(r *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(r, &http.Request{Method: e.method})
		if err != nil || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, err
		}
	}
}

func (e *exchange) statusFits(status int) (want string, good bool) {
	if len(e.monitor.Statuses) == 0 {
		return "200 to 399", status >= 200 && status < 400
	}
	list := make([]string, len(e.monitor.Statuses))
	for i, s := range e.monitor.Statuses {
		list[i] = strconv.Itoa(s)
	}
	return strings.Join(list, " or "), slices.Contains(e.monitor.Statuses, status)
}

// explainHTTP tells what is no HTTP from a connection that failed.
func explainHTTP(err error) error {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return unexpectedf("no HTTP response: %v", err)
}

// explainTLS likewise.
func explainTLS(err error) error {
	var bad *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &bad):
		return unexpectedf("the certificate is not good: %v", bad.Err)
	case errors.As(err, &record):
		return unexpectedf("no TLS: the member may speak plain HTTP")
	}
	return err
}
