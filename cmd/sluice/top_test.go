package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// later is a sample of the same node, two seconds on.
func later() (before, now *sample) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := servertest.Small(), servertest.Small()
	before = &sample{at: start, status: a.Node, ports: a.Ports, workers: a.Workers}
	now = &sample{at: start.Add(2 * time.Second), status: b.Node, ports: b.Ports, workers: b.Workers}
	p := &now.ports[0]
	p.Rx.Packets, p.Rx.Bytes = p.Rx.Packets+3_000_000, p.Rx.Bytes+250_000_000
	p.Tx.Packets++
	p.Dropped += 9
	p.Drops["SPOOF_GUARD"] += 2
	p.Drops["NO_BUFFER"] = 7
	p.Device.KernelDrops += 4
	now.status.Sessions.Created += 101
	now.workers[0].BusySeconds += 0.5
	now.workers[0].Frames += 6400
	now.workers[0].Vectors += 200
	return before, now
}

func TestTopTable(t *testing.T) {
	r := compare(later())
	var b bytes.Buffer
	r.print(&b)
	require.Equal(t, `revision 3   ports 2 of 4 up   sessions 2, 50.5 new/s   buffers 128 of 16640

WORKER   BUSY    FRAMES/S   FRAMES/VECTOR   SLEEPS/S
0        25.0%   3.20k      32.0            0
1        0.0%    0          0.0             0

PORT         STATE    RX-PPS   RX-BIT/S   TX-PPS   TX-BIT/S   DROPS/S   KERNEL-DROPS/S   REASONS
demo/web-1   UP       1.50M    1.00G      0.50     0          4.50      2                NO_BUFFER:3.50,SPOOF_GUARD:1
demo/web-2   ABSENT   0        0          0        0          0         0                <none>
trunk        DOWN     0        0          0        0          0         0                <none>
uplink       UP       0        0          0        0          0         0                <none>
`, b.String())
}

// Counts that begin anew are not rates of minus something.
func TestTopOfPortsThatComeAndGo(t *testing.T) {
	before, now := later()
	before.ports[0].Number = 77 // it was another port
	before.ports = before.ports[:2]
	before.ports[1].Rx.Packets = 1 << 40 // and this one was reset
	now.ports[1].Rx.Packets = 10
	now.ports[3].Tx.Packets = 8
	now.workers = append(now.workers, api.WorkerView{ID: 2, Frames: 2})
	r := compare(before, now)
	require.InDelta(t, 1_500_500, r.Ports[0].RxPackets, 0.1)
	require.InDelta(t, 5, r.Ports[1].RxPackets, 0.1)
	require.InDelta(t, 4, r.Ports[3].TxPackets, 0.1)
	require.InDelta(t, 1, r.Workers[2].Frames, 0.1)
}

func TestTopSorts(t *testing.T) {
	r := &rates{Ports: []portRate{{Name: "a", RxBits: 1, TxBits: 5}, {Name: "b", RxBits: 9}, {Name: "c", KernelDrops: 1}, {Name: "d", RxBits: 9}}}
	order := func(by string) string {
		r.sort(by)
		var names []string
		for _, p := range r.Ports {
			names = append(names, p.Name)
		}
		return strings.Join(names, "")
	}
	require.Equal(t, "abcd", order("name"))
	require.Equal(t, "bdac", order("rx"), "equal ones stay in their order")
	require.Equal(t, "abdc", order("tx"))
	require.Equal(t, "cabd", order("drops"))
}

func TestShort(t *testing.T) {
	for _, row := range []struct {
		x    float64
		want string
	}{
		{0, "0"},
		{1, "1"},
		{0.25, "0.25"},
		{12.34, "12.3"},
		{99.96, "100"},
		{250, "250"},
		{999.4, "999"},
		{999.6, "1.00k"},
		{1000, "1.00k"},
		{9994, "9.99k"},
		{9996, "10.0k"},
		{12345, "12.3k"},
		{999_600, "1.00M"},
		{14_200_000, "14.2M"},
		{1e10, "10.0G"},
		{1.5e12, "1.50T"},
		{1e16, "10000T"},
	} {
		require.Equal(t, row.want, short(row.x), "%v", row.x)
	}
}

func TestOnScreen(t *testing.T) {
	require.Equal(t, "\x1b[H"+"one l\x1b[K\n"+"\x1b[K\n"+"\x1b[J", string(onScreen([]byte("one line\n\nthree\n"), 2, 5)))
}

func TestTop(t *testing.T) {
	address := servertest.Start(t, servertest.Small())
	got := sluice(t, "top", "--api", address, "--interval", "100ms", "-n", "2")
	require.Zero(t, got.status, got.err)
	require.Equal(t, 2, strings.Count(got.out, "revision 3 "), got.out)
	require.NotContains(t, got.out, "\x1b", "what is no terminal gets no control sequences")

	got = sluice(t, "top", "--api", address, "--interval", "100ms", "--once", "-o", "json")
	require.Zero(t, got.status, got.err)
	var r rates
	require.NoError(t, json.Unmarshal([]byte(got.out), &r))
	require.Len(t, r.Ports, 4)
	require.Equal(t, 1, strings.Count(got.out, "\n"))

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		time.Sleep(250 * time.Millisecond)
		cancel()
	}()
	require.Zero(t, run(ctx, []string{"top", "--api", address, "--interval", "100ms"}, strings.NewReader(""), file, file), "an interrupt is how it ends")
	<-stopped
	require.NoError(t, file.Close())

	for _, row := range []struct{ why, args, want string }{
		{"too often", "--interval 1ms", "--interval 1ms is less than 100ms"},
		{"backwards", "-n -1", "-n -1 is not 0 or more"},
		{"an order that is none", "--sort size", "--sort size: want name, rx, tx or drops"},
		{"a form that is none", "-o yaml", "-o yaml: want table or json"},
	} {
		got := sluice(t, append([]string{"top", "--api", address}, strings.Fields(row.args)...)...)
		require.Equal(t, outcome{2, "", "sluice: " + row.want + "\n"}, got, row.why)
	}
}
