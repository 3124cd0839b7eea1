package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

func TestConnection(t *testing.T) {
	for _, row := range []struct {
		why   string
		env   map[string]string
		args  []string
		fault string // empty: it can be dialled
	}{
		{"the default", nil, nil, ""},
		{"a socket", nil, []string{"--api", "unix:/run/x"}, ""},
		{"a daemon elsewhere", nil, []string{"--api", "https://node-1:9443"}, ""},
		{"the environment says where", map[string]string{"SLUICE_API": "tcp:1"}, nil, `API address "tcp:1": want unix:PATH`},
		{"a flag goes before the environment", map[string]string{"SLUICE_API": "tcp:1"}, []string{"--api", "unix:/run/x"}, ""},
		{"the environment's certificate is for daemons elsewhere", map[string]string{"SLUICE_TLS_CA": "/none"}, nil, ""},
		{"and is used for them", map[string]string{"SLUICE_TLS_CA": "/none"}, []string{"--api", "https://node-1:9443"}, "open /none"},
		{"a certificate that is given and can't be used", nil, []string{"--tls-ca", "/none"}, "a certificate is for an address https://HOST:PORT"},
		{"a certificate without its key", nil, []string{"--api", "https://node-1:9443", "--tls-cert", "c.pem"}, "a certificate needs its key"},
	} {
		t.Run(row.why, func(t *testing.T) {
			for _, name := range []string{"SLUICE_API", "SLUICE_TLS_CERT", "SLUICE_TLS_KEY", "SLUICE_TLS_CA"} {
				t.Setenv(name, row.env[name])
			}
			var c connection
			cmd := &cobra.Command{}
			c.addFlags(cmd)
			require.NoError(t, cmd.ParseFlags(row.args))
			cl, err := c.dial()
			if row.fault == "" {
				require.NoError(t, err)
				cl.Close()
				return
			}
			require.ErrorContains(t, err, row.fault)
			require.Equal(t, exitUsage, err.(*statusError).status)
		})
	}
}

func TestAskFailure(t *testing.T) {
	require.NoError(t, askFailure(nil))
	faults := control.Faults{{File: "a.yaml", Line: 1, Column: 1, Message: "is wrong"}}
	for _, row := range []struct {
		why    string
		err    error
		status int
	}{
		{"faults of documents", faults, exitConfig},
		{"faults that somebody wrapped", fmt.Errorf("apply: %w", faults), exitConfig},
		{"a conflict, which has a place in a document", &client.Error{Status: 409, Reason: api.ReasonConflict, Text: "meanwhile", Faults: faults}, exitFailure},
		{"a question that makes no sense", api.Invalid("no"), exitUsage},
		{"what is not there", api.NotFound("port", "a", nil), exitFailure},
		{"an interrupt", fmt.Errorf("get: %w", context.Canceled), exitInterrupted},
		{"what has a status keeps it", withStatus(exitInput, errors.New("torn")), exitInput},
		{"the rest", errors.New("disk full"), exitFailure},
	} {
		got, ok := errors.AsType[*statusError](askFailure(row.err))
		require.True(t, ok, row.why)
		require.Equal(t, row.status, got.status, row.why)
		require.EqualError(t, got, row.err.Error(), row.why)
	}
}

func TestCompareValues(t *testing.T) {
	sorted := []any{nil, int64(-1), 0.5, int64(2), int64(10), "", "10", "a", true}
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			require.Equal(t, want, compareValues(a, b), "%v and %v", a, b)
		}
	}
}
