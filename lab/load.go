package lab

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/control"
)

// Load reads a scenario: of a file, or a shipped one by its name. Faults are all
// that there are, each with its place; the error is about the file itself.
func Load(name string) (*Scenario, control.Faults, error) {
	data, file, err := read(name)
	if err != nil {
		return nil, nil, err
	}
	s, faults := Decode(file, data)
	return s, faults, nil
}

// Decode reads a scenario of data; file is its name.
func Decode(file string, data []byte) (*Scenario, control.Faults) {
	d := &decoder{file: file, lines: strings.Split(string(data), "\n")}
	s := &Scenario{File: file}
	if n := d.parse(data); n != nil {
		d.into(n, s, "")
		s.load(d)
		if len(d.faults) == 0 { // else half of it would be faults of faults
			s.check(d)
		}
	}
	if len(d.faults) > 0 {
		slices.SortStableFunc(d.faults, func(a, b control.Fault) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, d.faults
	}
	return s, nil
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parse returns the one document's tree, nil if there is none.
func (d *decoder) parse(data []byte) *yaml.Node {
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var n, more yaml.Node
	err := reader.Decode(&n)
	if err == nil && len(n.Content) == 1 && !isNull(n.Content[0]) {
		if err = reader.Decode(&more); err == nil {
			d.fault(&more, "", "a second document begins here", "a file holds one scenario; objects of the node go below config: |")
			return nil
		}
		if errors.Is(err, io.EOF) {
			return n.Content[0]
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		d.faultAt(place{1, 1}, "", "the file holds no scenario", "")
		return nil
	}
	at, message := place{1, 1}, err.Error()
	if m := syntaxError.FindStringSubmatch(message); m != nil {
		message = m[2]
		if line, err := strconv.Atoi(m[1]); err == nil {
			at.line = line
		}
	}
	hint := ""
	if strings.Contains(message, "did not find expected key") {
		hint = "the indentation fits no line above it; a block whose first line is indented further than the others begins with |2"
	}
	d.faultAt(at, "", message, hint)
	return nil
}

// load decodes the objects that the scenario brings along.
func (s *Scenario) load(d *decoder) {
	s.objects = s.Config.objects(d)
	for _, name := range s.ConfigFiles {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(s.File), path)
		}
		if _, err := os.Stat(path); err != nil {
			d.faultAt(place{1, 1}, "configFiles", err.Error(), "paths begin at the scenario's folder")
			continue
		}
		objects, faults := control.Load([]string{path}, nil, control.Options{})
		s.objects = append(s.objects, objects...)
		d.faults = append(d.faults, faults...)
	}
	eachStep(s.Steps, func(step *Step) {
		if step.Config != nil {
			step.Config.objects = step.Config.Apply.objects(d)
		}
	})
}

// eachStep visits all steps, those within parallel ones too.
func eachStep(steps []Step, visit func(*Step)) {
	for i := range steps {
		visit(&steps[i])
		eachStep(steps[i].Parallel, visit)
	}
}
