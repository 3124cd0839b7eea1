package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// host is the machine's own network.
type host struct{}

func (host) Dial(ctx context.Context, _ uint32, network string, to netip.AddrPort) (net.Conn, error) {
	if network == "icmp" {
		return DialEcho(to.Addr(), nil)
	}
	return new(net.Dialer).DialContext(ctx, network, to.String())
}

// once probes once.
func once(t testing.TB, m *service.Monitor, to netip.AddrPort) (good bool, reason string) {
	t.Helper()
	m.TimeoutNs = max(m.TimeoutNs, int64(200*time.Millisecond))
	p := newProbe(t.Context(), keyOf(&Target{Address: to.Addr(), Port: to.Port()}, m), 0x5eed)
	answer, err := p.make(host{})
	if err != nil {
		return false, p.explain(err)
	}
	return true, answer
}

// patient is a monitor's time where the answer is sure to come.
const patient = int64(20 * time.Second)

// serveTCP has a server on loopback that does one thing with each connection.
func serveTCP(t testing.TB, address string, serve func(c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func refusingPort(t testing.TB, network string) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		defer c.Close()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestTCP(t *testing.T) {
	line := func(c net.Conn) (string, error) { return bufio.NewReader(c).ReadString('\n') }
	for _, row := range []struct {
		why           string
		serve         func(c net.Conn) // nil: nobody listens
		send, receive string
		timeout       int64
		good          bool
		want          string
	}{
		{"a connection is enough", func(c net.Conn) { _, _ = line(c) }, "", "", patient, true, "connected"},
		{"nobody there", nil, "", "", patient, false, "connection refused"},
		{"a banner is awaited", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail") }, "", "220 ", patient, true, "answered as expected"},
		{"a banner in parts", func(c net.Conn) { _, _ = io.WriteString(c, "22"); _, _ = io.WriteString(c, "0 mail") }, "", "220 ", patient, true, "answered as expected"},
		{"a wrong one", func(c net.Conn) { _, _ = io.WriteString(c, "554 no") }, "", "220 ", patient, false, `answered "554 ", want it to begin with "220 "`},
		{"a wrong one that is too short", func(c net.Conn) { _, _ = io.WriteString(c, "5") }, "", "220 ", patient, false, `answered "5", want it to begin with "220 "`},
		{"the beginning of a right one", func(c net.Conn) { _, _ = io.WriteString(c, "22") }, "", "220 ", patient, false, "the member closed the connection before it had answered"},
		{"closed at once", func(net.Conn) {}, "", "220 ", patient, false, "the member closed the connection before it had answered"},
		{"silence", func(c net.Conn) { _, _ = line(c) }, "", "220 ", 0, false, "no answer in 200ms"},
		{"asked and answered", func(c net.Conn) {
			if s, _ := line(c); s == "PING\n" {
				_, _ = io.WriteString(c, "+PONG\r\n")
			}
		}, "PING\n", "+PONG", patient, true, "answered as expected"},
	} {
		t.Run(row.why, func(t *testing.T) {
			to := refusingPort(t, "tcp")
			if row.serve != nil {
				to = serveTCP(t, "127.0.0.1:0", row.serve)
			}
			good, reason := once(t, &service.Monitor{
				Type: service.MonitorTCP, Send: []byte(row.send), Receive: []byte(row.receive), TimeoutNs: row.timeout,
			}, to)
			require.Equal(t, row.want, reason)
			require.Equal(t, row.good, good)
		})
	}
}

func TestProbesLeaveNoConnectionBehind(t *testing.T) {
	ended := make(chan error, 1)
	to := serveTCP(t, "127.0.0.1:0", func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	good, reason := once(t, &service.Monitor{Type: service.MonitorTCP, TimeoutNs: patient}, to)
	require.True(t, good, reason)
	require.ErrorIs(t, <-ended, unix.ECONNRESET, "a FIN would leave a port in TIME_WAIT")
}

func TestUDP(t *testing.T) {
	for _, row := range []struct {
		why           string
		answer        func(question string) string // nil: nobody listens
		send, receive string
		timeout       int64
		good          bool
		want          string
	}{
		{"answered", func(q string) string { return "re: " + q }, "hello", "re: he", patient, true, "answered as expected"},
		{"wrongly answered", func(string) string { return "what?" }, "hello", "re:", patient, false, `answered "wha", want it to begin with "re:"`},
		{"too short an answer", func(string) string { return "re" }, "hello", "re:", patient, false, `answered "re", want all of "re:"`},
		{"no answer", func(string) string { return "" }, "hello", "re:", 0, false, "no answer in 200ms"},
		{"nobody there", nil, "hello", "re:", patient, false, "connection refused"},
		{"nobody there, and no question", nil, "", "", patient, false, "connection refused"},
		{"silence is all right where nothing is asked", func(string) string { return "" }, "", "", 0, true, "no error in the time"},
		{"any answer is, too", func(string) string { return "x" }, "hello", "", patient, true, "answered"},
	} {
		t.Run(row.why, func(t *testing.T) {
			to := refusingPort(t, "udp")
			if row.answer != nil {
				c, err := net.ListenPacket("udp", "127.0.0.1:0")
				require.NoError(t, err)
				defer c.Close()
				to = netip.MustParseAddrPort(c.LocalAddr().String())
				go func() {
					b := make([]byte, 100)
					for {
						n, from, err := c.ReadFrom(b)
						if err != nil {
							return
						}
						if answer := row.answer(string(b[:n])); answer != "" {
							_, _ = c.WriteTo([]byte(answer), from)
						}
					}
				}()
			}
			good, reason := once(t, &service.Monitor{
				Type: service.MonitorUDP, Send: []byte(row.send), Receive: []byte(row.receive), TimeoutNs: row.timeout,
			}, to)
			require.Equal(t, row.want, reason)
			require.Equal(t, row.good, good)
		})
	}
}

func TestEcho(t *testing.T) {
	for _, row := range []struct{ why, to string }{
		{"IPv4", "127.0.0.1"}, {"IPv6", "::1"}, {"IPv4 written as IPv6", "::ffff:127.0.0.1"},
	} {
		t.Run(row.why, func(t *testing.T) {
			to := netip.AddrPortFrom(netip.MustParseAddr(row.to), 80)
			if c, err := DialEcho(to.Addr(), nil); err != nil {
				t.Skipf("no ICMP here: %v", err)
			} else {
				require.NoError(t, c.Close())
			}
			m := &service.Monitor{Type: service.MonitorICMP, TimeoutNs: patient}
			for range 3 {
				good, reason := once(t, m, to)
				require.Equal(t, "answered", reason)
				require.True(t, good)
			}
		})
	}
	t.Run("setup has its say", func(t *testing.T) {
		_, err := DialEcho(netip.MustParseAddr("127.0.0.1"), func(fd int) error { return fmt.Errorf("not %v", fd > 0) })
		if errors.Is(err, unix.EPERM) {
			t.Skipf("no ICMP here: %v", err)
		}
		require.EqualError(t, err, "not true")
	})
}

// pipe is one end of a connection on which the other end is a function's.
func pipe(t testing.TB, far func(c net.Conn)) net.Conn {
	near, other := net.Pipe()
	t.Cleanup(func() { _ = near.Close() })
	go func() { defer other.Close(); far(other) }()
	require.NoError(t, near.SetDeadline(time.Now().Add(time.Duration(patient))))
	return near
}

func TestEchoIgnoresOthers(t *testing.T) {
	e := newEcho(netip.MustParseAddr("10.0.0.1"), 0x5eed)
	answer, err := e.talk(pipe(t, func(c net.Conn) {
		out := make([]byte, 100)
		n, _ := c.Read(out)
		out = out[:n]
		_, _ = c.Write(out) // the request itself, as raw sockets on loopback see it
		out[0] = 0
		for _, spoil := range []int{7, 8, n - 1} {
			out[spoil] ^= 1
			_, _ = c.Write(out)
			out[spoil] ^= 1
		}
		_, _ = c.Write(out[:n-1])
		_, _ = c.Write(out[:4])
		out[4] ^= 1 // a ping socket's identifier is its own
		_, _ = c.Write(out)
	}), time.Time{})
	require.NoError(t, err)
	require.Equal(t, "answered", answer)
}

func TestRawSocketsHeadersAreTakenOff(t *testing.T) {
	c := withoutHeader{pipe(t, func(c net.Conn) {
		_, _ = c.Write(append([]byte{0x46}, append(make([]byte, 23), "echo"...)...))
		_, _ = c.Write([]byte{0x4f, 1, 2})
	})}
	b := make([]byte, 100)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "echo", string(b[:n]))
	n, err = c.Read(b)
	require.NoError(t, err)
	require.Zero(t, n, "a header that says it is longer than the packet")
}

// spoken has a server that answers each connection's first read with a text.
func spoken(t testing.TB, text string) netip.AddrPort {
	return serveTCP(t, "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, text)
	})
}

func TestHTTPAnswers(t *testing.T) {
	long := strings.Repeat("x", mostResponse)
	for _, row := range []struct {
		why    string
		answer string
		m      service.Monitor
		good   bool
		want   string
	}{
		{"200", "HTTP/1.1 200 OK\r\n\r\n", service.Monitor{}, true, "status 200"},
		{"a redirect is an answer, and is not followed", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", service.Monitor{}, true, "status 302"},
		{"503", "HTTP/1.1 503 Busy\r\n\r\n", service.Monitor{}, false, "status 503, want 200 to 399"},
		{"a status that is asked for", "HTTP/1.1 401 No\r\n\r\n", service.Monitor{Statuses: []int{200, 401}}, true, "status 401"},
		{"one that is not", "HTTP/1.1 204 No\r\n\r\n", service.Monitor{Statuses: []int{200, 401}}, false, "status 204, want 200 or 401"},
		{"HTTP/1.0 answers", "HTTP/1.0 200 OK\r\n\r\nfine", service.Monitor{ResponseBody: "fine"}, true, "status 200, with the expected body"},
		{"a chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n", service.Monitor{ResponseBody: "fine"}, true, "status 200, with the expected body"},
		{"a body without it", "HTTP/1.1 200 OK\r\n\r\nfin", service.Monitor{ResponseBody: "fine"}, false, `status 200, and no "fine" in the first 64 KiB of the body`},
		{"a body that has it too late", "HTTP/1.1 200 OK\r\n\r\n" + long + "fine", service.Monitor{ResponseBody: "fine"}, false, `status 200, and no "fine" in the first 64 KiB of the body`},
		{"a body that breaks off after it", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfine", service.Monitor{ResponseBody: "fine"}, true, "status 200, with the expected body"},
		{"one that breaks off before", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfi", service.Monitor{ResponseBody: "fine"}, false, "the member closed the connection before it had answered"},
		{"interim responses are passed over", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", service.Monitor{}, true, "status 200"},
		{"no end of them", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10000), service.Monitor{}, false, "a header of more than 128 KiB"},
		{"no end of a header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Y: "+long[:100]+"\r\n", 2000), service.Monitor{}, false, "a header of more than 128 KiB"},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", service.Monitor{}, false, `no HTTP response: malformed HTTP response "SSH-2.0-OpenSSH_9.6"`},
		{"nothing", "", service.Monitor{}, false, "the member closed the connection before it had answered"},
		{"HEAD has a length and no body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", service.Monitor{Method: "HEAD"}, true, "status 200"},
	} {
		t.Run(row.why, func(t *testing.T) {
			m := row.m
			m.Type, m.TimeoutNs = service.MonitorHTTP, patient
			good, reason := once(t, &m, spoken(t, row.answer))
			require.Equal(t, row.want, reason)
			require.Equal(t, row.good, good)
		})
	}
}

func TestHTTPRequests(t *testing.T) {
	for _, row := range []struct {
		why string
		to  string
		m   service.Monitor
		// PORT stands for the port.
		want string
	}{
		{
			"defaults", "127.0.0.1:0",
			service.Monitor{},
			"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUser-Agent: sluice-monitor\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		},
		{
			"everything", "127.0.0.1:0",
			service.Monitor{
				Method: "POST", Path: "/healthz?full=1", Host: "www.example.com", Version: "1.0", Body: []byte("are you well?"),
				Headers: [][2]string{{"X-Probe", "1"}, {"user-agent", "mine"}},
			},
			"POST /healthz?full=1 HTTP/1.0\r\nHost: www.example.com\r\nAccept: */*\r\nConnection: close\r\nContent-Length: 13\r\nX-Probe: 1\r\nuser-agent: mine\r\n\r\nare you well?",
		},
		{
			"IPv6 is in brackets", "[::1]:0",
			service.Monitor{},
			"GET / HTTP/1.1\r\nHost: [::1]:PORT\r\nUser-Agent: sluice-monitor\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := make(chan string, 1)
			to := serveTCP(t, row.to, func(c net.Conn) {
				b := make([]byte, 4096)
				n := 0
				want := strings.ReplaceAll(row.want, "PORT", strconv.Itoa(int(netip.MustParseAddrPort(c.LocalAddr().String()).Port())))
				for n < len(want) {
					more, err := c.Read(b[n:])
					if n += more; err != nil {
						break
					}
				}
				got <- string(b[:n])
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			})
			m := row.m
			m.Type, m.TimeoutNs = service.MonitorHTTP, patient
			good, reason := once(t, &m, to)
			require.True(t, good, reason)
			require.Equal(t, strings.ReplaceAll(row.want, "PORT", strconv.Itoa(int(to.Port()))), <-got)
		})
	}
}

func TestHostIsWithoutTheDefaultPort(t *testing.T) {
	for _, row := range []struct {
		to   string
		kind service.MonitorType
		want string
	}{
		{"10.0.0.1:80", service.MonitorHTTP, "10.0.0.1"},
		{"10.0.0.1:443", service.MonitorHTTPS, "10.0.0.1"},
		{"10.0.0.1:443", service.MonitorHTTP, "10.0.0.1:443"},
		{"[2001:db8::1]:80", service.MonitorHTTP, "[2001:db8::1]"},
	} {
		require.Equal(t, row.want, hostOf(netip.MustParseAddrPort(row.to), row.kind), row.to)
	}
}

func TestHTTPS(t *testing.T) {
	names := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "fine at ", r.URL.Path)
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- h.ServerName
		return nil, nil
	}}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	to := netip.MustParseAddrPort(server.Listener.Addr().String())
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, row := range []struct {
		why        string
		m          service.Monitor
		serverName string
		good       bool
		want       string // its beginning
	}{
		{"any certificate will do unless it is to be verified", service.Monitor{ResponseBody: "fine at /"}, "", true, "status 200, with the expected body"},
		{"its name is the host's", service.Monitor{Host: "example.com:8443", Verify: true, CA: ca}, "example.com", true, "status 200"},
		{"or given", service.Monitor{Host: "other", ServerName: "example.com", Verify: true, CA: ca}, "example.com", true, "status 200"},
		{"or the address", service.Monitor{Verify: true, CA: ca}, "", true, "status 200"},
		{"another's name", service.Monitor{ServerName: "sluice.test", Verify: true, CA: ca}, "sluice.test", false, "the certificate is not good: x509: certificate is valid for example.com"},
		{"an unknown authority", service.Monitor{ServerName: "example.com", Verify: true}, "example.com", false, "the certificate is not good: x509: certificate signed by unknown authority"},
	} {
		t.Run(row.why, func(t *testing.T) {
			m := row.m
			m.Type, m.TimeoutNs = service.MonitorHTTPS, patient
			good, reason := once(t, &m, to)
			require.Contains(t, reason, row.want)
			require.Equal(t, row.good, good)
			require.Equal(t, row.serverName, <-names)
		})
	}
	t.Run("a CA that is none", func(t *testing.T) {
		good, reason := once(t, &service.Monitor{Type: service.MonitorHTTPS, Verify: true, CA: []byte("x"), TimeoutNs: patient}, to)
		require.False(t, good)
		require.Equal(t, "the monitor's CA has no certificate in PEM: correct it", reason)
	})
	t.Run("plain HTTP", func(t *testing.T) {
		good, reason := once(t, &service.Monitor{Type: service.MonitorHTTPS, TimeoutNs: patient}, spoken(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
		require.False(t, good)
		require.Equal(t, "no TLS: the member may speak plain HTTP", reason)
	})
}

func TestUnknownTypesAreDown(t *testing.T) {
	talk := talkOf(&service.Monitor{Type: 99}, netip.AddrPort{}, 0)
	_, err := talk(nil, time.Time{})
	require.EqualError(t, err, "monitors of type UNKNOWN are not known")
}

// TestHundredsOfServers is the whole with real sockets: hundreds of members come up, one that ends goes down.
func TestHundredsOfServers(t *testing.T) {
	const n = 300
	up, down := make(chan uint32, n), make(chan uint32, n)
	k := New(Config{Network: host{}, Now: time.Now, Report: func(id uint32, h member.Health, _ string, _ time.Time) {
		switch h {
		case member.Up:
			up <- id
		case member.Down:
			down <- id
		}
	}})
	defer k.Close()
	m := &service.Monitor{Name: "m", Type: service.MonitorTCP, IntervalNs: int64(100 * time.Millisecond), TimeoutNs: patient, Rise: 1, Fall: 2}
	var targets []Target
	var last net.Listener
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		last = l
		a := netip.MustParseAddrPort(l.Addr().String())
		targets = append(targets, Target{MemberID: uint32(i + 1), Address: a.Addr(), Port: a.Port(), Monitors: []*service.Monitor{m}})
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
	k.Set(targets)
	seen := map[uint32]bool{}
	for range n {
		id := <-up
		require.False(t, seen[id])
		seen[id] = true
	}
	require.NoError(t, last.Close())
	require.Equal(t, uint32(n), <-down)
}
