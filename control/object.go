package control

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Object is one decoded and checked object. Objects come from Decode, Load and
// NewObject only, so that each has passed the same checks; they are not
// changed afterwards.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // "default" where Kubernetes would say so; empty for kinds without
	Name       string

	// Value is a pointer to the kind's Go type: *api.Port, *corev1.Pod, …
	Value any

	// Warnings are what the user should know although nothing is wrong.
	Warnings []string

	source source
}

// Key identifies an object among those of a configuration.
type Key struct{ Kind, Namespace, Name string }

// Key returns the object's identity.
func (o *Object) Key() Key { return Key{o.Kind, o.Namespace, o.Name} }

// String names the object as faults do: "Port web/a".
func (k Key) String() string { return objectName(k.Kind, k.Namespace, k.Name) }

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}

// Position returns the file, line and column of a field given by its path
// ("spec.addresses[0].ip", "metadata.annotations[a/b]"), or of the innermost
// field around it that is written; of the object itself for "". The file is
// empty and the numbers are 0 if the object came from no file.
func (o *Object) Position(path string) (file string, line, column int) {
	m := o.source.find(o.written(path))
	return o.source.file, int(m.line), int(m.column)
}

// Meta returns the object's metadata.
func (o *Object) Meta() *metav1.ObjectMeta {
	return o.Value.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
}

// written returns the path that a field has in the file: that of an older version,
// if the object is imported.
func (o *Object) written(path string) string {
	if o.source.imported == nil {
		return path
	}
	return o.source.imported.paths.Replace(path)
}

// at makes a fault of the field at path.
func (o *Object) at(path, message, hint string) Fault {
	f := Fault{Object: o.Key().String(), Message: message, Hint: hint}
	f.File, f.Line, f.Column = o.Position(path)
	if path != "" {
		f.Message = o.written(path) + ": " + message
	}
	return f
}

// where names the object and, if it is known, its place, for the message of a
// fault elsewhere: "Port web/b (b.yaml:3:1)".
func (o *Object) where() string {
	file, line, column := o.Position("")
	if file == "" {
		return o.Key().String()
	}
	return o.Key().String() + " (" + place(file, line, column) + ")"
}

func objectName(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}

// source remembers where the fields of an object are written. Keeping the
// parsed document would take twenty times the memory.
type source struct {
	file  string
	marks []mark // sorted by path

	imported *imported // of the version in which the fields are written; nil if that is kept
}

// mark is the place of one field. The path is kept as a hash: a collision
// costs a fault its exact place and nothing else.
type mark struct {
	path         pathHash
	line, column uint32
}

func (s *source) add(path pathHash, line, column int) {
	s.marks = append(s.marks, mark{path, uint32(line), uint32(column)})
}

// rename gives a field that is written under one path another, unless that is
// written, too. Sort then.
func (s *source) rename(from, to string) {
	hash := hashPath(from)
	i := slices.IndexFunc(s.marks, func(m mark) bool { return m.path == hash })
	if i < 0 {
		return
	}
	m := s.marks[i]
	m.path = hashPath(to)
	s.marks = append(s.marks, m)
}

func (s *source) sort() {
	slices.SortStableFunc(s.marks, func(a, b mark) int { return cmp.Compare(a.path, b.path) })
	s.marks = slices.Clip(s.marks)
}

// find returns the mark of path or of the nearest path around it.
func (s *source) find(path string) mark {
	for {
		i, found := slices.BinarySearchFunc(s.marks, hashPath(path), func(m mark, h pathHash) int {
			return cmp.Compare(m.path, h)
		})
		if found {
			return s.marks[i]
		}
		if path == "" {
			return mark{}
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}
