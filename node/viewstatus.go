package node

import (
	"cmp"
	"errors"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Status is what the node knows of how it does. What its process is (version,
// start, readiness, the configuration that was refused) is for the caller to fill in.
func (n *Node) Status() api.Status {
	var st api.Status
	s := n.shown.Load()
	if s == nil {
		return st
	}
	st.Revision, st.Digest, st.Epoch = s.model.Revision, s.model.Digest, n.engine.Snapshot().Epoch
	for i := range s.model.Ports {
		var v api.PortView
		p := s.model.Ports[i]
		showDevice(&v, p, s.ports[i])
		st.Ports.Total++
		switch v.State {
		case api.PortUp:
			st.Ports.Up++
		case api.PortDown:
			st.Ports.Down++
		default:
			st.Ports.Absent++
		}
	}
	l := n.engine.Ledger()
	st.Ledger = api.LedgerStatus(l)
	var crashes []dataplane.Crash
	crashes, st.Crashes = n.engine.Crashes()
	for _, c := range crashes {
		st.First = append(st.First, api.CrashStatus{
			Worker: c.Worker, Stage: c.Stage, Port: c.Port, Value: c.Value, Stack: c.Stack, Frame: c.Frame,
		})
	}
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.table == nil {
		return st
	}
	table := n.table.Stats()
	st.Sessions = api.SessionCount{Live: table.Live, Capacity: table.Capacity, Created: table.Created}
	for reason, count := range table.Ended {
		if count != 0 {
			if st.Sessions.Ended == nil {
				st.Sessions.Ended = map[string]uint64{}
			}
			st.Sessions.Ended[flowtable.EndReason(reason).String()] += count
		}
	}
	c := n.arena.Config()
	st.Memory = api.MemoryStatus{
		Buffers: c.Buffers + c.Supers, BuffersInUse: n.arena.InUse(), Pages: n.arena.Pages(),
		Sessions: table.Memory, Resident: residentMemory(),
	}
	return st
}

// residentMemory returns the bytes of this process that are in memory (proc(5),
// statm); 0 if the kernel does not say.
func residentMemory() int {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}

// WorkerViews are the workers, in order.
func (n *Node) WorkerViews(f *api.Filter) (iter.Seq[api.WorkerView], error) {
	s, err := n.look(f)
	if err != nil {
		return nil, err
	}
	all := func(yield func(api.WorkerView) bool) {
		for id := range n.engine.Workers() {
			if !yield(n.workerView(s, id)) {
				return
			}
		}
	}
	list, err := choose(f, "worker", all, func(v *api.WorkerView) string { return strconv.Itoa(v.ID) }, func(*api.WorkerView) bool { return true })
	return slices.Values(list), err
}

func (n *Node) workerView(s *shown, id int) api.WorkerView {
	stats := n.engine.Worker(id).Stats()
	v := api.WorkerView{
		ID: id, BusySeconds: stats.Busy.Seconds(), Turns: stats.Turns, Vectors: stats.Vectors, Frames: stats.Frames, Sleeps: stats.Sleeps,
	}
	if cpus := n.settings.CPUs; id < len(cpus) {
		v.CPU = &cpus[id]
	}
	if stats.Vectors > 0 {
		v.FramesPerVector = float64(stats.Frames) / float64(stats.Vectors)
	}
	if lived := n.runningFor(); lived > 0 {
		v.BusyShare = min(stats.Busy.Seconds()/lived, 1)
	}
	for _, q := range n.engine.Polled(id) {
		v.Queues = append(v.Queues, api.WorkerQueue{Port: s.portName(q.Port), Queue: q.Queue})
	}
	return v
}

// runningFor returns for how long the workers have run, seconds; 0 if they don't.
func (n *Node) runningFor() float64 {
	started := n.started.Load()
	if started == 0 {
		return 0
	}
	return float64(dataplane.Now()-started) / 1e9
}

// DropViews are the drops, the most frequent first. Names are reasons; that nothing was
// dropped for one of them is no error.
func (n *Node) DropViews(f *api.Filter) (iter.Seq[api.DropView], error) {
	s, err := n.look(f)
	errs := []error{err}
	for _, name := range f.Names {
		if _, found := packet.ReasonByName(name); !found {
			errs = append(errs, api.NotFound("drop reason", name, reasonNames()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var list []api.DropView
	for i := range s.model.Ports {
		p := s.model.Ports[i]
		if f.Port != "" && f.Port != p.Name {
			continue
		}
		c := n.engine.PortCounters(p.Number)
		for reason, count := range c.Drops {
			r := packet.Reason(reason)
			if count != 0 && f.Match(r.String()) {
				list = append(list, api.DropView{
					Reason: r.String(), Component: r.Component(), Meaning: r.Meaning(), Port: p.Name, Count: count,
				})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b api.DropView) int { return cmp.Compare(b.Count, a.Count) })
	return slices.Values(list), nil
}

func reasonNames() (names []string) {
	for r := packet.None + 1; r < packet.NumReasons; r++ {
		names = append(names, r.String())
	}
	return names
}
