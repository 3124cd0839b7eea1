package lint

import "encoding/binary"

// The dimensions of a layer: what conditions are about. Frames have an EtherType in place of a protocol,
// and no ports.
const (
	atPoint = iota // port and direction
	atSrc
	atDst
	atProtocol
	atSrcPort
	atDstPort

	numDims
)

// anything is the value that every packet has; nothing that of a condition that no packet fulfils.
const (
	anything uint32 = 0
	nothing         = ^uint32(0)
)

// dimension is what can be told apart about one thing in packets: classes, and values, which
// are the sets of classes that conditions name.
//
//	classes     0    1    2    3          no condition tells two addresses of a class apart
//	value 0   ├──────────────────┤        anything
//	value 1        ├────┤
//	value 2             ├────────┤
type dimension struct {
	n      int // classes
	values []set
	index  map[string]uint32 // of values, by content

	boxes   [][]uint32 // by value: boxes that have it, ascending
	holders [][]uint32 // by class: values that it is in
	seen    []uint32   // by value: the last row that it was seen for
	round   uint32     // rows made
	rows    []row      // by value: overlapping boxes; nil is not known yet
	made    int        // words in rows
}

func newDimension(classes int) dimension {
	d := dimension{n: classes, index: make(map[string]uint32)}
	d.value(fullSet(classes))
	return d
}

// value returns the number of a set of classes.
func (d *dimension) value(s set) uint32 {
	s = s.trim()
	if len(s.words) == 0 {
		return nothing
	}
	key := binary.AppendUvarint(make([]byte, 0, 8+8*len(s.words)), uint64(s.first))
	for _, w := range s.words {
		key = binary.LittleEndian.AppendUint64(key, w)
	}
	v, known := d.index[string(key)]
	if !known {
		v = uint32(len(d.values))
		d.values = append(d.values, s)
		d.index[string(key)] = v
	}
	return v
}

// but returns the classes that are not in s.
func (d *dimension) but(s set) set {
	full := d.values[anything]
	w := make([]uint64, len(full.words))
	for i := range w {
		w[i] = full.words[i] &^ s.word(i)
	}
	return set{0, w}
}

// row is a set of boxes, one bit each.
type row []uint64

func (r row) has(box uint32) bool { return r[box>>6]>>(box&63)&1 != 0 }

// maxRows is how many words of rows a dimension keeps (32 MB); those of large policies are made again.
const maxRows = 1 << 22

// overlapping returns the boxes whose value has a class in common with v, which is not anything.
func (d *dimension) overlapping(v uint32, words int) row {
	if d.rows[v] != nil {
		return d.rows[v]
	}
	if d.made+words > maxRows {
		clear(d.rows)
		d.made = 0
	}
	r := make(row, words)
	d.round++
	d.values[v].each(func(class uint32) {
		for _, w := range d.holders[class] {
			if d.seen[w] == d.round {
				continue
			}
			d.seen[w] = d.round
			for _, b := range d.boxes[w] {
				r[b>>6] |= 1 << (b & 63)
			}
		}
	})
	d.rows[v], d.made = r, d.made+words
	return r
}

// settle prepares for overlapping, once all values and boxes are known.
func (d *dimension) settle(boxes []box, number int) {
	d.boxes = make([][]uint32, len(d.values))
	for i := range boxes {
		v := boxes[i].v[number]
		d.boxes[v] = append(d.boxes[v], uint32(i))
	}
	d.holders = make([][]uint32, d.n)
	for v := range d.values {
		if len(d.boxes[v]) > 0 {
			d.values[v].each(func(c uint32) { d.holders[c] = append(d.holders[c], uint32(v)) })
		}
	}
	d.seen = make([]uint32, len(d.values))
	d.rows = make([]row, len(d.values))
}
