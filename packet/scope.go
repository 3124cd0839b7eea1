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
		b := uint32(a[1] >> 32) // the first octet is the lowest
		switch first := uint8(b); {
		case first == 0:
			return ScopeNone
		case b == 1<<32-1:
			return ScopeBroadcast
		case first == 127:
			return ScopeLoopback
		case first>>4 == 14:
			return ScopeMulticast
		case first == 169 && uint8(b>>8) == 254:
			return ScopeLink
		}
		return ScopeGlobal
	}
	switch first, second := uint8(a[0]), uint8(a[0]>>8); {
	case a == Addr{}:
		return ScopeNone
	case a == Addr{0, 1 << 56}:
		return ScopeLoopback
	case first == 0xff:
		return ScopeMulticast
	case first == 0xfe && second&0xc0 == 0x80:
		return ScopeLink
	}
	return ScopeGlobal
}
