package churn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/bench/churn"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// bed is a daemon with pods on packet sockets:
//
//	 probes ⇄          probes ⇄ (routed)
//	┌──────┐ ┌──────┐ ┌──────┐ ┌──────┐ ┌──────┐ ┌──────┐
//	│ left │ │right │ │ far  │ │idler │ │server│◀│client│  iperf3
//	└──┬───┘ └──┬───┘ └──┬───┘ └──┬───┘ └──┬───┘ └──┬───┘
//	  near     near      far     near     near     near    segments
//	┌──┴────────┴────────┴────────┴────────┴────────┴───┐
//	│ sluice run                                        │◀── sluice bench churn
//	└───────────────────────────────────────────────────┘
//
// Each of them looks at all probes that come to it.
type bed struct {
	t       *testing.T
	binary  string
	address string // of the API
	daemon  *netnstest.Program
	client  *client.Client
	pods    map[string]*netnstest.NS
	field   *field
}

// pods of the bed, with the last bytes of their addresses: segment and host.
var pods = []struct {
	name          string
	segment, host byte
}{{"left", 0, 1}, {"right", 0, 2}, {"far", 1, 3}, {"idler", 0, 4}, {"server", 0, 5}, {"client", 0, 6}}

func addressOf(segment, host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, segment, host}) }

func newBed(t *testing.T) *bed {
	t.Helper()
	dir, err := os.MkdirTemp("", "churn-") // a socket's path is short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	b := &bed{t: t, binary: filepath.Join(dir, "sluice"), address: "unix:" + filepath.Join(dir, "api.sock"), pods: map[string]*netnstest.NS{}, field: newField(t)}
	output, err := exec.Command("go", "build", "-buildvcs=false", fmt.Sprintf("-race=%t", underRace()), "-o", b.binary, "../../cmd/sluice").CombinedOutput()
	require.NoError(t, err, "%s", output)

	node := netnstest.New(t)
	config := ""
	for i, name := range []string{"near", "far"} {
		config += fmt.Sprintf("---\n{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {subnets: [{cidr: 10.9.%d.0/24, gateway: 10.9.%d.254}]}}\n", name, i, i)
	}
	for _, p := range pods {
		pod := netnstest.New(t)
		b.pods[p.name] = pod
		netnstest.Veth(t, pod, "eth0", node, p.name, netnstest.VethOptions{MACA: fmt.Sprintf("0a:58:0a:09:%02x:%02x", p.segment, p.host)})
		address := addressOf(p.segment, p.host)
		pod.Addr("eth0", address.String()+"/24")
		pod.Route("0.0.0.0/0", fmt.Sprintf("10.9.%d.254", p.segment))
		b.field.station(p.name, pod.Name, address)
		config += fmt.Sprintf("---\n{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s}, spec: {segment: %s, addresses: [{ip: %v}], device: {type: afpacket, name: %s}}}\n",
			p.name, []string{"near", "far"}[p.segment], address, p.name)
	}
	file := filepath.Join(dir, "node.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	b.daemon = node.Start(b.binary, "run", "--config", file, "--state", filepath.Join(dir, "state"), "--api", b.address, "--log-level", "warn")
	b.client, err = client.New(b.address)
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	require.Eventually(t, func() bool {
		st, err := b.client.Status(t.Context())
		return err == nil && st.Ready && st.Ports.Up == len(pods)
	}, time.Minute, 10*time.Millisecond, "%s", b.daemon.Output())
	return b
}

// underRace reports whether this test was built with -race.
func underRace() bool {
	info, found := debug.ReadBuildInfo()
	return found && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// stream is what iperf3 says of a TCP stream of a given rate.
type stream struct {
	End struct {
		Received struct {
			Rate float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sent struct {
			Retransmits int `json:"retransmits"`
		} `json:"sum_sent"`
	} `json:"end"`
}

// stream starts a TCP stream.
func (b *bed) stream(length time.Duration, rate string) *netnstest.Program {
	return b.pods["client"].Start("iperf3", "-c", "10.9.0.5", "-t", fmt.Sprint(int(length.Seconds())), "-b", rate, "-J")
}

func (b *bed) ended(p *netnstest.Program) (s stream) {
	b.t.Helper()
	require.NoError(b.t, p.Wait(), "%s", p.Output())
	require.NoError(b.t, json.Unmarshal([]byte(p.Output()), &s))
	return s
}

// kernelDrops counts what the kernel has lost before the switch saw it.
func (b *bed) kernelDrops() (n int) {
	b.t.Helper()
	_, err := client.Each(b.t.Context(), b.client, "ports", api.Filter{}, func(p *api.PortView) error {
		n += int(p.Device.KernelDrops)
		return nil
	})
	require.NoError(b.t, err)
	return n
}

// patience is for a machine that has much else to do.
const patience = 5 * time.Minute

// churn has the command load the daemon.
func (b *bed) churn(length time.Duration, rate int) *churn.Result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), length+2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.binary, "bench", "churn", "--api", b.address, "-o", "json", "--duration", length.String(), "--patience", patience.String(), "--rate", fmt.Sprint(rate))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var faults strings.Builder
	cmd.Stderr = &faults
	output, err := cmd.Output()
	require.NoError(b.t, err, "%s%s", faults.String(), output)
	var r churn.Result
	require.NoError(b.t, json.Unmarshal(output, &r))
	return &r
}

// TestChurn makes a thousand changes a second of objects that have nothing to do with the
// traffic, and looks whether the traffic notices.
func TestChurn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this test makes network namespaces: run it as root")
	}
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("this test needs the program iperf3: make setup")
	}
	// What a machine that does other things at the same time carries easily.
	calm, busy, rate, probes, tcp := 5*time.Second, 30*time.Second, 1000, 2000, "100M"
	if testing.Short() {
		calm, busy = time.Second, 3*time.Second
	}
	if underRace() {
		rate, probes, tcp = 100, 500, "10M"
	}
	b := newBed(t)
	f := b.field
	by := map[string]*station{}
	for _, s := range f.stations {
		by[s.name] = s
	}
	for _, ends := range [][2]string{{"left", "right"}, {"left", "far"}} {
		f.flow(by[ends[0]], by[ends[1]])
		f.flow(by[ends[1]], by[ends[0]])
		b.pods[ends[0]].Run("ping", "-c1", "-W5", by[ends[1]].address.String())
	}
	b.pods["server"].Start("iperf3", "-s")
	b.pods["client"].Run("sh", "-c", "for i in $(seq 100); do iperf3 -c 10.9.0.5 -n 1 && exit; sleep 0.1; done; exit 1")
	f.start(probes)

	begin, kernelBegin := f.marks(), b.kernelDrops()
	calmTCP := b.ended(b.stream(calm, tcp))
	middle, kernelMiddle := f.marks(), b.kernelDrops()
	stream := b.stream(busy, tcp)
	r := b.churn(busy, rate)
	busyTCP := b.ended(stream)
	end := f.marks()
	f.end()
	kernelEnd := b.kernelDrops()

	sent, lost, of := f.tally(begin, middle)
	t.Logf("without changes: %d probes, %d lost %v; TCP %.1f Mbit/s, %d retransmits; the kernel lost %d",
		sent, lost, of, calmTCP.End.Received.Rate/1e6, calmTCP.End.Sent.Retransmits, kernelMiddle-kernelBegin)
	sent, lost, of = f.tally(middle, end)
	t.Logf("with changes:    %d probes, %d lost %v; TCP %.1f Mbit/s, %d retransmits; the kernel lost %d",
		sent, lost, of, busyTCP.End.Received.Rate/1e6, busyTCP.End.Sent.Retransmits, kernelEnd-kernelMiddle)
	misforwarded, duplicates, reordered, examples := f.astray()
	t.Logf("in all: %d misforwarded, %d twice, %d out of order", misforwarded, duplicates, reordered)
	t.Logf("%d changes in %.1f s (%.0f/s), put in force %d times", r.Changes, r.Seconds, r.Reached, r.Publications)
	t.Logf("due to live: p50 %.1f ms, p99 %.1f ms, max %.1f ms; in the daemon: p50 %.1f ms, p99 %.1f ms, max %.1f ms",
		1e3*r.Live.P50, 1e3*r.Live.P99, 1e3*r.Live.Max, 1e3*r.Daemon.P50, 1e3*r.Daemon.P99, 1e3*r.Daemon.Max)
	t.Logf("daemon's CPU: %.0f µs per change; %.0f %% of a core, before %.0f %%", 1e6*r.CPU.PerChange, 100*r.CPU.During, 100*r.CPU.Before)

	require.Zero(t, misforwarded, examples)
	require.Zero(t, duplicates)
	// Order is shown and not demanded: a sender that the scheduler moves to another CPU leaves
	// frames in two backlogs of the kernel, in front of the switch and behind it.
	require.Equal(t, int(busy.Seconds())*rate, r.Changes)
	require.Zero(t, r.Errors, r.FirstErrors)
	require.LessOrEqual(t, lost, kernelEnd-kernelMiddle, "the switch has lost probes, not a queue in front of it: %v", of)
	require.Greater(t, busyTCP.End.Received.Rate, .9*calmTCP.End.Received.Rate)

	var st api.Status
	require.Eventually(t, func() bool { // frames that are in hand are in no sum
		var err error
		st, err = b.client.Status(t.Context())
		return err == nil && st.Ledger.Unexplained == 0
	}, 30*time.Second, 20*time.Millisecond, "the books don't balance")
	require.Zero(t, st.Crashes, st.First)
	require.Equal(t, len(pods), st.Ports.Total, "what churn has made is gone")
	_, err := client.Each(t.Context(), b.client, "ports", api.Filter{}, func(p *api.PortView) error {
		require.Empty(t, p.Drops, "%s", p.Name)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(b.daemon.PID(), syscall.SIGTERM))
	require.NoError(t, b.daemon.Wait(), "%s", b.daemon.Output())
}
