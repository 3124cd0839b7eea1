package ruleset

import (
	"cmp"
	"slices"

	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Settings are what a policy has besides objects: NodeConfig's.
type Settings struct {
	Object policy.Origin // that faults of the settings are reported at

	DefaultAction policy.Action
	DefaultLogged bool
	Exclude       []string // Groups, by name; see api.FirewallConfig
	Top, Bottom   int64    // sequence numbers of what is made of Kubernetes' objects
}

func (s *Settings) equal(t *Settings) bool {
	return s.Object == t.Object && s.DefaultAction == t.DefaultAction && s.DefaultLogged == t.DefaultLogged &&
		slices.Equal(s.Exclude, t.Exclude) && s.Top == t.Top && s.Bottom == t.Bottom
}

// Resolver makes Policies that follow each other, and does anew only what has changed: each turn is Put for all
// objects that are others than before, Check, and if that finds nothing, Resolve. What a Policy says
// depends on what there is then, not on what was there before, but for the numbers of sets.
//
//	objects ──▶ drafts ──▶ sections ─────▶ Policy
//	               │            ▲            ▲
//	               ▼            │ numbers    │ values
//	             sets ──▶ atoms ┴─◀── endpoints
//
// What it keeps are, for each object, what it says (node), and for each set its members. An endpoint that comes or goes is
// compared with the conditions that may select it, and changes the sets that have these; sections name
// sets by number and stay as they are.
//
// A Resolver is for one goroutine at a time.
type Resolver struct {
	settings   Settings
	configured bool // settings were given
	nodes      map[policy.Origin]*node
	users      map[policy.Origin]map[*node]struct{} // who names an object, there or not

	unchecked map[*node]struct{} // to be linked
	faulty    map[*node]struct{} // linked, and not good
	unbuilt   map[*node]struct{} // to be built when all is good
	removed   []*node            // built, and to be taken down
	relinked  map[string]bool    // kinds of which a node was linked, so that there may be a cycle
	cycles    []Fault

	sets      *sets
	groupSets map[policy.Origin]*set
	offers    offers
	exclude   *node // the settings' exclusion list

	numbers       numbers.Space
	sections      []*section // in order
	plainSections []*policy.Section
	markers       [2]*section // of the last settings that were good
	settled       bool        // sections have these markers
	profiles      []Profile
	groups        []Group
	endpoints     []*policy.Endpoint // by number, as if none was excluded
	policy        *policy.Policy     // the last; nil before that
	digestScratch []byte
}

// node is an object and what the resolver knows of it.
type node struct {
	key   policy.Origin
	value any

	says  says
	links []policy.Origin // names in users

	faults []Fault // of says and of links

	services []policy.Service // a FirewallService's, flattened; valid if good
	sections []*section       // a policy's; of the last Policy
	ids      RuleIDs          // likewise
	named    []namedPort      // that sections depend on
	applied  *set             // a profile's, or the exclusion list's
}

// says is what an object says by itself.
type says struct {
	faults     []Fault
	references []reference

	members  selection // of a Group; a profile's ports
	entries  []entry   // of a FirewallService
	drafts   []draft
	sequence int // a profile's
}

// Group is one of the objects, and who is in it.
type Group struct {
	Origin policy.Origin
	Set    policy.SetID
}

// Profile is a SessionTimerProfile or FloodProtectionProfile, and whose it is.
type Profile struct {
	Origin    policy.Origin
	Value     any // *api.SessionTimerProfile, *api.FloodProtectionProfile
	AppliedTo policy.SetID

	sequence int
}

// Result is what is made of all objects.
type Result struct {
	Policy   *policy.Policy
	Groups   []Group   // by name
	Profiles []Profile // by sequence number; of equal ones by name
	Rules    map[string]RuleIDs
	LastRule uint32 // the number given last
}

// New returns a Resolver that knows no objects.
func New() *Resolver {
	r := &Resolver{
		nodes: map[policy.Origin]*node{}, users: map[policy.Origin]map[*node]struct{}{},
		unchecked: map[*node]struct{}{}, faulty: map[*node]struct{}{}, unbuilt: map[*node]struct{}{}, relinked: map[string]bool{},
		sets: newSets(), numbers: numbers.NewSpace(policy.FirstRuleID, mostRules), groupSets: map[policy.Origin]*set{}, exclude: &node{says: says{members: selection{}}},
		offers: offers{count: map[namedPort]map[uint16]int{}, users: map[namedPort]map[*node]struct{}{}},
	}
	r.exclude.key.Kind = excludeKind
	r.unbuilt[r.exclude] = struct{}{}
	return r
}

// excludeKind is the kind of the node that stands for the exclusion list.
const excludeKind = "exclude"

// Kinds are those of objects that Put takes.
func Kinds() []string {
	return []string{
		kindGroup, kindService, kindSecurityPolicy, kindTimers, kindFlood,
		"NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy",
	}
}

const (
	kindGroup          = "Group"
	kindService        = "FirewallService"
	kindSecurityPolicy = "SecurityPolicy"
	kindTimers         = "SessionTimerProfile"
	kindFlood          = "FloodProtectionProfile"
)

// Put says that there is an object, a pointer to its kind's Go type, or, if it is nil, that there is none of that
// name. The object is not written to afterwards.
func (r *Resolver) Put(key policy.Origin, value any) {
	n := r.nodes[key]
	switch {
	case value == nil && n == nil, n != nil && n.value == value:
		return
	case value == nil:
		r.unlink(n)
		delete(r.nodes, key)
		delete(r.unchecked, n)
		delete(r.faulty, n)
		delete(r.unbuilt, n)
		r.removed = append(r.removed, n)
		r.disturb(key)
		r.relinked[key.Kind] = true
		return
	case n == nil:
		n = &node{key: key}
		r.nodes[key] = n
		r.disturb(key)
	case key.Kind == kindService:
		r.disturb(key) // what it says is in sections
	}
	n.value, n.says = value, read(value)
	r.unchecked[n] = struct{}{}
}

// disturb marks all who name an object as to be linked again.
func (r *Resolver) disturb(key policy.Origin) {
	for user := range r.users[key] {
		if _, known := r.unchecked[user]; !known {
			r.unchecked[user] = struct{}{}
			if user.key.Kind == kindService {
				r.disturb(user.key)
			}
		}
	}
}

// Check returns all faults of the objects that there are, sorted by object.
func (r *Resolver) Check(s Settings) (faults []Fault) {
	if !r.configured || !r.settings.equal(&s) {
		was := r.settings
		r.configured = true
		r.settings, r.settled = s, false
		r.exclude.key.Name = s.Object.Name
		r.exclude.says = readExclude(&s)
		r.unchecked[r.exclude] = struct{}{}
		for _, n := range r.nodes {
			if n.dependsOn(&was, &s) {
				r.unchecked[n] = struct{}{}
			}
		}
	}
	nodes := make([]*node, 0, len(r.unchecked))
	for n := range r.unchecked {
		nodes = append(nodes, n)
		r.link(n)
	}
	r.findCycles()
	for _, n := range nodes {
		r.checkServices(n)
		delete(r.faulty, n)
		if len(n.faults) > 0 {
			r.faulty[n] = struct{}{}
		}
		r.unbuilt[n] = struct{}{}
	}
	clear(r.unchecked)
	for n := range r.faulty {
		faults = append(faults, n.faults...)
	}
	faults = append(faults, r.cycles...)
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(compareOrigins(a.Object, b.Object), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return faults
}

// dependsOn reports whether a change of settings changes what becomes of an object.
func (n *node) dependsOn(was, is *Settings) bool {
	moved, otherDefault := was.Top != is.Top || was.Bottom != is.Bottom, was.DefaultAction != is.DefaultAction
	return slices.ContainsFunc(n.says.drafts, func(d draft) bool {
		return moved && d.Category == policy.Application ||
			otherDefault && slices.ContainsFunc(d.rules, func(r draftRule) bool { return r.byDefault })
	})
}

// compareOrigins orders by kind, namespace and name.
func compareOrigins(a, b policy.Origin) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Resolve makes the Policy of objects that Check found good, and of endpoints by number (nil for none). previous are
// the rules' numbers in the Policy before: those that are there again have them again, others have those behind last. It is not
// written to, nor is now.
func (r *Resolver) Resolve(now []*Endpoint, previous map[string]RuleIDs, last uint32) Result {
	for _, port := range r.offers.update(r.sets.endpoints, now) {
		for n := range r.offers.users[port] {
			if r.nodes[n.key] == n { // and not to be taken down
				r.unbuilt[n] = struct{}{}
			}
		}
	}
	r.buildGroups()
	rules := r.buildPolicies(previous, last)
	r.buildProfiles()
	r.takeDown()
	clear(r.unbuilt)
	r.sets.update(now)
	values := r.sets.finish(r.exclude.applied)
	return Result{Policy: r.assemble(now, values), Groups: r.groups, Profiles: r.profiles, Rules: rules, LastRule: r.numbers.Given()}
}
