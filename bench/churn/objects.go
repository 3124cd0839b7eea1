package churn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// subject is an object that comes and goes. One client has it, so that changes of it are
// in order.
type subject struct {
	kind, version   string
	namespace, name string
	number          int // of the subject, among all
	prefix          string

	// next is the next step of its life: create, change, change, delete, create …
	next step
	// turn counts the steps, so that each change is one.
	turn int
}

type step uint8

const (
	create step = iota
	change
	changeAgain
	remain // changed no more: it is deleted
	steps
)

// newSubjects returns those of a run: of ten, six are Pods, three are Ports without a
// device, and one is a Segment. They are at different steps of their lives, so that
// each second has all kinds of changes.
func newSubjects(c *Config) []*subject {
	list := make([]*subject, c.Objects)
	for i := range list {
		s := &subject{number: i, prefix: c.Prefix, namespace: c.Prefix, next: step(i/10+i) % steps}
		switch i % 10 {
		case 0:
			s.kind, s.version, s.namespace, s.name = "Segment", api.APIVersion, "", fmt.Sprintf("%s-%d", c.Prefix, i)
		case 3, 6, 9:
			s.kind, s.version, s.name = "Port", api.APIVersion, fmt.Sprintf("port-%d", i)
		default:
			s.kind, s.version, s.name = "Pod", "v1", fmt.Sprintf("pod-%d", i)
		}
		list[i] = s
	}
	return list
}

func (s *subject) ref() api.ObjectRef {
	return api.ObjectRef{APIVersion: s.version, Kind: s.kind, Namespace: s.namespace, Name: s.name}
}

// document is the object as it is to be at this turn, as JSON.
func (s *subject) document() []byte {
	o := map[string]any{
		"apiVersion": s.version, "kind": s.kind,
		"metadata": metadata{
			Name: s.name, Namespace: s.namespace,
			Labels: map[string]string{Label: s.prefix, "app": fmt.Sprintf("app-%d", s.number%100), "turn": fmt.Sprint(s.turn)},
		},
	}
	switch s.kind {
	case "Segment":
		o["spec"] = map[string]any{"subnets": []any{map[string]any{"cidr": segmentSubnet(s.number)}}}
	case "Port":
		o["spec"] = map[string]any{"addresses": []any{map[string]any{"mac": fmt.Sprintf("02:c4:00:00:%02x:%02x", byte(s.number>>8), byte(s.number))}}}
	}
	return mustJSON(o)
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// The subnet of the segment that Pods and Ports are in; Segments that come and go have a /28
// each of the other half of 198.18.0.0/15.
const podSubnet = "198.18.0.0/16"

func segmentSubnet(number int) string {
	n := number / 10 << 4 // every tenth is a Segment
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, byte(n >> 8), byte(n)}), 28).String()
}

// initial is what there is at the beginning: the namespace, its segment, and the subjects that
// are not to be created next.
func (l *load) initial() []control.File {
	prefix := l.config.Prefix
	labels := map[string]string{Label: prefix}
	documents := []string{
		string(mustJSON(map[string]any{
			"apiVersion": api.APIVersion, "kind": "Segment", "metadata": metadata{Name: prefix, Labels: labels},
			"spec": map[string]any{"subnets": []any{map[string]any{"cidr": podSubnet}}},
		})),
		string(mustJSON(map[string]any{
			"apiVersion": "v1", "kind": "Namespace",
			"metadata": metadata{Name: prefix, Labels: labels, Annotations: map[string]string{"sluice.dev/segment": prefix}},
		})),
	}
	for _, s := range l.subjects {
		if s.next != create {
			documents = append(documents, string(s.document()))
		}
	}
	return []control.File{{Name: "churn.yaml", Data: []byte(strings.Join(documents, "\n---\n") + "\n")}}
}

// remove deletes all objects of a prefix.
func remove(ctx context.Context, cl *client.Client, prefix string) error {
	list, err := cl.Objects(ctx, api.ObjectFilter{Labels: Label + "=" + prefix})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	refs := make([]api.ObjectRef, len(list.Items))
	for i, item := range list.Items {
		var o struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Metadata   metadata `json:"metadata"`
		}
		if err := json.Unmarshal(item, &o); err != nil {
			return fmt.Errorf("the daemon's answer: %w", err)
		}
		refs[i] = api.ObjectRef{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	}
	_, err = cl.Delete(ctx, refs, client.ChangeOptions{IgnoreMissing: true, Message: "churn " + prefix + ": end"})
	return err
}

// mustJSON encodes what this package has made: text, numbers and maps of them.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
