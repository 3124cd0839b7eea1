package dataplane

// QueueID names a receive queue.
type QueueID struct {
	Port  uint16 // its number
	Queue int
}

// Polled returns the receive queues that a worker polls under the snapshot in
// force, for display.
func (e *Engine) Polled(worker int) (list []QueueID) {
	for _, p := range e.snap.Load().Ports {
		if p == nil {
			continue
		}
		for q := range p.Queues {
			if pollerOf(p, q, len(e.workers)) == worker {
				list = append(list, QueueID{p.Number, q})
			}
		}
	}
	return list
}

// pollerOf returns the worker that polls queue q of a port. A device with one queue
// is polled by the worker that its port's number says, one with several by as many
// workers as there are.
func pollerOf(p *PortConfig, q, workers int) int {
	if p.Queues == 1 {
		q = int(p.Number)
	}
	return q % workers
}
