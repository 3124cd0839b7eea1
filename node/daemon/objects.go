package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/server"
)

// objects shows the desired state and takes changes of it.
type objects struct{ d *Daemon }

var _ server.Objects = objects{}

// Objects implements server.Objects.
func (o objects) Objects(f *api.ObjectFilter, secrets bool) (uint64, iter.Seq[api.Object], error) {
	s, err := newSelection(f)
	if err != nil {
		return 0, nil, err
	}
	set := o.d.db.Set()
	return set.Revision(), func(yield func(api.Object) bool) {
		for e := range set.All() {
			if s.wants(e) && !yield(o.d.show(e, secrets)) {
				return
			}
		}
	}, nil
}

// Change implements server.Objects.
func (o objects) Change(ctx context.Context, r *desired.Request) (*api.ChangeResult, error) {
	return o.d.Change(ctx, r)
}

// History implements server.Objects.
func (o objects) History(f *api.HistoryFilter) ([]api.RevisionView, error) { return o.d.db.History(f) }

// Revision implements server.Objects.
func (o objects) Revision(n uint64) (*api.RevisionView, error) { return o.d.db.Revision(n) }

// Watch implements server.Objects.
func (o objects) Watch(ctx context.Context, f *api.ObjectFilter, after uint64, secrets bool) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		s, err := newSelection(f)
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		for t, err := range o.d.db.Watch(ctx, after) {
			if err != nil {
				yield(api.Event{}, err)
				return
			}
			told := false
			for i := range t.Changes {
				e, found := o.d.event(&t.Changes[i], s, t.Revision, secrets)
				if found {
					told = true
					if !yield(e, nil) {
						return
					}
				}
			}
			if !told && !yield(api.Event{Type: api.EventBookmark, Revision: t.Revision}, nil) {
				return
			}
		}
	}
}

// event is a change as one who watches a selection sees it: an object that comes
// to be selected is added, one that is not any more is deleted.
func (d *Daemon) event(c *desired.Change, s *selection, revision uint64, secrets bool) (e api.Event, found bool) {
	was := c.Before.Object != nil && s.wants(c.Before)
	is := c.After.Object != nil && s.wants(c.After)
	e.Revision = revision
	switch {
	case !was && !is:
		return e, false
	case !was:
		e.Type = api.EventAdded
	case !is:
		e.Type = api.EventDeleted
	default:
		e.Type = api.EventModified
	}
	shown := c.After
	if !is {
		shown = c.Before
	}
	e.Object = d.show(shown, secrets)
	return e, true
}

// selection is a filter that was understood.
type selection struct {
	filter *api.ObjectFilter
	labels labels.Selector
	fields fields.Selector
}

// selectable are the fields that a selection may name.
var selectable = []string{"metadata.name", "metadata.namespace", "status.source"}

func newSelection(f *api.ObjectFilter) (*selection, error) {
	s := &selection{filter: f}
	var err error
	if s.labels, err = labels.Parse(f.Labels); err != nil {
		return nil, api.Invalid("label selector %q: %v", f.Labels, err)
	}
	if s.fields, err = fields.ParseSelector(f.Fields); err != nil {
		return nil, api.Invalid("field selector %q: %v", f.Fields, err)
	}
	for _, r := range s.fields.Requirements() {
		if !slices.Contains(selectable, r.Field) {
			return nil, api.Invalid("field selector %q: objects can't be selected by %s; by %v", f.Fields, r.Field, selectable)
		}
	}
	return s, nil
}

func (s *selection) wants(e desired.Entry) bool {
	f, k := s.filter, e.Object.Key()
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, k.Kind)) &&
		(f.Namespace == "" || f.Namespace == k.Namespace) &&
		(len(f.Names) == 0 || slices.Contains(f.Names, k.Name)) &&
		(s.labels.Empty() || s.labels.Matches(labels.Set(e.Object.Meta().Labels))) &&
		(s.fields.Empty() || s.fields.Matches(fields.Set{
			"metadata.name": k.Name, "metadata.namespace": k.Namespace, "status.source": e.File,
		}))
}

// show is an object as the API gives it.
func (d *Daemon) show(e desired.Entry, secrets bool) api.Object {
	parts := map[string]json.RawMessage{}
	take := func(from any) {
		text, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(text, &parts)
		}
		if err != nil {
			panic(fmt.Sprintf("daemon: show %s: %v", e.Object.Key(), err)) // it came from JSON
		}
	}
	value := e.Object.Value
	if s, is := value.(*corev1.Secret); is && !secrets {
		value = withoutValues(s)
	}
	take(value)
	take(map[string]any{"metadata": metaOf(e), "status": d.statusOf(e, parts["status"])})
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // all of them are JSON
	}
	return text
}

// metaOf is an object's metadata with what the node knows.
func metaOf(e desired.Entry) *metav1.ObjectMeta {
	m := *e.Object.Meta()
	m.ResourceVersion = strconv.FormatUint(e.Revision, 10)
	m.CreationTimestamp = metav1.NewTime(e.Created.UTC())
	return &m
}

// withoutValues is a Secret that shows which keys it has.
func withoutValues(s *corev1.Secret) *corev1.Secret {
	shown := *s
	shown.Data, shown.StringData = map[string][]byte{}, nil
	for k := range s.Data {
		shown.Data[k] = nil
	}
	for k := range s.StringData {
		shown.Data[k] = nil
	}
	return &shown
}

// statusOf adds to a status as it was written, which only Pods have.
func (d *Daemon) statusOf(e desired.Entry, written json.RawMessage) map[string]any {
	status := map[string]any{}
	_ = json.Unmarshal(written, &status) // there may be none
	conditions, _ := status["conditions"].([]any)
	for _, c := range d.conditions(e) {
		conditions = append(conditions, c)
	}
	status["conditions"], status["revision"] = conditions, e.Revision
	if e.File != "" {
		status["source"] = e.File
	}
	if p, is := e.Object.Value.(*corev1.Pod); is && p.Status.PodIP == "" {
		if ips := d.addressesOf(e.Object.Key()); len(ips) > 0 {
			status["podIP"], status["podIPs"] = ips[0], podIPs(ips)
		}
	}
	return status
}

func podIPs(ips []string) (list []map[string]string) {
	for _, ip := range ips {
		list = append(list, map[string]string{"ip": ip})
	}
	return list
}

// addressesOf are those that a pod was given.
func (d *Daemon) addressesOf(k control.Key) (ips []string) {
	p, found := d.node.Live(portName(k))
	if !found {
		return nil
	}
	for _, a := range p.Port.Addresses {
		if a.IP.IsValid() {
			ips = append(ips, a.IP.String())
		}
	}
	return ips
}

// portName is the name of the port that a Port or Pod is.
func portName(k control.Key) string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
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
