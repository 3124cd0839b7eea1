package server

import (
	"iter"
	"net/http"

	"github.com/sluice-net/sluice/api"
)

// operation is something that the API does. All of them are in operations: what is
// answered to whom, and what the OpenAPI document says, follows from there.
type operation struct {
	method, path string // of the path, the last part may be a {parameter}
	summary      string
	role         api.Role // the least that may ask for it
	query        []argument
	parsed       bool // serve checks the query

	body   any    // a value of the type that the request's body has; nil: it has none
	answer any    // a value of the type that the answer has
	media  string // of the answer, if it is not one value in JSON
	fails  []int  // statuses, beside those that all have (statuses)

	slots slots
	serve func(*Server, *response, *request) error
}

// slots says which bound counts an operation.
type slots uint8

const (
	slotOfRequest slots = iota
	slotOfWatch
	slotNone // whether the daemon is well must not depend on who else asks it something
)

// documents stands for a stream of objects as a request's body.
type documents struct{}

// Media types of answers.
const (
	mediaJSON  = "application/json"
	mediaLines = "application/x-ndjson"
	mediaText  = "text/plain; charset=utf-8"
	mediaYAML  = "application/yaml"
)

// The arguments that several operations have.
func dryRun() argument {
	return argument{name: "dryRun", form: formFlag, doc: "say what would be done, and do nothing"}
}

func diff() argument {
	return argument{name: "diff", form: formFlag, doc: "say what changes in each object"}
}

func message() argument {
	return argument{name: "message", doc: "why, for the history"}
}

func fileName() argument {
	return argument{name: "name", doc: "what faults call a body that is not multipart/form-data"}
}

// ofChanges are the statuses of changes that can't be made.
func ofChanges() []int {
	return []int{http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity, http.StatusNotImplemented}
}

// operations are all there are.
func operations() []*operation {
	all := []*operation{
		view("ports", Views.PortViews),
		view("segments", Views.SegmentViews),
		view("routes", Views.RouteViews),
		view("macs", Views.MACViews),
		view("neighbors", Views.NeighborViews),
		view("sessions", Views.SessionViews),
		view("workers", Views.WorkerViews),
		view("drops", Views.DropViews),
		view("ippools", Views.PoolViews),
		view("rules", Views.RuleViews),
		view("policies", Views.PolicyViews),
		view("groups", Views.GroupViews),
		view("virtualservers", Views.VirtualServerViews),
		view("pools", Views.LBPoolViews),
		view("members", Views.LBMemberViews),
		view("natrules", Views.NATRuleViews),
		{
			method: http.MethodGet, path: "/v1/policy/eval", summary: "What the firewall would do with the first packet of a session",
			role: api.RoleViewer, query: policyArguments(), parsed: true, answer: api.PolicyAnswer{}, fails: []int{http.StatusNotFound},
			serve: (*Server).evaluatePolicy,
		},
		{
			method: http.MethodGet, path: "/v1/policy/lint", summary: "Which of the firewall's rules do not do what they seem to",
			role: api.RoleViewer, answer: api.PolicyLint{}, serve: (*Server).lintPolicy,
		},
		{
			method: http.MethodGet, path: "/v1/status", summary: "How the node does", role: api.RoleViewer,
			answer: api.Status{}, serve: (*Server).status,
		},
		{
			method: http.MethodGet, path: "/v1/config", summary: "The objects in force, without status", role: api.RoleViewer,
			query:  []argument{{name: "format", form: formWord, words: []string{"json", "yaml"}, doc: "of the answer"}},
			answer: api.ObjectList{}, serve: (*Server).config,
		},
		{
			method: http.MethodPost, path: "/v1/takeover/confirm", summary: "Keep a device that was taken over on trial",
			role: api.RoleAdmin, answer: confirmed{}, fails: []int{http.StatusNotFound}, serve: (*Server).confirmTakeover,
		},
		{
			method: http.MethodGet, path: "/healthz", summary: "Whether the process answers", role: api.RoleViewer, parsed: true,
			answer: health{}, slots: slotNone, serve: (*Server).healthz,
		},
		{
			method: http.MethodGet, path: "/readyz", summary: "Whether frames pass", role: api.RoleViewer, parsed: true,
			answer: health{}, slots: slotNone, serve: (*Server).readyz,
		},
		{
			method: http.MethodGet, path: "/openapi.json", summary: "This description of the API", role: api.RoleViewer,
			serve: (*Server).openAPI,
		},
		{
			method: http.MethodGet, path: "/openapi.yaml", summary: "The same in YAML", role: api.RoleViewer,
			media: mediaYAML, serve: (*Server).openAPI,
		},
	}
	return sortedOperations(append(append(all, objectOperations()...), daemonOperations()...))
}

// objectOperations are those about the desired state.
func objectOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/objects", summary: "The objects that are wanted, with their status", role: api.RoleViewer,
			query: objectArguments(), parsed: true, answer: api.ObjectList{}, fails: []int{http.StatusNotFound, http.StatusNotImplemented}, serve: (*Server).objects,
		},
		{
			method: http.MethodGet, path: "/v1/watch", summary: "What happens to objects", role: api.RoleViewer,
			query: append(objectArguments(), argument{
				name: "from", form: formNumber, doc: "tell what has happened since this revision; from now on, if it is not given",
			}),
			parsed: true, answer: api.Event{}, media: mediaLines, fails: []int{http.StatusGone, http.StatusNotImplemented}, slots: slotOfWatch, serve: (*Server).watch,
		},
		{
			method: http.MethodPost, path: "/v1/apply", summary: "Make objects what documents say, all of them or none", role: api.RoleAdmin,
			query: []argument{
				dryRun(), diff(), message(), fileName(),
				{name: "skipUnknown", form: formFlag, doc: "leave out objects of kinds that are not known, instead of refusing all"},
				{name: "ifUnchanged", form: formFlag, doc: "only if each object is still of its metadata.resourceVersion; without one, must not be there"},
			},
			body: documents{}, answer: api.ChangeResult{}, fails: ofChanges(), serve: (*Server).apply,
		},
		{
			method: http.MethodPost, path: "/v1/delete", summary: "Delete objects, all of them or none", role: api.RoleAdmin,
			query: []argument{
				dryRun(), diff(), message(), fileName(),
				{name: "ignoreMissing", form: formFlag, doc: "what is not there is gone already"},
			},
			body: api.DeleteRequest{}, answer: api.ChangeResult{}, fails: ofChanges(), serve: (*Server).delete,
		},
		{
			method: http.MethodPost, path: "/v1/rollback", summary: "Go back to the objects of a revision", role: api.RoleAdmin,
			query:  []argument{dryRun(), diff(), message(), {name: "to", form: formNumber, required: true, doc: "the revision whose objects are to be there again"}},
			answer: api.ChangeResult{}, fails: ofChanges(), serve: (*Server).rollback,
		},
		{
			method: http.MethodGet, path: "/v1/history", summary: "The changes of the objects, newest first", role: api.RoleViewer,
			query: historyArguments(), parsed: true, answer: api.List[api.RevisionView]{}, fails: []int{http.StatusNotImplemented}, serve: (*Server).history,
		},
		{
			method: http.MethodGet, path: "/v1/history/{revision}", summary: "One change, with what changed in each object", role: api.RoleViewer,
			answer: api.RevisionView{}, fails: []int{http.StatusNotFound, http.StatusGone, http.StatusNotImplemented}, serve: (*Server).revision,
		},
	}
}

// daemonOperations are those about the daemon itself.
func daemonOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/log", summary: "What the daemon logged last", role: api.RoleViewer,
			query: []argument{{name: "lines", form: formNumber, doc: "how many at most; 1000 if it is not given"}},
			media: mediaText, fails: []int{http.StatusNotImplemented}, serve: (*Server).logLines,
		},
		{
			method: http.MethodGet, path: "/v1/log/firewall", summary: "What logged rules of the firewall have done last, oldest first", role: api.RoleViewer,
			query: []argument{
				{name: "lines", form: formNumber, doc: "how many at most; 1000 if it is not given"},
				{name: "after", form: formNumber, doc: "only lines behind the one of this number"},
				{name: "port", doc: "only what was asked at this port"},
				{name: "rule", form: formNumber, doc: "only what the rule with this ID has done"},
			},
			answer: api.List[api.FirewallLogLine]{}, fails: []int{http.StatusNotImplemented}, serve: (*Server).firewallLog,
		},
		{
			method: http.MethodGet, path: "/v1/log/levels", summary: `The log level of each component, "" for the others`, role: api.RoleViewer,
			answer: map[string]string{}, fails: []int{http.StatusNotImplemented}, serve: (*Server).logLevels,
		},
		{
			method: http.MethodPatch, path: "/v1/log/levels", summary: "Change the log levels that are given", role: api.RoleAdmin,
			body: map[string]string{}, answer: map[string]string{}, fails: []int{http.StatusNotImplemented}, serve: (*Server).setLogLevels,
		},
	}
}

// view is the operation that lists a kind of items.
func view[T any](name string, items func(Views, *api.Filter) (iter.Seq[T], error)) *operation {
	kind, _ := api.ViewKindNamed(name)
	o := &operation{
		method: http.MethodGet, path: "/v1/" + name, summary: "The node's " + name, role: api.RoleViewer, parsed: true, answer: api.List[T]{},
		fails: []int{http.StatusNotFound},
	}
	for _, field := range kind.Filters {
		o.query = append(o.query, filterArgument(field, kind.States))
	}
	o.serve = func(s *Server, w *response, r *request) error {
		filter, err := api.ParseFilter(kind, r.Values)
		if err != nil {
			return err
		}
		all, err := items(s.source, &filter)
		if err != nil {
			return err
		}
		list(w, "{", all, filter.Limit)
		return nil
	}
	return o
}

// filterArgument describes a field of a filter.
func filterArgument(field, states string) argument {
	a := argument{name: field}
	switch field {
	case "name":
		a.form, a.doc = formTexts, "only those of these names"
	case "kind":
		a.form, a.doc = formTexts, "only those of these kinds, as objects have them"
	case "limit":
		a.form, a.doc = formNumber, "how many at most, from 1"
	case "before":
		a.form, a.doc = formNumber, "only revisions before this one"
	case "address":
		a.doc = "only those that have this address, or one of this network"
	case "l4Port":
		a.form, a.doc = formNumber, "only those with this TCP, UDP or SCTP port at either end"
	case "state":
		a.doc = "only those in this state: " + states
	case "vip":
		a.doc = "only those of the virtual server at this address, or ADDRESS:PORT"
	case "service":
		a.doc = "only those of this virtual server: its name, or that of the object it is made of"
	case "pool":
		a.doc = "only those of this pool: its name, or that of the object it is made of"
	case "member":
		a.doc = "only those of this member: its name, address or ADDRESS:PORT"
	case "rule":
		a.form, a.doc = formNumber, "only those that the firewall's rule with this ID let pass"
	case "section":
		a.doc = "only those of this section of the policy: its name, or that of the object it is made of"
	case "unused":
		a.form, a.doc = formFlag, "only rules that have decided nothing so far"
	case "labelSelector":
		a.doc = "only those with these labels, as in kubectl -l: app=web,tier!=db"
	case "fieldSelector":
		a.doc = "only those with these fields, as in kubectl --field-selector: metadata.name, metadata.namespace, status.source"
	default:
		a.doc = "only those of this " + field
	}
	return a
}

// policyArguments are those of a question about the firewall's policy.
func policyArguments() []argument {
	var all []argument
	for _, field := range api.PolicyFields() {
		a := argument{name: field}
		switch field {
		case "from", "to":
			a.required, a.doc = true, "a port's name, PORT@ADDRESS or an address, with or without :PORT behind it"
		case "protocol":
			a.required, a.doc = true, "the IP protocol's name or number"
		case "port":
			a.form, a.doc = formNumber, "the destination's TCP, UDP or SCTP port"
		case "icmpType":
			a.form, a.doc = formNumber, "of ICMP; an echo request if it is not given"
		case "icmpCode":
			a.form, a.doc = formNumber, "of ICMP; 0 if it is not given"
		case "explain":
			a.form, a.doc = formFlag, "also name the rules that nearly matched"
		}
		all = append(all, a)
	}
	return all
}

func objectArguments() []argument {
	var all []argument
	for _, field := range api.ObjectFields() {
		all = append(all, filterArgument(field, ""))
	}
	return all
}

func historyArguments() []argument {
	var all []argument
	for _, field := range api.HistoryFields() {
		a := filterArgument(field, "")
		if field == "kind" || field == "name" || field == "namespace" {
			a.form, a.doc = formText, "only changes of the object with this "+field
		}
		all = append(all, a)
	}
	return all
}
