package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-net/sluice/api"
)

// TLS says how the API is served over TCP: to who has a certificate of an authority, by
// TLS 1.3. Paths are of files in PEM; they are read again when they change.
type TLS struct {
	Address           string // HOST:PORT
	CertFile, KeyFile string // the daemon's
	ClientCAFile      string // whose certificates clients may have
}

// The organizations of certificates whose owners have a role, as Kubernetes has
// groups there.
const (
	adminOrganization  = "sluice:admin"
	viewerOrganization = "sluice:viewer"
)

// ListenTLS listens for Serve. The log hears of files that can't be read any more:
// what they were before stays in use.
func ListenTLS(t TLS, log *slog.Logger) (net.Listener, error) {
	for _, option := range []struct{ value, name string }{
		{t.Address, "address"}, {t.CertFile, "certificate"}, {t.KeyFile, "key of the certificate"}, {t.ClientCAFile, "file of the clients' authorities"},
	} {
		if option.value == "" {
			return nil, fmt.Errorf("the API over TLS needs an address, a certificate, its key and the clients' authorities: the %s is missing", option.name)
		}
	}
	files := &certificates{options: t, log: log}
	if err := files.load(); err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", t.Address)
	if err != nil {
		return nil, fmt.Errorf("the API over TLS: %w: name another address, as 192.0.2.1:8443", err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return files.current(), nil
		},
	}
	return &tlsListener{tls.NewListener(&limited{Listener: tcp}, config), files}, nil
}

// tlsListener knows who the peers of its connections are.
type tlsListener struct {
	net.Listener
	files *certificates
}

// certificates are what TLS is spoken with.
type certificates struct {
	options TLS
	log     *slog.Logger

	mu    sync.Mutex
	tried []fs.FileInfo // what the files were when they were read last
	inUse *tls.Config
}

func (c *certificates) paths() []string {
	return []string{c.options.CertFile, c.options.KeyFile, c.options.ClientCAFile}
}

// current returns what is to be used now.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed() {
		if err := c.load(); err != nil {
			c.log.Error("the API's certificates can't be read again; those of before stay in use", "error", err)
		} else {
			c.log.Info("the API's certificates were read again")
		}
	}
	return c.inUse
}

// changed reports whether a file is another than the one that was read.
func (c *certificates) changed() bool {
	for i, path := range c.paths() {
		now, err := os.Stat(path)
		was := c.tried[i]
		switch {
		case err != nil || was == nil:
			if (err != nil) != (was == nil) {
				return true
			}
		case !os.SameFile(now, was) || !now.ModTime().Equal(was.ModTime()) || now.Size() != was.Size():
			return true
		}
	}
	return false
}

// load reads the files. What is in use stays if that fails.
func (c *certificates) load() error {
	c.tried = nil
	for _, path := range c.paths() { // before they are read: a change meanwhile is seen the next time
		info, _ := os.Stat(path) // reading says what is wrong
		c.tried = append(c.tried, info)
	}
	pair, err := tls.LoadX509KeyPair(c.options.CertFile, c.options.KeyFile)
	if err != nil {
		return fmt.Errorf("the certificate %s with its key %s: %w", c.options.CertFile, c.options.KeyFile, err)
	}
	pem, err := os.ReadFile(c.options.ClientCAFile)
	if err != nil {
		return fmt.Errorf("the clients' authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the clients' authorities: %s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", c.options.ClientCAFile)
	}
	c.inUse = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		// HTTP/2 would save nothing here, and has streams to be bounded, too.
		NextProtos: []string{"http/1.1"},
		// A session that is resumed is not asked for its certificate anew.
		SessionTicketsDisabled: true,
	}
	return nil
}

// peer says who is at the other end, and how to ask later whether that still holds: connections
// live long, and a certificate may expire, or its authority may be taken away.
func (c *certificates) peer(state *tls.ConnectionState) (Peer, func() bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Peer{Author: api.Author{Via: viaTLS}}, nil
	}
	leaf := state.PeerCertificates[0]
	name := inOneLine(leaf.Subject.CommonName)
	p := Peer{
		Author: api.Author{Via: viaTLS, Name: name}, who: fmt.Sprintf("the certificate of %s", cmp.Or(name, "nobody")),
		how: fmt.Sprintf("have one issued with the organization %s or %s", viewerOrganization, adminOrganization),
	}
	valid := func() bool { return c.verify(state.PeerCertificates) == nil }
	if err := c.verify(state.PeerCertificates); err != nil {
		p.how = fmt.Sprintf("it is not valid any more (%v); connect with another", err)
		return p, valid
	}
	switch {
	case slices.Contains(leaf.Subject.Organization, adminOrganization):
		p.Role = api.RoleAdmin
	case slices.Contains(leaf.Subject.Organization, viewerOrganization):
		p.Role = api.RoleViewer
	}
	return p, valid
}

func (c *certificates) verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("there is none")
	}
	o := x509.VerifyOptions{
		Roots: c.current().ClientCAs, Intermediates: x509.NewCertPool(), CurrentTime: time.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range chain[1:] {
		o.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(o)
	return err
}

// inOneLine is a name without what would do more on a terminal than to show it.
func inOneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}
