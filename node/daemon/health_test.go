package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
)

// monitored is a daemon's configuration: a pool of one member in each IP version, with a monitor of each kind, and a
// Service that is told of at a healthCheckNodePort. %[1]s is the namespace of the devices, %[2]s the Service's pod's label.
const monitored = `
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: web}, spec: {subnets: [{cidr: 10.244.9.0/24}, {cidr: "fd00:9::/64"}]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: a, namespace: web}, spec: {segment: web, addresses: [{ip: 10.244.9.10}, {ip: "fd00:9::10"}], device: {type: afpacket, name: a, netns: %[1]s}}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: b, namespace: web, labels: {app: %[2]s}}, spec: {segment: web, addresses: [{ip: 10.244.9.11}]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: up}, spec: {device: {type: afpacket, name: up, netns: %[1]s}}}
---
{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: up, addresses: [192.0.2.1/24]}]}}
---
{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: tcp}, spec: {type: TCP, intervalSeconds: 0.2, riseCount: 1, fallCount: 2}}
---
{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: http}, spec: {type: HTTP, intervalSeconds: 0.2, fallCount: 2, http: {path: /well}}}
---
{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: icmp}, spec: {type: ICMP, intervalSeconds: 0.2, fallCount: 2}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: p}, spec: {activeMonitors: [tcp, http, icmp], members: [{address: 10.244.9.10, port: 80}, {address: "fd00:9::10", port: 80}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: v}, spec: {addresses: [192.0.2.100, "2001:db8::100"], ports: ["80"], pool: p}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: web}, spec: {type: LoadBalancer, clusterIP: 172.30.0.7, clusterIPs: [172.30.0.7], externalTrafficPolicy: Local, healthCheckNodePort: 32100, selector: {app: x}, ports: [{port: 80}]}}
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: vips}, spec: {usage: vips, ranges: [{start: 192.0.2.200, end: 192.0.2.210}]}}
`

// seen are the addresses that a server was asked from.
type seen struct {
	mu   sync.Mutex
	from map[string]bool
}

func (s *seen) note(from string) {
	host, _, _ := net.SplitHostPort(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from == nil {
		s.from = map[string]bool{}
	}
	s.from[host] = true
}

func (s *seen) all() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.from {
		list = append(list, a)
	}
	return list
}

// listenIn listens in a namespace.
func listenIn(t *testing.T, ns *netnstest.NS, address string) (l net.Listener) {
	t.Helper()
	require.NoError(t, ns.Do(func() (err error) { l, err = net.Listen("tcp", address); return err }))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestMonitorsProbeThroughTheDataPlane(t *testing.T) {
	middle, pod, outside := netnstest.New(t), netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, middle, "a", pod, "eth0", netnstest.VethOptions{MACB: "0a:58:0a:f4:09:0a"})
	netnstest.Veth(t, middle, "up", outside, "eth0", netnstest.VethOptions{})
	pod.Addr("eth0", "10.244.9.10/24")
	pod.Addr("eth0", "fd00:9::10/64")
	pod.Route("0.0.0.0/0", "10.244.9.1")
	pod.Route("::/0", "fd00:9::1")
	outside.Addr("eth0", "192.0.2.9/24")

	var from seen
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from.note(r.RemoteAddr)
		require.Equal(t, "/well", r.URL.Path)
	})}
	listener := listenIn(t, pod, ":80")
	go func() { _ = server.Serve(listener) }()

	file := filepath.Join(t.TempDir(), "node.yaml")
	write := func(label string) {
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, monitored, middle.Name, label), 0o600))
	}
	write("x")
	d := launch(t, Config{Paths: []string{file}, Buffers: 4096, Supers: 16})
	d.until(func() bool { return d.Status().Ready }, "ready")
	if why := insideTrouble(d); why != "" {
		t.Skip(why)
	}
	both := func(h member.Health) func() bool {
		return func() bool {
			histories := d.monitoredMembers()
			for _, x := range histories {
				if x.Health != h {
					return false
				}
			}
			return len(histories) == 2
		}
	}
	d.until(both(member.Up), "the members are up")
	require.ElementsMatch(t, []string{"10.244.9.1", "fd00:9::1"}, from.all(), "members see their gateway")

	t.Run("health check node port", func(t *testing.T) {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(_ context.Context, network, address string) (c net.Conn, err error) {
				err = outside.Do(func() (err error) { c, err = net.DialTimeout(network, address, 5*time.Second); return err })
				return c, err
			},
		}}
		ask := func(want int) (header http.Header, body string) {
			d.until(func() bool {
				r, err := client.Get("http://192.0.2.1:32100/healthz")
				if err != nil {
					return false
				}
				defer r.Body.Close()
				b, err := io.ReadAll(r.Body)
				header, body = r.Header, string(b)
				return err == nil && r.StatusCode == want
			}, fmt.Sprintf("status %d; so far %s", want, body))
			return header, body
		}
		header, body := ask(http.StatusOK)
		require.JSONEq(t, `{"service":{"namespace":"web","name":"s"},"localEndpoints":1,"serviceProxyHealthy":true}`, body)
		require.Equal(t, "1", header.Get("X-Load-Balancing-Endpoint-Weight"))
		write("y")
		header, body = ask(http.StatusServiceUnavailable)
		require.JSONEq(t, `{"service":{"namespace":"web","name":"s"},"localEndpoints":0,"serviceProxyHealthy":true}`, body)
		require.Equal(t, "0", header.Get("X-Load-Balancing-Endpoint-Weight"))
	})

	require.NoError(t, server.Close())
	d.until(both(member.Down), "the members are down")
	for _, x := range d.monitoredMembers() {
		require.Contains(t, x.Changes[len(x.Changes)-1].Reason, "connection refused (fall 2 of 2)")
		for _, m := range x.Monitors {
			require.True(t, m.Name != "icmp" || m.Health == member.Up, "the host is there: %+v", m)
		}
	}
	again := listenIn(t, pod, ":80")
	go func() { _ = (&http.Server{Handler: server.Handler}).Serve(again) }()
	d.until(both(member.Up), "the members are up again")
	d.stop()
}

// insideTrouble says why the machine can't have the node's own port.
func insideTrouble(d *running) string {
	for _, p := range d.node.Devices() {
		if p.Port == "inside" && p.Err != nil {
			return p.Err.Error()
		}
	}
	return ""
}

// monitoredMembers are the histories of all members that monitors look after; numbers begin at 1.
func (r *running) monitoredMembers() (list []health.History) {
	for id := range uint32(100) {
		if h, known := r.prober.checker.History(id); known {
			list = append(list, h)
		}
	}
	return list
}

func TestHealthAnswers(t *testing.T) {
	for _, row := range []struct {
		why    string
		local  int
		status int
	}{
		{"somebody here", 3, http.StatusOK},
		{"nobody here", 0, http.StatusServiceUnavailable},
	} {
		t.Run(row.why, func(t *testing.T) {
			var a healthAnswer
			a.of.Store(&control.HealthPort{Namespace: "web", Name: "s", Local: row.local})
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", strings.NewReader("")))
			require.Equal(t, row.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			var got map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
			require.EqualValues(t, row.local, got["localEndpoints"])
		})
	}
}
