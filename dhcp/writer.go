package dhcp

import "encoding/binary"

// writer fills a message. What does not fit is left out: a message without one
// of its options is better than none.
type writer struct {
	b []byte
	n int
}

func (w *writer) fits(size int) bool { return w.n+size <= len(w.b) }

// bytes writes all of p or nothing.
func (w *writer) bytes(p []byte) bool {
	if !w.fits(len(p)) {
		return false
	}
	w.n += copy(w.b[w.n:], p)
	return true
}

// zeros writes zero bytes up to size, as far as there is room.
func (w *writer) zeros(size int) {
	if size = min(size, len(w.b)); size > w.n {
		clear(w.b[w.n:size])
		w.n = size
	}
}

// option4 writes a DHCPv4 option of at most 255 bytes, all of it or nothing
// (RFC 2132 section 2).
func (w *writer) option4(code uint8, data []byte) bool {
	if len(data) > 255 || !w.fits(2+len(data)) {
		return false
	}
	w.b[w.n], w.b[w.n+1] = code, uint8(len(data))
	w.n += 2
	return w.bytes(data)
}

func (w *writer) option4Word(code uint8, v uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	w.option4(code, b[:])
}

// option6 writes a DHCPv6 option, all of it or nothing (RFC 8415 section 21.1).
func (w *writer) option6(code uint16, data []byte) bool {
	at, ok := w.open6(code, len(data))
	if ok {
		w.bytes(data)
		w.close6(at)
	}
	return ok
}

// open6 begins a DHCPv6 option if there is room for size bytes of it; close6
// ends it. Others may be written between.
func (w *writer) open6(code uint16, size int) (at int, ok bool) {
	if !w.fits(4 + size) {
		return 0, false
	}
	at = w.n
	binary.BigEndian.PutUint16(w.b[at:], code)
	w.n += 4
	return at, true
}

func (w *writer) close6(at int) {
	binary.BigEndian.PutUint16(w.b[at+2:], uint16(w.n-at-4))
}

// words writes 32-bit numbers, all of them or nothing.
func (w *writer) words(list ...uint32) bool {
	if !w.fits(4 * len(list)) {
		return false
	}
	for _, v := range list {
		binary.BigEndian.PutUint32(w.b[w.n:], v)
		w.n += 4
	}
	return true
}
