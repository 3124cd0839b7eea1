package api

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Filter narrows what is asked for. Fields that are not given, zero, narrow
// nothing; all that are given must hold.
type Filter struct {
	Names   []string // of the items: any of them
	Segment string   // by name
	Router  string   // by name
	Port    string   // the switch's port or the pod, by name

	// Address is one that the item has, or for a route: that it is for.
	Address netip.Prefix

	Protocol string // its name or number; of either case
	L4Port   uint16 // TCP, UDP or SCTP, at either end
	State    string // or type, or usage, or action: what items of the kind have; of either case

	Section string // of the firewall's policy: its name, or that of the object it is made of
	Unused  bool   // only rules that have decided nothing so far

	VIP     VIP    // the address of a virtual server
	Service string // the virtual server, or the object it is made of, by name
	Pool    string // of members, by name; or the object it is made of
	Member  string // by name, address, or ADDRESS:PORT
	Rule    uint32 // of the firewall, that let a session pass, by ID

	Limit int // items at most; 0: all
}

// VIP is the address of a virtual server.
type VIP struct {
	Address netip.Addr
	Port    uint16 // 0: any
}

// IsValid reports whether it is an address: the zero VIP is none.
func (v VIP) IsValid() bool { return v.Address.IsValid() }

// String returns ADDRESS or ADDRESS:PORT, with brackets where IPv6 needs them.
func (v VIP) String() string {
	if v.Port == 0 {
		return v.Address.String()
	}
	return netip.AddrPortFrom(v.Address, v.Port).String()
}

// Has reports whether an address and port are what v means.
func (v VIP) Has(a netip.Addr, port uint16) bool {
	return v.Address == a && (v.Port == 0 || v.Port == port)
}

// ParseVIP reads ADDRESS or ADDRESS:PORT.
func ParseVIP(text string) (VIP, error) {
	if p, err := netip.ParseAddrPort(text); err == nil && p.Port() != 0 && p.Addr().Zone() == "" {
		return VIP{p.Addr().Unmap(), p.Port()}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return VIP{}, errors.New("want an IP address such as 10.96.0.10, or one with a port: 10.96.0.10:80, [fd00::10]:80")
	}
	return VIP{Address: a.Unmap()}, nil
}

// The names of Filter's fields in a query.
const (
	fieldName     = "name"
	fieldSegment  = "segment"
	fieldRouter   = "router"
	fieldPort     = "port"
	fieldAddress  = "address"
	fieldProtocol = "protocol"
	fieldL4Port   = "l4Port"
	fieldState    = "state"
	fieldSection  = "section"
	fieldUnused   = "unused"
	fieldVIP      = "vip"
	fieldService  = "service"
	fieldPool     = "pool"
	fieldMember   = "member"
	fieldRule     = "rule"
	fieldLimit    = "limit"
)

// Bounds of what a query may hold.
const (
	maxFilterNames = 1024
	maxFilterText  = 512
)

// Query returns the filter as a query; ParseFilter is its inverse.
func (f *Filter) Query() url.Values {
	q := url.Values{}
	if len(f.Names) > 0 {
		q[fieldName] = f.Names
	}
	setAll(q, map[string]string{
		fieldSegment: f.Segment, fieldRouter: f.Router, fieldPort: f.Port, fieldProtocol: f.Protocol, fieldState: f.State,
		fieldSection: f.Section, fieldService: f.Service, fieldPool: f.Pool, fieldMember: f.Member, fieldRule: number(uint64(f.Rule)),
	})
	if f.Unused {
		q.Set(fieldUnused, "true")
	}
	if f.Address.IsValid() {
		q.Set(fieldAddress, f.Address.String())
	}
	if f.VIP.IsValid() {
		q.Set(fieldVIP, f.VIP.String())
	}
	if f.L4Port != 0 {
		q.Set(fieldL4Port, strconv.Itoa(int(f.L4Port)))
	}
	if f.Limit != 0 {
		q.Set(fieldLimit, strconv.Itoa(f.Limit))
	}
	return q
}

// ParseFilter reads the query about a kind. The error names every fault and wraps ErrInvalid.
func ParseFilter(k ViewKind, q url.Values) (f Filter, err error) {
	err = readQuery(q, k.Name+" can't be filtered by %q; they can by %s", k.Filters, []string{fieldName}, f.set)
	if err != nil {
		return Filter{}, err
	}
	return f, nil
}

func (f *Filter) set(field, v string) (err error) {
	switch field {
	case fieldName:
		f.Names = append(f.Names, v)
	case fieldSegment:
		f.Segment = v
	case fieldRouter:
		f.Router = v
	case fieldPort:
		f.Port = v
	case fieldProtocol:
		f.Protocol = v
	case fieldState:
		f.State = v
	case fieldSection:
		f.Section = v
	case fieldVIP:
		f.VIP, err = ParseVIP(v)
	case fieldService:
		f.Service = v
	case fieldPool:
		f.Pool = v
	case fieldMember:
		f.Member = v
	case fieldRule:
		f.Rule, err = parseRule(v)
	case fieldUnused:
		f.Unused, err = parseFlag(v)
	case fieldAddress:
		f.Address, err = ParseAddress(v)
	case fieldL4Port:
		f.L4Port, err = parseL4Port(v)
	case fieldLimit:
		f.Limit, err = parseLimit(v)
	}
	return err
}

// ParseAddress reads an IP address, or a network that stands for all of its own.
func ParseAddress(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("want an IP address such as 10.0.0.1, or a network such as 10.0.0.0/24")
	}
	return p.Masked(), nil
}

// parseL4Port reads a port of a transport protocol, which is never 0.
func parseL4Port(v string) (uint16, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("want a number from 1 to 65535")
	}
	return uint16(n), nil
}

// parseRule reads the ID of a rule, which is never 0.
func parseRule(v string) (uint32, error) {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n == 0 {
		return 0, errors.New("want a rule's ID, a number from 1: sluice get rules lists them")
	}
	return uint32(n), nil
}

func parseFlag(v string) (bool, error) {
	if v != "true" && v != "false" {
		return false, errors.New("want true or false")
	}
	return v == "true", nil
}

// parseByte reads a type or code of ICMP.
func parseByte(v string) (*uint8, error) {
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil {
		return nil, errors.New("want a number from 0 to 255")
	}
	b := uint8(n)
	return &b, nil
}

func sortedFields(q url.Values) []string {
	fields := make([]string, 0, len(q))
	for field := range q {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	return fields
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// Match reports whether a name is among Names, or none are given.
func (f *Filter) Match(name string) bool {
	return len(f.Names) == 0 || slices.Contains(f.Names, name)
}

// MatchState reports whether State is this, or not given.
func (f *Filter) MatchState(state string) bool {
	return f.State == "" || strings.EqualFold(f.State, state)
}

// MatchAddress reports whether an address is in Address, or that is not given.
func (f *Filter) MatchAddress(a netip.Addr) bool {
	return !f.Address.IsValid() || f.Address.Contains(a)
}

// setAll sets the fields that are given.
func setAll(q url.Values, fields map[string]string) {
	for field, text := range fields {
		if text != "" {
			q.Set(field, text)
		}
	}
}

// number is "" for 0.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
