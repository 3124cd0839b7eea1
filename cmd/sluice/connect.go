package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// connection is which daemon to ask, and with what.
type connection struct {
	address string
	tls     client.Options
	flags   *pflag.FlagSet
}

// addFlags adds the flags that say where the daemon is.
func (c *connection) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	c.flags = f
	f.StringVar(&c.address, "api", cmp.Or(os.Getenv("SLUICE_API"), api.DefaultAPI), "where the daemon answers: unix:PATH or https://HOST:PORT; default also by SLUICE_API")
	for _, file := range []struct {
		path                  *string
		name, variable, usage string
	}{
		{&c.tls.CertFile, "tls-cert", "SLUICE_TLS_CERT", "certificate to ask an https daemon with, PEM"},
		{&c.tls.KeyFile, "tls-key", "SLUICE_TLS_KEY", "its key, PEM"},
		{&c.tls.CAFile, "tls-ca", "SLUICE_TLS_CA", "who an https daemon's certificate must be from, PEM; default: whoever the machine trusts"},
	} {
		f.StringVar(file.path, file.name, os.Getenv(file.variable), file.usage+"; default also by "+file.variable)
	}
}

// dial returns a client; the caller closes it.
func (c *connection) dial() (*client.Client, error) {
	tls := c.tls
	if !strings.HasPrefix(c.address, "https:") && !slices.ContainsFunc([]string{"tls-cert", "tls-key", "tls-ca"}, c.flags.Changed) {
		tls = client.Options{} // the environment's are for other addresses
	}
	cl, err := client.NewWith(c.address, tls)
	return cl, withStatus(exitUsage, err)
}

// ask has a client asked, and gives an error its status.
func (c *connection) ask(ask func(*client.Client) error) error {
	cl, err := c.dial()
	if err != nil {
		return err
	}
	defer cl.Close()
	return askFailure(ask(cl))
}

// askFailure gives an error of asking a daemon its status, unless it has one.
func askFailure(err error) error {
	if err == nil {
		return nil
	}
	if _, given := errors.AsType[*statusError](err); given {
		return err
	}
	switch _, faults := errors.AsType[control.Faults](err); {
	case errors.Is(err, api.ErrConflict):
		return withStatus(exitFailure, err)
	case faults:
		return withStatus(exitConfig, err)
	case errors.Is(err, api.ErrInvalid):
		return withStatus(exitUsage, err)
	case errors.Is(err, context.Canceled):
		return withStatus(exitInterrupted, err)
	}
	return withStatus(exitFailure, err)
}
