package dhcp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/rfc1035label"
	"github.com/stretchr/testify/require"
)

// boot makes a message of fields and options.
func boot(sname, file, options string) []byte {
	p := make([]byte, bootOptions, bootOptions+len(options))
	p[bootOp], p[bootHType], p[bootHLen] = bootRequest, bootEthernet, 6
	copy(p[bootCHAddr:], clientMAC[:])
	copy(p[bootSName:bootFile], sname)
	copy(p[bootFile:bootCookie], file)
	copy(p[bootCookie:], "\x63\x82\x53\x63")
	return append(p, options...)
}

func TestRead4(t *testing.T) {
	for _, row := range []struct {
		why                  string
		sname, file, options string
		want                 reading
		kind                 uint8
		requested            string
	}{
		{why: "a type and the end", options: "\x35\x01\x01\xff", kind: discover},
		{why: "without an end", options: "\x35\x01\x01", kind: discover},
		{why: "padding everywhere", options: "\x00\x00\x35\x01\x01\x00\x00", kind: discover},
		{why: "what is behind the end does not count", options: "\x35\x01\x01\xff\x32\x04\x0a\x00\x00\x09", kind: discover},
		{why: "of two types the first counts", options: "\x35\x01\x01\x35\x01\x03", kind: discover},
		{why: "fields that are not said to hold options hold none", file: "\x32\x04\x0a\x00\x00\x09\xff", options: "\x35\x01\x03\xff", kind: request},
		{why: "options in file", file: "\x32\x04\x0a\x00\x00\x09\xff", options: "\x34\x01\x01\x35\x01\x03\xff", kind: request, requested: "10.0.0.9"},
		{why: "options in sname", sname: "\x32\x04\x0a\x00\x00\x09\xff", options: "\x34\x01\x02\x35\x01\x03\xff", kind: request, requested: "10.0.0.9"},
		{why: "in both, file first", sname: "\x32\x04\x0a\x00\x00\x08\xff", file: "\x32\x04\x0a\x00\x00\x09\xff", options: "\x34\x01\x03\x35\x01\x03\xff", kind: request, requested: "10.0.0.9"},
		{why: "the type itself may be there", sname: "\x35\x01\x03\xff", options: "\x34\x01\x02\xff", kind: request},
		{why: "fields can't say that there are more", sname: "\x34\x01\x01\xff", file: "\x32\x04\x0a\x00\x00\x09\xff", options: "\x34\x01\x02\x35\x01\x03\xff", kind: request},
		{why: "an option that ends in the next field", file: strings.Repeat("\x00", 127) + "\x32", options: "\x34\x01\x01\x35\x01\x03\xff", want: malformed},
		{why: "an option longer than the message", options: "\x35\x01\x01\x0c\x05abcd", want: malformed},
		{why: "a code without a length", options: "\x35\x01\x01\x0c", want: malformed},
		{why: "an address of three bytes", options: "\x35\x01\x01\x32\x03\x0a\x00\x00\xff", want: malformed},
		{why: "a type of two bytes", options: "\x35\x02\x01\x01\xff", want: malformed},
		{why: "type 0", options: "\x35\x01\x00\xff", want: malformed},
		{why: "a size of one byte", options: "\x35\x01\x01\x39\x01\x09\xff", want: malformed},
		{why: "no type is BOOTP", options: "\xff", want: foreign},
		{why: "no options are too", options: "", want: foreign},
	} {
		m, r := read4(boot(row.sname, row.file, row.options))
		require.Equal(t, row.want, r, row.why)
		if r != readable {
			continue
		}
		require.Equal(t, row.kind, m.kind, row.why)
		require.Equal(t, row.requested != "", m.hasRequest, row.why)
		if m.hasRequest {
			require.Equal(t, row.requested, m.requested.String(), row.why)
		}
	}
}

func TestNames(t *testing.T) {
	for _, row := range []struct {
		why   string
		names []string
		size  int // compressed
	}{
		{"none", nil, 0},
		{"one", []string{"example.org"}, 13},
		{"ends that have been written", []string{"a.example.org", "b.example.org", "example.org"}, 15 + 4 + 2},
		{"the same twice", []string{"example.org", "example.org"}, 13 + 2},
		{"a part that is no end", []string{"example.org", "org.example"}, 13 + 13},
		{"case does not count", []string{"a.Example.ORG", "b.example.org"}, 15 + 4},
		{"a dot at the end", []string{"example.org."}, 13},
	} {
		want := []string{}
		for _, n := range row.names {
			want = append(want, strings.ToLower(strings.TrimSuffix(n, ".")))
		}
		b := compressedLabels(row.names)
		require.Len(t, b, row.size, row.why)
		for _, b := range [][]byte{b, labels(row.names)} {
			got, err := rfc1035label.FromBytes(b)
			require.NoError(t, err, row.why)
			for i := range got.Labels {
				got.Labels[i] = strings.ToLower(got.Labels[i])
			}
			require.ElementsMatch(t, want, got.Labels, row.why)
		}
	}
}

// What control has checked is checked again where it would break a message.
func TestCompileFaults(t *testing.T) {
	for _, row := range []struct {
		why    string
		change func(*Config)
		want   string
	}{
		{"two segments with one number", func(c *Config) { c.Segments[1].Zone = 1 }, "zone 1 is that of segment s"},
		{"a server elsewhere", func(c *Config) { c.Segments[0].DHCP.Subnets[0].Server = ip("10.0.9.1") }, "is none of it"},
		{"a server of the other family", func(c *Config) { c.Segments[0].DHCP.Subnets[0].Server = ip("fd00::1") }, "is none of it"},
		{"a file name that does not fit", func(c *Config) { c.Segments[0].DHCP.BootFile = strings.Repeat("x", 128) }, "longer than 127 bytes"},
		{"an option that is none", func(c *Config) { c.Segments[0].DHCP.Domain = strings.Repeat("x", 256) }, "option 15 has 256 bytes"},
		{"an interval that would be a storm", func(c *Config) { c.Segments[0].Advertisement.Interval = time.Second }, "shorter than 4s"},
		{"more prefixes than a packet takes", func(c *Config) {
			c.Segments[0].Advertisement.Prefixes = make([]netip.Prefix, 40)
			for i := range c.Segments[0].Advertisement.Prefixes {
				c.Segments[0].Advertisement.Prefixes[i] = prefix("2001:db8::/64")
			}
		}, "does not fit every link"},
	} {
		c := dualStack()
		row.change(&c)
		_, err := Compile(&c, NewState(StateConfig{}))
		require.ErrorContains(t, err, row.want, row.why)
	}
}
