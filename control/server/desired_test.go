package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// scripted is a desired state that notes what it is asked, and answers what it is told.
type scripted struct {
	list    []string // objects
	events  []api.Event
	err     error // of everything; of Watch, after the events
	changed func(*desired.Request) (*api.ChangeResult, error)

	mu      sync.Mutex
	filter  api.ObjectFilter
	past    api.HistoryFilter
	after   uint64
	secrets bool
	request *desired.Request
}

func (s *scripted) Objects(f *api.ObjectFilter, secrets bool) (uint64, iter.Seq[api.Object], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter, s.secrets = *f, secrets
	return 7, func(yield func(api.Object) bool) {
		for _, o := range s.list {
			if !yield(api.Object(o)) {
				return
			}
		}
	}, s.err
}

func (s *scripted) Change(_ context.Context, r *desired.Request) (*api.ChangeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.request = r
	if s.changed != nil {
		return s.changed(r)
	}
	return &api.ChangeResult{Revision: 8, DryRun: r.DryRun}, s.err
}

func (s *scripted) History(f *api.HistoryFilter) ([]api.RevisionView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = *f
	return []api.RevisionView{{Revision: 8, Verb: api.VerbApply}, {Revision: 7, Verb: api.VerbFiles}}, s.err
}

func (s *scripted) Revision(n uint64) (*api.RevisionView, error) {
	return &api.RevisionView{Revision: n, Verb: api.VerbApply}, s.err
}

func (s *scripted) Watch(ctx context.Context, f *api.ObjectFilter, after uint64, secrets bool) iter.Seq2[api.Event, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter, s.after, s.secrets = *f, after, secrets
	events, err := slices.Clone(s.events), s.err
	return func(yield func(api.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		<-ctx.Done()
	}
}

// serving starts a server of a desired state and returns its socket.
func serving(t *testing.T, o server.Options) (path string) {
	t.Helper()
	o.Socket = servertest.Socket(t)
	servertest.StartAt(t, servertest.Small(), o)
	return o.Socket
}

// sent is what is sent with a request.
type sent struct {
	body, media, encoding string
}

// send asks with a body, and returns the answer, read to its end.
func send(t *testing.T, path, method, target string, s sent) (*http.Response, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	r, err := http.NewRequest(method, "http://sluice"+target, strings.NewReader(s.body))
	require.NoError(t, err)
	if s.media != "" {
		r.Header.Set("Content-Type", s.media)
	}
	if s.encoding != "" {
		r.Header.Set("Content-Encoding", s.encoding)
	}
	answer, err := c.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	checkAnswer(t, method, target, answer.StatusCode, answer.Header.Get("Content-Type"), string(body))
	return answer, string(body)
}

const segment = "apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: demo}\nspec: {vlan: 100}\n"

func port(name, resourceVersion string) string {
	return fmt.Sprintf("apiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s, namespace: web, resourceVersion: %q}\nspec: {segment: demo, device: {type: mem}}\n",
		name, resourceVersion)
}

func zipped(t testing.TB, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// form is a body with a part for each name and text.
func form(pairs ...string) sent {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\n%s\r\n", pairs[i], pairs[i+1])
	}
	return sent{b.String() + "--xyz--\r\n", "multipart/form-data; boundary=xyz", ""}
}

func TestChanges(t *testing.T) {
	state := &scripted{}
	path := serving(t, server.Options{Objects: state})
	demo, a, b := control.Key{Kind: "Segment", Name: "demo"}, control.Key{Kind: "Port", Namespace: "web", Name: "a"}, control.Key{Kind: "Port", Namespace: "web", Name: "b"}
	for _, row := range []struct {
		why, target string
		sent        sent
		want        desired.Request
		objects     []control.Key
	}{
		{"a stream of YAML", "/v1/apply", sent{body: segment + "---\n" + port("a", "")}, desired.Request{Verb: api.VerbApply}, []control.Key{demo, a}},
		{
			"JSON", "/v1/apply?dryRun=true&diff=true&message=why%20not",
			sent{`{"apiVersion":"sluice.dev/v1","kind":"Segment","metadata":{"name":"demo"},"spec":{}}`, "application/json", ""},
			desired.Request{Verb: api.VerbApply, DryRun: true, Diff: true, Message: "why not"},
			[]control.Key{demo},
		},
		{"what curl sends without being told", "/v1/apply", sent{segment, "application/x-www-form-urlencoded", ""}, desired.Request{Verb: api.VerbApply}, []control.Key{demo}},
		{"files", "/v1/apply", form("d/a.yaml", port("a", ""), "d/b.yaml", port("b", "")), desired.Request{Verb: api.VerbApply}, []control.Key{a, b}},
		{"a body that is compressed", "/v1/apply", sent{zipped(t, segment), "", "gzip"}, desired.Request{Verb: api.VerbApply}, []control.Key{demo}},
		{"revisions that objects must be of", "/v1/apply?ifUnchanged=true", sent{body: port("a", "12") + "---\n" + port("b", "")}, desired.Request{
			Verb: api.VerbApply, Expect: map[control.Key]uint64{a: 12, b: 0},
		}, []control.Key{a, b}},
		{"revisions are of no interest, else", "/v1/apply?ifUnchanged=false", sent{body: port("a", "old")}, desired.Request{Verb: api.VerbApply}, []control.Key{a}},
		{"what is not known is left out", "/v1/apply?skipUnknown=true", sent{body: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"}, desired.Request{
			Verb: api.VerbApply, Skipped: []api.SkippedObject{{
				ObjectRef: api.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "x"}, File: "request", Line: 1, Column: 1,
				Reason: "this version does not know the kind",
			}},
		}, nil},
		{"objects by name, in kubectl's words", "/v1/delete", sent{body: `{"objects":[{"kind":"po","namespace":"web","name":"a"},{"kind":"pod","name":"x"}]}`}, desired.Request{
			Verb: api.VerbDelete, Delete: []control.Key{a, {Kind: "Pod", Namespace: "default", Name: "x"}},
		}, nil},
		{"objects by documents", "/v1/delete?ignoreMissing=true", sent{body: port("a", "3")}, desired.Request{
			Verb: api.VerbDelete, IgnoreMissing: true, Delete: []control.Key{a},
		}, nil},
		{"objects by files", "/v1/delete", form("a.json", `{"apiVersion":"sluice.dev/v1","kind":"Segment","metadata":{"name":"demo"},"spec":{}}`), desired.Request{
			Verb: api.VerbDelete, Delete: []control.Key{demo},
		}, nil},
		{"going back", "/v1/rollback?to=5&dryRun=true", sent{}, desired.Request{Verb: api.VerbRollback, Target: 5, DryRun: true}, nil},
	} {
		t.Run(row.why, func(t *testing.T) {
			answer, body := send(t, path, "POST", row.target, row.sent)
			require.Equal(t, 200, answer.StatusCode, body)
			require.JSONEq(t, fmt.Sprintf(`{"revision":8,"changes":[]%s}`, map[bool]string{true: `,"dryRun":true`}[row.want.DryRun]), body)
			got := *state.request
			var keys []control.Key
			for _, o := range got.Objects {
				keys = append(keys, o.Key())
			}
			require.Equal(t, row.objects, keys)
			require.Equal(t, "unix", got.Author.Via)
			require.False(t, got.At.IsZero())
			got.Objects, got.Author, got.At = nil, api.Author{}, row.want.At
			require.Equal(t, row.want, got)
		})
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	state := &scripted{}
	path := serving(t, server.Options{Objects: state, MaxBody: 4096})
	for _, row := range []struct {
		why, target string
		sent        sent
		err         error
		status      int
		reason      api.Reason
		contains    string
	}{
		{"a fault, with its place", "/v1/apply?name=x.yaml", sent{body: segment + "colour: red\n"}, nil, 422, api.ReasonFaults, `"file":"x.yaml","line":5,"column":1`},
		{"faults of all files", "/v1/apply", form("d/a.yaml", "kind: Port\n", "d/b.yaml", "kind: Prot\n"), nil, 422, api.ReasonFaults, "d/b.yaml:1:"},
		{"an object twice", "/v1/apply", form("a", segment, "b", segment), nil, 422, api.ReasonFaults, "the object is there twice"},
		{"a revision that is none", "/v1/apply?ifUnchanged=true", sent{body: port("a", "old")}, nil, 422, api.ReasonFaults, `metadata.resourceVersion: \"old\" is no revision`},
		{"nothing", "/v1/apply", sent{}, nil, 400, api.ReasonInvalid, "has no object"},
		{"comments", "/v1/delete", sent{body: "# nothing\n---\n"}, nil, 400, api.ReasonInvalid, "has no object"},
		{"no objects", "/v1/delete", sent{body: `{"objects":[]}`}, nil, 400, api.ReasonInvalid, "objects is empty"},
		{"an object without a name", "/v1/delete", sent{body: `{"objects":[{"kind":"Port"}]}`}, nil, 400, api.ReasonInvalid, "objects[0]: an object is named by its kind and its name"},
		{"a kind that there is not", "/v1/delete", sent{body: `{"objects":[{"kind":"Prot","name":"a"}]}`}, nil, 400, api.ReasonInvalid, `there is no kind \"Prot\": did you mean port?`},
		{"a namespace where there is none", "/v1/delete", sent{body: `{"objects":[{"kind":"seg","name":"a","namespace":"b"}]}`}, nil, 400, api.ReasonInvalid, "a Segment has no namespace"},
		{"a field that there is not", "/v1/delete", sent{body: `{"objects":[{"kind":"Port","nmae":"a"}]}`}, nil, 400, api.ReasonInvalid, `unknown field \"nmae\"`},
		{"no revision to go back to", "/v1/rollback", sent{}, nil, 400, api.ReasonInvalid, "to is missing"},
		{"a revision that can't be", "/v1/rollback?to=-1", sent{}, nil, 400, api.ReasonInvalid, `to \"-1\": want a number from 0`},
		{"a flag that is none", "/v1/apply?dryRun=yes", sent{body: segment}, nil, 400, api.ReasonInvalid, `dryRun \"yes\": want true or false`},
		{"a flag that others have", "/v1/apply?ignoreMissing=true", sent{body: segment}, nil, 400, api.ReasonInvalid, `not \"ignoreMissing\"`},
		{"a message that writes on terminals", "/v1/apply?message=%1b[2J", sent{body: segment}, nil, 400, api.ReasonInvalid, "without control characters"},
		{"a query that is none", "/v1/apply?a=%zz", sent{body: segment}, nil, 400, api.ReasonInvalid, "the query: invalid URL escape"},
		{"a file name that writes on terminals", "/v1/apply", form("a\u200bc", segment), nil, 400, api.ReasonInvalid, "rename it"},
		{"a part without an end", "/v1/apply", sent{"--xyz\r\n\r\nabc", "multipart/form-data; boundary=xyz", ""}, nil, 400, api.ReasonInvalid, "the body: "},
		{"a form without a boundary", "/v1/apply", sent{"", "multipart/form-data", ""}, nil, 400, api.ReasonInvalid, "no boundary"},
		{"another form", "/v1/apply", sent{"", "multipart/mixed; boundary=a", ""}, nil, 400, api.ReasonInvalid, "want multipart/form-data"},
		{"compressed otherwise", "/v1/apply", sent{segment, "", "br"}, nil, 400, api.ReasonInvalid, "want gzip, or none"},
		{"not compressed", "/v1/apply", sent{segment, "", "gzip"}, nil, 400, api.ReasonInvalid, "gzip: invalid header"},
		{"too much", "/v1/apply", sent{body: strings.Repeat(" ", 4097)}, nil, 413, api.ReasonTooLarge, "send them in several requests"},
		{"too much once it is inflated", "/v1/apply", sent{zipped(t, strings.Repeat(" ", 1<<20)), "", "gzip"}, nil, 413, api.ReasonTooLarge, "more than 4096 bytes"},
		{"too much in parts", "/v1/apply", form("a", strings.Repeat(" ", 4000), "b", strings.Repeat(" ", 100)), nil, 413, api.ReasonTooLarge, "more than 4096 bytes"},
		{"a conflict", "/v1/apply", sent{body: segment}, fmt.Errorf("Segment demo is of a.yaml: %w", api.ErrConflict), 409, api.ReasonConflict, "is of a.yaml"},
		{"a fault of the whole", "/v1/apply", sent{body: segment}, control.Faults{{Message: "no room"}}, 422, api.ReasonFaults, `[{"message":"no room"}]`},
		{"what is not there", "/v1/delete", sent{body: segment}, api.NotFound("object", "Segment demo", nil), 404, api.ReasonNotFound, "Segment demo"},
		{"a revision that is too old", "/v1/rollback?to=1", sent{}, fmt.Errorf("revision 1: %w", api.ErrGone), 410, api.ReasonGone, "revision 1"},
		{"a full disk", "/v1/rollback?to=1", sent{}, io.ErrShortWrite, 500, api.ReasonInternal, "short write"},
	} {
		t.Run(row.why, func(t *testing.T) {
			state.err = row.err
			answer, body := send(t, path, "POST", row.target, row.sent)
			require.Equal(t, row.status, answer.StatusCode, body)
			require.Contains(t, body, row.contains)
			var f api.Failure
			require.NoError(t, json.Unmarshal([]byte(body), &f), body)
			require.NotEmpty(t, f.Error)
			require.Equal(t, row.reason, f.Reason)
			require.Equal(t, row.status == 422, len(f.Faults) > 0)
		})
	}
}

func TestObjectsAndHistory(t *testing.T) {
	state := &scripted{list: []string{
		`{"apiVersion":"sluice.dev/v1","kind":"Port","metadata":{"name":"a"}}`, `{"apiVersion":"sluice.dev/v1","kind":"Port","metadata":{"name":"b"}}`,
	}}
	path := serving(t, server.Options{Objects: state})
	_, body := send(t, path, "GET", "/v1/objects?kind=po&kind=Segment&name=a&namespace=web&labelSelector=a%3Db&fieldSelector=status.source%3D&limit=1", sent{})
	require.JSONEq(t, `{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"7"},"items":[{"apiVersion":"sluice.dev/v1","kind":"Port","metadata":{"name":"a"}}],"more":true}`, body)
	require.Equal(t, api.ObjectFilter{Kinds: []string{"Port", "Segment"}, Names: []string{"a"}, Namespace: "web", Labels: "a=b", Fields: "status.source="}, state.filter)
	require.True(t, state.secrets)
	_, body = send(t, path, "GET", "/v1/objects?limit=2", sent{})
	require.NotContains(t, body, "more")
	answer, body := send(t, path, "GET", "/v1/objects?kind=Prot", sent{})
	require.Equal(t, 400, answer.StatusCode)
	require.Contains(t, body, "did you mean port?")

	_, body = send(t, path, "GET", "/v1/history?limit=1&before=9&kind=Port&name=a&namespace=web", sent{})
	require.Contains(t, body, `"more":true`)
	require.Equal(t, api.HistoryFilter{Limit: 2, Before: 9, Object: api.ObjectRef{Kind: "Port", Namespace: "web", Name: "a"}}, state.past)
	_, body = send(t, path, "GET", "/v1/history/5", sent{})
	require.Contains(t, body, `"revision":5`)
	answer, body = send(t, path, "GET", "/v1/history/five", sent{})
	require.Equal(t, 400, answer.StatusCode)
	require.Contains(t, body, "want a number")

	path = serving(t, server.Options{})
	for _, target := range []string{"/v1/objects", "/v1/watch", "/v1/history", "/v1/history/1", "/v1/log", "/v1/log/levels"} {
		answer, body := send(t, path, "GET", target, sent{})
		require.Equal(t, 501, answer.StatusCode, target)
		require.Contains(t, body, "this daemon does not serve", target)
	}
}
