package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// config is what TLS is spoken with.
func (o *Options) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a certificate needs its key: give both --tls-cert and --tls-key")
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate %s with its key %s: %w", o.CertFile, o.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the certificates of who vouches for the daemon: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", o.CAFile)
		}
	}
	return c, nil
}

// certificateTrouble says what helps against an error of TLS; empty if it is none.
func certificateTrouble(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name the certificates of who vouches for the daemon (--tls-ca)"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "ask by a name that is in the daemon's certificate (--api)"
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return "the daemon refuses: " + e.Error() + "; give a certificate that it knows (--tls-cert, --tls-key)"
	}
	// The other end's alerts are of a type that is not exported.
	if strings.Contains(err.Error(), "remote error: tls: ") {
		return "give a certificate that the daemon accepts (--tls-cert, --tls-key)"
	}
	return ""
}
