package daemon

import (
	"cmp"
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/shown"
)

// objects shows the desired state and takes changes of it.
type objects struct {
	desired.Listing
	d *Daemon
}

var _ server.Objects = objects{}

// objects is for the API.
func (d *Daemon) objects() objects {
	return objects{desired.Listing{DB: d.db, Conditions: d.conditions, Complete: d.complete}, d}
}

// Change implements server.Objects.
func (o objects) Change(ctx context.Context, r *desired.Request) (*api.ChangeResult, error) {
	return o.d.Change(ctx, r)
}

// conditions answer whether an object is part of the configuration, and whether packets
// are treated by it.
func (d *Daemon) conditions(e desired.Entry) []api.Condition {
	accepted := api.Condition{Type: api.ConditionAccepted, Status: "True", Reason: "Accepted"}
	programmed := api.Condition{Type: api.ConditionProgrammed, Status: "True", Reason: "Programmed"}
	k := e.Object.Key()
	if why := control.NotImplemented(k.Kind); why != "" {
		programmed.Status, programmed.Reason, programmed.Message = "False", "NotImplemented", why
		return []api.Condition{accepted, programmed}
	}
	shown.Programmed(d.given(k), &programmed)
	switch k.Kind {
	case "NodeConfig":
		if waiting := d.node.Waiting(); len(waiting) > 0 {
			programmed.Status, programmed.Reason = "False", "RestartRequired"
			programmed.Message = strings.Join(waiting, "; ")
		}
	case "Port", "Pod":
		if p, found := d.node.Live(portName(k)); !found {
			programmed.Status, programmed.Reason = "Unknown", "Pending"
		} else if p.State != api.PortUp {
			programmed.Status, programmed.Reason = "False", p.Reason
			programmed.Message = cmp.Or(p.Message, "it has no device")
			if k.Kind == "Pod" && p.Port.Device.Type == "" {
				programmed.Message = "its addresses are its own, and nothing is attached to it yet"
			}
		}
	}
	return []api.Condition{accepted, programmed}
}

// complete adds what an object was given; a pod, addresses, if its status says none itself.
func (d *Daemon) complete(e desired.Entry, s *desired.Shown) {
	shown.Complete(e.Object.Value, d.given(e.Object.Key()), s)
	p, is := e.Object.Value.(*corev1.Pod)
	if !is || p.Status.PodIP != "" {
		return
	}
	live, _ := d.node.Live(portName(e.Object.Key()))
	if live.Port == nil {
		return
	}
	var ips []map[string]string
	for _, a := range live.Port.Addresses {
		if a.IP.IsValid() {
			ips = append(ips, map[string]string{"ip": a.IP.String()})
		}
	}
	if len(ips) > 0 {
		s.Status["podIP"], s.Status["podIPs"] = ips[0]["ip"], ips
	}
}

// portName is the name of the port that a Port or Pod is.
func portName(k control.Key) string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}
