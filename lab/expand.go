package lab

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// variable is a name in a command that the lab knows the meaning of:
//
//	${ip:demo/web-1}      its first IPv4 address
//	${ip6:demo/web-1}     its first IPv6 address
//	${ips:demo/*}         the IPv4 addresses of all that match, with blanks between
//	${ips6:demo/*}        their IPv6 addresses
//	${names:demo/*}       the names themselves
//	${mac:demo/web-1}     the MAC address of its first interface
//	${gateway:demo/web-1} the IPv4 gateway of its first interface
//	${netns:demo/web-1}   its network namespace
//	${device:demo/web-1}  the device at the node's end
//
// "self" is the pod or host that the command runs in. Everything else with a
// dollar is the shell's.
type variable struct{ kind, name string }

var variableForm = regexp.MustCompile(`\$\{(ip|ip6|ips|ips6|names|mac|gateway|netns|device):([^}]*)\}`)

func variables(text string) (found []variable) {
	for _, m := range variableForm.FindAllStringSubmatch(text, -1) {
		found = append(found, variable{m[1], m[2]})
	}
	return found
}

func (v variable) check(names, ports map[string]bool) error {
	switch {
	case v.name == "self":
		return nil
	case v.kind == "ips" || v.kind == "ips6" || v.kind == "names":
		if len(matching(v.name, names)) > 0 {
			return nil
		}
	case v.kind == "device":
		if ports[v.name] {
			return nil
		}
		return fmt.Errorf("${%s:%s}: there is no such port; known: %s", v.kind, v.name, strings.Join(sortedNames(ports), ", "))
	case names[v.name]:
		return nil
	}
	return fmt.Errorf("${%s:%s}: there is no such pod or host; known: %s", v.kind, v.name, strings.Join(sortedNames(names), ", "))
}

// expand replaces the variables in a text for a command that runs in self.
func (p *plan) expand(text, self string) string {
	return variableForm.ReplaceAllStringFunc(text, func(match string) string {
		m := variableForm.FindStringSubmatch(match)
		kind, name := m[1], m[2]
		if name == "self" {
			name = self
		}
		switch kind {
		case "ips":
			return strings.Join(p.each(name, func(ns *namespace) string { return ns.address(netip.Addr.Is4) }), " ")
		case "ips6":
			return strings.Join(p.each(name, func(ns *namespace) string { return ns.address(netip.Addr.Is6) }), " ")
		case "names":
			return strings.Join(p.each(name, func(ns *namespace) string { return ns.name }), " ")
		case "device":
			if f := p.port(name); f != nil {
				return f.nodeEnd
			}
			return ""
		}
		ns := p.find(name)
		if ns == nil {
			return ""
		}
		switch kind {
		case "ip":
			return ns.address(netip.Addr.Is4)
		case "ip6":
			return ns.address(netip.Addr.Is6)
		case "netns":
			return ns.netns
		}
		if len(ns.interfaces) == 0 {
			return ""
		}
		f := ns.interfaces[0]
		if kind == "mac" {
			return f.mac.String()
		}
		for _, g := range f.gateways {
			if g.Is4() {
				return g.String()
			}
		}
		return ""
	})
}

// each returns f of all namespaces whose names match, but without empty texts.
func (p *plan) each(pattern string, f func(*namespace) string) (texts []string) {
	names := map[string]bool{}
	for _, ns := range p.namespaces {
		names[ns.name] = true
	}
	matches := matching(pattern, names)
	for _, ns := range p.namespaces {
		if slices.Contains(matches, ns.name) {
			if text := f(ns); text != "" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// address returns the namespace's first address of a family, "" if it has none.
func (ns *namespace) address(family func(netip.Addr) bool) string {
	for _, f := range ns.interfaces {
		for _, a := range f.allAddresses() {
			if family(a.Addr()) {
				return a.Addr().String()
			}
		}
	}
	return ""
}
