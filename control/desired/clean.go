package desired

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/control"
)

// newEntry makes the entry of an object as it is kept: without what Kubernetes and its tools
// add to what a user wrote, which says nothing of what he wants and differs each time.
func newEntry(o *control.Object) (Entry, error) {
	o = clean(o)
	text, err := json.Marshal(o.Value)
	if err != nil {
		return Entry{}, fmt.Errorf("%v: encode: %w", o.Key(), err)
	}
	// Kubernetes' types print these also if nothing is in them; they come last.
	for _, empty := range []string{`,"status":{}}`, `,"spec":{}}`} {
		if trimmed, found := bytes.CutSuffix(text, []byte(empty)); found {
			text = append(trimmed, '}')
		}
	}
	return Entry{Object: o, text: text}, nil
}

// clean returns the object without noise: itself if it has none. Its fields keep their positions.
func clean(o *control.Object) *control.Object {
	_, pod := o.Value.(*corev1.Pod) // its status holds its address
	value := reflect.ValueOf(o.Value).Elem()
	status := value.FieldByName("Status")
	dropStatus := !pod && status.IsValid() && !status.IsZero()
	if !dropStatus && !noisy(o.Meta()) {
		return o
	}
	cleaned := reflect.New(value.Type())
	cleaned.Elem().Set(value)
	if dropStatus {
		cleaned.Elem().FieldByName("Status").SetZero()
	}
	c := *o
	c.Value = cleaned.Interface()
	m := c.Meta()
	*m = metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace,
		Labels: m.Labels, Annotations: maps.Clone(m.Annotations),
		OwnerReferences: m.OwnerReferences, Finalizers: m.Finalizers,
	}
	delete(m.Annotations, lastApplied)
	return &c
}

// lastApplied is the annotation in which kubectl keeps the object a second time.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func noisy(m *metav1.ObjectMeta) bool {
	_, applied := m.Annotations[lastApplied]
	//lint:ignore SA1019 deprecated, and in what old versions print
	link := m.SelfLink
	return applied || link != "" || m.ResourceVersion != "" || m.UID != "" || m.Generation != 0 || !m.CreationTimestamp.IsZero() ||
		m.ManagedFields != nil || m.DeletionTimestamp != nil || m.DeletionGracePeriodSeconds != nil
}
