package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/control/internal/near"
	"github.com/sluice-net/sluice/firewall/policy"
)

// candidates are the objects that a name may mean as seen from a namespace, the first that there is. The second is the zero
// Origin if there is but one.
func candidates(kind, namespace, name string) [2]policy.Origin {
	if space, rest, found := strings.Cut(name, "/"); found {
		return [2]policy.Origin{{Kind: kind, Namespace: space, Name: rest}}
	}
	if namespace == "" {
		return [2]policy.Origin{{Kind: kind, Name: name}}
	}
	return [2]policy.Origin{{Kind: kind, Namespace: namespace, Name: name}, {Kind: kind, Name: name}}
}

// find returns the object that a name means as seen from a namespace, nil if there is none.
func (r *Resolver) find(kind, namespace, name string) *node {
	for _, key := range candidates(kind, namespace, name) {
		if n := r.nodes[key]; n != nil {
			return n
		}
	}
	return nil
}

// link finds whom a node names, and all that is wrong with it so far.
func (r *Resolver) link(n *node) {
	r.unlink(n)
	n.faults, n.services = slices.Clone(n.says.faults), nil
	known := map[reference]bool{} // without paths: whether there is one
	for _, ref := range n.says.references {
		name := reference{kind: ref.kind, name: ref.name}
		found, seen := known[name]
		if !seen {
			found = r.find(ref.kind, n.key.Namespace, ref.name) != nil
			known[name] = found
			for _, key := range candidates(ref.kind, n.key.Namespace, ref.name) {
				if key != (policy.Origin{}) {
					n.links = append(n.links, key)
					r.use(key, n)
				}
			}
		}
		if !found {
			n.fault(ref.path, "there is no "+ref.kind+" "+clip(ref.name), near.Hint(ref.name, r.names(ref, n.key.Namespace)))
		}
	}
	if len(n.says.references) > 0 && (n.key.Kind == kindGroup || n.key.Kind == kindService) {
		r.relinked[n.key.Kind] = true
	}
	if s := &r.settings; n.key.Kind == kindSecurityPolicy {
		for i := range n.says.drafts {
			if d := &n.says.drafts[i]; d.Category == policy.Application && s.Top <= d.Sequence && d.Sequence <= s.Bottom {
				n.fault("spec.sequenceNumber", fmt.Sprintf("%d is among the sections made of Kubernetes' policies, %d to %d", d.Sequence, s.Top, s.Bottom),
					fmt.Sprintf("less than %d, to decide before them, or more than %d", s.Top, s.Bottom))
			}
		}
	}
	object := n.key
	if n == r.exclude {
		object = r.settings.Object
	}
	for i := range n.faults {
		n.faults[i].Object = object
	}
}

func (n *node) fault(path, message, hint string) {
	n.faults = append(n.faults, Fault{Object: n.key, Path: path, Message: message, Hint: hint})
}

func (r *Resolver) use(key policy.Origin, n *node) {
	users := r.users[key]
	if users == nil {
		users = map[*node]struct{}{}
		r.users[key] = users
	}
	users[n] = struct{}{}
}

// unlink undoes link.
func (r *Resolver) unlink(n *node) {
	for _, key := range n.links {
		delete(r.users[key], n)
		if len(r.users[key]) == 0 {
			delete(r.users, key)
		}
	}
	n.links = n.links[:0]
}

// names are how objects of the kind that a reference wants may be named from a namespace, as it does: with theirs or
// without.
func (r *Resolver) names(ref reference, namespace string) (names []string) {
	for key := range r.nodes {
		if key.Kind != ref.kind {
			continue
		}
		name := key.Name
		if key.Namespace != "" && (key.Namespace != namespace || strings.Contains(ref.name, "/")) {
			name = key.Namespace + "/" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// findCycles reports groups and services that contain themselves, each cycle once: at the reference that closes it.
func (r *Resolver) findCycles() {
	if len(r.relinked) == 0 {
		return
	}
	clear(r.relinked)
	r.cycles = nil
	nodes := r.sorted(func(n *node) bool {
		return len(n.says.references) > 0 && (n.key.Kind == kindGroup || n.key.Kind == kindService)
	})
	const (
		open = iota + 1
		done
	)
	state := map[*node]int{}
	var way []*node
	var visit func(n *node)
	visit = func(n *node) {
		state[n] = open
		way = append(way, n)
		for _, ref := range n.says.references {
			next := r.find(ref.kind, n.key.Namespace, ref.name)
			if next == nil {
				continue
			}
			switch state[next] {
			case open:
				var names []string
				for _, step := range way[slices.Index(way, next):] {
					names = append(names, (policy.Origin{Namespace: step.key.Namespace, Name: step.key.Name}).String())
				}
				names = append(names, names[0])
				r.cycles = append(r.cycles, Fault{
					Object: n.key, Path: ref.path, Message: "the " + ref.kind + " contains itself: " + strings.Join(names, " > "),
					Hint: "leave one of these out of another",
				})
			case 0:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[n] = done
	}
	for _, n := range nodes {
		if state[n] == 0 {
			visit(n)
		}
	}
}

// sorted returns the nodes that are wanted, by key.
func (r *Resolver) sorted(wanted func(*node) bool) (list []*node) {
	for _, n := range r.nodes {
		if wanted(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *node) int { return compareOrigins(a.key, b.key) })
	return list
}

// clip shortens what a user wrote, for a message.
func clip(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
