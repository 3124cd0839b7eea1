package api

import "time"

// Status is how a node does.
type Status struct {
	Version  string    `json:"version,omitempty"` // of the daemon
	Revision uint64    `json:"revision"`          // of the configuration in force
	Digest   string    `json:"digest"`            // nodes with one digest treat packets alike
	Epoch    uint32    `json:"epoch"`             // the data plane's number for it
	Started  time.Time `json:"started,omitzero"`
	Uptime   float64   `json:"uptimeSeconds"`
	Ready    bool      `json:"ready"` // frames pass

	// LastError is why the configuration that was given last is not in force; each
	// fault is on a line of its own.
	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`

	// Takeovers are the devices that the host uses itself.
	Takeovers []TakeoverStatus `json:"takeovers,omitempty"`

	Ports    PortCount     `json:"ports"`
	Sessions SessionCount  `json:"sessions"`
	Memory   MemoryStatus  `json:"memory"`
	Ledger   LedgerStatus  `json:"ledger"`
	Crashes  int           `json:"crashes"` // contained panics; each is a defect
	First    []CrashStatus `json:"firstCrashes,omitempty"`
}

// PortCount is the ports by state.
type PortCount struct {
	Total  int `json:"total"`
	Up     int `json:"up"`
	Down   int `json:"down"`
	Absent int `json:"absent"`
}

// SessionCount is the flow table in numbers.
type SessionCount struct {
	Live     int    `json:"live"`
	Capacity int    `json:"capacity"`
	Created  uint64 `json:"created"` // ever
	// Ended counts by reason of the end, as in flow records.
	Ended map[string]uint64 `json:"ended,omitempty"`
}

// MemoryStatus is where the memory is, in bytes but for numbers of buffers.
type MemoryStatus struct {
	Buffers      int    `json:"buffers"`      // frames, super-frames included, that can be in flight
	BuffersInUse int    `json:"buffersInUse"` // with those that workers keep in reserve
	Pages        string `json:"pages"`        // what the kernel gave for them: hugetlb, thp 30 of 32 MiB, 4k
	Sessions     int    `json:"sessions"`     // of the flow table
	Resident     int    `json:"resident"`     // of the whole process; 0 if the kernel does not say
}

// LedgerStatus are the books: what came and what became of it, in frames.
type LedgerStatus struct {
	Received    uint64 `json:"received"`
	Generated   uint64 `json:"generated"`
	Replicated  uint64 `json:"replicated"`
	Transmitted uint64 `json:"transmitted"`
	Dropped     uint64 `json:"dropped"`
	Consumed    uint64 `json:"consumed"`
	Queued      int64  `json:"queued"`
	// Unexplained is 0 when nothing moves. While frames pass, it may differ by
	// those in hand: the counts are not all of one moment.
	Unexplained int64 `json:"unexplained"`
}

// CrashStatus is a contained panic.
type CrashStatus struct {
	Worker int    `json:"worker"`
	Stage  string `json:"stage"`
	Port   string `json:"port"` // that the frame came in by
	Value  string `json:"value"`
	Stack  string `json:"stack"`
	Frame  []byte `json:"frame,omitempty"` // that it was over; base64
}
