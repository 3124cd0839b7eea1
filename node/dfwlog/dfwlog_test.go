package dfwlog

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

var section = &policy.Section{
	Origin: policy.Origin{Kind: "SecurityPolicy", Namespace: "shop", Name: "web"}, Title: "Shop, web tier",
	Rules: []policy.Rule{{ID: 1024, Logged: true}, {ID: 1025, Logged: true, Tag: "audit"}},
}

// boot is the Unix time at which the engine's clock is 0.
var boot = time.Date(2018, 7, 3, 19, 44, 0, 0, time.UTC).UnixNano()

func configOf(l *firewall.Log, change func(*Config)) Config {
	c := Config{
		Log: l, WallClock: func(now int64) int64 { return boot + now },
		Port: func(number uint16) string { return map[uint16]string{1: "shop/web-1", 2: "shop/db-1"}[number] },
	}
	if change != nil {
		change(&c)
	}
	return c
}

// note notes a packet at a port.
func note(t testing.TB, l *firewall.Log, w, rule int, port uint16, d policy.Direction, r packet.Reason, now int64, line string) {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err)
	var in packet.Info
	require.Equal(t, packet.None, packet.Parse(frame, &in))
	l.Packet(w, section, &section.Rules[rule], port, d, r, &in, frame, now)
}

func TestWriterWritesLines(t *testing.T) {
	var out bytes.Buffer
	l := firewall.NewLog(firewall.LogConfig{Workers: 2, PerRule: 2})
	w := New(configOf(l, func(c *Config) { c.Out = &out }))
	syn := "tcp 192.168.4.3:49627 > 192.168.4.4:49153 SEW mss 1460 sackok wscale 7"
	note(t, l, 1, 0, 1, policy.In, packet.None, 9749e6, syn)
	note(t, l, 0, 1, 2, policy.Out, packet.PolicyRejected, 9500e6, "udp [fd00::1]:9 > [fd00::2]:53 len 12")
	note(t, l, 0, 1, 3, policy.In, packet.SessionInvalid, 9600e6, "icmp 10.0.0.1 > 10.0.0.2 reply id 7 seq 1")
	note(t, l, 0, 1, 1, policy.In, packet.PolicyDenied, 9700e6, "ether type 0x88cc eth 02:00:00:00:00:01 > 01:80:c2:00:00:0e len 46")
	for range 5 {
		note(t, l, 1, 0, 2, policy.Out, packet.PolicyDenied, 10e9, "udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
	}
	record := flowtable.Record{End: 12e9, Reason: flowtable.EndRST, Packets: [2]uint64{22, 14}, Bytes: [2]uint64{7684, 1070}}
	record.Keys[flowtable.Original] = packet.Key{
		Src: packet.AddrFrom4(&[4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4(&[4]byte{10, 0, 0, 2}), Tail: packet.MakeTail(7, packet.ProtoTCP, 1000, 80),
	}
	l.Tick(1, 11e9)
	l.Ended(0, section, &section.Rules[1], 1, policy.In, &record)
	require.Equal(t, 8, w.Drain())
	web, db, gone := export.FilterHash("shop/web-1"), export.FilterHash("shop/db-1"), export.FilterHash("")
	want := []string{
		"2018-07-03T19:44:09.5Z " + db + " INET6 match REJECT shop/web/1025 OUT 60 UDP fd00::1/9->fd00::2/53 audit",
		"2018-07-03T19:44:09.6Z " + gone + " INET state-mismatch DROP shop/web/1025 IN 28 ICMP 10.0.0.1->10.0.0.2 audit",
		"2018-07-03T19:44:09.7Z " + web + " ETHER match DROP shop/web/1025 IN 60 PROTO 0x88cc 02:00:00:00:00:01->01:80:c2:00:00:0e audit",
		"2018-07-03T19:44:09.749Z " + web + " INET match PASS shop/web/1024 IN 52 TCP 192.168.4.3/49627->192.168.4.4/49153 SEW",
		"2018-07-03T19:44:10Z " + db + " INET match DROP shop/web/1024 OUT 40 UDP 10.0.0.1/9->10.0.0.2/53",
		"2018-07-03T19:44:10Z " + db + " INET match DROP shop/web/1024 OUT 40 UDP 10.0.0.1/9->10.0.0.2/53",
		"2018-07-03T19:44:10Z " + db + " INET match DROP shop/web/1024 OUT 120 MORE 3 UDP 10.0.0.1/9->10.0.0.2/53",
		"2018-07-03T19:44:12Z " + web + " INET TERM PASS shop/web/1025 IN 0 TCP RST 10.0.0.1/1000->10.0.0.2/80 22/14 7684/1070 audit",
	}
	require.Equal(t, strings.Join(want, "\n")+"\n", out.String(), "in order of time, whoever noted them")
	require.Equal(t, Stats{Written: 8}, w.Stats())
	require.Zero(t, w.Drain())

	kept := w.Since(0, 100)
	require.Len(t, kept, 8)
	for i, k := range kept {
		require.Equal(t, uint64(i+1), k.Number)
		require.Equal(t, want[i]+"\n", string(k.Append(nil)))
	}
	require.Equal(t, "shop/web-1", kept[7].Port)
	require.Equal(t, kept[6:], w.Since(0, 2), "the newest")
	require.Equal(t, kept[5:], w.Since(5, 100), "those after one that is known")
	require.Empty(t, w.Since(8, 100))
	require.Empty(t, w.Since(0, 0))
}

func TestWriterKeepsTheNewest(t *testing.T) {
	l := firewall.NewLog(firewall.LogConfig{})
	w := New(configOf(l, func(c *Config) { c.Keep = 3 }))
	for i := range 8 {
		note(t, l, 0, 0, 1, policy.In, packet.None, int64(i)*1e9, "udp 10.0.0.1:9 > 10.0.0.2:53")
	}
	w.Drain()
	list := w.Since(0, 100)
	require.Len(t, list, 3)
	require.Equal(t, uint64(6), list[0].Number)
	require.Equal(t, boot+7e9, list[2].Time)
}

func TestWriterTellsWhatWorkersLost(t *testing.T) {
	var out bytes.Buffer
	l := firewall.NewLog(firewall.LogConfig{Records: 4})
	w := New(configOf(l, func(c *Config) { c.Out = &out }))
	for range 9 {
		note(t, l, 0, 0, 1, policy.In, packet.None, 1e9, "udp 10.0.0.1:9 > 10.0.0.2:53")
	}
	w.Drain()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5)
	require.Equal(t, "2018-07-03T19:44:01Z 00000000 LOST 5", lines[4])
	out.Reset()
	w.Drain()
	require.Empty(t, out.String(), "once")
	require.Equal(t, Stats{Written: 5, Lost: 5}, w.Stats())
}

// flaky is an Out that takes nothing while it is told so.
type flaky struct {
	bytes.Buffer
	err error
}

func (f *flaky) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Buffer.Write(b)
}

func TestWriterWhoseOutFails(t *testing.T) {
	out, told := &flaky{}, []error{}
	l := firewall.NewLog(firewall.LogConfig{})
	w := New(configOf(l, func(c *Config) {
		c.Out, c.Tell = out, func(err error) { told = append(told, err) }
	}))
	line := func(now int64) {
		note(t, l, 0, 0, 1, policy.In, packet.None, now, "udp 10.0.0.1:9 > 10.0.0.2:53")
		w.Drain()
	}
	full := errors.New("disk full")
	line(1e9)
	out.err = full
	for i := range int64(5) {
		line(2e9 + i)
	}
	require.Equal(t, []error{full}, told, "it is told once")
	require.Equal(t, Stats{Written: 1, Refused: 5}, w.Stats())
	require.Len(t, w.Since(0, 100), 6, "the lines are there for whoever asks")
	out.err = nil
	out.Reset()
	w.Drain()
	require.Equal(t, "2018-07-03T19:44:02.000000004Z 00000000 LOST 5\n", out.String(), "when it takes lines again, the first tells what is missing")
	require.Equal(t, []error{full, nil}, told)
	line(3e9)
	require.Equal(t, Stats{Written: 2, Refused: 5}, w.Stats())
}

func TestRunEndsWithWhatIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dfw.log")
	file, err := export.OpenRotated(path, export.RotateConfig{})
	require.NoError(t, err)
	l := firewall.NewLog(firewall.LogConfig{})
	w := New(configOf(l, func(c *Config) { c.Out = file }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	note(t, l, 0, 0, 1, policy.In, packet.None, 1e9, "udp 10.0.0.1:9 > 10.0.0.2:53")
	require.Eventually(t, func() bool { return w.Stats().Written == 1 }, 30*time.Second, time.Millisecond)
	note(t, l, 0, 0, 1, policy.In, packet.None, 2e9, "udp 10.0.0.1:9 > 10.0.0.2:53")
	cancel()
	<-done
	require.NoError(t, file.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(b), "\n"))
}
