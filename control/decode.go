package control

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/control/internal/shape"
)

// Options say how objects are read.
type Options struct {
	// SkipUnknown leaves out objects of kinds that this version does not
	// support or know, instead of reporting them.
	SkipUnknown bool
	// Skipped hears of each that was left out; may be nil.
	Skipped func(Skipped)
}

// Skipped is an object that was left out.
type Skipped struct {
	APIVersion, Kind, Namespace, Name string // as written

	File         string
	Line, Column int
	Reason       string // "this version does not know the kind"
}

// Decode reads the objects of a file's data: YAML documents, or JSON values if
// the name ends in .json or the data is JSON. A List's items count as objects.
// It returns every fault of all documents at once, and objects only if there
// is none. The name is for the faults.
func Decode(name string, data []byte, opt Options) ([]*Object, Faults) {
	objects, faults := decode(name, data, opt)
	return finish(objects, faults)
}

// NewObject makes an Object of a Go value, a pointer to a kind's type with
// apiVersion and kind set, by the same checks that a file would get.
func NewObject(value any) (*Object, Faults) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, Faults{{Message: "encode object: " + err.Error()}}
	}
	objects, faults := Decode(".json", data, Options{})
	for i := range faults {
		faults[i].File, faults[i].Line, faults[i].Column = "", 0, 0
	}
	if len(faults) > 0 {
		return nil, faults
	}
	if len(objects) != 1 {
		return nil, Faults{{Message: "one object is needed"}}
	}
	objects[0].source = source{}
	return objects[0], nil
}

// finish looks for objects that are there twice and puts faults in order.
func finish(objects []*Object, faults Faults) ([]*Object, Faults) {
	faults = append(faults, duplicates(objects)...).sorted()
	if len(faults) > 0 {
		return nil, faults
	}
	return objects, nil
}

func duplicates(objects []*Object) (faults Faults) {
	first := map[Key]*Object{}
	for _, o := range objects {
		if earlier, found := first[o.Key()]; found {
			faults = append(faults, o.at("", "the object is there twice", "also at "+place(earlier.Position(""))))
			continue
		}
		first[o.Key()] = o
	}
	return faults
}

func place(file string, line, column int) string {
	if file == "" {
		return "another place"
	}
	return file + ":" + strconv.Itoa(line) + ":" + strconv.Itoa(column)
}

func decode(name string, data []byte, opt Options) ([]*Object, Faults) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	if f := encodingFault(data); f != nil {
		f.File = name
		return nil, Faults{*f}
	}
	d := newDecoder(name, len(data), opt)
	trimmed := bytes.TrimSpace(data)
	if filepath.Ext(name) == ".json" || len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		roots, fault := parseJSON(data)
		if fault != nil {
			d.faults = append(d.faults, *fault)
		}
		for _, n := range roots {
			d.root(nil, n)
		}
	} else {
		d.documents(splitDocuments(string(data)), len(data))
	}
	d.clamp(data)
	return d.objects, d.faults
}

// newDecoder makes a decoder of size bytes.
func newDecoder(name string, size int, opt Options) *decoder {
	return &decoder{
		file: name, opt: opt, fields: map[reflect.Type][]shape.Field{},
		// Each node has at least a byte; what is beyond that, aliases made.
		budget: budget{left: 2*size + 100000},
	}
}

// documentsAlone is how many documents one goroutine decodes: 20 ms of work.
const documentsAlone = 512

// documents decodes YAML documents, which have nothing to do with each other: many of them by all processors. What they
// come to is in the order of the documents all the same.
func (d *decoder) documents(list []*document, size int) {
	parts := min(len(list)/documentsAlone, runtime.GOMAXPROCS(0))
	if parts < 2 {
		for _, doc := range list {
			d.document(doc)
		}
		return
	}
	decoders := make([]*decoder, parts)
	var all sync.WaitGroup
	for i := range decoders {
		part := list[i*len(list)/parts : (i+1)*len(list)/parts]
		decoders[i] = newDecoder(d.file, size/parts, d.opt)
		all.Go(func() {
			for _, doc := range part {
				decoders[i].document(doc)
			}
		})
	}
	all.Wait()
	for _, part := range decoders {
		d.objects = append(d.objects, part.objects...)
		d.faults = append(d.faults, part.faults...)
		d.skipped = append(d.skipped, part.skipped...)
	}
}

func (d *decoder) document(doc *document) {
	roots, faults := doc.parse()
	d.faults = append(d.faults, faults...)
	for _, n := range roots {
		d.root(doc, n)
	}
}

// decoder collects what a file holds.
type decoder struct {
	file    string
	opt     Options
	fields  map[reflect.Type][]shape.Field
	objects []*Object
	faults  Faults
	skipped []Skipped
	budget  budget
}

// root decodes a document's tree.
func (d *decoder) root(doc *document, n *yaml.Node) {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	if !isNull(n) {
		d.object(doc, n, 0)
	}
}

// maxLists is how deep Lists may be in Lists; nobody needs more than one.
const maxLists = 10

// object decodes an object that is in so many Lists.
func (d *decoder) object(doc *document, n *yaml.Node, lists int) {
	w := &walker{
		doc: doc, file: d.file, fields: d.fields, budget: &d.budget,
		source: source{file: d.file}, path: newPath(), following: map[*yaml.Node]bool{},
	}
	defer func() { d.faults = append(d.faults, w.faults...) }()
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if !w.isMapping(n) {
		return
	}
	if !w.spend(n, len(n.Content)) {
		return
	}
	h := readHeader(n)
	w.object = objectName(text(h.kind), text(h.namespace), text(h.name))
	k, verdict := w.kindOf(n, h, d.opt.SkipUnknown)
	d.skipped = append(d.skipped, w.skipped...)
	switch verdict {
	case isList:
		for _, e := range w.entries(n) {
			if e.key.Value != "items" || isNull(e.value) {
				continue
			}
			if e.value.Kind != yaml.SequenceNode {
				w.fault(e.value, "items must be a list, not "+describe(e.value), "")
				continue
			}
			if lists == maxLists {
				w.fault(e.value, "Lists in Lists without end", "write one List")
				continue
			}
			for _, item := range e.value.Content {
				d.object(doc, item, lists+1)
			}
		}
		return
	case isUseless:
		return
	}
	w.secret = k.Kind == "Secret"
	if k.Scope == DefaultScope && text(h.namespace) == "" && text(h.name) != "" {
		w.object = objectName(k.Kind, metav1.NamespaceDefault, text(h.name))
	}
	value := reflect.New(k.Type)
	w.value(n, shape.Field{Type: k.Type}, value.Elem())
	ns, name := w.identity(n, k, h)
	w.source.sort()
	if verdict == isChecked {
		return
	}
	o, err := newObject(k, value.Interface())
	if err != nil {
		if len(w.faults) == 0 {
			w.fault(n, "can't be kept as "+kindsNamed(k.Kind)[0].APIVersion+": "+err.Error(), "")
		}
		return
	}
	o.Namespace, o.Name = ns, name
	o.Meta().Namespace = ns
	o.source = w.source
	o.source.imported = k.imported
	o.complete()
	w.faults = append(w.faults, w.unrelated(checkObject(o))...)
	if len(w.faults) == 0 {
		d.objects = append(d.objects, o)
	}
}

// newObject makes an object of what the walker has filled.
func newObject(k kind, value any) (*Object, error) {
	o := &Object{APIVersion: k.APIVersion, Kind: k.Kind, Value: value}
	if k.imported == nil {
		return o, nil
	}
	var err error
	if o.Value, err = k.imported.keep(value); err != nil {
		return nil, err
	}
	o.APIVersion = kindsNamed(k.Kind)[0].APIVersion
	o.Warnings = []string{k.APIVersion + " is an old version of " + k.Kind + ": it is kept as " + o.APIVersion}
	return o, nil
}

// complete does what the API server does to an object that it takes: a Secret's
// stringData is for writing only.
func (o *Object) complete() {
	s, ok := o.Value.(*corev1.Secret)
	if !ok || len(s.StringData) == 0 {
		return
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
		where := "[" + cleanKey(key) + "]"
		o.source.rename("stringData"+where, "data"+where)
	}
	o.source.rename("stringData", "data")
	s.StringData = nil
	o.source.sort()
}

// clamp keeps faults within the file: YAML takes more characters for line
// breaks than editors do.
func (d *decoder) clamp(data []byte) {
	if len(d.faults)+len(d.skipped) == 0 {
		return
	}
	lines := bytes.Split(data, []byte("\n"))
	within := func(line, column *int) {
		*line = min(max(*line, 1), len(lines))
		*column = min(max(*column, 1), utf8.RuneCount(lines[*line-1])+1)
	}
	for i := range d.faults {
		d.faults[i].File = d.file
		within(&d.faults[i].Line, &d.faults[i].Column)
	}
	for _, s := range d.skipped {
		within(&s.Line, &s.Column)
		if d.opt.Skipped != nil {
			d.opt.Skipped(s)
		}
	}
}
