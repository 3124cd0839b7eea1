package control

import (
	"cmp"
	"reflect"
	"slices"
)

// inventory is the objects of a configuration in order of their keys, and what
// they differ in from those of the configuration before. Objects are not
// changed, so that the same pointer is the same object.
type inventory struct {
	given  []*Object // in the order in which they came
	sorted []*Object
	twice  bool // a key may be there twice

	added, removed []*Object
	kinds          map[string]bool // of what was added or removed
}

// take makes objects the inventory's.
func (v *inventory) take(objects []*Object) {
	head := 0
	for head < min(len(objects), len(v.given)) && objects[head] == v.given[head] {
		head++
	}
	tail := 0
	for tail < min(len(objects), len(v.given))-head && objects[len(objects)-1-tail] == v.given[len(v.given)-1-tail] {
		tail++
	}
	v.removed, v.added = difference(v.given[head:len(v.given)-tail], objects[head:len(objects)-tail])
	v.given = append(v.given[:0], objects...)
	v.kinds = map[string]bool{}
	for _, o := range slices.Concat(v.removed, v.added) {
		v.kinds[o.Kind] = true
	}
	v.sorted = amend(v.sorted, v.removed, v.added, compareObjects)
	if len(v.added) > 0 {
		v.twice = v.twice || adjacentEqual(v.sorted, v.added)
	}
}

// difference returns what of old is not in new, and the other way round. Order
// does not matter, number does.
func difference(before, after []*Object) (removed, added []*Object) {
	if len(before) == 0 || len(after) == 0 {
		return slices.Clone(before), slices.Clone(after)
	}
	count := make(map[*Object]int, len(before))
	for _, o := range before {
		count[o]++
	}
	for _, o := range after {
		if count[o] > 0 {
			count[o]--
		} else {
			added = append(added, o)
		}
	}
	for _, o := range before {
		if count[o] > 0 {
			count[o]--
			removed = append(removed, o)
		}
	}
	return removed, added
}

// compareObjects orders objects by key; those of one key, which is a fault, by
// where they are written, for the same text each time.
func compareObjects(a, b *Object) int {
	if d := a.Key().Compare(b.Key()); d != 0 || a == b {
		return d
	}
	aFile, aLine, aColumn := a.Position("")
	bFile, bLine, bColumn := b.Position("")
	return cmp.Or(cmp.Compare(aFile, bFile), cmp.Compare(aLine, bLine), cmp.Compare(aColumn, bColumn))
}

// adjacentEqual reports whether one of the objects added has a key twice.
func adjacentEqual(sorted, added []*Object) bool {
	if len(added) > fewEdits {
		for i := 1; i < len(sorted); i++ {
			if sorted[i-1].Key() == sorted[i].Key() {
				return true
			}
		}
		return false
	}
	for _, o := range added {
		key := o.Key()
		i, _ := slices.BinarySearchFunc(sorted, key, func(o *Object, key Key) int { return o.Key().Compare(key) })
		if i+1 < len(sorted) && sorted[i+1].Key() == key {
			return true
		}
	}
	return false
}

// of returns the objects of a kind, in order of their keys.
func (v *inventory) of(kind string) []*Object {
	from, _ := slices.BinarySearchFunc(v.sorted, kind, func(o *Object, kind string) int { return cmp.Compare(o.Kind, kind) })
	rest := v.sorted[from:]
	to, _ := slices.BinarySearchFunc(rest, kind, func(o *Object, kind string) int {
		if o.Kind == kind {
			return -1
		}
		return 1
	})
	return rest[:to]
}

// each visits the objects whose Value is a *T, in order of their keys. Kinds are
// named like their Go types.
func each[T any](c *compiler, visit func(o *Object, value *T)) {
	for _, o := range c.inventory.of(reflect.TypeFor[T]().Name()) {
		if v, ok := o.Value.(*T); ok {
			visit(o, v)
		}
	}
}

// changed reports whether an object of the kind T was added or removed.
func changed[T any](c *compiler) bool { return c.inventory.kinds[reflect.TypeFor[T]().Name()] }

// fewEdits is up to how many edits are done one by one: each moves half of the
// list, which for 10,000 pointers takes 2 µs, where sorting takes milliseconds.
const fewEdits = 64

// amend removes elements from a sorted list and adds others in their places. The
// list is written to.
func amend[T comparable](list, removed, added []T, compare func(a, b T) int) []T {
	if len(removed)+len(added) > fewEdits {
		gone := make(map[T]int, len(removed))
		for _, x := range removed {
			gone[x]++
		}
		list = slices.DeleteFunc(list, func(x T) bool {
			if gone[x] == 0 {
				return false
			}
			gone[x]--
			return true
		})
		list = append(list, added...)
		slices.SortFunc(list, compare)
		return list
	}
	for _, x := range removed {
		at, _ := slices.BinarySearchFunc(list, x, compare)
		at += slices.Index(list[at:], x) // several may compare equal
		list = slices.Delete(list, at, at+1)
	}
	for _, x := range added {
		at, _ := slices.BinarySearchFunc(list, x, compare)
		list = slices.Insert(list, at, x)
	}
	return list
}
