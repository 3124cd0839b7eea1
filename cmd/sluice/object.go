package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// object is an object as the API gives it, decoded as far as all kinds are alike.
type object struct {
	raw api.Object

	metav1.TypeMeta `json:",inline"`
	Meta            metav1.ObjectMeta `json:"metadata"`
	Status          api.ObjectStatus  `json:"status"`
}

// readObject decodes an object. Statuses of Kubernetes' kinds have conditions of
// their own beside ours, which have the same form.
func readObject(raw api.Object) (*object, error) {
	o := &object{raw: raw}
	if err := json.Unmarshal(raw, o); err != nil {
		return nil, fmt.Errorf("an object in the daemon's answer: %w", err)
	}
	return o, nil
}

func (o *object) ref() api.ObjectRef {
	return api.ObjectRef{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Meta.Namespace, Name: o.Meta.Name}
}

// into decodes the object as what its kind is. What does not fit is left out: this
// program may be older than the daemon.
func into[T any](o *object) *T {
	var v T
	_ = json.Unmarshal(o.raw, &v)
	return &v
}

// condition returns the object's answer to a question; nil if there is none.
func (o *object) condition(t api.ConditionType) *api.Condition {
	for i := range o.Status.Conditions {
		if c := &o.Status.Conditions[i]; c.Type == t {
			return c
		}
	}
	return nil
}

// state is how the object does, in one word: the reason if it is not as it should be.
func (o *object) state() (word, message string) {
	for _, t := range []api.ConditionType{api.ConditionAccepted, api.ConditionProgrammed, api.ConditionAllocated} {
		c := o.condition(t)
		if c == nil {
			continue
		}
		if c.Status != string(metav1.ConditionTrue) {
			return c.Reason, c.Message
		}
		if t != api.ConditionAllocated {
			word = string(t)
		}
		message = c.Message // a warning, if it is one
	}
	return word, message
}

// age is how long ago the object was created.
func (o *object) age(now time.Time) string {
	if o.Meta.CreationTimestamp.IsZero() {
		return ""
	}
	return age(now.Sub(o.Meta.CreationTimestamp.Time).Seconds())
}

// fullName is the name with the namespace.
func fullName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// refName names an object as kubectl does, with the namespace: pod/default/a,
// segment.sluice.dev/web. Every command takes it as an argument.
func refName(r api.ObjectRef) string {
	kind := strings.ToLower(r.Kind)
	version := r.APIVersion
	if version == "" {
		if k, found := control.KindNamed(kind); found {
			version = k.APIVersion
		}
	}
	if group, _, found := strings.Cut(version, "/"); found {
		kind += "." + group
	}
	return kind + "/" + fullName(r.Namespace, r.Name)
}

// objectKind finds a kind of objects by what a user calls it: as kubectl would, or as refName does.
func objectKind(word string) (control.KindInfo, bool) {
	if k, found := control.KindNamed(word); found {
		return k, true
	}
	name, group, _ := strings.Cut(strings.ToLower(word), ".")
	k, found := control.KindNamed(name)
	return k, found && k.Singular == name && k.Group() == group
}

// argument is what a command line says of a kind.
type argument struct {
	word  string   // the kind, as the user calls it
	names []string // NAME or NAMESPACE/NAME
}

// splitArguments reads KIND [NAME…], KIND,KIND… or KIND/NAME….
func splitArguments(args []string) (list []argument, err error) {
	if len(args) == 0 {
		return nil, errors.New("of what kind? For example segment web, or segment/web")
	}
	if strings.Contains(args[0], "/") {
		for _, arg := range args {
			word, name, found := strings.Cut(arg, "/")
			if !found || name == "" {
				return nil, fmt.Errorf("%s: want KIND/NAME, as %s", arg, args[0])
			}
			list = append(list, argument{word, []string{name}})
		}
		return list, nil
	}
	words := strings.Split(args[0], ",")
	if len(words) > 1 && len(args) > 1 {
		return nil, fmt.Errorf("%s and names: of which kind are they? Write KIND/NAME", args[0])
	}
	for _, word := range words {
		list = append(list, argument{word, args[1:]})
	}
	return list, nil
}

// selection is some objects of a kind, by what a user says: all of them, if there are no names.
type selection struct {
	kind  control.KindInfo
	names []api.ObjectRef // Namespace is empty where none is said
}

// parseSelections reads arguments about objects. namespace is that of -n.
func parseSelections(args []string, namespace string) (list []selection, err error) {
	arguments, err := splitArguments(args)
	if err != nil {
		return nil, withStatus(exitUsage, err)
	}
	for _, a := range arguments {
		s, err := newSelection(a.word, a.names, namespace)
		if err != nil {
			return nil, withStatus(exitUsage, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func newSelection(word string, names []string, namespace string) (selection, error) {
	k, found := objectKind(word)
	if !found {
		return selection{}, fmt.Errorf("there is no kind %s (%s)", word, control.KindHint(word))
	}
	s := selection{kind: k}
	for _, name := range names {
		ref, err := refOf(k, name, namespace)
		if err != nil {
			return selection{}, err
		}
		s.names = append(s.names, ref)
	}
	return s, nil
}

// refOf reads NAME or NAMESPACE/NAME.
func refOf(k control.KindInfo, text, namespace string) (api.ObjectRef, error) {
	ref := api.ObjectRef{APIVersion: k.APIVersion, Kind: k.Kind, Name: text}
	if k.Namespaced() {
		ref.Namespace = namespace
	} // else -n is of no meaning, as for kubectl
	if before, name, found := strings.Cut(text, "/"); found {
		if namespace != "" && namespace != before {
			return ref, fmt.Errorf("%s is not in the namespace %s: leave -n out", text, namespace)
		}
		ref.Namespace, ref.Name = before, name
	}
	switch {
	case ref.Name == "" || strings.Contains(ref.Name, "/"):
		return ref, fmt.Errorf("%q is no name: want NAME or NAMESPACE/NAME", text)
	case ref.Namespace != "" && !k.Namespaced():
		return ref, fmt.Errorf("%s %s: %s have no namespace", k.Kind, text, k.Plural)
	}
	return ref, nil
}

// withDefault is the object that is meant where no namespace is said.
func withDefault(k control.KindInfo, ref api.ObjectRef) api.ObjectRef {
	if ref.Namespace == "" && k.Scope == control.DefaultScope {
		ref.Namespace = "default"
	}
	return ref
}
