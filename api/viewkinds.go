package api

import (
	"fmt"
	"strings"
)

// The API is HTTP over a unix socket, and over TLS where that is configured:
//
//	GET   /v1/KIND              {"items": [...]}, filtered by the query; "more": true if a limit cut it off
//	GET   /v1/status            Status
//	GET   /v1/config            the objects in force, a List as kubectl's; ?format=yaml
//	GET   /v1/objects           ObjectList; the query is an ObjectFilter
//	GET   /v1/watch             a line of JSON for each Event after ?from=REVISION, until either end has enough;
//	                            where it ends early, the last line is a Failure
//	POST  /v1/apply             ChangeResult; ?dryRun= diff= skipUnknown= ifUnchanged= message= name=
//	POST  /v1/delete            ChangeResult; ?dryRun= diff= ignoreMissing= message= name=
//	POST  /v1/rollback          ChangeResult; ?to=REVISION dryRun= diff= message=
//	GET   /v1/history           {"items": [RevisionView...]}; the query is a HistoryFilter
//	GET   /v1/history/REVISION  RevisionView, with diffs
//	GET   /v1/policy/eval       PolicyAnswer; the query is a PolicyQuery
//	GET   /v1/policy/lint       PolicyLint
//	GET   /v1/log               the last ?lines= that the daemon logged, text
//	GET   /v1/log/firewall      {"items": [FirewallLogLine...]}; ?lines= after= port= rule=
//	GET   /v1/log/levels        {"": "INFO", COMPONENT: LEVEL}; PATCH changes those that are given
//	POST  /v1/takeover/confirm  keeps a device that was taken over
//	GET   /healthz, /readyz     200 or 503
//	GET   /openapi.json, .yaml  all this, for programs
//
// The body of apply and delete is a stream of YAML documents or of JSON values, which
// faults call "request" or ?name=; or multipart/form-data with a part for each
// file, whose filename is its name for faults. For delete it may also be a
// DeleteRequest. It may be compressed (Content-Encoding: gzip).
//
// Whatever goes wrong is a Failure with the status of its kind.
const (
	// APIHeader is in every answer and says which version of the API gave it.
	APIHeader = "Sluice-Api-Version"
	// ViewVersion is that version: another one means other fields.
	ViewVersion = "v1"

	// DefaultAPI is where the daemon listens if nothing else is said.
	DefaultAPI = "unix:/run/sluice/sluice.sock"
)

// maxSocketPath is what fits into a sockaddr_un (linux/un.h), bytes.
const maxSocketPath = 107

// SocketPath returns the path of an API's address, unix:PATH.
func SocketPath(address string) (string, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	// unix:///run/x is how URLs write it.
	if rest, isURL := strings.CutPrefix(path, "//"); isURL {
		path = rest
	}
	switch {
	case !isUnix || path == "":
		return "", fmt.Errorf("API address %q: want unix:PATH, such as %s", address, DefaultAPI)
	case strings.ContainsRune(path, 0):
		return "", fmt.Errorf("API address %q: a path has no zero byte", address)
	case len(path) > maxSocketPath:
		return "", fmt.Errorf("API address %s: the path has %d bytes and a socket's may have %d; choose a shorter one", address, len(path), maxSocketPath)
	}
	return path, nil
}

// List is the answer about a kind.
type List[T any] struct {
	Items []T  `json:"items"`
	More  bool `json:"more,omitempty"` // Filter.Limit cut it off
}

// ViewKind is a kind of items that can be asked for.
type ViewKind struct {
	Name    string   // in paths and on the command line
	Aliases []string // for the command line
	One     string   // "a port"
	NameOf  string   // what Filter.Names are; empty: items have none
	States  string   // what Filter.State is; empty: items have none
	Filters []string // fields of Filter that it takes, by their names in a query
}

// ViewKinds are all kinds, in the order in which help lists them.
func ViewKinds() []ViewKind {
	return []ViewKind{
		{
			Name: "ports", Aliases: []string{"port", "po"}, One: "port", NameOf: "port", States: "UP, DOWN or ABSENT",
			Filters: []string{fieldName, fieldSegment, fieldAddress, fieldState, fieldLimit},
		},
		{
			Name: "segments", Aliases: []string{"segment", "seg"}, One: "segment", NameOf: "segment",
			Filters: []string{fieldName, fieldRouter, fieldAddress, fieldLimit},
		},
		{
			Name: "routes", Aliases: []string{"route", "rt"}, One: "route", NameOf: "prefix",
			States:  "connected, uplink, static, default or blackhole",
			Filters: []string{fieldName, fieldRouter, fieldAddress, fieldState, fieldLimit},
		},
		{
			Name: "macs", Aliases: []string{"mac"}, One: "MAC address", NameOf: "MAC address", States: "bound or learned",
			Filters: []string{fieldName, fieldSegment, fieldPort, fieldState, fieldLimit},
		},
		{
			Name: "neighbors", Aliases: []string{"neighbor", "neigh"}, One: "neighbor", NameOf: "IP address",
			States:  "BOUND, INCOMPLETE, KNOWN, PROBING or FAILED",
			Filters: []string{fieldName, fieldRouter, fieldSegment, fieldPort, fieldAddress, fieldState, fieldLimit},
		},
		{
			Name: "sessions", Aliases: []string{"session", "sess"}, One: "session", States: "ESTABLISHED, SYN_SENT, ...",
			Filters: []string{
				fieldSegment, fieldPort, fieldAddress, fieldProtocol, fieldL4Port, fieldState,
				fieldVIP, fieldService, fieldMember, fieldRule, fieldLimit,
			},
		},
		{
			Name: "workers", Aliases: []string{"worker"}, One: "worker", NameOf: "number",
			Filters: []string{fieldName, fieldLimit},
		},
		{
			Name: "drops", Aliases: []string{"drop"}, One: "drop", NameOf: "reason",
			Filters: []string{fieldName, fieldPort, fieldLimit},
		},
		{
			Name: "ippools", Aliases: []string{"ippool", "ipp"}, One: "address pool", NameOf: "pool",
			States:  "a usage: ports, segments, vips, clusterips or snat",
			Filters: []string{fieldName, fieldAddress, fieldState, fieldLimit},
		},
		{
			Name: "virtualservers", Aliases: []string{"virtualserver", "vs"}, One: "virtual server", NameOf: "virtual server",
			States:  "UP, PARTIALLY_UP, DOWN, DISABLED or PENDING",
			Filters: []string{fieldName, fieldVIP, fieldService, fieldPool, fieldAddress, fieldProtocol, fieldL4Port, fieldState, fieldLimit},
		},
		{
			Name: "pools", Aliases: []string{"pool"}, One: "pool", NameOf: "pool", States: "UP, PARTIALLY_UP or DOWN",
			Filters: []string{fieldName, fieldService, fieldState, fieldLimit},
		},
		{
			Name: "members", Aliases: []string{"member"}, One: "member", NameOf: "name, address or ADDRESS:PORT",
			States:  "UP, DOWN, FAILING, UNKNOWN, UNMONITORED, DRAINING or DISABLED",
			Filters: []string{fieldName, fieldPool, fieldVIP, fieldService, fieldPort, fieldAddress, fieldL4Port, fieldState, fieldLimit},
		},
		{
			Name: "natrules", Aliases: []string{"natrule", "nat"}, One: "NAT rule", NameOf: "NAT rule",
			States:  "an action: SNAT, DNAT, NO_SNAT, NO_DNAT or REFLEXIVE",
			Filters: []string{fieldName, fieldRouter, fieldPort, fieldAddress, fieldState, fieldUnused, fieldLimit},
		},
		{
			Name: "rules", Aliases: []string{"rule"}, One: "rule", NameOf: "ID",
			States:  "an action: ALLOW, DROP, REJECT or JUMP_TO_APPLICATION",
			Filters: []string{fieldName, fieldSection, fieldPort, fieldState, fieldUnused, fieldLimit},
		},
		{
			Name: "policies", Aliases: []string{"policy", "pol"}, One: "policy", NameOf: "section",
			States:  "a category: Ethernet, Emergency, Infrastructure, Environment or Application",
			Filters: []string{fieldName, fieldSection, fieldState, fieldLimit},
		},
		{
			Name: "groups", Aliases: []string{"group", "grp"}, One: "group", NameOf: "group",
			Filters: []string{fieldName, fieldPort, fieldAddress, fieldLimit},
		},
	}
}

// ViewKindNamed returns the kind of that name or alias.
func ViewKindNamed(name string) (k ViewKind, found bool) {
	for _, k := range ViewKinds() {
		if k.Name == name {
			return k, true
		}
		for _, a := range k.Aliases {
			if a == name {
				return k, true
			}
		}
	}
	return ViewKind{}, false
}
