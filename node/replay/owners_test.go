package replay_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/port/pcap"
)

// twins are two isolated segments with the same addresses.
const twins = `
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: red}
spec: {subnets: [{cidr: 10.0.0.0/24}], router: none}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: blue}
spec: {subnets: [{cidr: 10.0.0.0/24}], router: none}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: app, namespace: red}
spec: {addresses: [{ip: 10.0.0.5}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: app, namespace: blue}
spec: {addresses: [{ip: 10.0.0.5}]}
`

func TestOwnersMustBeClear(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.pcap")
	w, err := pcap.Create(file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, row := range []struct {
		why, port, fault string
	}{
		{"a frame of 10.0.0.5 could be either's", replay.AnyPort, `ports "blue/app" and "red/app" both own 0a:58:0a:00:00:05`},
		{"the port is named: nobody has to be asked whose the frame is", "red/app", ""},
		{"a port that is not there can't take frames", "green/app", `no port "green/app"`},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := replay.Run(context.Background(), replay.Config{
				Model: model(t, twins), Inputs: []replay.Input{{Port: row.port, File: file}}, Workers: 1,
			})
			if row.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, replay.ErrInput)
			require.ErrorContains(t, err, row.fault)
		})
	}
}
