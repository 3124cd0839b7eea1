package services

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// What objects say, before it is known who is meant: each kind's file makes drafts of an object, and one resolver makes a
// Config of drafts, endpoints and settings. A draft follows from its object alone, and is not
// written to once it was handed over.

// says is what an object says by itself.
type says struct {
	faults     []Fault
	references []reference // names of objects that have to be there
	note       string      // why nothing comes of it, although nothing is wrong; see Status

	router     string // whose address space it is in, by name; empty: that of the object's namespace
	routerPath string

	wants     []vips.Want // addresses
	nodePorts []vips.NodePort
	class     string // spec.loadBalancerClass
	strict    bool   // an address or node port that is asked for, and is another's, is a fault

	pools   []poolDraft
	servers []serverDraft
	rules   []ruleDraft
	monitor *service.Monitor // a Monitor's
	slices  []slice          // an EndpointSlice's, or an Endpoints'
	behind  service.Origin   // the Service that slices are of

	// health is 1 more than the index in nodePorts of the port at which the node tells how many endpoints it has; 0: none.
	health int
}

// reference is a name of another object: of one in the same namespace, else of one without namespace; or NAMESPACE/NAME.
// The zero reference names nothing.
type reference struct {
	kind string
	name string // as written
	path string // of the field that has it
}

// poolDraft is a service.Pool before its members are known: those of members, group and endpoints.
type poolDraft struct {
	// Pool is but for ID, Origin, Name, Members, Monitors.
	service.Pool

	byDefault bool // the algorithm is the settings'

	// part tells the pools of one object from each other: a Service's port's name. Empty where there is one.
	part string

	monitors []reference // in order

	members   []memberDraft // as written; none twice
	group     *groupMembers
	endpoints *endpointMembers

	source sourceDraft // of servers that name the pool
}

// sourceDraft is what members see of clients.
type sourceDraft struct {
	mode service.SourceMode
	pool string // IPPool of usage snat, with SourceFromPool
	path string

	// lenient: if there is no such pool, the Service's status says so, and clients keep their addresses: of NCP's annotation.
	lenient bool
}

// memberDraft is a service.Member before it has a number.
type memberDraft struct {
	service.Member // but for ID and Local. Weight 0 is 1
	path           string
}

// groupMembers are members as they come and go.
type groupMembers struct {
	group reference // of kind Group; or, if it names nothing:
	// ports that these select; nil is any
	of, ofNamespace labels.Selector
	namespace       string // only those in it; empty is any

	port     uint16        // 0: that to which the client connects; or whatever number the port calls
	portName string        // so
	families [2]bool       // v4 and v6: which addresses are members
	most     int           // of a family so many, the lowest addresses; 0: all
	custom   []memberDraft // what is said of some of them, by address. Port 0 is as the others'
}

// endpointMembers are what is behind a port of a Service.
type endpointMembers struct {
	port     string // its name, by which EndpointSlices have it
	protocol uint8

	// Where there are no slices: the pods that all labels of selector select, none if it is empty, and their port: target,
	// or whatever number the pod calls targetName.
	selector   map[string]string
	target     uint16
	targetName string

	notReady bool // publishNotReadyAddresses
	prefers  distribution
}

// distribution is a Service's trafficDistribution.
type distribution uint8

const (
	anywhere distribution = iota
	sameZone              // PreferSameZone, and PreferClose, as it was called
	sameNode              // PreferSameNode
)

// serverDraft is a service.Server before it is known where and with whom.
type serverDraft struct {
	// Server is but for ID, Origin, Name, Frontends, Sorry, Source and Pool if pool names one, and Affinity.ID.
	service.Server

	part   string // as poolDraft's
	fronts []frontDraft

	// Who takes connections: the Pool that pool names, or, if it names nothing, the object's own poolDraft of the
	// same index.
	pool, sorry reference

	source sourceDraft // of a server that names no pool

	// shares is a word: servers with the same one and the same pool have one Affinity.ID. Empty: its own.
	shares string

	// clients is a Group whose addresses are added to Allowed, or to Denied if refused.
	clients reference
	refused bool
}

// frontDraft is a service.Frontend, or several that are alike.
type frontDraft struct {
	kind     service.FrontendKind
	protocol uint8
	first    uint16 // of a NodePort, whatever number was given
	last     uint16
	path     string // of what is at fault if the place is taken

	at      place
	address packet.Addr // atAddress
	index   int         // in wants, or in nodePorts

	memberPort uint16 // of members of the named pool that have no port of their own; 0: that to which the client connects

	insideLocal  bool    // connections from inside go to members on this node only
	outsideLocal bool    // those from outside do
	keeps        bool    // connections from outside keep their source
	restricted   [2]bool // by family: Server.Allowed holds
}

// place is where a frontend is.
type place uint8

const (
	atAddress place = iota // that is written, and that nobody is asked for
	atWant                 // the addresses that were given for one of wants
	atUplinks              // those of the router's uplinks, at one of nodePorts
)

// ruleDraft is a service.NATRule before it is known where.
type ruleDraft struct {
	// NATRule is but for ID, Origin, Name, Scope, Uplinks, Pool.
	service.NATRule

	uplinks []reference // of kind Port, uplinks of the router; none: all of them

	// outgoing: of a namespace's networks to the address that it was given.
	outgoing bool

	// What sources are translated to with SNAT: an IPPool of usage snat by name, or addresses as written.
	pool      string
	poolPath  string
	addresses []packet.Addr
	ports     service.PortRange
}

// Fault is a mistake in an object, or of objects together.
type Fault struct {
	Object  service.Origin // the resolver sets it
	Path    string         // of the field: spec.ports[0].port
	Message string         // lower case, no full stop, without the path
	Hint    string         // what to write instead; may be empty

	ofGrant bool // it follows from what others have
}

func (s *says) fault(path, message, hint string) {
	s.faults = append(s.faults, Fault{Path: path, Message: message, Hint: hint})
}

func (s *says) refer(kind, path, name string) reference {
	ref := reference{kind, name, path}
	s.references = append(s.references, ref)
	return ref
}
