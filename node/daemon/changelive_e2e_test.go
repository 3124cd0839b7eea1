package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node/devices"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// BenchmarkChangeLive measures how long one change takes to be in force on a node with
// 5,000 Pods and its state on the disk, while frames pass between two ports. whole is
// what somebody waits for who asks; parts are the steps of it, made one by one.
//
//	go test -run - -bench ChangeLive -benchtime 200x ./node/daemon
func BenchmarkChangeLive(b *testing.B) {
	const pods = 5000
	for _, parts := range []bool{false, true} {
		way := map[bool]string{false: "whole", true: "parts"}[parts]
		b.Run(way, func(b *testing.B) {
			l := newLiveNode(b, pods, !parts)
			for _, of := range []struct {
				name string
				// request is the n-th change, of a pod that the others do not change.
				request func(n int) *desired.Request
			}{
				{"label", func(n int) *desired.Request { return applying(b, pod(7, n, "")) }},
				{"address", func(n int) *desired.Request { return applying(b, pod(8, 0, fmt.Sprintf("10.244.0.%d", 252+n%2))) }},
				{"create-delete", func(n int) *desired.Request {
					if n%2 == 0 {
						return applying(b, pod(pods, 0, ""))
					}
					return &desired.Request{Verb: api.VerbDelete, Delete: []control.Key{{Kind: "Pod", Namespace: namespaceOf(pods), Name: "pod-5000"}}}
				}},
				{"segment", func(n int) *desired.Request {
					return applying(b, fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: other}, spec: {subnets: [{cidr: 10.1.%d.0/24}]}}", n%2))
				}},
			} {
				n := 0
				b.Run(of.name, func(b *testing.B) {
					var took, used [5][]time.Duration
					passed := l.passed.Load()
					for b.Loop() {
						r := of.request(n)
						n++
						if parts {
							t, u := l.parts(b, r)
							for i := range t {
								took[i], used[i] = append(took[i], t[i]), append(used[i], u[i])
							}
							continue
						}
						begin := time.Now()
						_, err := l.Change(b.Context(), r)
						took[0] = append(took[0], time.Since(begin))
						require.NoError(b, err)
					}
					require.Greater(b, l.passed.Load(), passed, "frames pass")
					b.ReportMetric(0, "ns/op")
					if !parts {
						report(b, "live", took[0])
						return
					}
					for i, name := range []string{"plan", "compile", "save", "apply", "tell"} {
						report(b, name, took[i])
						slices.Sort(used[i])
						b.ReportMetric(1e3*used[i][len(used[i])/2].Seconds(), name+"-cpu-ms")
					}
				})
			}
		})
	}
}

// report reports percentiles in milliseconds.
func report(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	at := func(share float64) float64 {
		return 1e3 * took[min(int(share*float64(len(took))), len(took)-1)].Seconds()
	}
	b.ReportMetric(at(.5), name+"-p50-ms")
	b.ReportMetric(at(.99), name+"-p99-ms")
	if name == "live" {
		b.ReportMetric(at(1), name+"-max-ms")
	}
}

// podsPerNamespace leaves some addresses of a namespace's /24.
const podsPerNamespace = 240

func namespaceOf(i int) string { return fmt.Sprintf("ns-%d", i/podsPerNamespace) }

func pod(i, turn int, ip string) string {
	status := ""
	if ip != "" {
		status = ", status: {podIP: " + ip + "}"
	}
	return fmt.Sprintf("---\n{apiVersion: v1, kind: Pod, metadata: {name: pod-%d, namespace: %s, labels: {app: app-%d, turn: t%d}}%s}\n", i, namespaceOf(i), i%100, turn, status)
}

// liveNode is a daemon between whose ports left and right frames pass.
type liveNode struct {
	*Daemon
	left, right *mem.Port
	passed      atomic.Uint64
}

// newLiveNode makes one with pods. If its loop does not run, the caller is in its place.
func newLiveNode(b *testing.B, pods int, loop bool) *liveNode {
	b.Helper()
	l := &liveNode{left: mem.New(mem.Config{}), right: mem.New(mem.Config{})}
	d, err := newDaemon(Config{
		State: b.TempDir(), Seed: 1, Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" },
		Open: func(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
			switch p.Name {
			case "left":
				return l.left, nil
			case "right":
				return l.right, nil
			}
			return nil, devices.ErrNoDevice
		},
	})
	require.NoError(b, err)
	require.NoError(b, d.start())
	l.Daemon = d
	var documents strings.Builder
	documents.WriteString("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: lan}, spec: {subnets: [{cidr: 10.0.0.0/24}]}}\n")
	for i, name := range []string{"left", "right"} {
		fmt.Fprintf(&documents, "---\n{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s}, spec: {segment: lan, addresses: [{ip: 10.0.0.%d, mac: '02:00:00:00:00:0%d'}], device: {type: tap, name: %s}}}\n",
			name, i+2, i+2, name)
	}
	for i := range pods {
		documents.WriteString(pod(i, -1, ""))
	}
	_, err = d.attempt([]asked{{request: applying(b, documents.String())}})
	require.NoError(b, err)

	frame, err := frametext.Parse("udp 10.0.0.2:7 > 10.0.0.3:7 len 18 eth 02:00:00:00:00:02 > 02:00:00:00:00:03")
	require.NoError(b, err)
	done, passing := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(passing)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				l.left.Inject(frame, frame, frame, frame, frame, frame, frame, frame, frame, frame)
				l.passed.Add(uint64(len(l.right.Sent())))
			}
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if loop {
			d.loop(ctx)
		}
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
		close(d.ending)
		close(done)
		<-passing
		require.Eventually(b, func() bool { return d.node.Engine().Ledger().Unexplained == 0 }, testPatience, time.Millisecond, "once nothing is in hand")
		require.NoError(b, d.end())
	})
	return l
}

// parts makes a change as attempt and put do, and returns how long each step took, and the
// CPU time that its thread used, which says more on a machine that has much else to do.
func (l *liveNode) parts(b *testing.B, r *desired.Request) (took, used [5]time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.At = time.Now()
	last, lastUsed := r.At, cputime.Thread()
	lap := func(i int) {
		now, nowUsed := time.Now(), cputime.Thread()
		took[i], used[i] = now.Sub(last), nowUsed-lastUsed
		last, lastUsed = now, nowUsed
	}
	d := l.Daemon
	before := d.db.Set()
	t, err := d.db.Plan(before, r)
	require.NoError(b, err)
	set := before.With(t)
	lap(0)
	m, err := d.compile(set)
	require.NoError(b, err)
	lap(1)
	planned := []*desired.Transaction{t}
	pending, err := d.db.Prepare(planned, m.Digest, &m.Allocations)
	require.NoError(b, err)
	lap(2)
	require.NotEqual(b, d.model.Digest, m.Digest, "it is a change")
	require.NoError(b, d.node.Apply(m))
	lap(3)
	pending.Done()
	d.inForce(m, planned)
	d.tellDevices(portsOf(planned))
	lap(4)
	return took, used
}
