package service

import "github.com/sluice-net/sluice/packet"

// Algorithm chooses a member for a connection.
type Algorithm uint8

// The algorithms.
const (
	RoundRobin Algorithm = iota
	WeightedRoundRobin
	LeastConnection
	WeightedLeastConnection
	SourceHash // of the client's address
	TupleHash  // of addresses, protocol and ports
	Maglev     // TupleHash, and clients of other members stay where they are when members come and go
	numAlgorithms
)

var algorithms = [numAlgorithms]string{
	RoundRobin: "ROUND_ROBIN", WeightedRoundRobin: "WEIGHTED_ROUND_ROBIN",
	LeastConnection: "LEAST_CONNECTION", WeightedLeastConnection: "WEIGHTED_LEAST_CONNECTION",
	SourceHash: "IP_HASH", TupleHash: "TUPLE_HASH", Maglev: "MAGLEV",
}

// String returns the name as users write it.
func (a Algorithm) String() string {
	if a < numAlgorithms {
		return algorithms[a]
	}
	return "UNKNOWN"
}

// Algorithms returns all names, in order.
func Algorithms() []string { return append([]string(nil), algorithms[:]...) }

// Pool is members that do the same. A Service has one for each of its ports, and one more
// where a traffic policy leaves only some of the members.
type Pool struct {
	ID     uint32 // 1 to MaxID; stays as long as a pool of this name is there
	Origin Origin
	Name   string // of a Service's: the server's; with " (local)" or the like behind it of the parts

	Algorithm Algorithm
	TableSize int // of SourceHash, TupleHash and Maglev: a prime; 0: by the number of members, see maglev.Size

	// Members by address and port, all of one family; each may be in several pools of one origin.
	Members []*Member

	// MinActive: with fewer members that are up and no backups, backup members
	// take part (NSX's min_active_members). At least 1.
	MinActive int

	// Draining members take connections when no other is there: of an EndpointSlice, those that are terminating and serving.
	LastResort bool

	SlowStartNs int64 // a member that came up gets its share in proportion to how long it has been up; 0: at once

	Monitors []*Monitor // all of which a member has to pass; none: members are up
	Passive  *Passive   // nil: none

	MaxConnections uint32 // of each member that names no number of its own; 0 is no limit
}

// Admin is what its administrator wants of a member.
type Admin uint8

// The admin states.
const (
	Enabled  Admin = iota
	Draining       // GRACEFUL_DISABLED: sessions live on, affinity holds, nothing new otherwise
	Disabled       // sessions are ended
)

var admins = [...]string{Enabled: "ENABLED", Draining: "GRACEFUL_DISABLED", Disabled: "DISABLED"}

// String returns the name as NSX has it.
func (a Admin) String() string {
	if int(a) < len(admins) {
		return admins[a]
	}
	return "UNKNOWN"
}

// Member is a server behind a virtual one.
type Member struct {
	// ID is 1 to MaxID, of no other Member, and stays as long as its pool's origin has a member
	// with this address and port.
	ID      uint32
	Name    string // what users know it by: the display name, the Pod's; may be empty
	Address packet.Addr
	Port    uint16 // 0: that to which the client connects
	Weight  uint16 // 1 to 256; counts for the weighted and hashing algorithms
	Admin   Admin
	Backup  bool
	// NotReady is of Draining members: not even as the pool's last resort it takes connections.
	NotReady bool
	// Local: it is on one of this node's segments.
	Local bool

	MaxConnections uint32 // 0: the pool's

	// Why says where the admin state is from, if from no administrator: "terminating", "not ready"….
	Why string
}

// MonitorType is what an active monitor does.
type MonitorType uint8

// The types.
const (
	MonitorICMP MonitorType = iota
	MonitorTCP
	MonitorUDP
	MonitorHTTP
	MonitorHTTPS
)

var monitorTypes = [...]string{"ICMP", "TCP", "UDP", "HTTP", "HTTPS"}

// String returns the name as users write it.
func (m MonitorType) String() string {
	if int(m) < len(monitorTypes) {
		return monitorTypes[m]
	}
	return "UNKNOWN"
}

// Monitor probes members. One that is the same pointer probes an address and port once, for
// however many pools.
type Monitor struct {
	Name string
	Type MonitorType

	IntervalNs, TimeoutNs int64
	Rise, Fall            int    // successes, and failures, in a row that change a member's state; at least 1
	Port                  uint16 // 0: the member's

	Send, Receive []byte // of TCP and UDP: what is sent, and what has to begin the answer; nil: nothing, anything

	// HTTP and HTTPS.
	Method, Path, Host, Version string // Version: 1.0 or 1.1
	Headers                     [][2]string
	Body                        []byte
	Statuses                    []int  // that are expected; nil: 200 to 399
	ResponseBody                string // has to be in the answer's first 64 KiB; empty: anything
	Verify                      bool   // the certificate of HTTPS has to be good for ServerName
	ServerName                  string
	CA                          []byte // PEM; nil: the system's
}

// Passive takes a member out of service for what connections to it did.
type Passive struct {
	MaxFails  int   // failed connections within TimeoutNs
	TimeoutNs int64 // it stays out so long
}
