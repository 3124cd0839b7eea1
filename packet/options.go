package packet

// Option kinds that IPv4 (RFC 791) and TCP (RFC 9293) share.
const (
	OptionEnd = 0
	OptionNop = 1
)

// IPv4 option types (IANA, "IP Option Numbers").
const (
	IPv4OptionRecordRoute       = 7
	IPv4OptionTimestamp         = 68
	IPv4OptionLooseSourceRoute  = 131
	IPv4OptionStrictSourceRoute = 137
	IPv4OptionRouterAlert       = 148
)

// Option is one option of an IPv4 or TCP header.
type Option struct {
	Kind uint8
	Data []byte // after kind and length; part of the packet
}

// Options walks the options of an IPv4 or TCP header, which have one form: a
// kind, and unless that is end or no-operation a length that counts both bytes.
// No-operations are skipped. A header has at most 40 bytes of options, which
// bounds the walk.
type Options struct {
	b         []byte
	malformed bool
}

// Next returns the next option; ok is false at the end of the list, and where
// a length is impossible: see Malformed.
func (it *Options) Next() (o Option, ok bool) {
	for len(it.b) > 0 && it.b[0] == OptionNop {
		it.b = it.b[1:]
	}
	if len(it.b) == 0 || it.b[0] == OptionEnd {
		it.b = nil
		return Option{}, false
	}
	if len(it.b) < 2 || it.b[1] < 2 || int(it.b[1]) > len(it.b) {
		it.malformed = true
		it.b = nil
		return Option{}, false
	}
	n := int(it.b[1])
	o = Option{Kind: it.b[0], Data: it.b[2:n:n]}
	it.b = it.b[n:]
	return o, true
}

// Malformed reports whether the walk ended at an impossible length.
func (it *Options) Malformed() bool { return it.malformed }
