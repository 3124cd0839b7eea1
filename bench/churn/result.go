package churn

import (
	"slices"
	"time"
)

// Result is what a run has measured. Times are in seconds.
type Result struct {
	Rate    float64 `json:"rate"` // asked for, changes per second
	Objects int     `json:"objects"`
	Clients int     `json:"clients"`

	Seconds float64        `json:"seconds"` // from the first change until all were answered
	Changes int            `json:"changes"` // that are in force
	Reached float64        `json:"reached"` // changes per second
	Actions map[string]int `json:"actions"` // what became of objects: created, configured, deleted
	Kinds   map[string]int `json:"kinds"`

	Errors      int      `json:"errors"`                // changes that failed
	FirstErrors []string `json:"firstErrors,omitempty"` // the first that differ
	Unsent      int      `json:"unsent"`                // changes that were given up, because the run was interrupted or the daemon is too slow

	// Live is from when a change was due until it was answered, and so in force. Answer is
	// without the time for which it waited for one of the clients; Daemon is what
	// the daemon measures itself, from the arrival of the request.
	Live   Percentiles `json:"liveSeconds"`
	Answer Percentiles `json:"answerSeconds"`
	Daemon Percentiles `json:"daemonSeconds"`

	// Publications are configurations that workers were given: changes that come
	// together are put in force together.
	Publications uint32 `json:"publications"`

	// Frames are those that the daemon received meanwhile, per second; FramesBefore,
	// before the first change.
	Frames       float64 `json:"framesPerSecond"`
	FramesBefore float64 `json:"framesPerSecondBefore"`

	// CPU is what the daemon used, nil if that is not known.
	CPU *CPU `json:"cpu,omitempty"`
}

// Percentiles are the times that a share of all changes did not exceed.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// CPU is processor time of the daemon.
type CPU struct {
	Before    float64 `json:"shareBefore"`      // of a core, before the first change: for frames, or nothing
	During    float64 `json:"share"`            // of a core, while it made changes
	PerChange float64 `json:"secondsPerChange"` // what it used more than before, for each change
}

// percentilesOf sorts times in nanoseconds.
func percentilesOf(ns []int64) (p Percentiles) {
	if len(ns) == 0 {
		return p
	}
	slices.Sort(ns)
	for _, q := range []struct {
		share float64
		value *float64
	}{{.5, &p.P50}, {.9, &p.P90}, {.99, &p.P99}, {.999, &p.P999}, {1, &p.Max}} {
		i := min(int(q.share*float64(len(ns))), len(ns)-1)
		*q.value = time.Duration(ns[i]).Seconds()
	}
	return p
}

// result puts together what the clients have counted, and what the daemon used before the
// first change, from before to start, and from there to the end.
func (l *load) result(took time.Duration, tallies []tally, before, start, end usage) *Result {
	c := l.config
	r := &Result{
		Rate: c.Rate, Objects: c.Objects, Clients: c.Clients, Seconds: took.Seconds(),
		Actions: map[string]int{}, Kinds: map[string]int{}, FirstErrors: l.errs,
		Publications: end.epoch - start.epoch,
	}
	var live, answer, daemon []int64
	for _, t := range tallies {
		r.Changes += len(t.samples)
		r.Errors += t.failed
		for _, s := range t.samples {
			live, answer = append(live, s.late+s.answer), append(answer, s.answer)
			daemon = append(daemon, s.live)
		}
		for a, n := range t.actions {
			r.Actions[string(a)] += n
		}
		for k, n := range t.kinds {
			r.Kinds[k] += n
		}
	}
	r.Unsent = int(l.total) - r.Changes - r.Errors
	r.Reached = float64(r.Changes) / r.Seconds
	r.Live, r.Answer, r.Daemon = percentilesOf(live), percentilesOf(answer), percentilesOf(daemon)
	idle, busy := start.since(&before), end.since(&start)
	r.FramesBefore, r.Frames = idle.frames, busy.frames
	if c.PID != 0 {
		r.CPU = &CPU{Before: idle.cpu, During: busy.cpu}
		if r.Changes > 0 {
			r.CPU.PerChange = (busy.cpu - idle.cpu) * busy.seconds / float64(r.Changes)
		}
	}
	return r
}

// Failed reports whether a change failed or was not made.
func (r *Result) Failed() bool { return r.Errors > 0 || r.Unsent > 0 }
