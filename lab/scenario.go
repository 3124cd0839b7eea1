package lab

import (
	"net/netip"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Scenario is what a file says. docs/labs.md describes the fields for authors.
type Scenario struct {
	File string `yaml:"-"` // for messages, and where relative paths begin

	Name  string   `yaml:"name" required:"true"`
	About string   `yaml:"about" required:"true"` // one sentence
	Needs []string `yaml:"needs"`                 // programs that have to be installed

	// Picture is the topology, drawn; printed at the start.
	Picture string `yaml:"picture"`

	// Config and ConfigFiles are objects, as the node takes them. The ports of
	// pods and hosts need not be there: the lab adds them, or adds the device.
	Config      Text     `yaml:"config"`
	ConfigFiles []string `yaml:"configFiles"`

	Node  NodeOptions `yaml:"node"`
	Pods  []Pod       `yaml:"pods"`
	Hosts []Host      `yaml:"hosts"`
	Steps []Step      `yaml:"steps"`

	objects []*control.Object // of Config and ConfigFiles
}

// NodeOptions are about the node under test.
type NodeOptions struct {
	Flags []string `yaml:"flags"` // more arguments of `sluice run`; $SLUICE_LAB is the lab's folder

	// MayCrash: that the node ends by itself is no fault of the lab's.
	MayCrash bool `yaml:"mayCrash"`
}

// Pod is a workload: a network namespace with an interface eth0 that a port of
// the node is at the other end of.
type Pod struct {
	At place `yaml:"-"`

	// Name is the port's: NAMESPACE/NAME, or NAME.
	Name string `yaml:"name" required:"true"`

	// Count makes so many pods, in whose names "{n}" is 1 to Count.
	Count int `yaml:"count" min:"1" max:"1000"`

	Labels map[string]string `yaml:"labels"`
	Device DeviceSpec        `yaml:"device"`

	// Namespace "node" makes the node's own network namespace the workload's: a
	// TAP there is how the host itself takes part.
	Namespace string `yaml:"namespace"`

	// Interface is what the device is called in the workload. Default eth0.
	Interface string `yaml:"interface"`

	// Segment and Addresses are the Port's. Addresses default to what the node
	// would allocate for a Pod.
	Segment   string        `yaml:"segment"`
	Addresses *[]netip.Addr `yaml:"addresses"`
	MAC       api.MAC       `yaml:"mac"`
	MTU       int           `yaml:"mtu" min:"576" max:"65535"`

	// Port holds other fields of the Port's spec, as they are.
	Port *yaml.Node `yaml:"port"`

	// Configure says who gives the workload its addresses: the lab (static, the
	// default), the network (dhcp, ra: the segment's own service), or nobody.
	Configure string `yaml:"configure" oneof:"static dhcp ra none"`

	// Gateway is the default route's next hop. Default: the segment's gateway
	// if it has a router; none is "none".
	Gateway string `yaml:"gateway"`

	VLANs []VLAN `yaml:"vlans"`

	Inside `yaml:",inline"`
}

// Inside is what pods and hosts have in common.
type Inside struct {
	Routes  []Route           `yaml:"routes"`
	Sysctls map[string]string `yaml:"sysctls"`
	Run     []Program         `yaml:"run"`
}

// DeviceSpec is the device of a port: its type alone, or a mapping.
type DeviceSpec struct {
	Type          string `yaml:"type" oneof:"afpacket tap afxdp"`
	Queues        int    `yaml:"queues" min:"1" max:"16"`
	Offload       string `yaml:"offload" oneof:"auto none"`
	AllowFallback bool   `yaml:"allowFallback"`
	Persistent    bool   `yaml:"persistent"`
}

// VLAN is an interface for tagged frames upon a pod's or host's interface.
type VLAN struct {
	At        place          `yaml:"-"`
	ID        int            `yaml:"id" required:"true" min:"1" max:"4094"`
	Addresses []netip.Prefix `yaml:"addresses"`
}

// Host is a network namespace beside the node: a router behind the uplink, a
// server outside.
type Host struct {
	At         place       `yaml:"-"`
	Name       string      `yaml:"name" required:"true"`
	Interfaces []Interface `yaml:"interfaces"`
	Inside     `yaml:",inline"`
}

// Interface is one of a host's: attached to a port of the node, or by a link
// to the one other interface that names the same link.
type Interface struct {
	At        place          `yaml:"-"`
	Name      string         `yaml:"name" required:"true"`
	Port      string         `yaml:"port"`
	Link      string         `yaml:"link"`
	Device    DeviceSpec     `yaml:"device"` // with Port
	Addresses []netip.Prefix `yaml:"addresses"`
	MAC       api.MAC        `yaml:"mac"`
	MTU       int            `yaml:"mtu" min:"68" max:"65535"`
	VLANs     []VLAN         `yaml:"vlans"`
}

// Route is a route in a namespace. To is a prefix or "default".
type Route struct {
	At  place      `yaml:"-"`
	To  string     `yaml:"to" required:"true"`
	Via netip.Addr `yaml:"via"`
	Dev string     `yaml:"dev"`
}

// Program runs as long as the lab does.
type Program struct {
	At    place   `yaml:"-"`
	Name  string  `yaml:"name"` // default: its place in the list
	Run   Command `yaml:"run" required:"true"`
	Ready Ready   `yaml:"ready"`
}

// Ready says when a program is: it listens on the ports given. Of several all
// are needed.
type Ready struct {
	TCP int `yaml:"tcp" min:"1" max:"65535"`
	UDP int `yaml:"udp" min:"1" max:"65535"`
}

// Step is one thing that is done, and what must come of it. One of the fields
// Run, Connect, Wait, Stop, Get, Config, Node, Device, Pause and Parallel says what.
type Step struct {
	At   place  `yaml:"-"`
	Name string `yaml:"step"` // a sentence; default: what is done

	In         Names    `yaml:"in"` // of pods and hosts; with Run and Connect
	Run        Command  `yaml:"run"`
	Background string   `yaml:"background"` // with Run: go on, and call it by this name
	Connect    *Connect `yaml:"connect"`
	Wait       string   `yaml:"wait"` // until that program ends
	Stop       string   `yaml:"stop"` // tell that program to end, and wait
	Get        string   `yaml:"get"`  // a path of the node's API: /v1/ports
	Config     *Edit    `yaml:"config"`
	Node       string   `yaml:"node" oneof:"start stop kill restart"`
	Device     *Device  `yaml:"device"`
	Pause      Duration `yaml:"pause"`
	Parallel   []Step   `yaml:"parallel"`

	// Within: until that time has passed the step is repeated as long as it fails.
	Within Duration `yaml:"within"`
	// Timeout of one attempt; default 30 s.
	Timeout Duration `yaml:"timeout"`

	Capture []Capture `yaml:"capture"`
	Expect  Expect    `yaml:"expect"`
}

// Edit changes the node's configuration.
type Edit struct {
	At      place    `yaml:"-"`
	Reset   bool     `yaml:"reset"`  // first of all, back to how it was at the beginning
	Apply   Text     `yaml:"apply"`  // objects that replace those of the same name, or are added
	Remove  []string `yaml:"remove"` // "KIND NAME" or "KIND NAMESPACE/NAME"
	objects []*control.Object
}

// Connect is attempts to reach somebody, all at the same time: "tcp ADDRESS:PORT" or "udp ADDRESS:PORT", to
// a server that echoes what it gets.
type Connect struct {
	At       place    `yaml:"-"`
	To       Names    `yaml:"to" required:"true"`
	Patience Duration `yaml:"patience"` // after which nobody has answered; default 1 s
}

// Device does something to the interface of a pod or host that a port of the
// node is at the other end of, at the node's end where it has one.
type Device struct {
	Of     string `yaml:"of" required:"true"` // the port's name
	Action string `yaml:"action" required:"true" oneof:"delete create down up"`
}

// Capture records frames at an interface while the step is done.
type Capture struct {
	At     place    `yaml:"-"`
	In     string   `yaml:"in" required:"true"` // pod or host; "node" is the node's own namespace
	Device string   `yaml:"device"`             // default: the namespace's first interface
	Filter string   `yaml:"filter"`             // Wireshark's display filter
	Fields []string `yaml:"fields"`             // of Wireshark; a line of them for each frame
	Tshark []string `yaml:"tshark"`             // more arguments of tshark

	Frames *Condition     `yaml:"frames"` // how many frames the filter leaves
	Text   *TextCondition `yaml:"text"`   // what the lines say
}

// Expect is what must come of a step. A program's exit status must be 0 if
// nothing is said of it.
type Expect struct {
	Status *Condition           `yaml:"status"`
	Stdout *TextCondition       `yaml:"stdout"`
	Stderr *TextCondition       `yaml:"stderr"`
	JSON   map[string]Condition `yaml:"json"` // values in the output or answer, by path: end.sum.bytes, items[0].name

	// Outcome is what must come of each attempt to connect. Default: answered.
	Outcome *Condition `yaml:"outcome"`

	// Counters of the node, as they changed during the step: by port, then by
	// path in the port's view (rx.packets); of firewall rules by SECTION/RULE, or SECTION for all in
	// it; Drops by reason, of all ports.
	Ports map[string]map[string]Condition `yaml:"ports"`
	Rules map[string]map[string]Condition `yaml:"rules"`
	Drops map[string]Condition            `yaml:"drops"`

	// Refused: the node must refuse the configuration, in these words.
	Refused *TextCondition `yaml:"refused"`
}

// defaultTimeout is that of one attempt at a step.
const defaultTimeout = 30 * time.Second

func (s *Step) timeout() time.Duration {
	if s.Timeout != 0 {
		return time.Duration(s.Timeout)
	}
	return defaultTimeout
}
