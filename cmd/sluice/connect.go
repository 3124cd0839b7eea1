package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// connection is which daemon to ask.
type connection struct {
	address string
}

// addFlags adds the flags that say where the daemon is.
func (c *connection) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.address, "api", cmp.Or(os.Getenv("SLUICE_API"), api.DefaultAPI), "where the daemon answers: unix:PATH; default also by SLUICE_API")
}

// dial returns a client; the caller closes it.
func (c *connection) dial() (*client.Client, error) {
	cl, err := client.New(c.address)
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
	if _, given := errors.AsType[*statusError](err); given {
		return err
	}
	if _, faults := errors.AsType[control.Faults](err); faults {
		return withStatus(exitConfig, err)
	}
	switch {
	case errors.Is(err, api.ErrInvalid):
		return withStatus(exitUsage, err)
	case errors.Is(err, context.Canceled):
		return withStatus(exitInterrupted, err)
	}
	return withStatus(exitFailure, err)
}
