package api_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

func kind(t testing.TB, name string) api.ViewKind {
	k, found := api.ViewKindNamed(name)
	require.True(t, found, name)
	return k
}

func TestParseFilter(t *testing.T) {
	for _, row := range []struct {
		why, kind, query string
		want             api.Filter
		fault            string
	}{
		{"nothing narrows nothing", "sessions", "", api.Filter{}, ""},
		{"names may be several", "ports", "name=a&name=b/c", api.Filter{Names: []string{"a", "b/c"}}, ""},
		{"an address is a network of one", "sessions", "address=10.0.0.1", api.Filter{Address: netip.MustParsePrefix("10.0.0.1/32")}, ""},
		{"a mapped address is IPv4's", "sessions", "address=::ffff:10.0.0.1", api.Filter{Address: netip.MustParsePrefix("10.0.0.1/32")}, ""},
		{"a network's host bits are of no meaning", "sessions", "address=fd00::7/64", api.Filter{Address: netip.MustParsePrefix("fd00::/64")}, ""},
		{"numbers", "sessions", "l4Port=65535&limit=10", api.Filter{L4Port: 65535, Limit: 10}, ""},
		{"words stay as they are", "sessions", "state=Established&protocol=TCP&port=demo%2Fweb-1", api.Filter{State: "Established", Protocol: "TCP", Port: "demo/web-1"}, ""},

		{"a field that there is not", "ports", "colour=red", api.Filter{}, `ports can't be filtered by "colour"; they can by name, segment, address, state, limit`},
		{"a field that others have", "ports", "l4Port=1", api.Filter{}, `ports can't be filtered by "l4Port"`},
		{"sessions have no names", "sessions", "name=7", api.Filter{}, `sessions can't be filtered by "name"`},
		{"a field without a value", "ports", "segment=", api.Filter{}, `segment "": is empty`},
		{"a field twice", "ports", "segment=a&segment=b", api.Filter{}, "segment is given 2 times"},
		{"no address", "ports", "address=web-1", api.Filter{}, `address "web-1": want an IP address`},
		{"an address of an interface", "ports", "address=fe80::1%25eth0", api.Filter{}, "want an IP address"},
		{"a port that can't be", "sessions", "l4Port=65536", api.Filter{}, `l4Port "65536": want a number from 1 to 65535`},
		{"port 0", "sessions", "l4Port=0", api.Filter{}, "want a number from 1 to 65535"},
		{"no limit is not 0", "ports", "limit=0", api.Filter{}, `limit "0": want a number from 1`},
		{"much text", "ports", "segment=" + strings.Repeat("x", 600), api.Filter{}, "has 600 bytes; at most 512"},
		{"many names", "ports", strings.Repeat("name=x&", 1025), api.Filter{}, "1025 names are too many"},
		{"every fault is told", "ports", "a=1&limit=x&address=y", api.Filter{}, "\nlimit \"x\""},
	} {
		t.Run(row.why, func(t *testing.T) {
			q, err := url.ParseQuery(row.query)
			require.NoError(t, err)
			got, err := api.ParseFilter(kind(t, row.kind), q)
			if row.fault != "" {
				require.ErrorContains(t, err, row.fault)
				require.ErrorIs(t, err, api.ErrInvalid)
				require.NotErrorIs(t, err, api.ErrNotFound)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, row.want, got)
		})
	}
}

// FuzzParseFilter: it never panics, and a filter that is read is the one that its query says.
func FuzzParseFilter(f *testing.F) {
	for _, q := range []string{"", "name=a&name=b", "address=10.0.0.0/8&l4Port=80&limit=5", "address=::ffff:1.2.3.4/100", "state=%00&port=%ff", "limit=99999999999999999999"} {
		f.Add("sessions", q)
		f.Add("ports", q)
	}
	f.Fuzz(func(t *testing.T, name, query string) {
		k, found := api.ViewKindNamed(name)
		if !found {
			return
		}
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := api.ParseFilter(k, q)
		if err != nil {
			require.ErrorIs(t, err, api.ErrInvalid)
			require.Equal(t, api.Filter{}, filter)
			return
		}
		again, err := api.ParseFilter(k, filter.Query())
		require.NoError(t, err)
		require.Equal(t, filter, again)
		require.Len(t, filter.Query(), len(q), "no field is passed over")
	})
}

func TestMatch(t *testing.T) {
	all := api.Filter{}
	require.True(t, all.Match("a") && all.MatchState("UP") && all.MatchAddress(netip.Addr{}))
	f := api.Filter{Names: []string{"a"}, State: "up", Address: netip.MustParsePrefix("10.0.0.0/8")}
	require.True(t, f.Match("a") && f.MatchState("UP") && f.MatchAddress(netip.MustParseAddr("10.1.2.3")))
	require.False(t, f.Match("A") || f.MatchState("DOWN") || f.MatchAddress(netip.MustParseAddr("11.0.0.1")) || f.MatchAddress(netip.Addr{}))
}

func TestNear(t *testing.T) {
	ports := []string{"demo/web-1", "demo/web-2", "demo/db", "prod/web-1", "uplink", "x"}
	for _, row := range []struct {
		why, name string
		want      []string
	}{
		{"the namespace is missing", "web-1", []string{"demo/web-1", "prod/web-1"}},
		{"a letter is wrong", "demo/wep-1", []string{"demo/web-1"}},
		{"letters are swapped", "dmeo/db", []string{"demo/db"}},
		{"a letter is missing", "upink", []string{"uplink"}},
		{"a letter is too many", "uplinkk", []string{"uplink"}},
		{"the case is wrong", "UPLINK", []string{"uplink"}},
		{"nothing is like it", "quux", nil},
		{"nothing at all", "", nil},
	} {
		got := api.Near(row.name, ports)
		if row.name == "" {
			require.Empty(t, got, row.why)
			continue
		}
		require.Equal(t, row.want, got, row.why)
	}
	require.EqualError(t, api.NotFound("port", "y", nil), "there is no port y, nor any other")
	require.EqualError(t, api.NotFound("port", "quux", ports), "there is no port quux")
	many := []string{"web1", "web2", "web3", "web4", "web5", "web6"}
	require.Len(t, api.Near("web7", many), 5, "a few are of more use than many")
}

func TestSocketPath(t *testing.T) {
	for _, row := range []struct{ why, address, want string }{
		{"the default", api.DefaultAPI, "/run/sluice/sluice.sock"},
		{"a relative path", "unix:api.sock", "api.sock"},
		{"as a URL", "unix:///tmp/x", "/tmp/x"},
		{"the longest", "unix:" + strings.Repeat("x", 107), strings.Repeat("x", 107)},
		{"too long", "unix:" + strings.Repeat("x", 108), ""},
		{"no scheme", "/run/sluice.sock", ""},
		{"another scheme", "tcp:localhost:80", ""},
		{"no path", "unix:", ""},
		{"a name of the kernel's own", "unix:\x00abstract", ""},
	} {
		got, err := api.SocketPath(row.address)
		require.Equal(t, row.want, got, row.why)
		require.Equal(t, row.want == "", err != nil, row.why)
	}
}

// The table of kinds is what the command line and the server go by.
func TestViewKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range api.ViewKinds() {
		for _, name := range append(k.Aliases, k.Name) {
			require.False(t, seen[name], "%s is two kinds", name)
			seen[name] = true
			got, found := api.ViewKindNamed(name)
			require.True(t, found)
			require.Equal(t, k.Name, got.Name)
		}
		require.Contains(t, k.Filters, "limit")
		require.Equal(t, k.NameOf != "", strings.Contains(strings.Join(k.Filters, " "), "name"), k.Name)
		require.Equal(t, k.States != "", strings.Contains(strings.Join(k.Filters, " "), "state"), k.Name)
	}
	_, found := api.ViewKindNamed("")
	require.False(t, found)
}
