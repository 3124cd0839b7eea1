package archtest

// Row says what the packages that it is about may import, in files that are
// not tests. Standard library and a package's own subpackages are always
// allowed.
type Row struct {
	// Packages the row is about, from the module's root. "lb" is lb and all
	// below it; "port/*" is each directory of port with all below it, and the
	// directories are strangers to each other; "*test" is every package whose
	// name ends in "test".
	Packages []string

	Ours   []string // packages of this module that may be imported, written as above; nil is none
	Theirs []string // modules that may be imported, with all below them; nil is none
	Why    string
}

// Anyone stands in Row.Theirs for every module that is not in Reserved.
const Anyone = "*"

// Layout is the order of the packages, bottom first; arrows point down only.
// The first row that fits a package is its row, and each package has one.
//
//	cmd            lab  bench
//	 │ └───────┐
//	node     control        node wires; control knows what is wanted
//	 │ └──┐    │
//	 │  export api
//	features   port/*       firewall lb qos mirror route dhcp trace; drivers
//	 └──┬───────┘
//	 dataplane
//	 flowtable
//	 packet
var Layout = []Row{
	{
		Packages: []string{"*test"},
		Ours:     []string{"packet", "flowtable", "dataplane", "port/*", "firewall", "lb", "qos", "mirror", "route", "dhcp", "trace", "api", "control", "export", "node", "internal/*"},
		Theirs:   []string{Anyone, gopacket, testify, testscript},
		Why:      "Helpers of tests see what tests see. In return only tests may import them.",
	},
	{
		Packages: []string{"packet"},
		Why:      "Frames, keys and reasons are the words of every other package. Whoever depends on packet depends on nothing else.",
	},
	{
		Packages: []string{"flowtable"},
		Ours:     []string{"packet", "internal/*"},
		Why:      "A table of keys needs to know what a key is, and no port, no pipeline, no feature.",
	},
	{
		Packages: []string{"dataplane"},
		Ours:     []string{"packet", "flowtable", "internal/*"},
		Theirs:   []string{"golang.org/x/sys"},
		Why:      "The engine runs stages without knowing which; x/sys is there to pin threads and to wait on descriptors.",
	},
	{
		Packages: []string{"firewall/policy", "lb/service"},
		Ours:     []string{"packet"},
		Why:      "Rules and services as plain data are what control makes and a feature enforces: the one thing of it that both know.",
	},
	{
		Packages: []string{"firewall", "lb", "qos", "mirror", "route", "dhcp", "trace"},
		Ours:     []string{"packet", "flowtable", "dataplane", "internal/*"},
		Theirs:   []string{Anyone},
		Why:      "Features meet in the flow entry and in node, never in each other: each can be read, tested and left out alone.",
	},
	{
		Packages: []string{"port/*"},
		Ours:     []string{"packet", "dataplane", "internal/*", "port/internal"},
		Theirs:   []string{Anyone, gopacket},
		Why:      "A driver moves frames between a device and the arena. What becomes of them is not its business, nor is any other driver.",
	},
	{
		Packages: []string{"api"},
		Ours:     []string{"packet", "internal/*"},
		Theirs:   []string{Anyone},
		Why:      "What users write must not change because an engine did; it shares the names of protocols and reasons, no more.",
	},
	{
		Packages: []string{"control"},
		Ours:     []string{"packet", "firewall/policy", "lb/service", "api", "internal/*"},
		Theirs:   []string{Anyone},
		Why:      "Desired state can run in a process of its own, so it must not reach into the engine or a feature.",
	},
	{
		Packages: []string{"export"},
		Ours:     []string{"packet", "flowtable", "dataplane", "api", "internal/*"},
		Theirs:   []string{Anyone},
		Why:      "Records are made of sessions and counters; a feature that wants to be seen says so in those.",
	},
	{
		Packages: []string{"node"},
		Ours: []string{
			"packet", "flowtable", "dataplane", "firewall", "lb", "qos", "mirror", "route", "dhcp", "trace",
			"port/*", "api", "control", "export", "internal/*",
		},
		Theirs: []string{Anyone},
		Why:    "The one place that knows all parts, and so the only place where they can be wired.",
	},
	{
		Packages: []string{"lab"},
		Ours:     []string{"packet", "port/*", "api", "control", "export", "node", "internal/*"},
		Theirs:   []string{Anyone, gopacket},
		Why:      "A lab drives a node from outside, as a user does, and looks at frames.",
	},
	{
		Packages: []string{"bench"},
		Ours: []string{
			"packet", "flowtable", "dataplane", "firewall", "lb", "qos", "mirror", "route", "dhcp", "trace",
			"port/*", "api", "control", "export", "node", "internal/*",
		},
		Theirs: []string{Anyone, gopacket},
		Why:    "Benchmarks that need more than one package measure any of them.",
	},
	{
		Packages: []string{"cmd/*"},
		Ours:     []string{"packet", "api", "control", "export", "node", "lab", "bench", "internal/*"},
		Theirs:   []string{Anyone, gopacket},
		Why:      "A command asks the node; it does not reach past it to an engine or a feature.",
	},
	{
		Packages: []string{"internal/classbench"},
		Ours:     []string{"packet", "firewall/policy"},
		Why:      "Rule sets as plain data, for whoever measures with many rules.",
	},
	{
		Packages: []string{"internal/demo"},
		Ours:     []string{"packet", "port/*", "api", "control", "export", "node", "internal/*"},
		Why:      "The demo writes captures and reads a replay's results, as a user does; it is a command, so nothing can lean on it.",
	},
	{
		Packages: []string{"internal/*"},
		Ours:     []string{"packet"},
		Theirs:   []string{Anyone},
		Why:      "Leaves that several packages share; one that needs more belongs to the package that it needs.",
	},
}

// Modules that only the rows which name them may import.
const (
	gopacket   = "github.com/google/gopacket"
	testify    = "github.com/stretchr/testify"
	testscript = "github.com/rogpeppe/go-internal"
)

// Reserved are modules that Anyone does not cover, with the reason. Tests are
// free to import them.
var Reserved = map[string]string{
	gopacket:   "it allocates for each layer of each packet; it is for tests, capture files and text output",
	testify:    "it is for tests",
	testscript: "it is for tests",
}
