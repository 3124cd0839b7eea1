package server_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// hasty is a client that goes once something was flushed: that has no end.
type hasty struct {
	*httptest.ResponseRecorder
	leave func()
}

func (h *hasty) Flush() { h.leave() }

// FuzzHandler: whatever is asked, nothing panics, and the answer is one that the document of
// the API has; what is wrong is said in its form. Viewers change nothing.
func FuzzHandler(f *testing.F) {
	for _, o := range server.Operations() {
		for _, query := range []string{"", "limit=1&name=a", "dryRun=true&diff=true&to=1&message=x"} {
			f.Add(o.Method, strings.ReplaceAll(o.Path, "{revision}", "1"), query, "", "", "", true)
			f.Add(o.Method, strings.ReplaceAll(o.Path, "{revision}", "1"), query, segment, "application/yaml", "", false)
		}
	}
	files := form("a/b.yaml", segment, "c", port("a", "1"))
	f.Add("POST", "/v1/apply", "ifUnchanged=true", files.body, files.media, "", true)
	f.Add("POST", "/v1/apply", "", zipped(f, segment), "", "gzip", true)
	f.Add("POST", "/v1/delete", "ignoreMissing=true", `{"objects":[{"kind":"Port","name":"a"}]}`, "application/json", "", true)
	f.Add("PATCH", "/v1/log/levels", "", `{"":"DEBUG"}`, "application/json", "", true)
	f.Add("GET", "//v1/../ports", "", "", "", "", true)
	f.Add("", "v1/ports", "%zz;", "", "multipart/form-data; boundary=\x00", "gzip", true)
	state := servertest.NewObjects(f, segment)
	s := server.New(servertest.Small(), server.Options{Objects: state, Logs: &servertest.Logs{Lines: []string{"a"}}, MaxBody: 1 << 16})
	f.Fuzz(func(t *testing.T, method, path, query, body, media, encoding string, admin bool) {
		role := api.RoleViewer
		if admin {
			role = api.RoleAdmin
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := (&http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "sluice", Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}).WithContext(ctx)
		if len(body)%2 == 1 {
			r.ContentLength = -1
		}
		r.Header.Set("Content-Type", media)
		r.Header.Set("Content-Encoding", encoding)
		before := state.DB.Set().Revision()
		w := &hasty{httptest.NewRecorder(), cancel}
		s.Handler(server.Peer{Role: role}).ServeHTTP(w, r)
		require.NotEqual(t, 500, w.Code, w.Body)
		if w.Code != 200 {
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		}
		u := url.URL{Path: path}
		checkAnswer(t, method, u.String(), w.Code, w.Header().Get("Content-Type"), w.Body.String())
		if !admin {
			require.Equal(t, before, state.DB.Set().Revision())
		}
	})
}

// FuzzForm: faults call a file what its part does, or the form is refused.
func FuzzForm(f *testing.F) {
	f.Add("a/b.yaml", "xyz")
	f.Add(`a"b\c`, "a b")
	f.Add("ü\x00", "")
	f.Add("../../x", "--")
	f.Fuzz(func(t *testing.T, name, boundary string) {
		s := server.New(servertest.Small(), server.Options{Objects: &scripted{}})
		var b bytes.Buffer
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; filename=\"" + quoted + "\"\r\n\r\ncolour: red\r\n--" + boundary + "--\r\n")
		r := httptest.NewRequest(http.MethodPost, "/v1/apply", &b)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=\""+boundary+"\"")
		w := httptest.NewRecorder()
		s.Handler(server.Peer{Role: api.RoleAdmin}).ServeHTTP(w, r)
		checkAnswer(t, "POST", "/v1/apply", w.Code, w.Header().Get("Content-Type"), w.Body.String())
		if w.Code == 400 {
			return
		}
		require.Equal(t, 422, w.Code, w.Body)
		var failure api.Failure
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &failure))
		require.NotEmpty(t, failure.Faults)
		for _, fault := range failure.Faults {
			require.Equal(t, cmp.Or(name, "request"), fault.File)
		}
	})
}
