package control

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// header is what identifies an object, read before its kind is known; nil
// where it is not given as a string.
type header struct {
	apiVersion, kind *yaml.Node
	namespace, name  *yaml.Node
	keys             []string // of the object, to find a misspelled one
}

func readHeader(n *yaml.Node) (h header) {
	each := func(n *yaml.Node, visit func(key string, value *yaml.Node)) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			v := n.Content[i+1]
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			visit(n.Content[i].Value, v)
		}
	}
	set := func(field **yaml.Node, v *yaml.Node) {
		if v.Kind == yaml.ScalarNode && !isNull(v) && *field == nil {
			*field = v
		}
	}
	each(n, func(key string, v *yaml.Node) {
		h.keys = append(h.keys, key)
		switch key {
		case "apiVersion":
			set(&h.apiVersion, v)
		case "kind":
			set(&h.kind, v)
		case "metadata":
			if v.Kind != yaml.MappingNode {
				return
			}
			each(v, func(key string, v *yaml.Node) {
				switch key {
				case "name":
					set(&h.name, v)
				case "namespace":
					set(&h.namespace, v)
				}
			})
		}
	})
	return h
}

// text returns a scalar's value for a message, "" for none.
func text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return cleanKey(n.Value)
}

// verdict says what to do with an object of a kind.
type verdict uint8

const (
	isGood    verdict = iota
	isChecked         // the apiVersion is at fault, the rest can be checked
	isList            // its items are objects
	isUseless         // nothing more can be said about it
)

// kindOf finds an object's kind and reports a wrong or missing one.
func (w *walker) kindOf(n *yaml.Node, h header, skipUnknown bool) (kind, verdict) {
	result := isGood
	for _, f := range []struct {
		name string
		node *yaml.Node
	}{{"apiVersion", h.apiVersion}, {"kind", h.kind}} {
		if f.node != nil && f.node.Value != "" {
			continue
		}
		hint := ""
		if near := nearest(f.name, h.keys); near != "" && near != f.name {
			hint = "is " + cleanKey(near) + " meant to be it?"
		}
		w.fault(n, "the field "+f.name+" is missing", hint)
		result = isChecked
	}
	if h.kind == nil || h.kind.Value == "" {
		return kind{}, isUseless
	}
	name := h.kind.Value
	version := ""
	if h.apiVersion != nil {
		version = h.apiVersion.Value
	}
	if name == "List" && (version == "v1" || version == "") {
		return kind{}, isList
	}
	named := kindsNamed(name)
	if len(named) == 0 {
		hint := kindHint(name)
		switch {
		case !skipUnknown:
			w.fault(h.kind, "unknown kind "+cleanKey(name), hint)
		case strings.HasPrefix(hint, "did you mean") && !foreign(version, apiVersions()):
			w.skip(n, h, "this version does not know the kind: "+hint)
		default:
			w.skip(n, h, "this version does not know the kind")
		}
		return kind{}, isUseless
	}
	versions := make([]string, len(named))
	k := named[0]
	for i, candidate := range named {
		versions[i] = candidate.APIVersion
		if candidate.APIVersion == version {
			k = candidate
		}
	}
	if version != "" && !slices.Contains(versions, version) {
		if skipUnknown && foreign(version, versions) {
			w.skip(n, h, "this version does not know the kind of that apiVersion, but of "+strings.Join(versions, " and "))
			return kind{}, isUseless
		}
		w.fault(h.apiVersion, "the kind "+name+" has no apiVersion "+cleanKey(version), "write "+strings.Join(versions, " or "))
		result = isChecked
	}
	if k.Type == nil {
		if skipUnknown {
			w.skip(n, h, "this version does not support the kind")
		} else {
			w.fault(h.kind, "the kind "+name+" is not supported by this version", "")
		}
		return kind{}, isUseless
	}
	return k, result
}

// foreign reports whether an apiVersion is of a group that none of versions is
// of, nor probably meant to be: the kind is another's that has the same name. Nobody else
// has kinds in the group without a name.
func foreign(version string, versions []string) bool {
	group, _, grouped := strings.Cut(version, "/")
	return grouped && nearest(version, versions) == "" && !slices.ContainsFunc(versions, func(v string) bool {
		known, _, _ := strings.Cut(v, "/")
		return known == group
	})
}

func apiVersions() (all []string) {
	for _, k := range kinds {
		all = append(all, k.APIVersion)
	}
	return all
}

// skip leaves an object out.
func (w *walker) skip(n *yaml.Node, h header, reason string) {
	s := Skipped{
		APIVersion: text(h.apiVersion), Kind: text(h.kind), Namespace: text(h.namespace), Name: text(h.name),
		File: w.file, Reason: reason,
	}
	s.Line, s.Column = w.place(n)
	w.skipped = append(w.skipped, s)
}

// identity checks an object's name, namespace and labels, and returns the
// first two.
func (w *walker) identity(n *yaml.Node, k kind, h header) (ns, name string) {
	switch {
	case h.name == nil || h.name.Value == "":
		if m := child(n, "metadata"); m == nil || isNull(m) || m.Kind == yaml.MappingNode {
			w.fault(n, "metadata.name is missing", "")
		}
	case strings.Contains(h.name.Value, "/") && k.Scope != ClusterScope:
		w.fault(h.name, "metadata.name: a name can't contain /", "what stands before it goes to metadata.namespace")
	case len(validation.IsDNS1123Subdomain(h.name.Value)) > 0:
		w.fault(h.name, "metadata.name: "+clip(h.name.Value)+" is not a name", nameForm)
	case k.Kind == "Service" && len(validation.IsDNS1123Label(h.name.Value)) > 0:
		w.fault(h.name, "metadata.name: "+clip(h.name.Value)+" is not a Service's name", labelForm)
	case k.Kind == "Namespace" && len(validation.IsDNS1123Label(h.name.Value)) > 0:
		w.fault(h.name, "metadata.name: "+clip(h.name.Value)+" is not a namespace's name", namespaceForm)
	default:
		name = h.name.Value
	}
	switch {
	case h.namespace == nil || h.namespace.Value == "":
		if k.Scope == DefaultScope {
			ns = metav1.NamespaceDefault
		}
	case k.Scope == ClusterScope:
		w.fault(h.namespace, "metadata.namespace: the kind "+k.Kind+" has no namespaces", "leave it out")
	case len(validation.IsDNS1123Label(h.namespace.Value)) > 0:
		w.fault(h.namespace, "metadata.namespace: "+clip(h.namespace.Value)+" is not a namespace's name", namespaceForm)
	default:
		ns = h.namespace.Value
	}
	w.labels(n)
	return ns, name
}

const (
	nameForm      = "lower-case letters, digits, - and ., at most 253, a letter or digit first and last"
	namespaceForm = labelForm
)

// labels checks metadata.labels against Kubernetes' form, which selectors
// rely on.
func (w *walker) labels(n *yaml.Node) {
	labels := child(child(n, "metadata"), "labels")
	if labels == nil || labels.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(labels.Content); i += 2 {
		k, v := labels.Content[i], labels.Content[i+1]
		if k.ShortTag() == "!!merge" || k.Kind != yaml.ScalarNode {
			continue
		}
		if len(validation.IsQualifiedName(k.Value)) > 0 {
			w.fault(k, "metadata.labels: "+cleanKey(k.Value)+" is not a label's key",
				labelKeyForm)
		}
		if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && len(validation.IsValidLabelValue(v.Value)) > 0 {
			w.fault(v, "metadata.labels: "+strconv.Quote(clip(v.Value))+" is not a label's value",
				valueForm)
		}
	}
}

// child returns the value of a mapping's key, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			v := n.Content[i+1]
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			return v
		}
	}
	return nil
}
