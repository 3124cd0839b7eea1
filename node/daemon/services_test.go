package daemon

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
)

// balanced is a pool of one address, given again after a second, and Services that ask for it.
func balanced(names ...string) string {
	text := `
apiVersion: sluice.dev/v1
kind: NodeConfig
metadata: {name: node}
spec: {ipReallocationTime: 1}
---
apiVersion: sluice.dev/v1
kind: IPPool
metadata: {name: outside}
spec: {usage: vips, ranges: [{start: 192.168.8.133, end: 192.168.8.133}]}
`
	for _, name := range names {
		text += "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: web}\n" +
			"spec: {type: LoadBalancer, selector: {app: x}, ports: [{port: 80}]}\n"
	}
	return text
}

// serviceView is what is of interest of a Service as it is shown.
type serviceView struct {
	Metadata struct{ Name string }
	Spec     struct {
		Ports []struct{ NodePort int }
	}
	Status struct {
		Conditions   []api.Condition
		LoadBalancer struct {
			Ingress []struct{ IP, IPMode string }
		}
	}
}

func (v *serviceView) condition(t *testing.T) api.Condition {
	require.Len(t, v.Status.Conditions, 3)
	require.Equal(t, api.ConditionAllocated, v.Status.Conditions[2].Type)
	return v.Status.Conditions[2]
}

// TestPendingService has a Service wait for the address of another, which it is given without anybody's doing once its
// quarantine is over; who watches is told, and a restart changes nothing.
func TestPendingService(t *testing.T) {
	state := t.TempDir()
	r := start(t, Config{State: state})
	r.change(applying(t, balanced("a", "b")))
	look := func(r *running, name string) (v serviceView) {
		_, items, err := r.objects().Objects(&api.ObjectFilter{Kinds: []string{"Service"}, Names: []string{name}}, false)
		require.NoError(t, err)
		for item := range items {
			require.NoError(t, json.Unmarshal(item, &v))
		}
		return v
	}
	a, b := look(r, "a"), look(r, "b")
	require.Equal(t, "192.168.8.133", a.Status.LoadBalancer.Ingress[0].IP)
	require.Equal(t, "VIP", a.Status.LoadBalancer.Ingress[0].IPMode)
	require.Equal(t, "True", a.condition(t).Status)
	require.Positive(t, a.Spec.Ports[0].NodePort)
	require.Empty(t, b.Status.LoadBalancer.Ingress)
	require.Equal(t, api.Condition{
		Type: api.ConditionAllocated, Status: "False", Reason: "NoAddressFree",
		Message: "no address is free in pool outside: 1 IPv4 addresses, 0 in quarantine",
	}, b.condition(t))

	revision := r.db.Set().Revision()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	given := make(chan serviceView, 1)
	go func() {
		for e, err := range r.objects().Watch(ctx, &api.ObjectFilter{Kinds: []string{"Service"}, Names: []string{"b"}}, revision, false) {
			var v serviceView
			if err != nil || e.Type == api.EventModified && json.Unmarshal(e.Object, &v) == nil && len(v.Status.LoadBalancer.Ingress) > 0 {
				given <- v
				return
			}
		}
	}()
	r.change(&desired.Request{Verb: api.VerbDelete, Delete: []control.Key{{Kind: "Service", Namespace: "web", Name: "a"}}})
	v := <-given
	require.Equal(t, "192.168.8.133", v.Status.LoadBalancer.Ingress[0].IP)
	require.Equal(t, "True", v.condition(t).Status)
	require.Equal(t, revision+1, r.db.Set().Revision(), "what is given is no change of what is wanted")
	r.stop()

	again := start(t, Config{State: state})
	require.Equal(t, "192.168.8.133", look(again, "b").Status.LoadBalancer.Ingress[0].IP)
	require.Equal(t, v.Spec.Ports, look(again, "b").Spec.Ports)
	again.stop()
}
