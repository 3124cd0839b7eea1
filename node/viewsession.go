package node

import (
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/node/policy"
	"github.com/sluice-net/sluice/packet"
)

// sessionPage is how many sessions are copied at a time.
const sessionPage = 256

// SessionViews are the live sessions, in the order of their places in the table:
// one that lives throughout is listed once.
func (n *Node) SessionViews(f *api.Filter) (iter.Seq[api.SessionView], error) {
	s, err := n.look(f)
	protocol, protocolErr := protocolNumber(f.Protocol)
	if err := errors.Join(err, protocolErr, mustBe(f, flowtable.States())); err != nil {
		return nil, err
	}
	names := s.services()
	if err := errors.Join(names.mustHaveVIP(f), names.mustHaveService(f), names.mustHaveMember(f)); err != nil {
		return nil, err
	}
	wanted := sessionFilter{s, names, f, protocol}
	return func(yield func(api.SessionView) bool) {
		for l := range n.allSessions() {
			if wanted.match(l) && !yield(s.sessionView(l)) {
				return
			}
		}
	}, nil
}

// allSessions are the live sessions, a page of which is in memory at a time. What is yielded is good until the next one is.
func (n *Node) allSessions() iter.Seq[*flowtable.Listed] {
	return func(yield func(*flowtable.Listed) bool) {
		list := make([]flowtable.Listed, sessionPage)
		for from := uint32(1); from != 0; {
			var got int
			got, from = n.sessionPage(from, list)
			for i := range list[:got] {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// sessionPage is flowtable.Table.Page, and the end if the node is closed.
func (n *Node) sessionPage(from uint32, list []flowtable.Listed) (got int, next uint32) {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.table == nil {
		return 0, 0
	}
	return n.table.Page(from, list)
}

// protocolNumber reads the name or number of an IP protocol; -1 for none.
func protocolNumber(text string) (int, error) {
	if text == "" {
		return -1, nil
	}
	number, err := policy.ProtocolNumber(text)
	return int(number), err
}

// sessionFilter is what is asked for.
type sessionFilter struct {
	shown    *shown
	services *ServiceNames
	filter   *api.Filter
	protocol int // -1: any
}

// match looks at what the data plane says, so that sessions which nobody has asked for
// are passed over at little cost.
func (x *sessionFilter) match(l *flowtable.Listed) bool {
	original, reply := &l.Keys[flowtable.Original], &l.Keys[flowtable.Reply]
	f := x.filter
	if x.protocol >= 0 && int(original.Proto()) != x.protocol || !f.MatchState(l.State.String()) {
		return false
	}
	if p := f.L4Port; p != 0 && !(hasPorts(original.Proto()) &&
		(p == original.SrcPort() || p == original.DstPort() || p == reply.SrcPort() || p == reply.DstPort())) {
		return false
	}
	if f.Address.IsValid() && !f.MatchAddress(original.Src.Netip()) && !f.MatchAddress(original.Dst.Netip()) &&
		!f.MatchAddress(reply.Src.Netip()) && !f.MatchAddress(reply.Dst.Netip()) {
		return false
	}
	if !x.matchService(l) {
		return false
	}
	if f.Rule != 0 && !slices.Contains([]uint32{
		l.EgressRule[flowtable.Original], l.IngressRule[flowtable.Original], l.EgressRule[flowtable.Reply], l.IngressRule[flowtable.Reply],
	}, f.Rule) {
		return false
	}
	if f.Segment != "" && x.shown.names().places[original.Zone()].segment != f.Segment && x.shown.names().places[reply.Zone()].segment != f.Segment {
		return false
	}
	return f.Port == "" || x.shown.sessionPort(l, flowtable.Original) == f.Port || x.shown.sessionPort(l, flowtable.Reply) == f.Port
}

// matchService looks at what a session was bound to.
func (x *sessionFilter) matchService(l *flowtable.Listed) bool {
	f, original := x.filter, &l.Keys[flowtable.Original]
	if !f.VIP.IsValid() && f.Service == "" && f.Member == "" {
		return true
	}
	if l.Binding.Service == 0 || f.VIP.IsValid() && !f.VIP.Has(original.Dst.Netip(), original.DstPort()) {
		return false
	}
	if f.Service != "" {
		if server := x.services.servers[l.Binding.Service]; server == nil || !isOf(server.Name, &server.Origin, f.Service) {
			return false
		}
	}
	if f.Member != "" {
		if m := x.services.members[lb.MemberID(&l.Binding)]; m == nil || !isMember(m.Member, f.Member) {
			return false
		}
	}
	return true
}

// sessionPort returns the name of the port by which packets of a direction come
// in: where they did, or where their source is bound.
func (s *shown) sessionPort(l *flowtable.Listed, d flowtable.Dir) string {
	if number := l.Ports[d]; number != 0 {
		return s.portName(number)
	}
	k := &l.Keys[d]
	return s.names().owners[station{k.Zone(), k.Src.Netip()}]
}

func (s *shown) sessionView(l *flowtable.Listed) api.SessionView {
	original, reply := &l.Keys[flowtable.Original], &l.Keys[flowtable.Reply]
	at := s.names().places[original.Zone()]
	v := api.SessionView{
		ID: l.Session, Segment: at.segment, Uplink: at.uplink,
		Protocol: export.ProtocolName(original.Proto()), ProtocolNumber: original.Proto(), State: l.State.String(),
		Original: s.direction(l, flowtable.Original), Reply: s.direction(l, flowtable.Reply),
		Start: time.Unix(0, dataplane.WallClock(l.Start)).UTC().Truncate(time.Millisecond),
		Age:   since(l.Start), Idle: since(l.Last), Timeout: l.Timeout.Seconds(),
	}
	if isICMP(original.Proto()) {
		v.ICMP = &api.ICMPQuery{Type: uint8(original.DstPort() >> 8), ID: original.SrcPort()}
	}
	if l.Translated() {
		back := reply.Reverse()
		t := tuple(&back)
		v.Translated = &t
	}
	v.Rules = api.SessionRules{Egress: l.EgressRule[flowtable.Original], Ingress: l.IngressRule[flowtable.Original]}
	if l.Binding != (flowtable.Binding{}) {
		s.showBinding(&v, l)
	}
	return v
}

// showBinding says what a session was bound to.
func (s *shown) showBinding(v *api.SessionView, l *flowtable.Listed) {
	b := s.services().Bound(&l.Binding)
	if l.Binding.Service != 0 {
		v.Service = &api.SessionService{
			Name: b.Server, ID: l.Binding.Service, VIP: v.Original.Destination, Port: v.Original.DestinationPort,
		}
		if id := lb.MemberID(&l.Binding); id != 0 {
			end := export.MemberEnd(&l.Record, &b)
			v.Service.Member = &api.SessionMember{Name: b.Member, ID: id, Address: end.Address, Port: end.Port, Why: b.Why}
		}
	}
	if b.Rule != "" || b.Source != "" {
		v.NAT = &api.SessionNAT{Destination: b.Rule, Source: b.Source}
	}
}

func (s *shown) direction(l *flowtable.Listed, d flowtable.Dir) api.SessionDirection {
	return api.SessionDirection{
		SessionTuple: tuple(&l.Keys[d]), Port: s.sessionPort(l, d), Packets: l.Packets[d], Bytes: l.Bytes[d],
	}
}

// tuple has no ports for protocols whose keys hold something else there.
func tuple(k *packet.Key) api.SessionTuple {
	t := api.SessionTuple{Source: k.Src.Netip(), Destination: k.Dst.Netip()}
	if hasPorts(k.Proto()) {
		t.SourcePort, t.DestinationPort = k.SrcPort(), k.DstPort()
	}
	return t
}

func hasPorts(proto uint8) bool {
	return slices.Contains([]uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP}, proto)
}

func isICMP(proto uint8) bool { return proto == packet.ProtoICMP || proto == packet.ProtoICMPv6 }
