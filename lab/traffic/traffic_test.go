package traffic

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
)

func TestWebServerTellsWhoItIs(t *testing.T) {
	h := (&Web{Name: "demo/web-1"}).handler()
	for _, row := range []struct {
		why, path string
		status    int
		want      string
	}{
		{"Every path but those below is answered with the name.", "/some/page", 200, "demo/web-1\n"},
		{"The client is told its own address.", "/client", 200, "192.0.2.1\n"},
		{"A size can be asked for.", "/bytes/30", 200, "abcdefghijklmnopqrstuvwxyzabcd"},
		{"Nothing is a size.", "/bytes/0", 200, ""},
		{"A size that is none is refused.", "/bytes/many", 400, "want a number up to 1073741824\n"},
		{"So is one that is too large.", "/bytes/1073741825", 400, "want a number up to 1073741824\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", row.path, nil)) // from 192.0.2.1, says httptest
			require.Equal(t, row.status, w.Code)
			require.Equal(t, row.want, w.Body.String())
		})
	}
}

func TestPageTellsTheChainAndWhereItIsBroken(t *testing.T) {
	serve := func(w Web) string {
		w.Patience = 10 * time.Second
		s := httptest.NewServer(w.handler())
		t.Cleanup(s.Close)
		return s.URL
	}
	nobody := fmt.Sprintf("http://127.0.0.1:%d/", nobodysPort)
	whole := serve(Web{Name: "web", Ask: []string{serve(Web{Name: "app", Ask: []string{serve(Web{Name: "db"}), serve(Web{Name: "redis"})}})}})
	broken := serve(Web{Name: "web", Ask: []string{serve(Web{Name: "app", Ask: []string{serve(Web{Name: "db"}), nobody}})}})
	for _, row := range []struct {
		why, url string
		status   int
		want     string
	}{
		{"Each tier stands below the one that has asked it.", whole, 200, "web\n  app\n    db\n    redis\n"},
		{"A tier that can't be reached is named, and the page is no success.", broken, 502, "web\n  app\n    db\n    " + nobody + ": refused\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			text, ok := ask(t.Context(), http.DefaultClient, row.url)
			require.Equal(t, row.status == 200, ok)
			require.Equal(t, row.want, text)
		})
	}
}

// nobodysPort is one that nobody listens at, and none that the kernel chooses: who connects to one of those on
// this machine may by chance be given the same, and so be connected to himself.
const nobodysPort = 1

// freePort is one that nobody listens at, by TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", ":0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		require.NoError(t, l.Close())
		if err == nil {
			require.NoError(t, u.Close())
			return port
		}
	}
}

// echo runs one for the length of a test; the function ends it, and tells what it has heard.
func echo(t *testing.T) (to netip.AddrPort, heard func() *Heard) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	port := freePort(t)
	e := &Echo{Ports: []int{port}}
	type result struct {
		heard map[string]*Heard
		err   error
	}
	done := make(chan result, 1)
	go func() {
		h, err := e.Run(ctx)
		done <- result{h, err}
	}()
	t.Cleanup(cancel)
	to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	for _, protocol := range []string{"tcp", "udp"} {
		require.Eventually(t, func() bool {
			r, err := Connect(t.Context(), Attempt{protocol, to, time.Second})
			return err == nil && r.Outcome == Answered
		}, 20*time.Second, 10*time.Millisecond)
	}
	return to, func() *Heard {
		cancel()
		r := <-done
		require.NoError(t, r.err)
		return r.heard[fmt.Sprint(port)]
	}
}

func TestConnectNamesWhatCameOfIt(t *testing.T) {
	to, _ := echo(t)
	nobody := netip.AddrPortFrom(to.Addr(), nobodysPort)
	for _, row := range []struct {
		why, protocol string
		to            netip.AddrPort
		want          Outcome
	}{
		{"A handshake that is completed is an answer.", "tcp", to, Answered},
		{"A datagram that comes back is one.", "udp", to, Answered},
		{"A reset instead of a handshake refuses.", "tcp", nobody, Refused},
		{"ICMP port unreachable refuses.", "udp", nobody, Refused},
		{"IPv6 has the same outcomes.", "tcp", netip.AddrPortFrom(netip.IPv6Loopback(), nobody.Port()), Refused},
		{"Multicast can't be connected to: the kernel knows no way.", "tcp", netip.MustParseAddrPort("224.0.0.1:9"), Unreachable},
	} {
		t.Run(row.why, func(t *testing.T) {
			r, err := Connect(t.Context(), Attempt{row.protocol, row.to, 10 * time.Second})
			require.NoError(t, err)
			require.Equal(t, row.want, r.Outcome, r.Detail)
		})
	}
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	r, err := Connect(t.Context(), Attempt{"udp", silent.LocalAddr().(*net.UDPAddr).AddrPort(), 50 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, Silent, r.Outcome, "nobody reads what comes to this socket")
	_, err = Connect(t.Context(), Attempt{"sctp", to, time.Second})
	require.ErrorIs(t, err, ErrProtocol)
}

func TestICMPErrorsHaveTheirMeanings(t *testing.T) {
	for _, row := range []struct {
		why                string
		origin, kind, code uint8
		want               Outcome
	}{
		{"What a firewall says that rejects (RFC 1812 section 5.2.7.1).", unix.SO_EE_ORIGIN_ICMP, 3, 13, Prohibited},
		{"The same of a host, by older devices.", unix.SO_EE_ORIGIN_ICMP, 3, 10, Prohibited},
		{"The same in IPv6 (RFC 4443 section 3.1).", unix.SO_EE_ORIGIN_ICMP6, 1, 1, Prohibited},
		{"Nobody listens there.", unix.SO_EE_ORIGIN_ICMP, 3, 3, Refused},
		{"Nobody listens there, in IPv6.", unix.SO_EE_ORIGIN_ICMP6, 1, 4, Refused},
		{"A host that does not answer ARP.", unix.SO_EE_ORIGIN_ICMP, 3, 1, Unreachable},
		{"The TTL was too small.", unix.SO_EE_ORIGIN_ICMP, 11, 0, Unreachable},
		{"No route, in IPv6.", unix.SO_EE_ORIGIN_ICMP6, 1, 0, Unreachable},
	} {
		t.Run(row.why, func(t *testing.T) {
			got, found := meaning(row.origin, row.kind, row.code)
			require.True(t, found)
			require.Equal(t, row.want, got)
		})
	}
	_, found := meaning(unix.SO_EE_ORIGIN_LOCAL, 0, 0)
	require.False(t, found, "the own kernel's errors are told by their numbers")
}

func TestTalkTellsHowItsConnectionEnds(t *testing.T) {
	for _, row := range []struct {
		why   string
		serve func(c *net.TCPConn) // after the first request has been answered
		idle  bool
		want  Outcome
	}{
		{"The other end closes it.", func(c *net.TCPConn) { c.Close() }, false, Closed},
		{"The other end resets it while nobody speaks.", func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() }, true, Reset},
		{"The other end says nothing any more.", func(*net.TCPConn) {}, false, Silent},
		{"It has nothing more to say, and time is up.", func(*net.TCPConn) {}, true, Ended},
	} {
		t.Run(row.why, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				data := make([]byte, 64)
				if n, err := c.Read(data); err == nil {
					_, _ = c.Write(data[:n])
					row.serve(c.(*net.TCPConn))
				}
				_, _ = l.Accept() // the connection is held until the test is over
				c.Close()
			}()
			k := &Talk{Protocol: "tcp", To: l.Addr().(*net.TCPAddr).AddrPort(), Size: 64, Patience: 300 * time.Millisecond, Idle: row.idle}
			if row.want == Ended {
				k.Duration = 500 * time.Millisecond
			}
			r, err := k.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, row.want, r.End, "%+v", r)
			require.Equal(t, 1, r.Answers)
		})
	}
}

func TestTalkCountsWhatCame(t *testing.T) {
	to, heard := echo(t)
	for _, k := range []Talk{{Protocol: "tcp"}, {Protocol: "tcp", Anew: true}, {Protocol: "udp"}} {
		k.To, k.Size, k.Every, k.Patience = to, 1000, time.Millisecond, 10*time.Second
		k.Duration = 200 * time.Millisecond
		r, err := k.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, Ended, r.End, "%+v", r)
		require.Positive(t, r.Answers)
		require.Equal(t, r.Requests, r.Answers)
		require.Equal(t, r.Requests, r.Outcomes[Answered])
	}
	h := heard()
	require.Greater(t, h.Connections, 2)
	require.Positive(t, h.Datagrams)
	require.Greater(t, h.Bytes, int64(3000))
}

func TestTalkToNobodyGoesOnIfEachRequestIsAnew(t *testing.T) {
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), nobodysPort)
	k := &Talk{Protocol: "tcp", To: to, Size: 10, Patience: time.Second}
	r, err := k.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, Refused, r.End)
	require.Equal(t, 1, r.Requests)
	k.Anew, k.Duration = true, 50*time.Millisecond
	r, err = k.Run(t.Context())
	require.NoError(t, err)
	require.Greater(t, r.Requests, 1)
	require.Equal(t, r.Requests, r.Outcomes[Refused])
}

func TestErrorsOfThisMachineAreNoOutcome(t *testing.T) {
	_, known := outcomeOf(syscall.EMFILE)
	require.False(t, known)
	_, err := (&Talk{Protocol: "tcp"}).Run(t.Context())
	require.ErrorContains(t, err, "size 0 is not between")
	_, err = (&Talk{Protocol: "icmp", Size: 1}).Run(t.Context())
	require.ErrorIs(t, err, ErrProtocol)
}

func TestFloodIsOfSessionsThatAllDiffer(t *testing.T) {
	for _, row := range []struct {
		why  string
		f    Flood
		want []string // the first packets
	}{
		{
			"First all addresses of the network, then the next port.",
			Flood{Kind: "udp", To: netip.MustParseAddrPort("10.0.0.2:53"), From: netip.MustParsePrefix("192.0.2.8/31"), Rate: 3},
			[]string{"udp 192.0.2.8:1024 > 10.0.0.2:53 len 16", "udp 192.0.2.9:1024 > 10.0.0.2:53 len 16", "udp 192.0.2.8:1025 > 10.0.0.2:53 len 16"},
		},
		{
			"A handshake is begun from each, in IPv6 as well.",
			Flood{Kind: "syn", To: netip.MustParseAddrPort("[fd00::2]:80"), From: netip.MustParsePrefix("fd00::8/128"), Rate: 2},
			[]string{"tcp [fd00::8]:1024 > [fd00::2]:80 S win 64240 mss 1460", "tcp [fd00::8]:1025 > [fd00::2]:80 S seq 2654435761 win 64240 mss 1460"},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.f.Duration = time.Second
			packets, err := row.f.packets()
			require.NoError(t, err)
			require.Len(t, packets, len(row.want))
			for i, want := range row.want {
				frame, err := frametext.Parse(want)
				require.NoError(t, err)
				require.Equal(t, frame[14:], packets[i], "packet %d", i)
			}
		})
	}
	for _, f := range []Flood{
		{Kind: "ack", Rate: 1, Duration: time.Second},
		{Kind: "syn", Rate: MaxFlood, Duration: time.Minute},
		{Kind: "syn", Rate: 1, Duration: time.Second, To: netip.MustParseAddrPort("10.0.0.2:53"), From: netip.MustParsePrefix("fd00::/64")},
	} {
		_, err := f.Run(t.Context())
		require.Error(t, err)
	}
}
