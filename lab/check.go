package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-net/sluice/api"
)

// nodeName is the node's own namespace wherever a pod or host can be named.
const nodeName = "node"

// check looks for what each field by itself can't show, and makes pods of
// those that are counted.
func (s *Scenario) check(d *decoder) {
	if len(validation.IsDNS1123Label(s.Name)) > 0 {
		d.faultAt(place{1, 1}, "name", fmt.Sprintf("%q is not a name", s.Name), "lower-case letters, digits and -")
	}
	s.count(d)
	names := map[string]bool{nodeName: true}
	for i := range s.Pods {
		s.Pods[i].check(d, names)
	}
	ports, links := map[string]bool{}, map[string]int{}
	for i := range s.Pods {
		ports[s.Pods[i].Name] = true
	}
	for i := range s.Hosts {
		s.Hosts[i].check(d, names, ports, links)
	}
	for i := range s.Hosts {
		for j := range s.Hosts[i].Interfaces {
			if f := &s.Hosts[i].Interfaces[j]; f.Link != "" && links[f.Link] != 2 {
				d.faultAt(f.At, "link", fmt.Sprintf("%q has %d ends", f.Link, links[f.Link]), "a link joins two interfaces")
			}
		}
	}
	c := &checker{d: d, names: names, ports: ports, running: map[string]bool{}}
	for i := range s.Pods {
		c.programs(s.Pods[i].Name, s.Pods[i].Run)
	}
	for i := range s.Hosts {
		c.programs(s.Hosts[i].Name, s.Hosts[i].Run)
	}
	for i := range s.Steps {
		c.step(&s.Steps[i], false)
	}
}

// count replaces each pod that has a count by so many.
func (s *Scenario) count(d *decoder) {
	var all []Pod
	for _, p := range s.Pods {
		switch counted := strings.Contains(p.Name, "{n}"); {
		case counted && p.Count == 0:
			d.faultAt(p.At, "name", "{n} stands for a number, and there is no count", "add count: N")
		case !counted && p.Count != 0:
			d.faultAt(p.At, "count", "the name has no {n} to tell the pods apart", "")
		case !counted:
			all = append(all, p)
		default:
			for n := 1; n <= p.Count; n++ {
				one := p
				one.Name = strings.ReplaceAll(p.Name, "{n}", fmt.Sprint(n))
				all = append(all, one)
			}
		}
	}
	s.Pods = all
}

// portForm is NAMESPACE/NAME or NAME.
var portForm = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (p *Pod) check(d *decoder, names map[string]bool) {
	fault := func(field, format string, args ...any) {
		d.faultAt(p.At, field, fmt.Sprintf(format, args...), "")
	}
	switch {
	case !portForm.MatchString(p.Name):
		fault("name", "%q is not a port's name: NAMESPACE/NAME or NAME", p.Name)
	case names[p.Name]:
		fault("name", "%q is there twice", p.Name)
	}
	names[p.Name] = true
	switch {
	case p.Namespace != "" && p.Namespace != nodeName:
		fault("namespace", "%q: leave it out, or write node", p.Namespace)
	case p.Namespace == nodeName && p.Device.Type != "tap":
		fault("namespace", "only a tap can be in the node's own namespace: its other end is the node itself")
	case p.Namespace == nodeName && p.Interface == "":
		fault("interface", "a device in the node's own namespace needs a name")
	}
	if p.Gateway != "" && p.Gateway != "none" && !isAddress(p.Gateway) {
		fault("gateway", "%q is neither an address nor none", p.Gateway)
	}
	if p.Port != nil {
		if err := p.portSpec(new(api.PortSpec)); err != nil {
			d.fault(p.Port, "port", err.Error(), "these are fields of a Port's spec")
		}
		for _, field := range []string{"segment", "addresses", "device", "mtu"} {
			for i := 0; i+1 < len(p.Port.Content); i += 2 {
				if p.Port.Content[i].Value == field {
					d.fault(p.Port.Content[i], "port", "the field "+field+" is the pod's own", "move it up")
				}
			}
		}
	}
	p.Inside.check(d)
}

// portSpec reads the fields of a Port's spec that the pod gives as they are.
func (p *Pod) portSpec(into *api.PortSpec) error {
	var value any
	if err := p.Port.Decode(&value); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	reader := json.NewDecoder(bytes.NewReader(data))
	reader.DisallowUnknownFields()
	return reader.Decode(into)
}

func (s *Inside) check(d *decoder) {
	for i := range s.Routes {
		r := &s.Routes[i]
		if _, err := r.destination(); err != nil {
			d.faultAt(r.At, "to", err.Error(), "")
		}
		if !r.Via.IsValid() && r.Dev == "" {
			d.faultAt(r.At, "", "a route needs via or dev", "")
		}
	}
}

func (h *Host) check(d *decoder, names, ports map[string]bool, links map[string]int) {
	if len(validation.IsDNS1123Label(h.Name)) > 0 {
		d.faultAt(h.At, "name", fmt.Sprintf("%q is not a name", h.Name), "lower-case letters, digits and -")
	}
	if names[h.Name] {
		d.faultAt(h.At, "name", fmt.Sprintf("%q is there twice", h.Name), "")
	}
	names[h.Name] = true
	seen := map[string]bool{}
	for i := range h.Interfaces {
		f := &h.Interfaces[i]
		if (f.Port == "") == (f.Link == "") {
			d.faultAt(f.At, "", "an interface has either a port or a link", "")
		}
		if len(f.Name) > maxDeviceName || seen[f.Name] {
			d.faultAt(f.At, "name", fmt.Sprintf("%q is there twice, or has more than %d bytes", f.Name, maxDeviceName), "")
		}
		if f.Port != "" && ports[f.Port] {
			d.faultAt(f.At, "port", fmt.Sprintf("the port %q is there twice", f.Port), "")
		}
		seen[f.Name], ports[f.Port] = true, true
		links[f.Link]++
	}
	h.Inside.check(d)
}

// checker goes through the steps in their order.
type checker struct {
	d       *decoder
	names   map[string]bool // of pods, hosts and the node
	ports   map[string]bool
	running map[string]bool // programs in the background
}

func (c *checker) programs(self string, programs []Program) {
	for i := range programs {
		c.command(&programs[i].Run)
	}
}

func (c *checker) command(cmd *Command) {
	for _, text := range append([]string{cmd.Line}, cmd.Words...) {
		for _, v := range variables(text) {
			if err := v.check(c.names, c.ports); err != nil {
				c.d.faultAt(cmd.At, "", err.Error(), "")
			}
		}
	}
}

// matching returns the names that a pattern stands for.
func matching(pattern string, names map[string]bool) (found []string) {
	for _, name := range sortedNames(names) {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			found = append(found, name)
		}
	}
	return found
}

func (c *checker) step(s *Step, parallel bool) {
	fault := func(field, message, hint string) { c.d.faultAt(s.At, field, message, hint) }
	actions := map[string]bool{
		"run": !s.Run.IsZero(), "connect": s.Connect != nil, "wait": s.Wait != "", "stop": s.Stop != "", "get": s.Get != "", "config": s.Config != nil,
		"node": s.Node != "", "device": s.Device != nil, "pause": s.Pause != 0, "parallel": s.Parallel != nil,
	}
	var given []string
	for _, name := range sortedNames(actions) {
		if actions[name] {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		what := "says nothing to do"
		if len(given) > 1 {
			what = "says several things to do: " + strings.Join(given, ", ")
		}
		fault("", "the step "+what, "one of "+strings.Join(sortedNames(actions), ", "))
		return
	}
	for field, only := range map[string][]string{
		"in": {"run", "connect"}, "background": {"run"}, "expect.outcome": {"connect"},
		"expect.status": {"run", "wait", "stop"}, "expect.stdout": {"run", "wait", "stop"},
		"expect.stderr": {"run", "wait", "stop"}, "expect.json": {"run", "wait", "stop", "get"}, "expect.refused": {"config"},
	} {
		if s.has(field) && !strings.Contains(" "+strings.Join(only, " ")+" ", " "+given[0]+" ") {
			fault(field, "goes with "+strings.Join(only, ", ")+", not with "+given[0], "")
		}
	}
	if !s.Run.IsZero() || s.Connect != nil {
		c.run(s, fault)
	}
	c.checkOutcome(s)
	for field, name := range map[string]string{"wait": s.Wait, "stop": s.Stop} {
		if name != "" && !c.running[name] {
			fault(field, fmt.Sprintf("nothing of the name %q was started in the background before", name), "")
		}
	}
	if s.Get != "" && !strings.HasPrefix(s.Get, "/") {
		fault("get", fmt.Sprintf("%q is not a path of the API", s.Get), "such as /v1/ports")
	}
	if s.Device != nil && !c.ports[s.Device.Of] {
		fault("device", fmt.Sprintf("there is no port %q", s.Device.Of), "known: "+strings.Join(sortedNames(c.ports), ", "))
	}
	for i := range s.Capture {
		if f := &s.Capture[i]; !c.names[f.In] {
			c.d.faultAt(f.At, "in", fmt.Sprintf("there is no pod or host %q", f.In), "known: "+strings.Join(sortedNames(c.names), ", "))
		}
	}
	for port := range s.Expect.Ports {
		if !c.ports[port] {
			fault("expect.ports", fmt.Sprintf("there is no port %q", port), "known: "+strings.Join(sortedNames(c.ports), ", "))
		}
	}
	for i := range s.Parallel {
		c.step(&s.Parallel[i], true)
		if p := &s.Parallel[i]; parallel || p.Parallel != nil || p.Node != "" || p.Config != nil || p.Background != "" || p.Expect.counts() {
			c.d.faultAt(p.At, "parallel", "the steps in it can't be parallel themselves, in the background, or about the node", "counters can be expected of the step as a whole")
		}
	}
}

func (c *checker) run(s *Step, fault func(field, message, hint string)) {
	if s.Connect != nil {
		s.Connect.check(c)
	} else {
		c.command(&s.Run)
	}
	if len(s.In) == 0 {
		fault("in", "is missing: where is the command run?", "a pod's or host's name, or node")
	}
	for _, pattern := range s.In {
		if len(matching(pattern, c.names)) == 0 {
			fault("in", fmt.Sprintf("there is no pod or host %q", pattern), "known: "+strings.Join(sortedNames(c.names), ", "))
		}
	}
	if s.Background == "" {
		return
	}
	if c.running[s.Background] {
		fault("background", fmt.Sprintf("%q is there twice", s.Background), "")
	}
	if s.Within != 0 || len(s.Capture) > 0 || len(s.In) > 1 || strings.Contains(strings.Join(s.In, ""), "*") {
		fault("background", "goes with neither within nor capture, and runs in one place", "")
	}
	c.running[s.Background] = true
}

// has reports whether a field that is not an action is given.
func (s *Step) has(field string) bool {
	switch field {
	case "in":
		return len(s.In) > 0
	case "background":
		return s.Background != ""
	case "expect.status":
		return s.Expect.Status != nil
	case "expect.stdout":
		return s.Expect.Stdout != nil
	case "expect.stderr":
		return s.Expect.Stderr != nil
	case "expect.json":
		return s.Expect.JSON != nil
	case "expect.outcome":
		return s.Expect.Outcome != nil
	default:
		return s.Expect.Refused != nil
	}
}
