package flowtable

import "time"

// Listed is a live session as a Page shows it.
type Listed struct {
	Record

	// Ports are those by which packets of each direction come in, by Dir: of the
	// permits in force. 0: no packet of that direction was permitted yet.
	Ports [2]uint16

	Timeout time.Duration // it ends when it has been idle for so long, in its state
}

// pageChunk is how many numbers one Page looks at.
const pageChunk = 4096

// Page copies live sessions with numbers from up into list, until it is full or
// a chunk of numbers is done, and returns how many it has copied and the number to go
// on from, 0 at the end. From 1 on, so, all are listed that live throughout; in
// between nothing is held, so that who shows them may take any time. That is what it
// does better than Sessions, in whose yield no worker can recycle sessions.
func (t *Table) Page(from uint32, list []Listed) (n int, next uint32) {
	reader := t.Reader()
	defer reader.Close()
	from = max(from, 1)
	all := t.pool.fresh.Load()
	for number := from; number <= all; number++ {
		if n == len(list) || number-from == pageChunk {
			return n, number
		}
		// Live now means not recycled before the reader is closed.
		if t.session(number).control().phase() != phaseLive {
			continue
		}
		l := &list[n]
		n++
		l.fill(t, number)
		for d := range Dir(2) {
			if _, link := t.Entry(ID(number<<1) | ID(d)).Link(); link&LinkValid != 0 {
				l.Ports[d] = uint16(link >> 32)
			} else {
				l.Ports[d] = 0
			}
		}
		l.Timeout = time.Duration(t.tracker.Load().of(l.Terms.Timers)[l.State])
	}
	return n, 0
}

// States returns the names of all states of sessions, each once.
func States() (names []string) {
	seen := map[string]bool{}
	for st := StateNew + 1; st < numStates; st++ {
		if name := st.String(); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
