package services

import "slices"

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// list is what all objects have made of one sort, in order. It is made anew when it is another, for what was
// handed out is not written to.
type list[T any] struct {
	all     []*T
	compare func(a, b *T) int

	gone map[*T]struct{} // since all was made
	come []*T
}

func newList[T any](compare func(a, b *T) int) list[T] {
	return list[T]{compare: compare, gone: map[*T]struct{}{}}
}

// replace takes what an object had out, and puts in what it has.
func (l *list[T]) replace(had, has []*T) {
	if slices.Equal(had, has) {
		return
	}
	for _, x := range had {
		if !slices.Contains(has, x) {
			l.gone[x] = struct{}{}
		}
	}
	for _, x := range has {
		if !slices.Contains(had, x) {
			l.come = append(l.come, x)
		}
	}
}

// settle returns all, and whether it is another list than before.
func (l *list[T]) settle() (all []*T, changed bool) {
	if len(l.gone)+len(l.come) == 0 {
		return l.all, false
	}
	slices.SortFunc(l.come, l.compare)
	next := make([]*T, 0, len(l.all)+len(l.come))
	come := l.come
	for _, x := range l.all {
		if _, gone := l.gone[x]; gone {
			continue
		}
		for len(come) > 0 && l.compare(come[0], x) < 0 {
			next, come = append(next, come[0]), come[1:]
		}
		next = append(next, x)
	}
	if l.all, l.come = append(next, come...), nil; len(l.all) == 0 {
		l.all = nil
	}
	clear(l.gone)
	return l.all, true
}
