package services

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
)

// object reads one of our own objects, as control does once it has found it well-formed.
func object(t testing.TB, kind, text string) any {
	t.Helper()
	var tree any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree), text)
	data, err := json.Marshal(tree)
	require.NoError(t, err)
	value := map[string]any{
		kindVirtualServer: &api.VirtualServer{}, kindPool: &api.Pool{}, kindMonitor: &api.Monitor{}, kindNATRule: &api.NATRule{},
	}[kind]
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(value), text)
	return value
}

func spec(text string) string { return "{metadata: {name: x}, spec: {" + text + "}}" }

func faultTexts(list []Fault) (texts []string) {
	for _, f := range list {
		texts = append(texts, f.Path+": "+f.Message)
	}
	return texts
}

// TestNativeFaults: what is wrong with an object by itself.
func TestNativeFaults(t *testing.T) {
	for _, row := range []struct {
		why, kind, spec string
		want            []string
	}{
		{"a virtual server that is as simple as can be", kindVirtualServer, `ports: ["80"], pool: p`, nil},
		{"a port and a range apart from each other", kindVirtualServer, `ports: ["80", "8000-8010"], pool: p, defaultPoolMemberPorts: ["8080", "8000-8010"]`, nil},
		{"one port for all", kindVirtualServer, `ports: ["80", "8000-8010"], pool: p, defaultPoolMemberPorts: ["8080"]`, nil},
		{"port 0 is nobody's", kindVirtualServer, `ports: ["0"], pool: p`, []string{`spec.ports[0]: "0" is not a port or a range of ports`}},
		{"a range that is written backwards", kindVirtualServer, `ports: ["90-80"], pool: p`, []string{`spec.ports[0]: "90-80" ends before it begins`}},
		{"no two have a port in common", kindVirtualServer, `ports: ["80-90", "85"], pool: p`, []string{`spec.ports[1]: 85 is there twice`}},
		{"neither one for all nor one for each", kindVirtualServer, `ports: ["1", "2", "3"], pool: p, defaultPoolMemberPorts: ["4", "5"]`, []string{
			"spec.defaultPoolMemberPorts: has 2 elements, and spec.ports has 3",
		}},
		{"a range that would have to be moved", kindVirtualServer, `ports: ["8000-8010"], pool: p, defaultPoolMemberPorts: ["9000-9010"]`, []string{
			"spec.defaultPoolMemberPorts[0]: 9000-9010 is a range, and not the same as 8000-8010 of spec.ports",
		}},
		{"packets that stay as they are have no other port", kindVirtualServer, `ports: ["80"], pool: p, defaultPoolMemberPorts: ["8080"], dispatch: DSR_L2`, []string{
			"spec.defaultPoolMemberPorts: not with the dispatch DSR_L2",
		}},
		{"a pool can't stand in for itself", kindVirtualServer, `ports: ["80"], pool: p, sorryPool: p`, []string{"spec.sorryPool: is the pool itself"}},
		{"a name with too much in it", kindVirtualServer, `ports: ["80"], pool: a/b/c`, []string{`spec.pool: "a/b/c" is not the name of a Pool`}},
		{"addresses that nobody outside can send to", kindVirtualServer, `ports: ["80"], pool: p, addresses: [127.0.0.1, "fe80::1"]`, []string{
			"spec.addresses[0]: 127.0.0.1 is a loopback address", "spec.addresses[1]: fe80::1 is link-local",
		}},
		{"one address of each family", kindVirtualServer, `ports: ["80"], pool: p, addresses: [192.0.2.1, 192.0.2.2]`, []string{"spec.addresses[1]: a second IPv4 address"}},
		{"addresses that are written have their families", kindVirtualServer, `ports: ["80"], pool: p, addresses: [192.0.2.1], ipFamilies: [IPv4]`, []string{"spec.ipFamilies: not with addresses"}},
		{"a family twice", kindVirtualServer, `ports: ["80"], pool: p, ipFamilies: [IPv6, IPv6]`, []string{"spec.ipFamilies[1]: IPv6 is there twice"}},
		{"an access list of nobody", kindVirtualServer, `ports: ["80"], pool: p, accessListControl: {action: ALLOW}`, []string{"spec.accessListControl: networks or a group is needed"}},

		{"a pool of nobody is one that members come to", kindPool, ``, nil},
		{"a table of as many rows as no prime has", kindPool, `algorithm: MAGLEV, tableSize: 65536`, []string{"spec.tableSize: 65536 is not a prime number"}},
		{"a table of an algorithm that has none", kindPool, `algorithm: ROUND_ROBIN, tableSize: 65537`, []string{"spec.tableSize: has no meaning with the algorithm ROUND_ROBIN"}},
		{"a table that has no place for a member", kindPool, `algorithm: MAGLEV, tableSize: 3, members: [{address: 10.0.0.1}, {address: 10.0.0.2}, {address: 10.0.0.3}, {address: 10.0.0.4}]`, []string{
			"spec.tableSize: 3 is less than the number of members, which is 4",
		}},
		{"a member at two ports is two", kindPool, `members: [{address: 10.0.0.1, port: 80}, {address: 10.0.0.1, port: 81}]`, nil},
		{"a member twice", kindPool, `members: [{address: 10.0.0.1, port: 80}, {address: 10.0.0.1, port: 80, weight: 2}]`, []string{"spec.members[1]: the member 10.0.0.1:80 is there twice"}},
		{"likewise of IPv6, without a port", kindPool, `members: [{address: "fd00::1"}, {address: "fd00::1"}]`, []string{"spec.members[1]: the member fd00::1 is there twice"}},
		{"what is said of an address is said once, whatever its port", kindPool, `memberGroup: {podSelector: {}, customizedMembers: [{address: 10.0.0.1, port: 1}, {address: 10.0.0.1, port: 2}]}`, []string{
			"spec.memberGroup.customizedMembers[1]: the member 10.0.0.1 is there twice",
		}},
		{"a member that is nobody", kindPool, `members: [{address: 0.0.0.0, port: 80}]`, []string{"spec.members[0].address: 0.0.0.0 is unspecified"}},
		{"a group that selects nobody", kindPool, `memberGroup: {port: 80}`, []string{"spec.memberGroup: a group, a podSelector or a namespaceSelector is needed"}},
		{"a group that selects in two ways", kindPool, `memberGroup: {group: web, podSelector: {}}`, []string{"spec.memberGroup.group: not together with selectors"}},
		{"a monitor twice", kindPool, `activeMonitors: [a, b, a]`, []string{"spec.activeMonitors[2]: the Monitor a is there twice"}},
		{"an IPPool that is not said", kindPool, `snatTranslation: {type: IP_POOL}`, []string{"spec.snatTranslation: ipPool is needed with the type IP_POOL"}},
		{"an IPPool that is not used", kindPool, `snatTranslation: {type: AUTOMAP, ipPool: a}`, []string{"spec.snatTranslation.ipPool: not with the type AUTOMAP"}},
		{"a time that no network answers in", kindPool, `passiveMonitor: {timeoutSeconds: 0.001}`, []string{"spec.passiveMonitor.timeoutSeconds: 0.001 is out of range: at least 0.01"}},

		{"half a second", kindMonitor, `type: TCP, intervalSeconds: 0.5`, nil},
		{"a probe that would overtake the one before", kindMonitor, `type: TCP, intervalSeconds: 0.5, timeoutSeconds: 1`, []string{"spec.timeoutSeconds: 1 is more than intervalSeconds, which is 0.5"}},
		{"faster than any network", kindMonitor, `type: TCP, intervalSeconds: 0.001`, []string{"spec.intervalSeconds: 0.001 is out of range: at least 0.01"}},
		{"requests of a protocol that has none", kindMonitor, `type: TCP, http: {path: /}`, []string{"spec.http: not with the type TCP"}},
		{"HTTP has no certificates", kindMonitor, `type: HTTP, tls: {verify: true}`, []string{"spec.tls: not with the type HTTP"}},
		{"ICMP has neither ports nor text", kindMonitor, `type: ICMP, monitorPort: 80, send: a, receive: b`, []string{
			"spec.monitorPort: not with the type ICMP, which has no ports", "spec.send: not with the type ICMP", "spec.receive: not with the type ICMP",
		}},
		{"UDP answers to something", kindMonitor, `type: UDP`, []string{"spec: send is needed with the type UDP"}},
		{"what a request can't have in it", kindMonitor, `type: HTTP, http: {path: "health", host: "a b", headers: [{name: "a b"}, {name: Host, value: x}, {name: content-length, value: "1"}, {name: X, value: "a\r\nB: c"}], body: x, statuses: [99, 200, 200]}`, []string{
			`spec.http.path: "health" is not a path`, `spec.http.host: "a b" is not a host`, `spec.http.headers[0].name: "a b" is not a header's name`,
			"spec.http.headers[1].name: is given as host", "spec.http.headers[2].name: the header content-length follows from the probe",
			"spec.http.headers[3].value: a header's value has no control characters", "spec.http.body: not with the method GET",
			"spec.http.statuses[0]: 99 is out of range: 100 to 599", "spec.http.statuses[2]: 200 is there twice",
		}},
		{"a path that would end the line", kindMonitor, `type: HTTP, http: {path: "/a b"}`, []string{`spec.http.path: "/a b" is not a path`}},
		{"a response without a body", kindMonitor, `type: HTTP, http: {method: HEAD, responseBody: ok}`, []string{"spec.http.responseBody: not with the method HEAD, whose response has no body"}},
		{"authorities that are none, for nothing", kindMonitor, `type: HTTPS, tls: {ca: x, serverName: "a b"}`, []string{
			`spec.tls.serverName: "a b" is not a host's name`, "spec.tls.ca: has no meaning if certificates are not verified", "spec.tls.ca: has no certificate in it",
		}},

		{"a network to the outside", kindNATRule, `action: SNAT, sourceNetworks: [10.0.0.0/8], translatedPool: out`, nil},
		{"SNAT to nothing", kindNATRule, `action: SNAT`, []string{"spec: one of translatedNetwork and translatedPool is needed with the action SNAT"}},
		{"SNAT to both", kindNATRule, `action: SNAT, translatedPool: a, translatedNetwork: 192.0.2.1`, []string{"spec: one of translatedNetwork and translatedPool is needed with the action SNAT"}},
		{"from one family to the other", kindNATRule, `action: SNAT, sourceNetworks: [10.0.0.0/8], translatedNetwork: "2001:db8::1"`, []string{
			"spec.translatedNetwork: 2001:db8::1/128 is not of the family of 10.0.0.0/8",
		}},
		{"networks of both families", kindNATRule, `action: NO_SNAT, sourceNetworks: [10.0.0.0/8, "fd00::/8"]`, []string{"spec.sourceNetworks[1]: fd00::/8 is not of the family of 10.0.0.0/8"}},
		{"from one family to the other, again", kindNATRule, `action: NO_SNAT, sourceNetworks: [10.0.0.0/8], destinationNetworks: ["fd00::/8"]`, []string{"spec.destinationNetworks: are IPv6, and sourceNetworks IPv4"}},
		{"more addresses than there are ports for", kindNATRule, `action: SNAT, translatedNetwork: 10.0.0.0/19`, []string{"spec.translatedNetwork: 10.0.0.0/19 is more than 4096 addresses"}},
		{"DNAT of everything would have the router answer for everything", kindNATRule, `action: DNAT, destinationNetworks: [0.0.0.0/0], translatedNetwork: 10.0.0.1`, []string{
			"spec.destinationNetworks[0]: 0.0.0.0/0 is more than 4096 addresses",
		}},
		{"DNAT of nothing, to nothing", kindNATRule, `action: DNAT`, []string{
			"spec: destinationNetworks are needed with the action DNAT", "spec: translatedNetwork is needed with the action DNAT",
		}},
		{"ports without a protocol", kindNATRule, `action: DNAT, destinationNetworks: [192.0.2.1], translatedNetwork: 10.0.0.1, translatedPorts: "80"`, []string{
			"spec.translatedPorts: has no meaning without service",
		}},
		{"as many ports as there were", kindNATRule, `action: DNAT, destinationNetworks: [192.0.2.1], translatedNetwork: 10.0.0.1, translatedPorts: "80-89", service: {protocol: TCP, destinationPorts: ["8080-8089"]}`, nil},
		{"fewer ports than there were", kindNATRule, `action: DNAT, destinationNetworks: [192.0.2.1], translatedNetwork: 10.0.0.1, translatedPorts: "80-85", service: {protocol: TCP, destinationPorts: ["8080-8089"]}`, []string{
			"spec.translatedPorts: 80-85 is a range, and destinationPorts are not one of the same length",
		}},
		{"nothing is translated by what says so", kindNATRule, `action: NO_SNAT, translatedNetwork: 10.0.0.1, translatedPool: a, translatedPorts: "80"`, []string{
			"spec.translatedPool: not with the action NO_SNAT", "spec.translatedPorts: not with the action NO_SNAT", "spec.translatedNetwork: not with the action NO_SNAT",
		}},
		{"each address for one", kindNATRule, `action: REFLEXIVE, sourceNetworks: [10.0.0.0/28], translatedNetwork: 192.0.2.0/28`, nil},
		{"more inside than outside", kindNATRule, `action: REFLEXIVE, sourceNetworks: [10.0.0.0/24], translatedNetwork: 192.0.2.0/28`, []string{
			"spec.translatedNetwork: 192.0.2.0/28 is not as large as 10.0.0.0/24 of sourceNetworks",
		}},
		{"whole addresses, both ways", kindNATRule, `action: REFLEXIVE, sourceNetworks: [10.0.0.1], destinationNetworks: [192.0.2.9], translatedNetwork: 192.0.2.1, service: {protocol: TCP}`, []string{
			"spec.destinationNetworks: not with the action REFLEXIVE", "spec.service: not with the action REFLEXIVE, which is of whole addresses",
		}},
		{"onto itself", kindNATRule, `action: REFLEXIVE, sourceNetworks: [10.0.0.1], translatedNetwork: 10.0.0.1`, []string{"spec.translatedNetwork: 10.0.0.1/32 is that of sourceNetworks"}},
		{"of nobody", kindNATRule, `action: REFLEXIVE, translatedNetwork: 10.0.0.1`, []string{"spec: exactly one of sourceNetworks is needed with the action REFLEXIVE"}},
		{"an uplink twice", kindNATRule, `action: NO_SNAT, scope: [a, a]`, []string{"spec.scope[1]: the Port a is there twice"}},
		{"a rule that is not enabled is read all the same", kindNATRule, `action: NO_SNAT, scope: [a, a], enabled: false`, []string{"spec.scope[1]: the Port a is there twice"}},
	} {
		s := read(object(t, row.kind, spec(row.spec)))
		require.Equal(t, row.want, faultTexts(s.faults), row.why)
		for _, f := range s.faults {
			require.False(t, strings.HasSuffix(f.Message, ".") || strings.HasSuffix(f.Hint, "."), "%s", f.Message)
		}
	}
}

// TestReadingWritesToNoObject: what is read again is the same.
func TestReadingWritesToNoObject(t *testing.T) {
	for kind, text := range map[string]string{
		kindVirtualServer: `ports: ["80"], pool: p, persistence: {}, accessListControl: {action: DROP, networks: [10.0.0.1]}`,
		kindPool:          `members: [{address: 10.0.0.1}], memberGroup: {podSelector: {}}, passiveMonitor: {}, snatTranslation: {type: AUTOMAP}`,
		kindMonitor:       `type: HTTPS, http: {}, tls: {}`,
		kindNATRule:       `action: DNAT, destinationNetworks: [192.0.2.1], translatedNetwork: 10.0.0.1, service: {protocol: UDP}`,
	} {
		value := object(t, kind, spec(text))
		read(value)
		require.Equal(t, object(t, kind, spec(text)), value)
	}
}

func TestReadMonitor(t *testing.T) {
	for _, row := range []struct {
		why, spec string
		want      service.Monitor
	}{
		{"NSX's defaults", `type: ICMP`, service.Monitor{Name: "x", Type: service.MonitorICMP, IntervalNs: 5e9, TimeoutNs: 5e9, Rise: 3, Fall: 3}},
		{"the timeout is the interval where it is not written", `type: TCP, intervalSeconds: 0.5, monitorPort: 81, send: a, receive: b`, service.Monitor{
			Name: "x", Type: service.MonitorTCP, IntervalNs: 5e8, TimeoutNs: 5e8, Rise: 3, Fall: 3, Port: 81, Send: []byte("a"), Receive: []byte("b"),
		}},
		{"a request as simple as can be", `type: HTTP, timeoutSeconds: 1, riseCount: 1, fallCount: 2`, service.Monitor{
			Name: "x", Type: service.MonitorHTTP, IntervalNs: 5e9, TimeoutNs: 1e9, Rise: 1, Fall: 2, Method: "GET", Path: "/", Version: "1.1",
		}},
		{"the name that is asked for is the host's, without its port", `type: HTTPS, http: {method: PUT, path: /a, host: "b.example:8443", version: "1.0", body: c, headers: [{name: D, value: e}], statuses: [204], responseBody: f}, tls: {verify: true}`, service.Monitor{
			Name: "x", Type: service.MonitorHTTPS, IntervalNs: 5e9, TimeoutNs: 5e9, Rise: 3, Fall: 3, Method: "PUT", Path: "/a", Host: "b.example:8443", Version: "1.0",
			Body: []byte("c"), Headers: [][2]string{{"D", "e"}}, Statuses: []int{204}, ResponseBody: "f", Verify: true, ServerName: "b.example",
		}},
	} {
		s := read(object(t, kindMonitor, spec(row.spec)))
		require.Empty(t, s.faults, row.why)
		require.Equal(t, &row.want, s.monitor, row.why)
	}
}

// FuzzPorts: a text is ports or there is a fault; ports are 1 to 65535, the first not behind the last, and
// what is written of them is read as the same.
func FuzzPorts(f *testing.F) {
	for _, text := range []string{"80", "8000-8010", " 1 - 65535 ", "0", "80-", "-", "", "90-80", "65536", "+1", "1-2-3", "٣"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, message, hint := parsePorts(text)
		if message != "" {
			require.Equal(t, service.PortRange{}, r)
			require.NotEmpty(t, hint)
			return
		}
		require.NotZero(t, r.First)
		require.LessOrEqual(t, r.First, r.Last)
		again, message, _ := parsePorts(portsText(r))
		require.Empty(t, message)
		require.Equal(t, r, again)
	})
}
