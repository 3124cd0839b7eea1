package lint

import (
	"encoding/json"
	"testing"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
	"github.com/stretchr/testify/require"
)

// Sets of the policies in this file.
const (
	web policy.SetID = 2 + iota
	app
	db
	lan  // 10.0.0.0/16
	half // 10.0.0.0/17
	rest // 10.0.128.0/17
	servers
	empty
)

// shop is a policy of three tiers: ports 1 and 2 are web, 3 is app, 4 is db.
func shop(sections ...*policy.Section) *policy.Policy {
	p := &policy.Policy{
		Default: policy.Rule{ID: policy.DefaultRuleID, Action: policy.Allow}, Excluded: policy.None,
		Sets: []*policy.Set{
			nil, nil, web: {Ports: []uint16{1, 2}}, app: {Ports: []uint16{3}}, db: {Ports: []uint16{4}},
			lan: {Prefixes: []policy.Prefix{prefix("10.0.0.0/16")}}, half: {Prefixes: []policy.Prefix{prefix("10.0.0.0/17")}},
			rest: {Prefixes: []policy.Prefix{prefix("10.0.128.0/17")}}, servers: {Ports: []uint16{3, 4}}, empty: {},
		},
		Endpoints: []*policy.Endpoint{
			nil,
			{Number: 1, Name: "web-1", Addresses: []packet.Addr{addr("10.0.0.1"), addr("fd00::1")}, MACs: []packet.MAC{{2, 1}}},
			{Number: 2, Name: "web-2", Addresses: []packet.Addr{addr("10.0.0.2")}, MACs: []packet.MAC{{2, 2}}},
			{Number: 3, Name: "app-1", Addresses: []packet.Addr{addr("10.0.0.3"), addr("fd00::3")}, MACs: []packet.MAC{{2, 3}}},
			{Number: 4, Name: "db-1", Addresses: []packet.Addr{addr("10.0.0.4")}, MACs: []packet.MAC{{2, 4}}},
		},
		Sections: sections,
	}
	id := policy.FirstRuleID
	for _, s := range sections {
		for i := range s.Rules {
			r := &s.Rules[i]
			r.ID = id
			id++
			if r.Directions == 0 {
				r.Directions = policy.In | policy.Out
			}
			if r.Families == 0 {
				r.Families = policy.IPv4 | policy.IPv6
			}
		}
	}
	return p
}

func section(c policy.Category, rules ...policy.Rule) *policy.Section {
	return &policy.Section{Category: c, Title: "shop", Origin: policy.Origin{Kind: "SecurityPolicy", Name: "shop"}, Rules: rules}
}

// of is a section that comes of an object of Kubernetes.
func of(kind string, rules ...policy.Rule) *policy.Section {
	return &policy.Section{Category: policy.Application, Origin: policy.Origin{Kind: kind, Name: "a"}, Rules: rules}
}

func tcp(ports ...uint16) []policy.Service {
	var all []policy.Service
	for _, p := range ports {
		all = append(all, policy.Service{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: p, Last: p}}})
	}
	return all
}

func TestFindings(t *testing.T) {
	t.Parallel()
	type finding struct {
		kind    Kind
		rule    string
		causes  []string
		witness string
	}
	type rule = policy.Rule
	rows := []struct {
		why    string
		policy *policy.Policy
		hits   map[uint32]Hits
		want   []finding
	}{
		{
			why: "a rule that a more general one of another action stands before never decides",
			policy: shop(section(policy.Application,
				rule{Name: "deny", Action: policy.Drop, Destination: db},
				rule{Name: "mysql", Destination: db, Source: app, Services: tcp(3306)})),
			want: []finding{{Shadowed, "mysql", []string{"deny"}, "OUT of app-1: TCP 10.0.0.3:49152 > 10.0.0.4:3306"}},
		},
		{
			why: "several rules that take a rule's packets only together shadow it; both are named",
			policy: shop(section(policy.Application,
				rule{Name: "low", Action: policy.Drop, Source: half},
				rule{Name: "high", Action: policy.Reject, Source: rest},
				rule{Name: "lan", Source: lan})),
			want: []finding{{Shadowed, "lan", []string{"low", "high"}, "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.2:80"}},
		},
		{
			why: "as long as some packet is left to a rule, it is not shadowed; a special rule before a general one is an exception",
			policy: shop(section(policy.Application,
				rule{Name: "low", Action: policy.Drop, Source: half},
				rule{Name: "lan", Source: lan},
				rule{Name: "none", Action: policy.Drop})),
		},
		{
			why: "rules of the same action that take all of a rule's packets make it redundant",
			policy: shop(section(policy.Application,
				rule{Name: "low", Action: policy.Drop, Source: half},
				rule{Name: "high", Action: policy.Drop, Source: rest},
				rule{Name: "lan", Action: policy.Drop, Source: lan})),
			want: []finding{{Redundant, "lan", []string{"low", "high"}, "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.2:80"}},
		},
		{
			why: "a rule that decides as the default would changes nothing",
			policy: shop(section(policy.Application,
				rule{Name: "web", Source: web, Destination: app, Services: tcp(80)})),
			want: []finding{{Redundant, "web", []string{"default"}, "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.3:80"}},
		},
		{
			why: "neither all of rule 1 nor all of rule 2 is in the other, but some packets are, and they are decided differently",
			policy: shop(section(policy.Application,
				rule{Name: "from web", Action: policy.Drop, Source: web},
				rule{Name: "to app", Action: policy.Reject, Destination: app})),
			want: []finding{{Contradicting, "from web", []string{"to app"}, "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.3:80"}},
		},
		{
			why: "rules of different categories are meant to overrule each other",
			policy: shop(
				section(policy.Emergency, rule{Name: "from web", Action: policy.Drop, Source: web}),
				section(policy.Application, rule{Name: "to app", Action: policy.Reject, Destination: app})),
		},
		{
			why: "a rule of an earlier category takes all packets of one of category Application",
			policy: shop(
				section(policy.Infrastructure, rule{Name: "quarantine", Action: policy.Drop, AppliedTo: db}),
				section(policy.Application, rule{Name: "backup", AppliedTo: db, Services: tcp(22)})),
			want: []finding{{Shadowed, "backup", []string{"quarantine"}, "OUT of db-1: TCP 10.0.0.4:49152 > 10.0.0.1:22"}},
		},
		{
			why: "what jumps over that rule gets to it after all",
			policy: shop(
				section(policy.Emergency, rule{Name: "backups", Action: policy.JumpToApplication, AppliedTo: db, Services: tcp(22)}),
				section(policy.Infrastructure, rule{Name: "quarantine", Action: policy.Drop, AppliedTo: db}),
				section(policy.Application, rule{Name: "backup", Action: policy.Reject, AppliedTo: db, Services: tcp(22)})),
		},
		{
			why: "a jump to where the same is decided as on the way changes nothing",
			policy: shop(
				section(policy.Emergency, rule{Name: "pass", Action: policy.JumpToApplication, AppliedTo: db, Services: tcp(22)}),
				section(policy.Infrastructure, rule{Name: "drop", Action: policy.Drop, AppliedTo: db, Services: tcp(80)})),
			want: []finding{{Redundant, "pass", nil, ""}},
		},
		{
			why: "a rule that counts nothing has never decided; the witness is what it waits for",
			policy: shop(section(policy.Application,
				rule{Name: "telnet", Action: policy.Drop, Destination: servers, Services: tcp(23)},
				rule{Name: "ping", Action: policy.Drop, Destination: db, Services: []policy.Service{{Protocol: packet.ProtoICMP, ICMPType: 8, ICMPCode: -1}}})),
			hits: map[uint32]Hits{1001: {Packets: 3}},
			want: []finding{{NeverHit, "telnet", nil, "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.3:23"}},
		},
		{
			why: "a group without members selects nobody, negated it selects everybody",
			policy: shop(section(policy.Application,
				rule{Name: "to", Action: policy.Drop, Destination: empty},
				rule{Name: "from", Action: policy.Drop, Source: policy.None},
				rule{Name: "at", Action: policy.Drop, AppliedTo: empty},
				rule{Name: "not any", Action: policy.Drop, Source: policy.Any, SourceNot: true},
				rule{Name: "family", Action: policy.Drop, Source: lan, Families: policy.IPv6},
				rule{Name: "not", Action: policy.Drop, Source: empty, SourceNot: true, Services: tcp(1)})),
			want: []finding{
				{SelectsNobody, "to", nil, ""},
				{SelectsNobody, "from", nil, ""},
				{SelectsNobody, "at", nil, ""},
				{SelectsNobody, "not any", nil, ""},
				{SelectsNobody, "family", nil, ""},
			},
		},
		{
			why: "rules about frames are hidden by each other as those about packets are",
			policy: shop(section(policy.Ethernet,
				rule{Name: "lldp", Action: policy.Drop, Services: []policy.Service{{EtherType: packet.EtherTypeLLDP}}},
				rule{Name: "from web", Source: web},
				rule{Name: "lldp of web-1", Source: web, Services: []policy.Service{{EtherType: packet.EtherTypeLLDP}}},
				rule{Name: "others", Action: policy.Drop})),
			want: []finding{
				{Contradicting, "lldp", []string{"from web"}, "IN of web-1: frame 02:01:00:00:00:00 > 02:01:00:00:00:00 type 0x88cc"},
				{Shadowed, "lldp of web-1", []string{"lldp"}, "IN of web-1: frame 02:01:00:00:00:00 > 02:01:00:00:00:00 type 0x88cc"},
			},
		},
		{
			why: "what NetworkPolicies allow is a sum, and that another one isolates the same pods is nobody's mistake",
			policy: shop(
				of("NetworkPolicy",
					rule{Name: "ingress[0]", AppliedTo: servers, Directions: policy.In, Source: web},
					rule{Name: "again", AppliedTo: db, Directions: policy.In, Source: web}),
				of("NetworkPolicy", rule{Name: "isolation of servers", AppliedTo: servers, Directions: policy.In, Action: policy.Drop}),
				of("NetworkPolicy", rule{Name: "isolation of db", AppliedTo: db, Directions: policy.In, Action: policy.Drop})),
			want: []finding{{Redundant, "again", []string{"ingress[0]"}, "IN of db-1: TCP 10.0.0.1:49152 > 10.0.0.4:80"}},
		},
		{
			why: "the isolation of a NetworkPolicy is shadowed where an administrator has allowed all",
			policy: shop(
				&policy.Section{Category: policy.Environment, Origin: policy.Origin{Kind: "AdminNetworkPolicy", Name: "a"}, Rules: []rule{{Name: "all", AppliedTo: db}}},
				of("NetworkPolicy", rule{Name: "isolation", AppliedTo: db, Directions: policy.In, Action: policy.Drop})),
			want: []finding{{Shadowed, "isolation", []string{"all"}, "IN of db-1: TCP 10.0.0.1:49152 > 10.0.0.4:80"}},
		},
		{
			why: "NetworkPolicies overrule what stands in the tier Baseline",
			policy: shop(
				of("NetworkPolicy", rule{Name: "from web", AppliedTo: servers, Directions: policy.In, Source: web}),
				of("NetworkPolicy", rule{Name: "isolation", AppliedTo: servers, Directions: policy.In, Action: policy.Drop}),
				of("BaselineAdminNetworkPolicy",
					rule{Name: "db", AppliedTo: db, Directions: policy.In, Action: policy.Drop},
					rule{Name: "smtp", Directions: policy.In, Action: policy.Drop, Services: tcp(25)})),
			want: []finding{{Shadowed, "db", []string{"from web", "isolation"}, "IN of db-1: TCP 10.0.0.1:49152 > 10.0.0.4:80"}},
		},
	}
	for _, row := range rows {
		report := Analyze(row.policy, row.hits, Options{})
		var got []finding
		for _, f := range report.Findings {
			g := finding{kind: f.Kind, rule: f.Rule.Name}
			for _, c := range f.Causes {
				g.causes = append(g.causes, c.Name)
			}
			if f.Witness != nil {
				g.witness = f.Witness.String()
			}
			got = append(got, g)
		}
		require.Equal(t, row.want, got, row.why)
		require.Zero(t, report.Undecided)
	}
}

func TestWhatIsExamined(t *testing.T) {
	t.Parallel()
	p := shop(
		section(policy.Ethernet, policy.Rule{Name: "arp", Services: []policy.Service{{EtherType: packet.EtherTypeARP}}, Action: policy.Drop}),
		section(policy.Application, policy.Rule{Name: "web", Source: web, Action: policy.Drop}))
	require.Equal(t, 2, Analyze(p, nil, Options{}).Rules)

	p.Excluded = web
	report := Analyze(p, nil, Options{})
	require.Empty(t, report.Findings, "an excluded port is not filtered, but its address still is in the group")
	p.Sections[1].Rules[0].AppliedTo = web
	report = Analyze(p, nil, Options{})
	require.Len(t, report.Findings, 1)
	require.Equal(t, SelectsNobody, report.Findings[0].Kind, "nothing is filtered where the rule is")
	require.Equal(t, 0, Analyze(&policy.Policy{}, nil, Options{}).Rules)
}

func TestRedundantThatDiffers(t *testing.T) {
	t.Parallel()
	p := shop(section(policy.Application, policy.Rule{Name: "web", Source: web, Logged: true, PerRule: 10}))
	f := Analyze(p, nil, Options{}).Findings
	require.Len(t, f, 1)
	require.Equal(t, Info, f[0].Severity, "it does something, though it decides nothing")
	require.Contains(t, f[0].Text, "it logs, its limits of sessions")
}

func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	s := section(policy.Application)
	for port := range uint16(20) {
		s.Rules = append(s.Rules, policy.Rule{Name: "allow", Services: tcp(port)})
	}
	s.Rules = append(s.Rules, policy.Rule{Name: "last allowed", Services: tcp(20)})
	s.Rules[0].Action = policy.Drop
	all := policy.Rule{Name: "all", Services: []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: 0, Last: 19}}}}}
	s.Rules = append(s.Rules, all)
	p := shop(s)
	p.Default.Action = policy.Drop
	report := Analyze(p, nil, Options{Causes: 3, Contradictions: -1})
	f := report.Findings[len(report.Findings)-1]
	require.Equal(t, Shadowed, f.Kind)
	require.Len(t, f.Causes, 3)
	require.True(t, f.More)

	s.Rules[0].Action, s.Rules[19].Action = policy.Allow, policy.Drop
	report = Analyze(p, nil, Options{Causes: 3, Contradictions: -1})
	f = report.Findings[len(report.Findings)-1]
	require.Equal(t, Shadowed, f.Kind, "one of twenty rules decides otherwise, which is not among the first three")
	require.Len(t, f.Causes, 3)
	require.Equal(t, "DROP", f.Causes[2].Action)

	var many []policy.Rule
	for port := range uint16(10) {
		many = append(many, policy.Rule{Name: "drop", Action: policy.Drop, Services: tcp(port)})
	}
	many = append(many, policy.Rule{Name: "web", Source: web, Action: policy.Reject})
	report = Analyze(shop(section(policy.Application, many...)), nil, Options{Contradictions: 4})
	require.Len(t, report.Findings, 4)
	require.True(t, report.MoreContradictions)
}

// TestBudget: where the search is cut off, the report says so rather than guess.
func TestBudget(t *testing.T) {
	t.Parallel()
	cells := func(skip uint16) *policy.Policy {
		s := section(policy.Application)
		for port := range uint16(200) {
			if port != skip {
				s.Rules = append(s.Rules,
					policy.Rule{Name: "low", Action: policy.Reject, Source: half, Services: tcp(port)},
					policy.Rule{Name: "high", Action: policy.Reject, Source: rest, Services: tcp(port)})
			}
		}
		all := []policy.PortRange{{First: 0, Last: 199}}
		s.Rules = append(s.Rules, policy.Rule{
			Name: "all", Action: policy.Drop, Source: lan, Services: []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: all}},
		})
		return shop(s)
	}
	report := Analyze(cells(200), nil, Options{Contradictions: -1})
	require.Len(t, report.Findings, 1)
	require.Equal(t, Shadowed, report.Findings[0].Kind)
	_, equal := Equal(cells(200), cells(200), Options{})
	require.True(t, equal)

	for _, o := range []Options{{Budget: 10}, {Budget: 100}} {
		o.Contradictions = -1
		report = Analyze(cells(200), nil, o)
		require.Len(t, report.Findings, 1)
		require.Equal(t, Undecided, report.Findings[0].Kind)
		require.Equal(t, 1, report.Undecided)

		require.Zero(t, Analyze(cells(7), nil, o).Undecided, "that a packet is left can be found out with little")
	}
	more := cells(200)
	more.Sections[0].Rules[400].Services[0].DestPorts[0].Last = 198
	again := more.Sections[0].Rules[400]
	again.ID++
	again.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: 0, Last: 199}}}}
	more.Sections[0].Rules = append(more.Sections[0].Rules, again)
	report = Analyze(more, nil, Options{Total: 1, Budget: 25600, Contradictions: -1})
	require.Len(t, report.Findings, 2)
	require.Equal(t, Shadowed, report.Findings[0].Kind)
	require.Equal(t, Undecided, report.Findings[1].Kind, "there is little left for the second question")

	a, b := cells(200), cells(200)
	rules := b.Sections[0].Rules
	rules[399], rules[400] = rules[400], rules[399]
	d, equal := Equal(a, b, Options{})
	require.False(t, equal)
	require.Equal(t, "IN of web-1: TCP 10.0.128.1:49152 > 10.0.0.1:199", d.Witness.String())
	b = cells(200)
	wide := b.Sections[0].Rules[400]
	wide.ID, wide.Action = 6000, policy.Allow
	b.Sections[0].Rules = append(b.Sections[0].Rules[:400:400], wide)
	d, equal = Equal(cells(200), b, Options{Budget: 10})
	require.Nil(t, d)
	require.False(t, equal, "neither is known")
	_, equal = Equal(cells(200), b, Options{})
	require.True(t, equal)
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	p := shop(section(policy.Application,
		policy.Rule{Name: "deny", Action: policy.Drop, Destination: db},
		policy.Rule{Name: "ping", Destination: db, Services: []policy.Service{{Protocol: packet.ProtoICMP, ICMPType: 0, ICMPCode: -1}}}))
	b, err := json.Marshal(Analyze(p, nil, Options{}))
	require.NoError(t, err)
	require.JSONEq(t, `{"rules": 2, "undecided": 0, "findings": [{
		"kind": "shadowed", "severity": "error",
		"rule": {"id": 1001, "name": "ping", "section": "shop", "origin": "SecurityPolicy shop", "category": "Application", "action": "ALLOW"},
		"text": "never decides: rules before it take all of its packets, and do not all decide as it would; they take the witness",
		"causes": [{"id": 1000, "name": "deny", "section": "shop", "origin": "SecurityPolicy shop", "category": "Application", "action": "DROP"}],
		"witness": {"port": "web-1", "direction": "OUT", "src": "10.0.0.1", "dst": "10.0.0.4", "protocol": "ICMP", "icmpType": 0, "icmpCode": 0}
	}]}`, string(b))
}

func TestEqual(t *testing.T) {
	t.Parallel()
	type rule = policy.Rule
	allowWeb := rule{Name: "web", Source: web, Destination: app, Services: tcp(80, 81, 82)}
	deny := rule{Name: "deny", Action: policy.Drop}
	rows := []struct {
		why  string
		a, b *policy.Policy
		want string // the difference; empty: they are equal
	}{
		{
			why: "a range is the ports that are in it",
			a:   shop(section(policy.Application, allowWeb, deny)),
			b: shop(section(policy.Application, rule{Name: "range", Source: web, Destination: app, Services: []policy.Service{
				{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: 80, Last: 82}}},
			}}, deny)),
		},
		{
			why: "a network is its halves, in any order",
			a:   shop(section(policy.Application, rule{Source: rest, Action: policy.Drop}, rule{Source: half, Action: policy.Drop})),
			b:   shop(section(policy.Application, rule{Source: lan, Action: policy.Drop})),
		},
		{
			why:  "one port is missing",
			a:    shop(section(policy.Application, allowWeb, deny)),
			b:    shop(section(policy.Application, rule{Name: "less", Source: web, Destination: app, Services: tcp(80, 82)}, deny)),
			want: "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.3:81, web, deny",
		},
		{
			why: "a jump to the default is the default",
			a:   shop(section(policy.Emergency, rule{Name: "pass", Action: policy.JumpToApplication, Source: web}, rule{Name: "deny", Action: policy.Drop})),
			b:   shop(section(policy.Emergency, rule{Name: "allow", Source: web}, rule{Name: "deny", Action: policy.Drop})),
		},
		{
			why: "a jump to what denies is no permission",
			a: shop(section(policy.Emergency, rule{Name: "pass", Action: policy.JumpToApplication, Source: web}, rule{Name: "deny", Action: policy.Drop}),
				section(policy.Application, rule{Name: "no ssh", Action: policy.Drop, Services: tcp(22)})),
			b:    shop(section(policy.Emergency, rule{Name: "allow", Source: web}, rule{Name: "deny", Action: policy.Drop})),
			want: "OUT of web-1: TCP 10.0.0.1:49152 > 10.0.0.2:22, no ssh, allow",
		},
		{
			why:  "rules about frames are compared, too",
			a:    shop(section(policy.Ethernet, rule{Name: "no arp", Action: policy.Drop, Services: []policy.Service{{EtherType: packet.EtherTypeARP}}})),
			b:    shop(section(policy.Ethernet)),
			want: "IN of web-1: frame 02:01:00:00:00:00 > 02:01:00:00:00:00 type 0x0806, no arp, default",
		},
		{
			why: "dropping and rejecting are different",
			a:   shop(section(policy.Application, rule{Name: "deny", Action: policy.Drop, Source: db})),
			b:   shop(section(policy.Application, rule{Name: "refuse", Action: policy.Reject, Source: db})), want: "OUT of db-1: TCP 10.0.0.4:49152 > 10.0.0.1:80, deny, refuse",
		},
	}
	for _, row := range rows {
		d, equal := Equal(row.a, row.b, Options{})
		if row.want == "" {
			require.True(t, equal, row.why)
			require.Nil(t, d, row.why)
			continue
		}
		require.False(t, equal, row.why)
		require.NotNil(t, d, row.why)
		require.Equal(t, row.want, d.Witness.String()+", "+d.A.Name+", "+d.B.Name, row.why)
		back, _ := Equal(row.b, row.a, Options{})
		require.Equal(t, []string{d.A.Name, d.B.Name}, []string{back.B.Name, back.A.Name}, row.why)
	}

	a, b := shop(section(policy.Application, deny)), shop(section(policy.Application, deny))
	b.Endpoints = append([]*policy.Endpoint{}, b.Endpoints...)
	b.Endpoints[4] = nil
	d, equal := Equal(a, b, Options{})
	require.False(t, equal)
	require.Equal(t, "db-1", d.Witness.Port, "what has no rules in b passes there")
	require.Nil(t, d.B.Rule)
}
