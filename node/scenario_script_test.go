package node_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// scenario is a file of testdata/scenarios.
type scenario struct {
	path   string
	files  map[string][]byte
	source *txtar.Archive
	lines  []*line // of the script, all of them
	blocks []*block
	names  [][2]string // "@name", what it stands for
}

// block is a stimulus and what must follow.
type block struct {
	line    int // number of the stimulus
	stimuli []*line
	want    []string // canonical
	states  []*line
	got     []string // by the last run
}

// op is what a line says.
type op string

const (
	opNone  op = "" // blank, comment, name
	opIn    op = "<"
	opWith  op = "+"
	opWait  op = "wait"
	opApply op = "apply"
	opDown  op = "down"
	opUp    op = "up"

	opOut  op = ">"
	opDrop op = "!"
	opHeld op = "held"
	opUsed op = "used"

	opSessions  op = "sessions"
	opLearned   op = "learned"
	opPackets   op = "packets"
	opBegun     op = "begun"
	opNeighbors op = "neighbors"
	opDecided   op = "decided"
	opEnded     op = "ended"
)

// line is a line of a script.
type line struct {
	number int // in the file
	text   string
	op     op
	repeat int
	port   string
	rest   string
	frames []mem.Frame // opIn, opWith
	wait   time.Duration
	count  int // of a state
	got    int // by the last run
}

// readScenario reads a file. Faults in it end the test.
func readScenario(t *testing.T, path string) *scenario {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	s := &scenario{path: filepath.Base(path), files: map[string][]byte{}, source: txtar.Parse(data)}
	require.NotEmpty(t, strings.TrimSpace(string(s.source.Comment)), "%s: what must happen, and why?", s.path)
	for _, f := range s.source.Files {
		s.files[f.Name] = f.Data
	}
	script, found := s.files["script"]
	require.True(t, found, "%s has no script", s.path)
	require.Equal(t, "script", s.source.Files[len(s.source.Files)-1].Name, "%s: the script is the last file", s.path)
	number := strings.Count(string(data[:len(data)-len(script)]), "\n")
	for text := range strings.Lines(string(script)) {
		number++
		l := &line{number: number, text: strings.TrimRight(text, "\n"), repeat: 1}
		if err := s.add(l); err != nil {
			t.Fatalf("%s:%d: %s: %v", s.path, number, l.text, err)
		}
	}
	require.NotEmpty(t, s.blocks, s.path)
	require.NotEqual(t, opWith, s.blocks[len(s.blocks)-1].last().op, "%s: a frame waits for another", s.path)
	return s
}

func (b *block) last() *line { return b.stimuli[len(b.stimuli)-1] }

// add understands a line.
func (s *scenario) add(l *line) error {
	s.lines = append(s.lines, l)
	text := strings.TrimSpace(l.text)
	if text == "" || text[0] == '#' {
		return nil
	}
	words := strings.Fields(text)
	if words[0] == "let" && len(words) == 3 && strings.HasPrefix(words[1], "@") {
		s.names = append(s.names, [2]string{words[1], words[2]})
		return nil
	}
	if words[0] == "repeat" && len(words) > 2 {
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return fmt.Errorf("repeat %s", words[1])
		}
		l.repeat, words = n, words[2:]
	}
	switch op(words[0]) {
	case opWait, opApply, opDown, opUp, opSessions, opLearned, opNeighbors, opDecided, opEnded, opPackets, opBegun:
		l.op, words = op(words[0]), words[1:]
	default:
		if len(words) < 3 {
			return fmt.Errorf("neither a stimulus nor something that happens")
		}
		l.port, l.op, words = words[0], op(words[1]), words[2:]
	}
	l.rest = strings.Join(words, " ")
	return s.understand(l, words)
}

// understand reads what stands behind the word that says what a line is.
func (s *scenario) understand(l *line, words []string) (err error) {
	switch l.op {
	case opIn, opWith:
		l.frames, err = s.frames(l)
		s.stimulus(l)
	case opWait:
		l.wait, err = time.ParseDuration(l.rest)
		s.stimulus(l)
	case opApply:
		if s.files[l.rest] == nil {
			return fmt.Errorf("there is no file %q", l.rest)
		}
		s.stimulus(l)
	case opDown, opUp:
		l.port = l.rest
		s.stimulus(l)
	case opOut, opDrop, opHeld, opUsed:
		return s.expect(l)
	case opSessions, opLearned, opNeighbors, opDecided, opEnded, opPackets, opBegun:
		if len(words) == 2 {
			l.port, words = words[0], words[1:]
		}
		if len(words) != 1 || len(s.blocks) == 0 {
			return fmt.Errorf("how many, and after what?")
		}
		l.count, err = strconv.Atoi(words[0])
		b := s.blocks[len(s.blocks)-1]
		b.states = append(b.states, l)
	default:
		return fmt.Errorf("%q is no word of scripts", l.op)
	}
	return err
}

// stimulus begins a block, unless frames wait to come in with this one.
func (s *scenario) stimulus(l *line) {
	if n := len(s.blocks); n > 0 && s.blocks[n-1].last().op == opWith {
		s.blocks[n-1].stimuli = append(s.blocks[n-1].stimuli, l)
		return
	}
	s.blocks = append(s.blocks, &block{line: l.number, stimuli: []*line{l}})
}

// expect adds to what a block must cause.
func (s *scenario) expect(l *line) error {
	if len(s.blocks) == 0 || s.blocks[len(s.blocks)-1].last().op == opWith {
		return fmt.Errorf("nothing has come in yet")
	}
	b := s.blocks[len(s.blocks)-1]
	for i := range l.repeat {
		rest := s.expand(l.rest, i)
		switch l.op {
		case opOut:
			frame, err := frametext.Parse(rest)
			if err != nil {
				return err
			}
			rest = frametext.Format(frame)
		case opDrop:
			if !isReason(rest) {
				return fmt.Errorf("%s is no drop reason", rest)
			}
		default:
			if _, err := strconv.Atoi(rest); err != nil {
				return err
			}
		}
		b.want = append(b.want, fmt.Sprintf("%s %s %s", l.port, l.op, rest))
	}
	return nil
}

func isReason(name string) bool {
	for r := range packet.NumReasons {
		if r != packet.None && packet.Reason(r).String() == name {
			return true
		}
	}
	return false
}

// frames reads the frames of a line: the queue and the size of segments stand
// before the frame, if they are not the usual.
func (s *scenario) frames(l *line) (list []mem.Frame, err error) {
	words := strings.Fields(l.rest)
	values := map[string]int{"queue": 0, "gso": 0}
	for len(words) > 2 {
		if _, known := values[words[0]]; !known {
			break
		}
		if values[words[0]], err = strconv.Atoi(words[1]); err != nil {
			return nil, err
		}
		words = words[2:]
	}
	for i := range l.repeat {
		f := mem.Frame{Queue: values["queue"]}
		if f.Data, err = frametext.Parse(s.expand(strings.Join(words, " "), i)); err != nil {
			return nil, err
		}
		if slices.Contains(words, "partial") {
			offload(&f, values["gso"])
		}
		list = append(list, f)
	}
	return list, nil
}

// offload sets what a device with offloads says of a frame whose transport checksum is
// to be completed, and which is to be cut into segments of some bytes, if not 0.
func offload(f *mem.Frame, segment int) {
	var in packet.Info
	packet.Parse(f.Data, &in)
	m := &f.Meta
	m.CsumPartial, m.CsumStart, m.CsumOffset = true, in.L4, 6
	kind := uint8(packet.GSOUDP)
	header := in.L4 + packet.UDPSize
	if in.Proto == packet.ProtoTCP {
		m.CsumOffset, kind = 16, packet.GSOTCPv4
		header = in.L4 + uint16(f.Data[in.L4+12]>>4)*4
		if in.Has(packet.IsIPv6) {
			kind = packet.GSOTCPv6
		}
	}
	if segment != 0 {
		m.GSOType, m.GSOSize, m.HdrLen = kind, uint16(segment), header
	}
}

// expand replaces names, and $n by the number of the repetition, from 1.
func (s *scenario) expand(text string, i int) string {
	words := strings.Fields(text)
	for k, w := range words {
		for _, name := range s.names {
			if w == name[0] {
				words[k] = name[1]
			}
		}
	}
	text = strings.Join(words, " ")
	return dollar.ReplaceAllStringFunc(text, func(m string) string {
		base, _ := strconv.Atoi(strings.TrimPrefix(m[2:], "+"))
		return strconv.Itoa(base + i + 1)
	})
}

// dollar is $n or $n+BASE.
var dollar = regexp.MustCompile(`\$n(\+\d+)?`)

// sorted puts what happened in an order that does not depend on how it was found
// out: by port, what was sent in its order.
func sorted(list []string) []string { return inOrder(slices.Clone(list)) }

func inOrder(list []string) []string {
	slices.SortStableFunc(list, func(a, b string) int {
		x, y := strings.SplitN(a, " ", 3), strings.SplitN(b, " ", 3)
		order := cmp.Or(cmp.Compare(rank(x[1]), rank(y[1])), cmp.Compare(x[0], y[0]))
		if order == 0 && op(x[1]) != opOut {
			order = cmp.Compare(x[2], y[2])
		}
		return order
	})
	return list
}

func rank(o string) int {
	return slices.Index([]op{opOut, opDrop, opHeld, opUsed}, op(o))
}

// show writes what happened as a script has it.
func (s *scenario) show(list []string) string {
	if len(list) == 0 {
		return "\t(nothing)\n"
	}
	var b strings.Builder
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		text := list[i]
		for _, name := range s.names {
			text = strings.ReplaceAll(text, " "+name[1], " "+name[0])
		}
		if n > 1 {
			text = fmt.Sprintf("repeat %d %s", n, text)
		}
		b.WriteString(text + "\n")
		i += n
	}
	return b.String()
}

// archive returns the file with what happened in the last run in the place of what was
// expected. Comments and blank lines stay where they are.
func (s *scenario) archive() *txtar.Archive {
	var script strings.Builder
	var current *block
	blocks := s.blocks
	for _, l := range s.lines {
		switch l.op {
		case opOut, opDrop, opHeld, opUsed:
			if slices.Equal(sorted(current.want), sorted(current.got)) {
				script.WriteString(l.text + "\n")
			}
			continue
		case opSessions, opLearned, opNeighbors, opDecided, opEnded, opPackets, opBegun:
			words := strings.Fields(l.text)
			words[len(words)-1] = strconv.Itoa(l.got)
			script.WriteString(strings.Join(words, " ") + "\n")
			continue
		}
		script.WriteString(l.text + "\n")
		if len(blocks) > 0 && l == blocks[0].last() {
			current, blocks = blocks[0], blocks[1:]
			if !slices.Equal(sorted(current.want), sorted(current.got)) && len(current.got) > 0 {
				script.WriteString(s.show(current.got))
			}
		}
	}
	out := *s.source
	out.Files = slices.Clone(out.Files)
	out.Files[len(out.Files)-1].Data = []byte(script.String())
	return &out
}
