package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// user is somebody on this machine.
type user struct {
	uid, gid int
	groups   []uint32
}

// dial connects to a unix socket as that user. Ids are a thread's: the goroutine's thread
// ends with it, as it is not unlocked.
func (u user) dial(path string) (net.Conn, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		groups := append(u.groups, 0) // so that there is a first one
		for _, call := range [][3]uintptr{
			{unix.SYS_SETGROUPS, uintptr(len(u.groups)), uintptr(unsafe.Pointer(&groups[0]))},
			{unix.SYS_SETRESGID, uintptr(u.gid), uintptr(u.gid)},
			{unix.SYS_SETRESUID, uintptr(u.uid), uintptr(u.uid)},
		} {
			third := call[2] // of SETGROUPS it is not looked at
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], third); errno != 0 {
				err = errors.Join(err, errno)
			}
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		done <- result{fd, err}
	}()
	r := <-done
	f := os.NewFile(uintptr(r.fd), path)
	defer f.Close()
	if r.err != nil {
		return nil, r.err
	}
	return net.FileConn(f)
}

// askAs asks as a user and returns the status and the body.
func (u user) ask(t *testing.T, socket, method, target string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return u.dial(socket) },
	}}
	return askBy(t, &c, "http://sluice"+target, method)
}

func askBy(t *testing.T, c *http.Client, target, method string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	require.NoError(t, err)
	answer, err := c.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	if strings.Contains(target, "/v1/watch") && answer.StatusCode == 200 {
		return 200, "" // it does not end
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	checkAnswer(t, method, target, answer.StatusCode, answer.Header.Get("Content-Type"), string(body))
	return answer.StatusCode, string(body)
}

// Every operation, for everybody, by each way to ask: what is served to whom is the table
// of operations, so that none is forgotten here.
func TestRoles(t *testing.T) {
	authority := servertest.NewAuthority(t)
	serverCert, serverKey := authority.Issue(t, "daemon", time.Hour)
	o := server.Options{
		Socket:  servertest.Socket(t),
		Objects: servertest.NewObjects(t, segment), Logs: &servertest.Logs{},
		Admins:  server.Members{UIDs: []int{70001}, GIDs: []int{80001}},
		Viewers: server.Members{UIDs: []int{70002}, GIDs: []int{80002}},
		TLS:     &server.TLS{Address: "127.0.0.1:0", CertFile: serverCert, KeyFile: serverKey, ClientCAFile: authority.File},
	}
	address := servertest.StartTLS(t, servertest.Small(), o)
	require.NoError(t, os.Chmod(o.Socket[:strings.LastIndexByte(o.Socket, '/')], 0o755)) //nolint:gosec // of a test

	type asker struct {
		why  string
		role api.Role
		ask  func(method, target string) (int, string)
	}
	local := func(why string, role api.Role, u user) asker {
		return asker{why, role, func(method, target string) (int, string) { return u.ask(t, o.Socket, method, target) }}
	}
	certified := func(why string, role api.Role, organizations ...string) asker {
		cert, key := authority.Issue(t, "alice", time.Hour, organizations...)
		c := servertest.HTTPS(t, authority.File, cert, key)
		return asker{why, role, func(method, target string) (int, string) { return askBy(t, c, "https://"+address+target, method) }}
	}
	askers := []asker{
		certified("a certificate of an admin", api.RoleAdmin, "sluice:admin"),
		certified("one of a viewer", api.RoleViewer, "sluice:viewer"),
		certified("one of both", api.RoleAdmin, "sluice:viewer", "sluice:admin"),
		certified("one of somebody else", "", "admin", "sluice:admins", "system:masters"),
		certified("one of nobody", ""),
	}
	if os.Geteuid() == 0 {
		askers = append(askers,
			local("root", api.RoleAdmin, user{}),
			local("a user who is an admin", api.RoleAdmin, user{uid: 70001, gid: 9}),
			local("a user whose group is one of admins", api.RoleAdmin, user{uid: 70009, gid: 80001}),
			local("a user one of whose groups is", api.RoleAdmin, user{uid: 70009, gid: 9, groups: []uint32{5, 80002, 80001}}),
			local("a user who is a viewer", api.RoleViewer, user{uid: 70002, gid: 9}),
			local("a user one of whose groups is one of viewers", api.RoleViewer, user{uid: 70009, gid: 9, groups: manyGroups(80002)}),
			local("anybody else", "", user{uid: 70009, gid: 9}),
			local("anybody else, in root's group", "", user{uid: 70009, gid: 0, groups: []uint32{0}}),
			local("a user whose number is that of a group", "", user{uid: 80001, gid: 70001}),
		)
	} else {
		t.Log("without root, nobody else can be asked for")
	}
	operations := append(server.Operations(),
		server.Operation{Method: "GET", Path: "/v1/none", Role: api.RoleViewer},
		server.Operation{Method: "DELETE", Path: "/v1/ports", Role: api.RoleViewer},
	)
	for _, a := range askers {
		t.Run(a.why, func(t *testing.T) {
			for _, op := range operations {
				target := strings.ReplaceAll(op.Path, "{revision}", "1")
				for _, method := range []string{op.Method, "HEAD"} {
					if method == "HEAD" && op.Method != "GET" {
						continue
					}
					status, body := a.ask(method, target)
					allowed := a.role == api.RoleAdmin || a.role == api.RoleViewer && op.Role == api.RoleViewer
					require.Equal(t, allowed, status != http.StatusForbidden, "%s %s: %d %s", method, target, status, body)
					if !allowed && method != "HEAD" {
						require.Contains(t, body, `"reason":"Forbidden"`)
					}
				}
			}
		})
	}
}

// Whoever is refused is told who he is and what helps.
func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be somebody else, a test has to be root")
	}
	o := server.Options{Socket: servertest.Socket(t), Viewers: server.Members{UIDs: []int{70002}}}
	servertest.StartAt(t, servertest.Small(), o)
	require.NoError(t, os.Chmod(o.Socket[:strings.LastIndexByte(o.Socket, '/')], 0o755)) //nolint:gosec // of a test
	_, body := user{uid: 70009}.ask(t, o.Socket, "GET", "/v1/ports")
	require.Contains(t, body, "user (uid 70009) may not ask this daemon anything: have it named when the daemon is started (--api-viewer, --api-admin; user:NAME or group:NAME), or do it as root")
	_, body = user{uid: 70002}.ask(t, o.Socket, "POST", "/v1/apply")
	require.Contains(t, body, "POST /v1/apply is for admins, and user (uid 70002) is a viewer")
}

// Who makes a change is who the kernel says, by name.
func TestAuthor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be somebody else, a test has to be root")
	}
	state := servertest.NewObjects(t, segment)
	o := server.Options{Socket: servertest.Socket(t), Objects: state, Admins: server.Members{UIDs: []int{1, 70001}}}
	servertest.StartAt(t, servertest.Small(), o)
	require.NoError(t, os.Chmod(o.Socket[:strings.LastIndexByte(o.Socket, '/')], 0o755)) //nolint:gosec // of a test
	for _, row := range []struct {
		uid  int
		name string
	}{{0, "root"}, {1, "daemon"}, {70001, ""}} {
		status, body := user{uid: row.uid}.ask(t, o.Socket, "POST", "/v1/rollback?to=1")
		require.Equal(t, 200, status, body)
		require.Equal(t, api.Author{Via: "unix", UID: &row.uid, PID: os.Getpid(), Name: row.name}, state.Last().Author)
	}
}

// manyGroups are more than fit where the kernel is asked first.
func manyGroups(last uint32) (groups []uint32) {
	for i := range uint32(300) {
		groups = append(groups, 90000+i)
	}
	return append(groups, last)
}

// Whoever has a role can connect; as long as nobody else has one, the file keeps the
// others off.
func TestModeOfTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to give a file away, a test has to be root")
	}
	for _, row := range []struct {
		why             string
		admins, viewers server.Members
		mode            fs.FileMode
		gid             uint32
	}{
		{"nobody", server.Members{}, server.Members{}, 0o660, uint32(os.Getegid())},
		{"a group", server.Members{}, server.Members{GIDs: []int{80001}}, 0o660, 80001},
		{"the same group twice", server.Members{GIDs: []int{80001}}, server.Members{GIDs: []int{80001}}, 0o660, 80001},
		{"two groups", server.Members{GIDs: []int{80001}}, server.Members{GIDs: []int{80002}}, 0o666, uint32(os.Getegid())},
		{"a user", server.Members{UIDs: []int{70001}}, server.Members{}, 0o666, uint32(os.Getegid())},
		{"a user and a group", server.Members{UIDs: []int{70001}}, server.Members{GIDs: []int{80001}}, 0o666, uint32(os.Getegid())},
	} {
		t.Run(row.why, func(t *testing.T) {
			path := servertest.Socket(t)
			l, err := server.ListenFor(path, row.admins, row.viewers)
			require.NoError(t, err)
			defer l.Close()
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, row.mode, info.Mode().Perm())
			var st unix.Stat_t
			require.NoError(t, unix.Stat(path, &st))
			require.Equal(t, row.gid, st.Gid)
		})
	}
}

func TestParseMembers(t *testing.T) {
	m, err := server.ParseMembers([]string{"user:root", "user:70001", "group:root", "group:80001"})
	require.NoError(t, err)
	require.Equal(t, server.Members{UIDs: []int{0, 70001}, GIDs: []int{0, 80001}}, m)
	for _, row := range []struct{ why, word, want string }{
		{"no user or group", "root", `"root": want user:NAME or group:NAME`},
		{"nobody", "user:", `"user:": the name is missing`},
		{"a user that there is not", "user:nobodyatall", `there is no user "nobodyatall" on this machine`},
		{"a group that there is not", "group:nobodyatall", `there is no group "nobodyatall" on this machine`},
		{"whoever has no number", "user:65534", "65534 stands for whoever has no number"},
		{"a number that can't be", "user:-1", "there is no user"},
	} {
		_, err := server.ParseMembers([]string{row.word})
		require.ErrorContains(t, err, row.want, row.why)
	}
}

// Strangers can't keep those off who have a role, however many connections they open.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be somebody else, a test has to be root")
	}
	o := server.Options{Socket: servertest.Socket(t), Viewers: server.Members{UIDs: []int{70002}}}
	servertest.StartAt(t, servertest.Small(), o)
	require.NoError(t, os.Chmod(o.Socket[:strings.LastIndexByte(o.Socket, '/')], 0o755)) //nolint:gosec // of a test
	var strangers []net.Conn
	for range 40 {
		c, err := user{uid: 70009}.dial(o.Socket)
		require.NoError(t, err)
		defer c.Close()
		strangers = append(strangers, c)
	}
	for _, c := range strangers[32:] {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "it is one too many")
	}
	require.NoError(t, strangers[0].SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := strangers[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it may stay")
	status, _ := user{uid: 70002}.ask(t, o.Socket, "GET", "/v1/ports")
	require.Equal(t, 200, status)
}

// The client says why it is not answered over TLS, and what helps.
func TestClientOverTLS(t *testing.T) {
	authority, other := servertest.NewAuthority(t), servertest.NewAuthority(t)
	serverCert, serverKey := authority.Issue(t, "daemon", time.Hour)
	files := &server.TLS{Address: "127.0.0.1:0", CertFile: serverCert, KeyFile: serverKey, ClientCAFile: authority.File}
	state := servertest.NewObjects(t, segment)
	address := servertest.StartTLS(t, servertest.Small(), server.Options{Socket: servertest.Socket(t), Objects: state, TLS: files})
	adminCert, adminKey := authority.Issue(t, "al\x1bice", time.Hour, "sluice:admin")
	foreignCert, foreignKey := other.Issue(t, "eve", time.Hour, "sluice:admin")
	expiredCert, expiredKey := authority.Issue(t, "old", -time.Minute, "sluice:admin")
	for _, row := range []struct {
		why     string
		address string
		options client.Options
		want    string
	}{
		{"all is well", address, client.Options{CertFile: adminCert, KeyFile: adminKey, CAFile: authority.File}, ""},
		{"no certificate", address, client.Options{CAFile: authority.File}, "--tls-cert"},
		{"one of another authority", address, client.Options{CertFile: foreignCert, KeyFile: foreignKey, CAFile: authority.File}, "--tls-cert"},
		{"one that has expired", address, client.Options{CertFile: expiredCert, KeyFile: expiredKey, CAFile: authority.File}, "--tls-cert"},
		{"a daemon of another authority", address, client.Options{CertFile: adminCert, KeyFile: adminKey, CAFile: other.File}, "--tls-ca"},
		{"a daemon that nobody vouches for", address, client.Options{CertFile: adminCert, KeyFile: adminKey}, "--tls-ca"},
		{"another name than the daemon's", strings.Replace(address, "127.0.0.1", "localhost", 1), client.Options{CertFile: adminCert, KeyFile: adminKey, CAFile: authority.File}, "by a name that is in the daemon's certificate"},
		{"nobody", "127.0.0.1:1", client.Options{CAFile: authority.File}, "no daemon answers on https://127.0.0.1:1"},
	} {
		t.Run(row.why, func(t *testing.T) {
			c, err := client.NewWith("https://"+row.address, row.options)
			require.NoError(t, err)
			defer c.Close()
			_, err = c.Rollback(t.Context(), 1, client.ChangeOptions{})
			if row.want == "" {
				require.NoError(t, err)
				require.Equal(t, api.Author{Via: "tls", Name: "al?ice"}, state.Last().Author)
				return
			}
			require.ErrorContains(t, err, row.want)
		})
	}
	for _, row := range []struct {
		why, address string
		options      client.Options
		want         string
	}{
		{"no port", "https://daemon", client.Options{}, "want https://HOST:PORT"},
		{"a path", "https://daemon:1/v1", client.Options{}, "want https://HOST:PORT"},
		{"a certificate without its key", "https://daemon:1", client.Options{CertFile: adminCert}, "give both --tls-cert and --tls-key"},
		{"a certificate that is none", "https://daemon:1", client.Options{CertFile: adminKey, KeyFile: adminKey}, "the client's certificate"},
		{"an authority that is none", "https://daemon:1", client.Options{CAFile: adminKey}, "has no certificate in PEM"},
		{"no file", "https://daemon:1", client.Options{CAFile: adminKey + "x"}, "no such file"},
		{"a certificate for a socket", "unix:/x", client.Options{CAFile: adminCert}, "is for an address https://HOST:PORT"},
	} {
		_, err := client.NewWith(row.address, row.options)
		require.ErrorContains(t, err, row.want, row.why)
	}
}

// Files that change are read again: for new connections, and for what those that
// there are may do.
func TestCertificatesAreReadAgain(t *testing.T) {
	authority, other := servertest.NewAuthority(t), servertest.NewAuthority(t)
	serverCert, serverKey := authority.Issue(t, "daemon", time.Hour)
	cas := t.TempDir() + "/clients.pem"
	replace := func(from string) {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(cas+".new", text, 0o600))
		require.NoError(t, os.Rename(cas+".new", cas))
	}
	replace(authority.File)
	address := servertest.StartTLS(t, servertest.Small(), server.Options{
		Socket: servertest.Socket(t), Objects: servertest.NewObjects(t, segment), Heartbeat: 20 * time.Millisecond,
		TLS: &server.TLS{Address: "127.0.0.1:0", CertFile: serverCert, KeyFile: serverKey, ClientCAFile: cas},
	})
	ask := func(a *servertest.Authority) *http.Client {
		cert, key := a.Issue(t, "alice", time.Hour, "sluice:viewer")
		return servertest.HTTPS(t, authority.File, cert, key)
	}
	mine, theirs := ask(authority), ask(other)
	watch, err := mine.Get("https://" + address + "/v1/watch")
	require.NoError(t, err)
	status, _ := askBy(t, mine, "https://"+address+"/v1/ports", "GET")
	require.Equal(t, 200, status)
	_, err = theirs.Get("https://" + address + "/v1/ports")
	require.Error(t, err)

	replace(other.File)
	status, _ = askBy(t, theirs, "https://"+address+"/v1/ports", "GET")
	require.Equal(t, 200, status)
	status, body := askBy(t, mine, "https://"+address+"/v1/ports", "GET")
	require.Equal(t, 403, status, "on a connection that it has")
	require.Contains(t, body, "not valid any more")
	_, err = io.Copy(io.Discard, watch.Body)
	require.NoError(t, err, "a watch ends, too")
	require.NoError(t, watch.Body.Close())

	require.NoError(t, os.WriteFile(cas, []byte("nothing"), 0o600))
	status, _ = askBy(t, theirs, "https://"+address+"/v1/ports", "GET")
	require.Equal(t, 200, status, "what is no certificate is not used")
	require.NoError(t, os.Remove(cas))
	status, _ = askBy(t, ask(other), "https://"+address+"/v1/ports", "GET")
	require.Equal(t, 200, status, "nor what is not there")
}

func TestListenTLSRefuses(t *testing.T) {
	authority := servertest.NewAuthority(t)
	cert, key := authority.Issue(t, "daemon", time.Hour)
	for _, row := range []struct {
		why  string
		tls  server.TLS
		want string
	}{
		{"no address", server.TLS{CertFile: cert, KeyFile: key, ClientCAFile: authority.File}, "the address is missing"},
		{"nobody who may ask", server.TLS{Address: "127.0.0.1:0", CertFile: cert, KeyFile: key}, "the file of the clients' authorities is missing"},
		{"no address of this machine", server.TLS{Address: "192.0.2.1:1", CertFile: cert, KeyFile: key, ClientCAFile: authority.File}, "name another address"},
		{"another's key", server.TLS{Address: "127.0.0.1:0", CertFile: authority.File, KeyFile: key, ClientCAFile: authority.File}, "the certificate " + authority.File},
		{"authorities that are none", server.TLS{Address: "127.0.0.1:0", CertFile: cert, KeyFile: key, ClientCAFile: key}, "has no certificate in PEM"},
	} {
		_, err := server.ListenTLS(row.tls, nil)
		require.ErrorContains(t, err, row.want, row.why)
	}
}

// What a web page makes a browser ask is refused, with whatever certificate.
func TestWebPagesMayNotAsk(t *testing.T) {
	h := server.New(servertest.Small(), server.Options{Objects: servertest.NewObjects(t, segment)}).Handler(server.Peer{Role: api.RoleAdmin})
	r, err := http.NewRequest(http.MethodPost, "http://sluice/v1/rollback?to=1", http.NoBody)
	require.NoError(t, err)
	for _, row := range []struct{ header, value string }{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		r.Header = http.Header{row.header: {row.value}}
		d := &discard{header: http.Header{}}
		h.ServeHTTP(d, r)
		require.Equal(t, 403, d.status, fmt.Sprint(row))
	}
}

// The values of Secrets are for admins, however objects are asked for.
func TestSecretsAreForAdmins(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: web, annotations: {copy: hushhush}}\ndata: {key: aHVzaGh1c2g=}\n"
	state := servertest.NewObjects(t, segment+"---\n"+strings.Replace(secret, "annotations: {copy: hushhush}", "", 1))
	source := servertest.Small()
	objects, faults := control.Decode("", []byte(secret), control.Options{})
	require.NoError(t, faults.Err())
	source.Objects = []any{objects[0].Value}
	s := server.New(source, server.Options{Objects: state})
	for _, target := range []string{"/v1/config", "/v1/config?format=yaml", "/v1/objects", "/v1/watch?from=0&kind=Secret", "/v1/history/1", "/v1/history"} {
		for _, role := range []api.Role{api.RoleAdmin, api.RoleViewer} {
			ctx, leave := context.WithCancel(t.Context())
			w := &hasty{httptest.NewRecorder(), leave}
			s.Handler(server.Peer{Role: role}).ServeHTTP(w, httptest.NewRequest("GET", target, http.NoBody).WithContext(ctx))
			require.Equal(t, 200, w.Code)
			body := w.Body.String()
			open := strings.Contains(body, "aHVzaGh1c2g=") || strings.Contains(body, "hushhush")
			require.Equal(t, role == api.RoleAdmin && !strings.Contains(target, "history"), open, "%s as %s: %s", target, role, body)
		}
	}
}
