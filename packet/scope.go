package packet

// Scope says how far an address reaches.
type Scope uint8

// The scopes.
const (
	ScopeGlobal    Scope = iota // a host's, that routers forward from and to
	ScopeNone                   // unspecified, or of "this network" (RFC 1122 section 3.2.1.3)
	ScopeLoopback               // never on a wire
	ScopeLink                   // not beyond the link (RFC 3927 section 7, RFC 4291 section 2.5.6)
	ScopeMulticast              // a group
	ScopeBroadcast              // 255.255.255.255
)

// Scope returns the scope of an address.
func (a Addr) Scope() Scope {
	if a.Is4() {
		switch b := a.As4(); {
		case b[0] == 0:
			return ScopeNone
		case b == [4]byte{255, 255, 255, 255}:
			return ScopeBroadcast
		}
	}
	switch ip := a.Netip(); {
	case ip.IsUnspecified():
		return ScopeNone
	case ip.IsLoopback():
		return ScopeLoopback
	case ip.IsMulticast():
		return ScopeMulticast
	case ip.IsLinkLocalUnicast():
		return ScopeLink
	}
	return ScopeGlobal
}
