package lb

import "sync/atomic"

// directory finds things by numbers up to service.MaxID, of which few are in use: pages of pointers. Any number of
// goroutines may look while one sets. The zero directory is empty.
type directory[T any] struct {
	pages [1 << (idBits - idPageBits)]atomic.Pointer[[1 << idPageBits]atomic.Pointer[T]]
}

const (
	idBits     = 24
	idPageBits = 10
)

// get returns what has a number; nil if nothing has.
func (x *directory[T]) get(id uint32) *T {
	if id>>idBits != 0 {
		return nil
	}
	page := x.pages[id>>idPageBits].Load()
	if page == nil {
		return nil
	}
	return page[id&(1<<idPageBits-1)].Load()
}

// set gives a number to v; nil takes it away.
func (x *directory[T]) set(id uint32, v *T) {
	slot := &x.pages[id&(1<<idBits-1)>>idPageBits]
	page := slot.Load()
	if page == nil {
		page = new([1 << idPageBits]atomic.Pointer[T])
		slot.Store(page)
	}
	page[id&(1<<idPageBits-1)].Store(v)
}
