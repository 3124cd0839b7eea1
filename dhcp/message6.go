package dhcp

import "encoding/binary"

// Message types (RFC 8415 section 7.3).
const (
	solicit6 = 1 + iota
	advertise6
	request6
	confirm6
	renew6
	rebind6
	reply6
	release6
	decline6
	reconfigure6
	information6
	relayForward6
	relayReply6
)

// Option codes (IANA, "DHCPv6 Option Codes").
const (
	option6ClientID    = 1
	option6ServerID    = 2
	option6IANA        = 3
	option6IAAddr      = 5
	option6Request     = 6
	option6Preference  = 7
	option6Status      = 13
	option6RapidCommit = 14
	option6DNS         = 23
	option6Search      = 24
	option6Refresh     = 32
	option6NTP         = 56
)

// Status codes (RFC 8415 section 21.13).
const (
	status6Success      = 0
	status6NoAddrsAvail = 2
	status6NoBinding    = 3
	status6NotOnLink    = 4
)

const (
	header6    = 4  // message type and transaction
	iaHeader   = 12 // IAID, T1, T2
	iaAddrSize = 24 // address, preferred and valid lifetime

	// maxDUID is the longest DUID with its type (RFC 8415 section 11.1).
	maxDUID = 130
)

// options6 walks DHCPv6 options.
type options6 struct {
	b         []byte
	malformed bool
}

// next returns the next option; ok is false at the end, and where a length is impossible.
func (it *options6) next() (code uint16, data []byte, ok bool) {
	if len(it.b) == 0 {
		return 0, nil, false
	}
	if len(it.b) < 4 || len(it.b) < 4+int(binary.BigEndian.Uint16(it.b[2:])) {
		it.malformed, it.b = true, nil
		return 0, nil, false
	}
	n := 4 + int(binary.BigEndian.Uint16(it.b[2:]))
	code, data = binary.BigEndian.Uint16(it.b), it.b[4:n:n]
	it.b = it.b[n:]
	return code, data, true
}

// message6 is what a client says. Slices are the frame's.
type message6 struct {
	kind        uint8
	transaction []byte // 3 bytes
	body        []byte // all options
	client      []byte // DUID
	server      []byte // DUID; nil: none
	wanted      []byte // option codes; nil: not said
	rapid       bool
	associated  bool // has an IA_NA
}

// needs says which identifiers a message has (RFC 8415 section 16); a missing
// kind is for no server.
var needs = [...]struct{ known, client, server, noServer bool }{
	solicit6:     {known: true, client: true, noServer: true},
	request6:     {known: true, client: true, server: true},
	confirm6:     {known: true, client: true, noServer: true},
	renew6:       {known: true, client: true, server: true},
	rebind6:      {known: true, client: true, noServer: true},
	release6:     {known: true, client: true, server: true},
	decline6:     {known: true, client: true, server: true},
	information6: {known: true},
}

// read6 reads the payload of a datagram to servers: every byte is looked at once.
func read6(p []byte) (m message6, r reading) {
	if len(p) < header6 {
		return m, malformed
	}
	m.kind, m.transaction, m.body = p[0], p[1:header6], p[header6:]
	if int(m.kind) >= len(needs) || !needs[m.kind].known {
		return m, foreign // a relay's, a server's, or not known
	}
	it := options6{b: m.body}
	for code, data, ok := it.next(); ok; code, data, ok = it.next() {
		switch code {
		case option6ClientID:
			if m.client != nil || len(data) < 3 || len(data) > maxDUID {
				return m, malformed
			}
			m.client = data
		case option6ServerID:
			if m.server != nil || len(data) < 3 || len(data) > maxDUID {
				return m, malformed
			}
			m.server = data
		case option6Request:
			if len(data)%2 != 0 {
				return m, malformed
			}
			if m.wanted == nil {
				m.wanted = data
			}
		case option6IANA:
			if len(data) < iaHeader || !wellFormed(data[iaHeader:]) {
				return m, malformed
			}
			m.associated = true
		case option6RapidCommit:
			m.rapid = true
		}
	}
	n := needs[m.kind]
	if it.malformed || n.client && m.client == nil || n.server && m.server == nil ||
		n.noServer && m.server != nil || m.kind == information6 && m.associated {
		return m, malformed
	}
	return m, readable
}

// wellFormed reports whether the options in an IA_NA can be read.
func wellFormed(p []byte) bool {
	it := options6{b: p}
	for code, data, ok := it.next(); ok; code, data, ok = it.next() {
		if code == option6IAAddr && len(data) < iaAddrSize {
			return false
		}
	}
	return !it.malformed
}

// wants reports whether the client asks for an option. One that says nothing
// gets what every host needs.
func (m *message6) wants(code uint16) bool {
	if m.wanted == nil {
		return code == option6DNS || code == option6Search
	}
	for i := 0; i+2 <= len(m.wanted); i += 2 {
		if binary.BigEndian.Uint16(m.wanted[i:]) == code {
			return true
		}
	}
	return false
}
