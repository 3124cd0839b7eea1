package health

import "container/heap"

// schedule are probes by due time, the first one first; equal times in no order.
type schedule []*probe

func (s *schedule) add(p *probe) { heap.Push((*byDue)(s), p) }

// remove takes a probe out, if it is there.
func (s *schedule) remove(p *probe) {
	if p.at != 0 {
		heap.Remove((*byDue)(s), p.at-1)
	}
}

// byDue is a schedule as container/heap wants it.
type byDue []*probe

func (s byDue) Len() int           { return len(s) }
func (s byDue) Less(i, j int) bool { return s[i].due.Before(s[j].due) }

func (s byDue) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i+1, j+1
}

func (s *byDue) Push(x any) {
	p := x.(*probe)
	*s = append(*s, p)
	p.at = len(*s)
}

func (s *byDue) Pop() any {
	last := len(*s) - 1
	p := (*s)[last]
	(*s)[last], p.at = nil, 0
	*s = (*s)[:last]
	return p
}
