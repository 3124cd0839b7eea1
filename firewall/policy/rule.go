package policy

// Action is what a rule does with the first packet of a session, or with each
// packet if it is stateless.
type Action uint8

// The actions.
const (
	Allow  Action = iota
	Drop          // silently
	Reject        // and tell the sender: a TCP reset, or ICMP administratively prohibited

	// JumpToApplication goes on with the rules of category Application; in that
	// category there is nothing to jump to, and control refuses it.
	JumpToApplication
)

// String returns the name as users write it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "UNKNOWN"
}

var actionNames = [...]string{Allow: "ALLOW", Drop: "DROP", Reject: "REJECT", JumpToApplication: "JUMP_TO_APPLICATION"}

// Direction is seen from the port that a rule applies to. A set of bits: rules may have both.
type Direction uint8

// The directions.
const (
	In  Direction = 1 << iota // to the workload
	Out                       // from it
)

// String returns IN, OUT or IN_OUT.
func (d Direction) String() string {
	switch d {
	case In:
		return "IN"
	case Out:
		return "OUT"
	}
	return "IN_OUT"
}

// Families is the IP versions that a rule is about, a set of bits.
type Families uint8

// The IP versions.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// SetID is the number of a Set in its Policy.
type SetID uint32

// Sets that every Policy has.
const (
	Any  SetID = 0 // every port, every address
	None SetID = 1 // nobody: a group without members
)

// Rule says what becomes of packets that match all of its conditions.
type Rule struct {
	ID   uint32 // of no other rule; the same as long as the rule is there, whatever else changes
	Name string // as written, or as its place: ingress[0]

	Action     Action
	Directions Direction
	Families   Families

	AppliedTo    SetID // ports at which the rule is; by Set.Ports alone
	Source       SetID
	Destination  SetID
	SourceNot    bool      // everybody but Source
	DestNot      bool      // everybody but Destination
	Services     []Service // any of them; empty is all
	Logged       bool
	Tag          string   // goes into the log
	PerRule      int      // sessions at a time that the rule lets in; 0 is no limit
	PerSource    int      // the same for each source address; 0 is no limit
	Notes        string   // for people
	SourceText   []string // what was written for source, destination and services, for people; empty is ANY
	DestText     []string
	ServicesText []string
}

// Service is a condition on the transport header, or in category Ethernet on the frame's type.
type Service struct {
	EtherType uint16 // in category Ethernet only; 0 is any

	AnyProtocol bool  // Protocol and the rest have no meaning
	Protocol    uint8 // IP protocol number

	SourcePorts []PortRange // TCP, UDP, SCTP; empty is any
	DestPorts   []PortRange // likewise

	ICMPType int16 // ICMP, ICMPv6; -1 is any
	ICMPCode int16 // -1 is any
}

// PortRange is ports First to Last, both included.
type PortRange struct{ First, Last uint16 }
