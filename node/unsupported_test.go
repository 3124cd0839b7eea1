package node_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// modelOf compiles a configuration: a port "a" with a device, and a NodeConfig.
func modelOf(t *testing.T, nodeConfig, device string) *control.Model {
	t.Helper()
	text := `
apiVersion: sluice.dev/v1
kind: NodeConfig
metadata: {name: this}
spec: {` + nodeConfig + `}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: s}
spec: {vni: 5000, vlan: 7}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, labels: {app: web}}
spec: {segment: s` + device + `}
---
apiVersion: sluice.dev/v1
kind: IPPool
metadata: {name: vips}
spec: {usage: vips, cidr: 192.0.2.0/24, dnsSuffix: example.org}
`
	objects, faults := control.Decode("site.yaml", []byte(text), control.Options{})
	require.Empty(t, faults)
	m, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	require.Empty(t, faults)
	return m
}

func options(devices ...api.DeviceType) node.Options {
	return node.Options{
		Buffers: 256, Supers: 1, Seed: 1, Devices: devices,
		Open: func(*packet.Arena, *control.Port) (dataplane.Port, error) { return mem.New(mem.Config{}), nil },
	}
}

func TestUnsupportedSettings(t *testing.T) {
	const tap = ", device: {type: tap, name: tap0}"
	for _, row := range []struct {
		why        string
		nodeConfig string
		device     string
		devices    []api.DeviceType
		want       []string // parts of the error, a list for each line; none: it is supported
	}{
		{"defaults, and what only describes", "", "", nil, nil},
		{"a default rule that rejects, and says so", "defaultRule: {action: REJECT, logged: true}", "", nil, nil},
		{
			"a device that cannot be opened", "", tap,
			[]api.DeviceType{api.DeviceMem, api.DevicePcap},
			[]string{"Port a: spec.device.type: tap is not supported by this version; remove the device or set it to mem, pcap"},
		},
		{"a device that can", "", tap, []api.DeviceType{api.DeviceTAP}, nil},
		{"any, where devices are not opened", "", tap, nil, nil},
		{"no device, which is for Open to judge", "", "", []api.DeviceType{api.DeviceTAP}, nil},
	} {
		t.Run(row.why, func(t *testing.T) {
			n, err := node.New(options(row.devices...), modelOf(t, row.nodeConfig, row.device))
			if row.want == nil {
				require.NoError(t, err)
				require.NoError(t, n.Close())
				return
			}
			requireUnsupported(t, err, row.want)
			require.Nil(t, n)
		})
	}
}

// Objects that are accepted and do nothing are refused, unless whoever runs the node tells of them.
func TestObjectsThatAreNotPutIntoEffect(t *testing.T) {
	m := modelOf(t, "", "")
	m.NotImplemented = []control.Key{{Kind: "Ingress", Namespace: "web", Name: "site"}, {Kind: "Ingress", Namespace: "web", Name: "tenant"}}
	_, err := node.New(options(), m)
	requireUnsupported(t, err, []string{
		"Ingress web/site is not supported by this version: this version has no load balancer for HTTP; leave it out",
		"Ingress web/tenant is not supported",
	})
	o := options()
	o.AllowIdle = true
	n, err := node.New(o, m)
	require.NoError(t, err)
	require.NoError(t, n.Close())
}

// requireUnsupported requires an error that has a line for each of want.
func requireUnsupported(t *testing.T, err error, want []string) {
	t.Helper()
	require.ErrorIs(t, err, node.ErrUnsupported)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, len(want), "%v", err)
	for i, w := range want {
		require.Contains(t, lines[i], w)
	}
}

// What a node is made with stays while it runs, and it says what waits for the next start.
func TestWaiting(t *testing.T) {
	const first = "workers: 1, cpus: '0', timers: {udpSingle: 30}, limits: {sessions: 2048}"
	for _, row := range []struct {
		why        string
		nodeConfig string
		device     string
		workers    int // Options.Workers
		refused    bool
		want       []string
	}{
		{"the same again", first, "", 0, false, nil},
		{"another gateway, and a port's MTU", first + ", gatewayMAC: '02:00:00:00:00:01', ipReallocationTime: 5", ", mtu: 9000", 0, false, nil},
		{"a timer", strings.Replace(first, "30", "31", 1), "", 0, false, nil},
		{"another default rule", first + ", defaultRule: {action: DROP}", "", 0, false, nil},
		{"a limit", strings.Replace(first, "2048", "4096", 1), "", 0, false, []string{"spec.limits.sessions: 2048, at the next start 4096"}},
		{
			"every limit", "workers: 1, cpus: '0', timers: {udpSingle: 30}, limits: {sessions: 4096, sessionsPerSource: 5, macTable: 100, neighbors: 100, fragments: 100, icmpErrorsPerSecond: 5}", "", 0, false,
			[]string{"limits.sessions:", "limits.sessionsPerSource:", "limits.macTable:", "limits.neighbors:", "limits.fragments:", "limits.icmpErrorsPerSecond:"},
		},
		{"workers", strings.Replace(strings.Replace(first, "workers: 1", "workers: 2", 1), "cpus: '0'", "cpus: 0-1", 1), "", 0, false, []string{"spec.workers: 1, at the next start 2", "spec.cpus: [0], at the next start [0 1]"}},
		{"workers, where the configuration's number does not count", strings.Replace(first, "cpus: '0'", "cpus: '1'", 1), "", 1, false, nil},
		{"a device", first, ", device: {type: afxdp, name: eth9}", 0, true, []string{"Port a: spec.device.type: afxdp"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			o := options(api.DeviceMem)
			o.Workers = row.workers
			n, err := node.New(o, modelOf(t, first, ""))
			require.NoError(t, err)
			defer func() { require.NoError(t, n.Close()) }()
			before := n.Engine().Snapshot()
			err = n.Apply(modelOf(t, row.nodeConfig, row.device))
			if row.refused {
				requireUnsupported(t, err, row.want)
				require.Same(t, before, n.Engine().Snapshot(), "the model before stays in force")
				return
			}
			require.NoError(t, err)
			require.Equal(t, before.Epoch+1, n.Engine().Snapshot().Epoch)
			waiting := n.Waiting()
			require.Len(t, waiting, len(row.want))
			for i, want := range row.want {
				require.Contains(t, waiting[i], want)
			}
		})
	}
}

func TestStartPinsWorkers(t *testing.T) {
	var mine unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &mine))
	cpu := 0
	for !mine.IsSet(cpu) {
		cpu++
	}
	start := func(cpus []int, workers int) error {
		m := modelOf(t, "", "")
		m.Node.CPUs = cpus
		o := options()
		o.Workers = workers
		n, err := node.New(o, m)
		require.NoError(t, err)
		defer func() { require.NoError(t, n.Close()) }()
		return n.Start(dataplane.DefaultIdle, 0)
	}
	require.NoError(t, start(nil, 1), "not pinned")
	require.NoError(t, start([]int{cpu}, 1))
	require.ErrorContains(t, start([]int{1023}, 1), "CPU 1023", "the kernel is asked for the CPU that is named")
	require.NoError(t, start([]int{cpu, 1023}, 1), "fewer workers than CPUs: the first ones count")
	require.ErrorContains(t, start([]int{cpu}, 2), "NodeConfig: spec.cpus: 1 CPUs are too few for 2 workers")
}

// described are the fields of a model that need no code in node, and why.
var described = map[string]string{
	"Key.Namespace": "part of what String prints", "Key.Name": "likewise",
	"Model.Digest":           "for those who compare nodes",
	"Model.Namespaces":       "labels for groups, which are resolved in Model.Firewall; ports have their segments by themselves",
	"Model.Groups":           "for views; resolved in Model.Firewall",
	"Model.Pools":            "stocks of addresses; what services have of them is resolved in Model.Services",
	"Model.Allocations":      "for the next Compile",
	"Model.ServiceStatuses":  "what services have been given, for who asks about objects; resolved in Model.Services",
	"Model.RetryAt":          "for who compiles",
	"Model.HealthPorts":      "whoever answers there reads them (node/daemon); resolved in Model.Services",
	"Model.Blocks":           "segments have their subnets by now",
	"Node.DefaultAction":     "resolved in Model.Firewall",
	"Node.DefaultLogged":     "resolved in Model.Firewall",
	"TimerProfile.Namespace": "for views", "TimerProfile.Name": "for views",
	"FloodProfile.Namespace": "for views", "FloodProfile.Name": "for views",
	"Node.IPReallocationTime":     "control keeps addresses",
	"Segment.VNI":                 "a number; no tunnel is asked for by it alone",
	"Segment.VLAN":                "resolved in Port.Attachments",
	"Segment.RateLimits":          "resolved in Port.RateLimits",
	"Segment.Security":            "resolved in Port.Memberships",
	"Port.Namespace":              "part of Name",
	"Port.Labels":                 "for groups",
	"Port.Pod":                    "for groups",
	"Port.Segment":                "resolved in Port.Attachments",
	"Port.MACLearning":            "resolved in Port.Memberships; an uplink has none",
	"Device.Name":                 "Open's",
	"Device.NetNS":                "Open's",
	"Device.Queues":               "Open's",
	"Device.Offload":              "Open's",
	"Device.AllowFallback":        "Open's",
	"Device.Persistent":           "Open's",
	"Router.Connected":            "the segments' subnets again",
	"Uplink.Gateways":             "resolved in Router.Routes",
	"Route.Segment":               "follows from Via",
	"Route.Uplink":                "follows from Via",
	"Port.UnknownUnicastFlooding": "resolved in Port.Memberships; an uplink floods to nobody",
}

// A setting that nothing reads has no effect: each field of a model is read in
// this package, or has its reason not to be.
func TestEveryFieldOfAModelIsReadOrDescribed(t *testing.T) {
	read := map[string]bool{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "view") {
			continue // to show a setting is not to put it into effect
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
	}
	ours := reflect.TypeFor[control.Model]().PkgPath()
	seen := map[reflect.Type]bool{}
	found := map[string]bool{}
	var walk func(t reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		fields := typ.PkgPath() == ours || typ == reflect.TypeFor[api.Limits]() || typ == reflect.TypeFor[api.RateLimits]()
		if typ.Kind() != reflect.Struct || !fields || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			name := typ.Name() + "." + typ.Field(i).Name
			found[name] = true
			if described[name] != "" {
				if typ != reflect.TypeFor[control.Model]() {
					walk(typ.Field(i).Type)
				}
				continue
			}
			require.True(t, read[typ.Field(i).Name], "%s is read nowhere: put it into effect, refuse it in unsupported.go, or say in described why it needs nothing", name)
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[control.Model]())
	for name := range described {
		require.True(t, found[name], "%s is no field any more", name)
	}
}
