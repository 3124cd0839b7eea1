// Package traffic is the programs that labs run in their namespaces to send and to answer: connections of
// which one word says how they began or ended, and floods.
package traffic

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Outcome says what came of an attempt to reach somebody, or how a connection ended.
type Outcome string

// The outcomes.
const (
	Answered    Outcome = "answered"    // TCP: the handshake is complete; with a request, and in UDP: the answer came
	Refused     Outcome = "refused"     // a TCP reset instead of a handshake, or ICMP port unreachable
	Prohibited  Outcome = "prohibited"  // ICMP administratively prohibited (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1)
	Unreachable Outcome = "unreachable" // another ICMP error, or the own kernel knows no way
	Silent      Outcome = "silent"      // nothing came in time
	Reset       Outcome = "reset"       // of an open connection: a TCP reset
	Closed      Outcome = "closed"      // of an open connection: the other end has closed it
	Ended       Outcome = "ended"       // of an open connection: this end was done with it
)

// Outcomes lists all of them.
func Outcomes() []string {
	return []string{
		string(Answered), string(Refused), string(Prohibited), string(Unreachable),
		string(Silent), string(Reset), string(Closed), string(Ended),
	}
}

// IsOutcome reports whether a word is one of them.
func IsOutcome(word string) bool { return slices.Contains(Outcomes(), word) }

// tally counts outcomes. It has all of them, so that whoever reads it finds a zero too.
func tally() map[Outcome]int {
	n := map[Outcome]int{}
	for _, word := range Outcomes() {
		n[Outcome(word)] = 0
	}
	return n
}

// outcomeOf names what an error of a socket means. Errors that are about neither the way nor the other end,
// such as that there are no more descriptors, are none.
func outcomeOf(err error) (Outcome, bool) {
	switch {
	case err == nil:
		return Answered, true
	case errors.Is(err, io.EOF):
		return Closed, true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return Silent, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return Reset, true
	case errors.Is(err, syscall.EACCES):
		return Prohibited, true // what ICMPv6 code 1 becomes; of ICMP only the error queue tells the code
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable, true
	}
	return "", false
}

// detail is an error without what everybody knows: which call, from which address.
func detail(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
