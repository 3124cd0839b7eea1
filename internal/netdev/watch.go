package netdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// EventKind says what has become of a device.
type EventKind uint8

// Kinds of events. A device that got another name has Changed, with both names; one
// that was moved to another namespace is Removed here and Added there.
const (
	Added EventKind = iota + 1
	Removed
	Changed
)

// String returns "added", "removed" or "changed".
func (k EventKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown"
}

// Event is a change of a device. Only what the kernel sends along is valid in the
// Infos: name, index, kind, MTU, MAC, Up, Carrier, numbers of queues, XDP.
type Event struct {
	Kind EventKind
	Is   Info // as it is now; of Removed, as it was
	Was  Info // as it was; valid if Changed
}

// Watch calls f for each device of a network namespace (Added), and then for each
// change: a device added or removed, or changed in name, MTU, state, carrier, MAC,
// number of queues, or XDP program. It returns nil when ctx ends, or the error that keeps
// it from watching; f is called on the caller's goroutine, so nothing is left
// behind. When the kernel had to drop messages, all is asked for anew, and f
// gets the difference.
//
// Watching keeps a namespace alive after its name was deleted: see
// WatchNamespaces and NamespaceID.
func Watch(ctx context.Context, netNS string, f func(Event)) error {
	w := watcher{netNS: netNS, known: map[int]Info{}, tell: f}
	for {
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("watch devices: %w", err)
		}
	}
}

// watcher knows the devices that it has told of.
type watcher struct {
	netNS string
	known map[int]Info // by index
	tell  func(Event)
}

// follow tells of changes until ctx or the namespace ends, or messages are lost
// (ENOBUFS). The socket is of no more use then: the kernel goes on dropping until all
// that it holds has been read, and what it holds tells of devices whose end was dropped.
func (w *watcher) follow(ctx context.Context) error {
	var s *nl.NetlinkSocket
	err := In(w.netNS, func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
		return err
	})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.Close) // which ends Receive
	defer func() {
		if stop() {
			s.Close()
		}
	}()
	if err := w.synchronize(ctx); err != nil {
		return err
	}
	for {
		messages, from, err := s.Receive()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if from.Pid != nl.PidKernel { // other programs may write to the group's sockets
			continue
		}
		for i := range messages {
			if ctx.Err() != nil {
				return nil
			}
			w.message(&messages[i])
		}
	}
}

// message takes up a change. One that was sent before synchronize was done tells
// of an older state, and is put right by the messages after it.
func (w *watcher) message(m *syscall.NetlinkMessage) {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return
	}
	header := nl.DeserializeIfInfomsg(m.Data)
	if header.Family != unix.AF_UNSPEC { // a bridge tells of its ports in the same group
		return
	}
	l, err := netlink.LinkDeserialize((*unix.NlMsghdr)(&m.Header), m.Data)
	if err != nil {
		return // a message that can't be read tells of no device
	}
	if m.Header.Type == unix.RTM_DELLINK {
		w.remove(l.Attrs().Index)
		return
	}
	w.update(basic(l))
}

// synchronize asks for all devices and tells of what differs.
func (w *watcher) synchronize(ctx context.Context) error {
	var links []netlink.Link
	err := use(w.netNS, func(c *conn) (err error) {
		links, err = dump(c.LinkList)
		return err
	})
	if err != nil {
		return err
	}
	now := map[int]Info{}
	for _, l := range links {
		i := basic(l)
		now[i.Index] = i
	}
	// Removed come first: another device may have got the name.
	for _, index := range slices.Sorted(maps.Keys(w.known)) {
		if _, found := now[index]; !found && ctx.Err() == nil {
			w.remove(index)
		}
	}
	for _, index := range slices.Sorted(maps.Keys(now)) {
		if ctx.Err() == nil {
			w.update(now[index])
		}
	}
	return nil
}

func (w *watcher) remove(index int) {
	if i, found := w.known[index]; found {
		delete(w.known, index)
		w.tell(Event{Kind: Removed, Is: i})
	}
}

func (w *watcher) update(i Info) {
	was, found := w.known[i.Index]
	w.known[i.Index] = i
	switch {
	case !found:
		w.tell(Event{Kind: Added, Is: i})
	case !equal(&was, &i):
		w.tell(Event{Kind: Changed, Is: i, Was: was})
	}
}

// equal compares what Watch tells of.
func equal(a, b *Info) bool {
	return a.Name == b.Name && a.MTU == b.MTU && a.Up == b.Up && a.Carrier == b.Carrier && a.XDP == b.XDP &&
		a.RxQueues == b.RxQueues && a.TxQueues == b.TxQueues && bytes.Equal(a.MAC, b.MAC)
}
