package vnet

import (
	"golang.org/x/sys/unix"
)

// ControlSize is the room for control messages with each frame that is
// received: of a struct tpacket_auxdata (linux/if_packet.h) with its header, and some.
const ControlSize = 64

// Message is a struct mmsghdr (recvmmsg(2)).
type Message struct {
	Header unix.Msghdr
	Size   uint32 // bytes that were received or sent, header included
}

// Messages are a Kit's slots as recvmmsg and sendmmsg want them.
type Messages struct {
	In      [Slots]Message
	Out     [Slots]Message
	Control [Slots][ControlSize]byte // of In
}

// Messages returns the Kit's. In's have the slots' iovecs with the header, and
// room for control messages; the kernel writes the length of what it has put there, so
// that whoever receives resets Controllen. Out's have the iovecs of Gather, with the header.
func (k *Kit) Messages() *Messages {
	if k.messages == nil {
		k.messages = &Messages{}
		for i := range Slots {
			in, out := &k.messages.In[i].Header, &k.messages.Out[i].Header
			in.Iov, out.Iov = &k.iovs[i][0], &k.out[i][0]
			in.SetIovlen(Parts)
			out.SetIovlen(len(k.out[i]))
			in.Control = &k.messages.Control[i][0]
			in.SetControllen(ControlSize)
		}
	}
	return k.messages
}
