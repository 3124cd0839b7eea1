package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// bbolt trusts its pages: a damaged one makes it panic, read beyond its
// mapping, or go round in circles, also in its own Check. So the structure is
// checked before bbolt sees it. The format, version 2, in the machine's byte order
// (go.etcd.io/bbolt, internal/common):
//
//	page:     | id 8 | flags 2 | count 2 | overflow 4 | elements ... | keys and values ... |
//	meta:     | magic 4 | version 4 | page size 4 | flags 4 | root bucket 16 | freelist 8 | pages 8 | transaction 8 | FNV-1a 8 |
//	branch:   elements | position 4 | key size 4 | page 8 |
//	leaf:     elements | flags 4 | position 4 | key size 4 | value size 4 |; positions count from the element
//	bucket:   as a value: | root page 8, 0: it follows inline | sequence 8 |
//	freelist: ids, 8 each; a count of 65535 says that the first is the count
const (
	pageHeader = 16
	element    = 16 // of a branch and of a leaf

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf's element

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)
)

// pages checks a file's structure.
type pages struct {
	data []byte // of the whole file
	size uint64 // of a page
	n    uint64 // pages in use; the file has them all
	seen []bool // by page: something refers to it
}

// checkPages returns what is wrong with the structure of a bbolt file: with that
// of the last transaction, which bbolt will use.
func checkPages(data []byte) error {
	m, _, err := lastMeta(data)
	if err != nil {
		return err
	}
	if m.pages > uint64(len(data))/m.size {
		return fmt.Errorf("it has %d bytes of %d", len(data), m.pages*m.size)
	}
	p := &pages{data: data, size: m.size, n: m.pages, seen: make([]bool, m.pages)}
	if err := p.tree(m.root, nil, nil); err != nil {
		return err
	}
	return p.freelist(m.freelist)
}

// meta is what a meta page says.
type meta struct {
	size, root, freelist, pages, transaction uint64
}

// lastMeta returns the meta page that bbolt will choose, and where it is. The first is at the
// file's start, the second a page behind; pages are of 1 KiB to 16 MiB.
func lastMeta(data []byte) (last meta, at int, err error) {
	found := false
	for shift := range 16 {
		candidate := 0
		if shift > 0 {
			candidate = 512 << shift
		}
		m, ok := readMeta(data, candidate)
		if !ok || candidate > 0 && m.size != uint64(candidate) || found && m.transaction < last.transaction {
			continue
		}
		last, at, found = m, candidate, true
	}
	if !found {
		return meta{}, 0, errors.New("it is no file of bbolt, or its beginning is lost")
	}
	return last, at, nil
}

func readMeta(data []byte, at int) (m meta, ok bool) {
	const size = 64
	if len(data) < at+pageHeader+size {
		return meta{}, false
	}
	b := data[at+pageHeader:][:size]
	hash := fnv.New64a()
	hash.Write(b[:size-8])
	order := binary.NativeEndian
	m = meta{
		size: uint64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), transaction: order.Uint64(b[48:]),
	}
	ok = order.Uint32(b) == boltMagic && order.Uint32(b[4:]) == boltVersion && order.Uint64(b[56:]) == hash.Sum64() &&
		m.size >= 1024 && m.size <= 16<<20
	return m, ok
}

// page returns a page with those it overflows into, which nothing else may
// refer to.
func (p *pages) page(id uint64) (span []byte, flags, count uint16, err error) {
	if id < 2 || id >= p.n {
		return nil, 0, 0, fmt.Errorf("page %d is not between 2 and %d", id, p.n)
	}
	order := binary.NativeEndian
	header := p.data[id*p.size:][:pageHeader]
	if own := order.Uint64(header); own != id {
		return nil, 0, 0, fmt.Errorf("page %d says that it is page %d", id, own)
	}
	end := id + 1 + uint64(order.Uint32(header[12:]))
	if end > p.n {
		return nil, 0, 0, fmt.Errorf("page %d ends behind the last", id)
	}
	for i := id; i < end; i++ {
		if err := p.mark(i); err != nil {
			return nil, 0, 0, err
		}
	}
	return p.data[id*p.size : end*p.size], order.Uint16(header[8:]), order.Uint16(header[10:]), nil
}

func (p *pages) mark(id uint64) error {
	if p.seen[id] {
		return fmt.Errorf("page %d is in use twice", id)
	}
	p.seen[id] = true
	return nil
}

// tree checks a page and all below it. Its keys are at least low, and less
// than high if that is not nil.
func (p *pages) tree(id uint64, low, high []byte) error {
	span, flags, count, err := p.page(id)
	if err != nil {
		return err
	}
	switch {
	case flags == flagLeaf:
		err = p.leaf(span, count, low, high)
	case flags == flagBranch && count > 0:
		err = p.branch(span, count, low, high)
	default:
		err = fmt.Errorf("its flags are %#x, with %d elements", flags, count)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) branch(span []byte, count uint16, low, high []byte) error {
	order := binary.NativeEndian
	keys := make([][]byte, count)
	for i := range keys {
		e, err := elementAt(span, i)
		if err == nil {
			keys[i], err = part(e, uint64(order.Uint32(e)), uint64(order.Uint32(e[4:])))
		}
		if err != nil {
			return err
		}
	}
	if err := inOrder(keys, low, high); err != nil {
		return err
	}
	for i := range keys {
		e, _ := elementAt(span, i)
		next := high
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		if err := p.tree(order.Uint64(e[8:]), keys[i], next); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) leaf(span []byte, count uint16, low, high []byte) error {
	order := binary.NativeEndian
	keys := make([][]byte, count)
	for i := range keys {
		e, err := elementAt(span, i)
		if err != nil {
			return err
		}
		position, keySize := uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:]))
		if keys[i], err = part(e, position, keySize); err != nil {
			return err
		}
		value, err := part(e, position+keySize, uint64(order.Uint32(e[12:])))
		if err != nil {
			return err
		}
		if order.Uint32(e)&flagBucket != 0 {
			if err := p.bucket(value); err != nil {
				return fmt.Errorf("bucket %q: %w", keys[i], err)
			}
		}
	}
	return inOrder(keys, low, high)
}

// bucket checks a bucket that is a leaf's value.
func (p *pages) bucket(value []byte) error {
	order := binary.NativeEndian
	const header = 16
	if len(value) < header {
		return fmt.Errorf("it has %d bytes", len(value))
	}
	if root := order.Uint64(value); root != 0 {
		return p.tree(root, nil, nil)
	}
	inline := value[header:]
	if len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf {
		return errors.New("its page is none")
	}
	return p.leaf(inline, order.Uint16(inline[10:]), nil, nil)
}

// elementAt returns element i of a page, with all that follows it.
func elementAt(span []byte, i int) ([]byte, error) {
	at := pageHeader + i*element
	if at+element > len(span) {
		return nil, fmt.Errorf("element %d is behind its end", i)
	}
	return span[at:], nil
}

// part returns size bytes of an element, from a position on.
func part(e []byte, position, size uint64) ([]byte, error) {
	if position > uint64(len(e)) || size > uint64(len(e))-position {
		return nil, fmt.Errorf("%d bytes at %d are behind its end", size, position)
	}
	return e[position:][:size], nil
}

func inOrder(keys [][]byte, low, high []byte) error {
	for i, key := range keys {
		if i > 0 && bytes.Compare(keys[i-1], key) >= 0 || i == 0 && bytes.Compare(low, key) > 0 {
			return fmt.Errorf("key %d is not in order", i)
		}
	}
	if n := len(keys); n > 0 && high != nil && bytes.Compare(keys[n-1], high) >= 0 {
		return errors.New("the last key is not in order")
	}
	return nil
}

// freelist checks that the pages which are free are not in use.
func (p *pages) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	span, flags, short, err := p.page(id)
	if err != nil {
		return fmt.Errorf("freelist: %w", err)
	}
	ids, n := span[pageHeader:], uint64(short)
	if flags != flagFreelist {
		return fmt.Errorf("freelist: page %d has flags %#x", id, flags)
	}
	if n == 0xFFFF {
		n, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return fmt.Errorf("freelist: %d pages do not fit into page %d", n, id)
	}
	for ; n > 0; n, ids = n-1, ids[8:] {
		free := binary.NativeEndian.Uint64(ids)
		if free < 2 || free >= p.n {
			return fmt.Errorf("freelist: page %d is not between 2 and %d", free, p.n)
		}
		if err := p.mark(free); err != nil {
			return fmt.Errorf("freelist: %w", err)
		}
	}
	return nil
}
