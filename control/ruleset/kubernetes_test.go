package ruleset

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// draftText prints drafts, a line for each section and each rule:
//
//	allowing "": pods with pod=a of namespace x
//	ingress[0] ALLOW IN: all pods of namespace x -> ANY, TCP 80
func draftText(drafts []draft) string {
	var b strings.Builder
	for i := range drafts {
		d := &drafts[i]
		where := map[place]string{bySequence: "by sequence", allowing: "allowing", isolating: "isolating", baseline: "baseline"}[d.place]
		fmt.Fprintf(&b, "%s %d %q: %s\n", where, d.Sequence, d.Title, selectionText(d.appliedTo))
		for j := range d.rules {
			r := &d.rules[j]
			fmt.Fprintf(&b, "  %s %s %s", r.Name, r.Action, r.Directions)
			if r.byDefault {
				b.WriteString(" by default")
			}
			if r.Families != 0 {
				fmt.Fprintf(&b, " families %d", r.Families)
			}
			fmt.Fprintf(&b, ": %s -> %s", selectionText(r.source), selectionText(r.destination))
			for _, s := range r.Services {
				fmt.Fprintf(&b, ", %d %v", s.Protocol, s.DestPorts)
			}
			for _, n := range r.named {
				fmt.Fprintf(&b, ", %d %s", n.protocol, n.name)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func selectionText(s selection) string {
	if s == nil {
		return "ANY"
	}
	var terms []string
	for _, t := range s {
		terms = append(terms, termText(t))
	}
	return "{" + strings.Join(terms, "; ") + "}"
}

func termText(t term) string {
	var words []string
	for _, p := range t.prefixes {
		words = append(words, prefixText(p))
	}
	for _, p := range t.within {
		words = append(words, "within "+prefixText(p))
	}
	if t.namespaced {
		words = append(words, "ns="+t.namespace)
	}
	if t.ofNS != nil {
		words = append(words, "ns:"+t.ofNS.String())
	}
	if t.of != nil {
		words = append(words, "pod:"+t.of.String())
	}
	return strings.Join(words, " ")
}

func prefixText(p policy.Prefix) string {
	a, bits := p.Addr.Netip(), int(p.Bits)
	if a.Is4() {
		bits -= 96
	}
	return netip.PrefixFrom(a, bits).String()
}

// TestExcept: what is left of a network covers exactly what is in it and in none of the exceptions.
func TestExcept(t *testing.T) {
	for _, row := range []struct {
		why, cidr string
		except    []string
		want      string
	}{
		{"nothing is excepted", "10.0.0.0/8", nil, "10.0.0.0/8"},
		{"a half", "10.0.0.0/8", []string{"10.0.0.0/9"}, "10.128.0.0/9"},
		{"an address in the middle", "10.0.0.0/30", []string{"10.0.0.1/32"}, "10.0.0.2/31 10.0.0.0/32"},
		{"two that overlap", "10.0.0.0/30", []string{"10.0.0.2/31", "10.0.0.3/32"}, "10.0.0.0/31"},
		{"two that touch", "10.0.0.0/30", []string{"10.0.0.0/32", "10.0.0.1/32"}, "10.0.0.2/31"},
		{"all of it", "10.0.0.0/30", []string{"10.0.0.0/31", "10.0.0.2/31"}, ""},
		{"what is not in it", "10.0.0.0/30", []string{"10.1.0.0/31"}, "10.0.0.0/30"},
		{"bits behind the prefix do not count", "10.0.0.77/24", nil, "10.0.0.0/24"},
		{"mapped IPv4 is IPv4", "::ffff:10.0.0.0/104", nil, "10.0.0.0/8"},
		{"IPv6", "fd00::/62", []string{"fd00:0:0:1::/64"}, "fd00:0:0:2::/63 fd00::/64"},
		{"an exception that makes no sense excepts all", "10.0.0.0/8", []string{"10.1.0.0"}, ""},
		{"a network that makes no sense is nobody", "10.0.0.0/33", nil, ""},
	} {
		tm, _ := network(row.cidr, row.except)
		require.NotNil(t, tm.prefixes, "%s: a list of addresses, if an empty one", row.why)
		require.Equal(t, row.want, termText(tm), row.why)
	}
}

// TestEverythingOfIPv6: addresses of IPv4 are mapped into those of IPv6, which ::/0 must not reach.
func TestEverythingOfIPv6(t *testing.T) {
	tm, text := network("::/0", []string{"fd00::/8"})
	require.Equal(t, "::/0 except fd00::/8", text)
	in := func(a string) bool {
		return slices.ContainsFunc(tm.prefixes, func(p policy.Prefix) bool { return p.Contains(packet.AddrFrom(netip.MustParseAddr(a))) })
	}
	for _, a := range []string{"::", "::1", "2001:db8::1", "fe80::1", "fc00::1", "ffff::", "::fffe:ffff:ffff", "0:0:0:0:1::"} {
		require.True(t, in(a), a)
	}
	for _, a := range []string{"0.0.0.0", "10.0.0.1", "255.255.255.255", "fd00::", "fdff::1"} {
		require.False(t, in(a), a)
	}
}

// FuzzExcept: an address is in what is left of a network if and only if it is in the network and in no exception.
func FuzzExcept(f *testing.F) {
	f.Add("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.3.4")
	f.Add("::/0", "::ffff:0:0/96", "fd00::/8", "::1")
	f.Fuzz(func(t *testing.T, cidr, one, two, address string) {
		outer, err := netip.ParsePrefix(cidr)
		except := []string{one, two}
		a, addrErr := netip.ParseAddr(address)
		tm, _ := network(cidr, except)
		if err != nil || addrErr != nil || a.Zone() != "" {
			return
		}
		mapped := func(p netip.Prefix) bool { return p.Addr().Is4In6() }
		if mapped(outer) || a.Is4In6() {
			return // has rows of its own
		}
		want := outer.Contains(a)
		for _, e := range except {
			inner, err := netip.ParsePrefix(e)
			if err == nil && mapped(inner) {
				return
			}
			want = want && err == nil && !inner.Contains(a)
		}
		got := 0
		for _, p := range tm.prefixes {
			if p.Contains(packet.AddrFrom(a)) {
				got++
			}
		}
		require.LessOrEqual(t, got, 1, "prefixes overlap")
		require.Equal(t, want, got == 1, "%s without %v: %s", cidr, except, a)
	})
}

// FuzzDrafts: drafts of whatever object the types can hold are well-formed, checked or not: rules have names
// of their own, and none is about everybody that names somebody.
func FuzzDrafts(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["x"]}},{}],"ports":[{"port":"a","protocol":"ICMP"},{"port":0,"endPort":-1},{}]}],"egress":[{"to":[{"ipBlock":{"cidr":"::/0"}}],"ports":[{"port":"web"}]}]}}`,
		`{"spec":{"tier":"x","priority":-5,"subject":{},"ingress":[{"action":"Pass","from":[{}]}],"egress":[{"action":"Accept","name":"a","to":[{"nodes":{}}],"protocols":[{}]},{"action":"x","to":[]}]}}`,
		`{"spec":{"subject":{"pods":{}},"ingress":[{"action":"Allow","from":[{"namespaces":{"matchLabels":{"-":"x y"}}}],"ports":[{"portRange":{"start":9,"end":1}},{"namedPort":""}]}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var (
			np   networkingv1.NetworkPolicy
			cnp  v1alpha2.ClusterNetworkPolicy
			anp  v1alpha1.AdminNetworkPolicy
			banp v1alpha1.BaselineAdminNetworkPolicy
		)
		var drafts []draft
		if json.Unmarshal(data, &np) == nil {
			drafts = networkPolicy(&np)
			wellFormed(t, drafts)
			for i, r := range np.Spec.Ingress {
				if at := slices.IndexFunc(drafts, func(d draft) bool { return d.place == allowing }); at >= 0 && len(r.From) > 0 {
					for _, rule := range drafts[at].rules {
						require.False(t, rule.Name == fmt.Sprintf("ingress[%d]", i) && rule.source == nil, "%s", data)
					}
				}
			}
		}
		if json.Unmarshal(data, &cnp) == nil {
			wellFormed(t, clusterNetworkPolicy(&cnp))
		}
		if json.Unmarshal(data, &anp) == nil {
			wellFormed(t, adminNetworkPolicy(&anp))
		}
		if json.Unmarshal(data, &banp) == nil {
			wellFormed(t, baselineAdminNetworkPolicy(&banp))
		}
	})
}

func wellFormed(t *testing.T, drafts []draft) {
	for i := range drafts {
		d := &drafts[i]
		require.NotNil(t, d.appliedTo, "a policy that is at every port")
		require.NotEmpty(t, d.rules)
		names := map[string]bool{}
		for j := range d.rules {
			r := &d.rules[j]
			require.False(t, names[r.Name], "two rules %q", r.Name)
			names[r.Name] = true
			require.NotZero(t, r.Directions)
			for _, s := range r.Services {
				require.False(t, s.AnyProtocol)
				require.True(t, s.DestPorts == nil || len(s.DestPorts) > 0)
				for _, p := range s.DestPorts {
					require.True(t, 0 < p.First && p.First <= p.Last)
				}
			}
			if r.Action == policy.Allow && r.source == nil && r.destination == nil {
				require.Empty(t, r.Notes, "what fails closed allows nobody")
			}
		}
	}
}

// TestSelectorsWithoutSense: one that can't be parsed selects nobody.
func TestSelectorsWithoutSense(t *testing.T) {
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}
	require.False(t, selector(bad).Matches(nil))
	require.NotNil(t, selector(nil), "and one that is not there")
	require.Nil(t, selector(everyPod()))
}

// objectOf reads an object.
func objectOf[T any](t testing.TB, text string) *T {
	var v T
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &v), text)
	return &v
}
