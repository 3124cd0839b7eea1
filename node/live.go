package node

import (
	"cmp"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Live is how it is with a port just now.
type Live struct {
	Port    *control.Port // as it is in force; read only
	State   api.PortState
	Reason  string // why it is not UP, in a word; empty if it is
	Message string // and in a sentence
	Mode    string // what the driver obtained, in its words; empty if it says nothing
}

// Live returns how it is with a port, at no cost that matters; any goroutine. The
// link is as the last look at the devices found it.
func (n *Node) Live(port string) (l Live, found bool) {
	s := n.shown.Load()
	if s == nil {
		return l, false
	}
	i, found := slices.BinarySearchFunc(s.model.Ports, port, func(p *control.Port, name string) int { return cmp.Compare(p.Name, name) })
	if !found {
		return l, false
	}
	l.Port = s.model.Ports[i]
	open := s.ports[i]
	if open == nil {
		l.State, l.Reason = api.PortAbsent, reasonNoDevice
	} else {
		l.State, l.Reason, l.Message = stateOf(l.Port, open.device, open.caps)
		l.Mode = open.describe().Mode
	}
	return l, true
}
