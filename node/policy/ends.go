package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// end is one end of a packet as somebody names it.
type end struct {
	text    string
	port    *control.Port // nil: whoever has the address, if anybody has
	address netip.Addr    // invalid: one of the port's
	l4      uint16        // 0: none was said
}

// parseEnd reads PORT, PORT@ADDRESS or ADDRESS, each with or without a transport's port behind a colon.
func (e *Evaluator) parseEnd(what, text string) (end, error) {
	x := end{text: text}
	if text == "" {
		return x, api.Invalid("%s whom? Want a port's name or an address, such as shop/web-1 or 10.0.1.10:80", what)
	}
	if x.port = e.byName[text]; x.port != nil {
		return x, nil
	}
	name, rest, found := strings.Cut(text, "@")
	if found {
		if x.port = e.byName[name]; x.port == nil {
			return x, e.noPort(name)
		}
		text = rest
	}
	bare := text
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]") // as before a port
	}
	if a, err := netip.ParseAddr(bare); err == nil && a.Zone() == "" {
		x.address = a.Unmap()
		return x, nil
	}
	if a, err := netip.ParseAddrPort(text); err == nil && a.Addr().Zone() == "" && a.Port() != 0 {
		x.address, x.l4 = a.Addr().Unmap(), a.Port()
		return x, nil
	}
	if found {
		return x, api.Invalid("%s %s: behind the @ there has to be an IP address, with or without a port", what, x.text)
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		if x.port = e.byName[text[:i]]; x.port != nil {
			n, err := strconv.ParseUint(text[i+1:], 10, 16)
			if err != nil || n == 0 {
				return x, api.Invalid("%s %s: behind the colon there has to be a port from 1 to 65535", what, text)
			}
			x.l4 = uint16(n)
			return x, nil
		}
		if _, err := strconv.ParseUint(text[i+1:], 10, 16); err == nil {
			text = text[:i]
		}
	}
	return x, e.noPort(text)
}

func (e *Evaluator) noPort(name string) error {
	names := make([]string, 0, len(e.model.Ports))
	for _, p := range e.model.Ports {
		names = append(names, p.Name)
	}
	return api.NotFound("port", name, names)
}

// resolve finds the addresses of two ends that have none, and the ports that have the addresses.
func (e *Evaluator) resolve(from, to *end) error {
	if from.address.IsValid() && to.address.IsValid() && from.address.Is4() != to.address.Is4() {
		return api.Invalid("%s and %s are of two IP versions: packets have one", from.address, to.address)
	}
	// What one end is may tell which of several ports the other is: the clear one first.
	ends := [2]*end{from, to}
	if len(e.byAddress[to.address]) == 1 {
		ends = [2]*end{to, from}
	}
	for i, x := range ends {
		if err := e.resolvePort(x, ends[1-i]); err != nil {
			return err
		}
	}
	switch {
	case from.port == nil && to.port == nil:
		return api.Invalid("neither %s nor %s is an address of a port: rules are asked at ports", from.address, to.address)
	case !from.address.IsValid() && !to.address.IsValid():
		return chooseBoth(from, to)
	case !from.address.IsValid():
		return choose(from, to)
	case !to.address.IsValid():
		return choose(to, from)
	}
	return nil
}

// resolvePort finds the port of an end that is an address.
func (e *Evaluator) resolvePort(x, other *end) error {
	if x.port != nil {
		return nil
	}
	ports := e.byAddress[x.address]
	if other.port != nil && len(ports) > 1 {
		// Segments without a router have addresses of their own.
		scope := e.scopeOf(other.port)
		ports = slices.DeleteFunc(slices.Clone(ports), func(p *control.Port) bool { return e.scopeOf(p) != scope })
	}
	switch len(ports) {
	case 0: // somebody outside
	case 1:
		x.port = ports[0]
	default:
		var names []string
		for _, p := range ports {
			names = append(names, p.Name+"@"+x.address.String())
		}
		return api.Invalid("%s is an address of several ports: say which, as %s", x.address, strings.Join(names, " or "))
	}
	return nil
}

// chooseBoth finds addresses of one IP version of two ports: of the first that the sender has.
func chooseBoth(from, to *end) error {
	for _, a := range from.port.Addresses {
		for _, b := range to.port.Addresses {
			if a.IP.IsValid() && b.IP.IsValid() && a.IP.Is4() == b.IP.Is4() {
				from.address, to.address = a.IP, b.IP
				return nil
			}
		}
	}
	for _, x := range []*end{from, to} {
		if !slices.ContainsFunc(x.port.Addresses, hasIP) {
			return api.Invalid("port %s has no IP address: name one of a host behind it, as %s@10.0.0.1", x.port.Name, x.port.Name)
		}
	}
	return api.Invalid("ports %s and %s have no IP version in common: name addresses", from.port.Name, to.port.Name)
}

// choose finds an address of a port for packets to or from another address.
func choose(x, other *end) error {
	for _, a := range x.port.Addresses {
		if a.IP.IsValid() && a.IP.Is4() == other.address.Is4() {
			x.address = a.IP
			return nil
		}
	}
	version := "IPv6"
	example := "fd00::1"
	if other.address.Is4() {
		version, example = "IPv4", "10.0.0.1"
	}
	return api.Invalid("port %s has no address of %s as %s is: name one of a host behind it, as %s@%s",
		x.port.Name, version, other.address, x.port.Name, example)
}

func hasIP(a control.Address) bool { return a.IP.IsValid() }

// place says where an address is that no port has.
func (e *Evaluator) place(a netip.Addr) string {
	for i := range e.model.Segments {
		for _, s := range e.model.Segments[i].Subnets {
			if s.Prefix.Contains(a) {
				return fmt.Sprintf("%s is in a subnet of segment %s, and no port has it", a, e.model.Segments[i].Name)
			}
		}
	}
	return ""
}
