package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// speaker is an end of a random connection.
type speaker struct {
	first, next uint32 // its initial sequence number, and the next one
	received    uint32 // what it has to acknowledge
}

// connection makes the packets of a TCP connection that both ends conduct as they should; some
// of them go over the wire twice.
type connection struct {
	t       testing.TB
	rng     *rand.Rand
	ends    [2]speaker
	packets []string
}

func (c *connection) line(from int, flags string, seq, ack uint32, size int) string {
	arrow := []string{"> tcp $c > $s", "< tcp $s > $c"}[from]
	if !strings.Contains(flags, "A") {
		ack = 0
	}
	return fmt.Sprintf("%s %s seq %d ack %d len %d", arrow, flags, seq, ack, size)
}

// say lets an end send a segment, which the other end gets.
func (c *connection) say(from int, flags string, size int) {
	own, peer := &c.ends[from], &c.ends[1-from]
	line := c.line(from, flags, own.next, own.received, size)
	for range 1 + c.rng.IntN(6)/5 {
		c.packets = append(c.packets, line)
	}
	own.next += uint32(size)
	if strings.ContainsAny(flags, "SF") {
		own.next++
	}
	peer.received = own.next
}

func newConnection(t testing.TB, rng *rand.Rand) *connection {
	c := &connection{t: t, rng: rng}
	for i := range c.ends {
		// Some wrap; 0 is avoided as it is what a field without meaning holds.
		c.ends[i].first = []uint32{1_000_000, 1<<32 - 3000, 1 << 31}[rng.IntN(3)]
		c.ends[i].next = c.ends[i].first
	}
	c.say(0, "S", 0)
	c.say(1, "SA", 0)
	c.say(0, "A", 0)
	for range rng.IntN(6) {
		from := rng.IntN(2)
		for range 1 + rng.IntN(3) {
			c.say(from, "PA", 100*(1+rng.IntN(14)))
		}
		c.say(1-from, "A", 0)
	}
	if from := rng.IntN(2); rng.IntN(2) == 0 {
		c.say(from, "FA", 0)
		c.say(1-from, "A", 0)
		for range rng.IntN(3) {
			c.say(1-from, "PA", 500)
			c.say(from, "A", 0)
		}
		c.say(1-from, "FA", 0)
		c.say(from, "A", 0)
	}
	return c
}

// stateBefore stands in a stranger's kind for the state that the session is in, which is known later.
const stateBefore = "STATE"

// stranger is a packet that does not belong, put into a connection.
type stranger struct {
	at    int // its place
	kind  string
	flags string
}

// disturb puts one wrong packet into a connection: any flags, from either end, with a sequence or
// acknowledgement number that is off.
func (c *connection) disturb() (s stranger) {
	s.at = 1 + c.rng.IntN(len(c.packets)-1)
	// What both ends have said before it, read off the packets.
	var ends [2]speaker
	var begun [2]bool
	for _, text := range c.packets[:s.at] {
		var arrow, proto, src, to, dst, flags string
		var seq, ack, size uint32
		_, err := fmt.Sscanf(text, "%s %s %s %s %s %s seq %d ack %d len %d", &arrow, &proto, &src, &to, &dst, &flags, &seq, &ack, &size)
		require.NoError(c.t, err, text)
		from := strings.Index("><", arrow)
		if strings.ContainsAny(flags, "SF") {
			size++
		}
		if end := seq + size; !begun[from] || int32(end-ends[from].next) > 0 {
			ends[from].next, begun[from] = end, true
		}
		ends[1-from].received = ends[from].next
	}
	from := c.rng.IntN(2)
	own := ends[from]
	if !begun[from] {
		own.next = c.ends[from].first
	}
	s.flags = []string{"A", "PA", "FA", "R", "RA", "S", "SA"}[c.rng.IntN(7)]
	size := 0
	if s.flags == "PA" {
		size = 100
	}
	distances := []struct {
		name string
		by   uint32
	}{{"right", 0}, {"a little", 700}, {"a window", 80_000}, {"far", 1 << 20}, {"half way round", 1<<31 - 1<<20}}
	seqBy, ackBy := distances[c.rng.IntN(len(distances))], distances[c.rng.IntN(len(distances))]
	if c.rng.IntN(2) == 0 {
		seqBy, ackBy = distances[0], seqBy
	} else {
		ackBy = distances[0]
	}
	sign, way := uint32(1), "above"
	if c.rng.IntN(2) == 0 {
		sign, way = -sign, "below"
	}
	end := []string{"client's", "server's"}[from]
	s.kind = fmt.Sprintf("%s %s in %s", end, s.flags, stateBefore)
	switch {
	case seqBy.by != 0:
		s.kind += fmt.Sprintf(", number %s %s", seqBy.name, way)
	case ackBy.by != 0 && strings.Contains(s.flags, "A"):
		s.kind += fmt.Sprintf(", acknowledgement %s %s", ackBy.name, way)
	}
	line := c.line(from, s.flags, own.next+sign*seqBy.by, own.received+sign*ackBy.by, size)
	c.packets = append(c.packets[:s.at:s.at], append([]string{line}, c.packets[s.at:]...)...)
	return s
}

// A connection that both ends conduct as they should passes on both sides, to the last packet.
func TestRandomConnections(t *testing.T) {
	k, e, q := newKernel(t), newEngine(t, true), newSequencer(t)
	rng := rand.New(rand.NewPCG(20, 26))
	var all []sent
	for range 500 {
		q.begin()
		for _, text := range newConnection(t, rng).packets {
			all = append(all, q.packet(text))
		}
	}
	theirs, ours := k.play(all), e.play(all)
	for i, p := range all {
		require.Equal(t, [2]bool{true, true}, [2]bool{ours[p.mark], theirs[p.mark]}, "packet %d of %d: %s %s", i, len(all), p.text, e.reasons[p.mark])
	}
}

// intended says why verdicts about strangers, and about what comes after one, may differ.
var intended = []struct {
	kind    *regexp.Regexp
	ours    bool // here it passes, and not through the kernel
	because string
}{
	{regexp.MustCompile(`^\S+ (A|PA|FA|RA|SA) .* below$`), false, late},
	{regexp.MustCompile(`^\S+ (A|PA|FA) in \S+, number a window above$`), false, overshot},
	{regexp.MustCompile(`^\S+ RA? in \S+, number `), false, "a RST must have the receiver's number or lie in its window (RFC 5961)"},
	{regexp.MustCompile(`^server's R in SYN_SENT$`), false, "only a RST that acknowledges the SYN refuses it (RFC 9293 section 3.10.7.3)"},
	{regexp.MustCompile(`^\S+ SA? in `), false, "a SYN or SYN/ACK with another number than this direction's first is not this connection's; the kernel passes it without following it"},
	{regexp.MustCompile(`^\S+ RA in \S+, acknowledgement .* above$`), true, "a RST is judged by its sequence number alone, as its receiver does (RFC 9293 section 3.10.7.4)"},
	{regexp.MustCompile(`^server's RA in SYN_RECV, number `), true, "the client may not have had the SYN/ACK, and then takes a RST by its acknowledgement alone (RFC 9293 section 3.10.7.3)"},
	{regexp.MustCompile(`^client's SA in \S+, number (a little|a window) below$`), true, "it lies in the window, like anything repeated: the receiver answers with an ACK"},

	{regexp.MustCompile(`^after client's RA? in SYN_SENT`), false, "the client has given up: a SYN/ACK that comes all the same is none of a connection"},
	{regexp.MustCompile(`^after server's RA in SYN_SENT`), false, "the server has refused: a SYN/ACK that comes all the same is none of a connection"},
	{regexp.MustCompile(`^after client's S in SYN_SENT`), false, "the last SYN counts: an answer to the one before is not for the client that has started over"},
	{regexp.MustCompile(`^after client's S in `), true, "a SYN in the midst of a connection changes nothing until the server accepts it"},
	{regexp.MustCompile(`^after server's SA? in SYN_SENT`), true, "of two SYN/ACKs, or of a SYN and a SYN/ACK, the client may have taken either"},
}

// reasonFor returns the rule that a difference is intended by, or -1.
func reasonFor(kind string, ours bool) int {
	for i := range intended {
		if r := &intended[i]; r.ours == ours && r.kind.MatchString(kind) {
			return i
		}
	}
	return -1
}

// What does not belong is judged as the kernel judges it, but for what is intended; and what is
// dropped here leaves no trace: the connection goes on to its last packet.
func TestRandomStrangers(t *testing.T) {
	k, e, q := newKernel(t), newEngine(t, true), newSequencer(t)
	rng := rand.New(rand.NewPCG(19, 4))
	n := 1200
	if testing.Short() {
		n = 300
	}
	var all []sent
	var from []int
	var strangers []stranger
	for range n {
		q.begin()
		c := newConnection(t, rng)
		strangers = append(strangers, c.disturb())
		from = append(from, len(all))
		for _, text := range c.packets {
			all = append(all, q.packet(text))
		}
	}
	from = append(from, len(all))
	theirs, ours := k.play(all), e.play(all)
	used := make([]int, len(intended))
	agreed := 0
	differs := func(kind string, packets []sent, i int) bool {
		m := packets[i].mark
		if ours[m] == theirs[m] {
			agreed++
			return false
		}
		rule := reasonFor(kind, ours[m])
		require.GreaterOrEqual(t, rule, 0, "%s: here %v, the kernel %v\n%s", kind, ours[m], theirs[m], story(packets[:i+1], ours, theirs))
		used[rule]++
		return true
	}
	for i, s := range strangers {
		packets := all[from[i]:from[i+1]]
		s.kind = strings.Replace(s.kind, stateBefore, packets[s.at-1].state, 1)
		passed := ours[packets[s.at].mark]
		// Where the kernel has another opinion of it, what it thinks of the rest is its own affair.
		compare := !differs(s.kind, packets, s.at)
		for j := s.at + 1; j < len(packets); j++ {
			if !passed {
				require.True(t, ours[packets[j].mark], "%s was dropped, and then:\n%s", s.kind, story(packets[:j+1], ours, theirs))
			}
			if compare = compare && !differs("after "+s.kind, packets, j); !compare && passed {
				break
			}
		}
	}
	require.Greater(t, agreed, n, "most verdicts are the same")
	if !testing.Short() {
		for i, n := range used {
			require.Positive(t, n, "nothing differs any more because %s", intended[i].because)
		}
	}
}

// story writes down what became of packets, for who has to find out.
func story(packets []sent, ours, theirs map[mark]bool) string {
	var b strings.Builder
	for _, p := range packets {
		fmt.Fprintf(&b, "  %s: here %v, then %s; the kernel %v\n", p.text, ours[p.mark], p.state, theirs[p.mark])
	}
	return b.String()
}
