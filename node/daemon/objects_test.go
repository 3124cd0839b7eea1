package daemon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

// shown returns what the API gives of the objects that a filter wants.
func (r *running) shown(f api.ObjectFilter, secrets bool) (list []map[string]any) {
	r.t.Helper()
	_, items, err := r.objects().Objects(&f, secrets)
	require.NoError(r.t, err)
	for item := range items {
		var o map[string]any
		require.NoError(r.t, json.Unmarshal(item, &o), "%s", item)
		list = append(list, o)
	}
	return list
}

func TestShownObjects(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment)
	r := start(t, Config{Paths: []string{path}})
	r.change(applying(t, ports("a")+pods("p")+`apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {password: hidden}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: site, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
`))
	programmed := func(kind string) (status, reason, message any) {
		list := r.shown(api.ObjectFilter{Kinds: []string{kind}}, false)
		require.Len(t, list, 1, kind)
		conditions := list[0]["status"].(map[string]any)["conditions"].([]any)
		require.Equal(t, map[string]any{"type": "Accepted", "status": "True", "reason": "Accepted"}, conditions[0])
		c := conditions[1].(map[string]any)
		require.Equal(t, "Programmed", c["type"])
		return c["status"], c["reason"], c["message"]
	}
	for _, row := range []struct{ why, kind, status, reason, message string }{
		{"a port whose device works", "Port", "True", "Programmed", ""},
		{"a pod; that of this test has a device", "Pod", "True", "Programmed", ""},
		{"what this version does nothing with", "Ingress", "False", "NotImplemented", "no load balancer"},
		{"a virtual server", "Service", "True", "Programmed", ""},
		{"what is there for others", "Secret", "True", "Programmed", ""},
		{"what is in a file", "Segment", "True", "Programmed", ""},
	} {
		status, reason, message := programmed(row.kind)
		require.Equal(t, []any{row.status, row.reason}, []any{status, reason}, row.why)
		require.Contains(t, fmt.Sprint(message), row.message, row.why)
	}

	pod := r.shown(api.ObjectFilter{Kinds: []string{"Pod"}}, false)[0]
	meta, status := pod["metadata"].(map[string]any), pod["status"].(map[string]any)
	require.Equal(t, "2", meta["resourceVersion"])
	require.EqualValues(t, 2, status["revision"])
	require.NotContains(t, status, "source")
	require.Equal(t, r.model.Allocations.Addresses["shop/p"][0].String(), status["podIP"], "it has been given one")
	require.Equal(t, path, r.shown(api.ObjectFilter{Kinds: []string{"Segment"}}, false)[0]["status"].(map[string]any)["source"])

	require.Equal(t, map[string]any{"password": nil}, r.shown(api.ObjectFilter{Kinds: []string{"Secret"}}, false)[0]["data"], "a viewer sees which keys there are")
	require.Equal(t, map[string]any{"password": "aGlkZGVu"}, r.shown(api.ObjectFilter{Kinds: []string{"Secret"}}, true)[0]["data"])
	r.stop()
}

func TestSelectedObjects(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment)
	r := start(t, Config{Paths: []string{path}})
	r.change(applying(t, strings.Replace(pods("a", "b"), "name: b", "labels: {app: web}, name: b", 1)+ports("x")))
	for _, row := range []struct {
		why    string
		filter api.ObjectFilter
		want   string
	}{
		{"all", api.ObjectFilter{}, "NodeConfig/node Pod/a Pod/b Port/x Segment/web"},
		{"of kinds", api.ObjectFilter{Kinds: []string{"Port", "Segment"}}, "Port/x Segment/web"},
		{"of a namespace", api.ObjectFilter{Namespace: "shop"}, "Pod/a Pod/b"},
		{"by names", api.ObjectFilter{Names: []string{"a", "x"}}, "Pod/a Port/x"},
		{"by a label", api.ObjectFilter{Labels: "app=web"}, "Pod/b"},
		{"without it", api.ObjectFilter{Labels: "app!=web", Namespace: "shop"}, "Pod/a"},
		{"by a field", api.ObjectFilter{Fields: "metadata.name=a"}, "Pod/a"},
		{"by the file that they are in", api.ObjectFilter{Fields: "status.source=" + path}, "NodeConfig/node Segment/web"},
	} {
		var got []string
		for _, o := range r.shown(row.filter, false) {
			got = append(got, fmt.Sprint(o["kind"], "/", o["metadata"].(map[string]any)["name"]))
		}
		require.Equal(t, row.want, strings.Join(got, " "), row.why)
	}
	for _, bad := range []api.ObjectFilter{{Labels: "a in ("}, {Fields: "spec.x=1"}, {Fields: "nonsense"}} {
		_, _, err := r.objects().Objects(&bad, false)
		require.ErrorIs(t, err, api.ErrInvalid, "%+v", bad)
		for _, err := range r.objects().Watch(t.Context(), &bad, 0, false) {
			require.ErrorIs(t, err, api.ErrInvalid, "%+v", bad)
		}
	}
	r.stop()
}

// Who watches a selection sees objects come into it and leave it.
func TestWatchedObjects(t *testing.T) {
	r := start(t, Config{})
	labelled := strings.Replace(pods("a"), "name: a", "labels: {app: web}, name: a", 1)
	var told []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range r.objects().Watch(t.Context(), &api.ObjectFilter{Labels: "app=web"}, 0, false) {
			if err != nil {
				t.Error(err)
				return
			}
			told = append(told, fmt.Sprintf("%d %s", e.Revision, e.Type))
			if e.Revision == 5 {
				return
			}
		}
	}()
	for _, request := range []string{segment, labelled, pods("a"), labelled} {
		r.change(applying(t, request))
	}
	request := deleting("Pod", "a")
	request.Delete[0].Namespace = "shop"
	r.change(request)
	select {
	case <-done:
	case <-time.After(testPatience):
		t.Fatal("not all is told")
	}
	// How many bookmarks there are depends on when it begins.
	told = slices.DeleteFunc(told, func(s string) bool { return strings.HasSuffix(s, "BOOKMARK") })
	require.Equal(t, []string{"2 ADDED", "3 DELETED", "4 ADDED", "5 DELETED"}, told)
	r.stop()
}
