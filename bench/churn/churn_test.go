package churn_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/bench/churn"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/node/daemon"
)

// serve runs a daemon in this process until the test ends, and returns a client and
// settings of a short run.
func serve(t *testing.T) (*client.Client, churn.Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "churn-") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	address := "unix:" + filepath.Join(dir, "api.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, daemon.Config{State: filepath.Join(dir, "state"), API: address}) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	cl, err := client.New(address)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	require.Eventually(t, func() bool {
		st, err := cl.Status(t.Context())
		return err == nil && st.Ready
	}, 30*time.Second, 5*time.Millisecond)
	pid, err := churn.LocalPID(address)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), pid, "the daemon is in this process")
	return cl, churn.Config{
		Dial: func() (*client.Client, error) { return client.New(address) },
		Rate: 400, Duration: 500 * time.Millisecond, Patience: time.Minute, Objects: 60, Clients: 8, Prefix: "churn", PID: pid,
	}
}

// names lists the objects that there are.
func names(t *testing.T, cl *client.Client) (list []string) {
	t.Helper()
	all, err := cl.Objects(t.Context(), api.ObjectFilter{})
	require.NoError(t, err)
	for _, item := range all.Items {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		require.NoError(t, json.Unmarshal(item, &o))
		list = append(list, o.Kind+" "+o.Metadata.Name)
	}
	return list
}

func apply(t *testing.T, cl *client.Client, document string) {
	t.Helper()
	_, err := cl.Apply(t.Context(), []control.File{{Name: "test.yaml", Data: []byte(document)}}, client.ChangeOptions{})
	require.NoError(t, err)
}

func TestRun(t *testing.T) {
	cl, c := serve(t)
	apply(t, cl, "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: web}, spec: {subnets: [{cidr: 10.0.0.0/24}]}}")
	r, err := churn.Run(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstErrors)
	require.Zero(t, r.Unsent)
	require.Equal(t, 200, r.Changes)
	require.NotContains(t, r.Actions, "unchanged", "each is a change")
	require.Equal(t, 200, r.Actions["created"]+r.Actions["configured"]+r.Actions["deleted"])
	for _, a := range []string{"created", "configured", "deleted"} {
		require.Positive(t, r.Actions[a], a)
	}
	for _, k := range []string{"Pod", "Port", "Segment"} {
		require.Positive(t, r.Kinds[k], k)
	}
	for _, p := range []churn.Percentiles{r.Live, r.Answer, r.Daemon} {
		require.Positive(t, p.P50)
		require.LessOrEqual(t, p.P50, p.P99)
		require.LessOrEqual(t, p.P99, p.Max)
	}
	require.GreaterOrEqual(t, r.Live.Max, r.Answer.P50)
	require.GreaterOrEqual(t, r.Answer.Max, r.Daemon.Max, "the daemon's part is part of it")
	require.InDelta(t, 200/r.Seconds, r.Reached, 1e-6)
	require.Positive(t, r.Publications)
	require.LessOrEqual(t, r.Publications, uint32(200))
	require.Positive(t, r.CPU.PerChange)
	require.Equal(t, []string{"Segment web"}, names(t, cl), "what the run has made is gone, and nothing else")

	history, err := cl.History(t.Context(), api.HistoryFilter{})
	require.NoError(t, err)
	require.Len(t, history, 1+1+200+1, "what was there before, the beginning, the changes, the end")
	require.Equal(t, "churn churn: end", history[0].Message)
}

// What an interrupted run has made is removed, and its result is of the part done.
func TestInterruptedRun(t *testing.T) {
	cl, c := serve(t)
	c.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for {
			if st, err := cl.Status(ctx); err != nil || st.Revision > 20 {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	r, err := churn.Run(ctx, c)
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstErrors)
	require.GreaterOrEqual(t, r.Changes, 19)
	require.Equal(t, 400*3600, r.Changes+r.Unsent)
	require.Empty(t, names(t, cl))
}

// What a run that was killed has left goes first; what others have is not touched.
func TestWhatIsThere(t *testing.T) {
	cl, c := serve(t)
	c.Rate = 80
	apply(t, cl, `{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: churn-7, labels: {churn.sluice.dev/run: churn}}, spec: {subnets: [{cidr: 198.18.0.0/24}]}}`)
	_, err := churn.Run(t.Context(), c)
	require.NoError(t, err)
	require.Empty(t, names(t, cl))

	apply(t, cl, `{apiVersion: v1, kind: Namespace, metadata: {name: churn}}`)
	_, err = churn.Run(t.Context(), c)
	require.ErrorIs(t, err, api.ErrConflict)
	require.ErrorContains(t, err, "the prefix churn is in use: choose another one")
	require.Equal(t, []string{"Namespace churn"}, names(t, cl))

	c.Prefix = "other"
	r, err := churn.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, 40, r.Changes)
	require.Equal(t, []string{"Namespace churn"}, names(t, cl))
}

// A change that is refused is counted, and the others go on.
func TestRefusedChanges(t *testing.T) {
	cl, c := serve(t)
	// The first subject is a Segment with the first subnet, and is not there at the beginning.
	c.Objects, c.Clients, c.Rate = 10, 1, 80
	apply(t, cl, "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: mine}, spec: {subnets: [{cidr: 198.19.0.0/28}]}}")
	r, err := churn.Run(t.Context(), c)
	require.NoError(t, err)
	require.Positive(t, r.Errors)
	require.Len(t, r.FirstErrors, 1)
	require.Contains(t, r.FirstErrors[0], "198.19.0.0/28")
	require.Equal(t, 40, r.Changes+r.Errors)
	require.Equal(t, []string{"Segment mine"}, names(t, cl))
}

func TestValidate(t *testing.T) {
	c := churn.Config{Rate: 0, Duration: -1, Patience: -1, Objects: 30_000, Clients: 0, Prefix: "A"}
	require.EqualError(t, c.Validate(), `rate: 0 is not in more than 0 to 1000000 changes per second
duration: -1ns is not positive
patience: -1ns is negative
clients: 0 is not in 1 to 1000
objects: 30000 is not in 1 to 20000
prefix: "A" is no name: up to 40 of a to z, 0 to 9 and -`)
	c = churn.Config{Rate: 1e6, Duration: time.Hour, Objects: 3, Clients: 3, Prefix: "a"}
	require.EqualError(t, c.Validate(), "rate and duration: 3600000000 changes are more than 20000000")
	c.Clients = 4
	require.EqualError(t, c.Validate(), "objects: 3 for 4 clients: each needs one of its own\n"+
		"rate and duration: 3600000000 changes are more than 20000000")
	_, err := churn.Run(t.Context(), c)
	require.ErrorContains(t, err, "3 for 4 clients")
	_, err = churn.LocalPID("unix:/nowhere.sock")
	require.ErrorContains(t, err, "no such file")
}

// A daemon that is slower than the rate is not waited for for ever.
func TestSlowDaemon(t *testing.T) {
	cl, c := serve(t)
	c.Rate, c.Duration, c.Patience, c.Clients = 1e6, 10*time.Millisecond, 0, 1
	r, err := churn.Run(t.Context(), c)
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstErrors)
	require.Positive(t, r.Unsent)
	require.Equal(t, 10_000, r.Changes+r.Unsent)
	require.Empty(t, names(t, cl))
}
