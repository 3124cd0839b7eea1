// Package doctor looks at a machine as a node would find it: what works, what does
// not, and what to do about it. It changes nothing.
package doctor

import (
	"fmt"
	"strings"

	"github.com/sluice-net/sluice/control"
)

// State says how bad a finding is.
type State string

// States, from good to bad.
const (
	OK   State = "OK"
	Info State = "INFO" // to know; nothing needs to be done
	Warn State = "WARN" // it works, but worse than it could, or not always
	Fail State = "FAIL" // what was asked for does not work
)

// Finding is the result of one check.
type Finding struct {
	Group string   `json:"group"` // what it is about: kernel, rights, machine, state, settings, leftovers, device NAME
	Name  string   `json:"name"`
	State State    `json:"state"`
	Found string   `json:"found"`           // what is there
	Means string   `json:"means,omitempty"` // for Sluice; empty if all is well
	Mend  []string `json:"mend,omitempty"`  // commands; what begins with # is for a person to read
}

// Report is what was found, in the order of groups.
type Report struct {
	Findings []Finding `json:"findings"`
	Summary  Summary   `json:"summary"`
}

// Summary counts the findings of each state.
type Summary struct {
	OK   int `json:"ok"`
	Info int `json:"info"`
	Warn int `json:"warn"`
	Fail int `json:"fail"`
}

// String is one line for a person.
func (s Summary) String() string {
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(s.Fail, "thing must be mended", "things must be mended")
	add(s.Warn, "should be", "should be")
	if s.Fail == 0 && s.Warn > 0 {
		parts = nil
		add(s.Warn, "thing should be mended", "things should be mended")
	}
	if len(parts) == 0 {
		parts = []string{"nothing to mend"}
	}
	add(s.Info, "to know", "to know")
	return strings.Join(parts, ", ")
}

// Options say what to look for.
type Options struct {
	// Model is the configuration that is to work; nil looks at what there is.
	Model *control.Model

	// Socket is the path of the daemon's API socket; "" is none.
	Socket string

	// State is the daemon's folder; "" is none.
	State string
}

// Run examines a machine.
func Run(s *System, o Options) Report {
	return Examine(Gather(s, o))
}

// check is a group of findings from facts.
type check func(*Facts) []Finding

// checks in the order of the report.
var checks = []check{
	kernelVersion, xdpSockets, shielding, segmentation,
	capabilities, container, tunDevice, openFiles, lockedMemory,
	processors, quota, memory, hugePages, clockSource, frequency,
	stateFolder,
	devices,
	socketBuffers, backlog, hostSide, firewall, connectionTracking,
	leftovers,
}

// Examine judges facts. It depends on nothing else.
func Examine(f *Facts) Report {
	var r Report
	for _, c := range checks {
		r.Findings = append(r.Findings, c(f)...)
	}
	for _, finding := range r.Findings {
		switch finding.State {
		case OK:
			r.Summary.OK++
		case Info:
			r.Summary.Info++
		case Warn:
			r.Summary.Warn++
		case Fail:
			r.Summary.Fail++
		}
	}
	return r
}

// group makes findings of one group.
type group string

func (g group) ok(name, format string, args ...any) Finding {
	return Finding{Group: string(g), Name: name, State: OK, Found: fmt.Sprintf(format, args...)}
}

func (g group) is(state State, name, found, means string, mend ...string) Finding {
	return Finding{Group: string(g), Name: name, State: state, Found: found, Means: means, Mend: mend}
}

// Groups but for those of devices.
const (
	inKernel    = group("kernel")
	inRights    = group("rights")
	inMachine   = group("machine")
	inState     = group("state")
	inSettings  = group("settings")
	inLeftovers = group("leftovers")
)
