package api

import (
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMACText(t *testing.T) {
	for _, row := range []struct{ why, text, want string }{
		{"the usual form", "0a:58:c0:a8:00:23", "0a:58:c0:a8:00:23"},
		{"upper case and hyphens, as IEEE 802 writes", "0A-58-C0-A8-00-23", "0a:58:c0:a8:00:23"},
		{"separators must not be mixed", "0a:58-c0:a8:00:23", ""},
		{"two digits each", "a:58:c0:a8:00:23", ""},
		{"eight bytes are no Ethernet address", "0a:58:c0:a8:00:23:00:00", ""},
		{"nothing is no address", "", ""},
		{"only hexadecimal digits", "0g:58:c0:a8:00:23", ""},
		{"a sign is no digit", "+a:58:c0:a8:00:23", ""},
	} {
		m := MAC{1}
		err := m.UnmarshalText([]byte(row.text))
		if row.want == "" {
			require.Error(t, err, row.why)
			require.Equal(t, MAC{1}, m, row.why)
			continue
		}
		require.NoError(t, err, row.why)
		require.Equal(t, row.want, m.String(), row.why)
	}
	require.True(t, MAC{1}.IsMulticast())
	require.False(t, MAC{2}.IsMulticast())
	require.True(t, MAC{}.IsZero())
}

// specs are all there are.
var specs = []any{&NodeConfigSpec{}, &SegmentSpec{}, &PortSpec{}, &RouterSpec{}, &IPPoolSpec{}, &VirtualServerSpec{}, &PoolSpec{}, &MonitorSpec{}, &NATRuleSpec{}}

// TestTags: each tag fits its field, defaults are within the bounds, and
// enumerations contain their default.
func TestTags(t *testing.T) {
	seen, defaults := map[reflect.Type]bool{}, 0
	var visit func(typ reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() != reflect.TypeFor[Network]().PkgPath() {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			require.NotEmpty(t, f.Tag.Get("json"), "%s.%s", typ, f.Name)
			low, high := int64(-1<<62), int64(1<<62)
			for name, into := range map[string]*int64{"min": &low, "max": &high} {
				if text := f.Tag.Get(name); text != "" {
					n, err := strconv.ParseInt(text, 10, 64)
					require.NoError(t, err, "%s.%s", typ, f.Name)
					*into = n
				}
			}
			if text := f.Tag.Get("default"); text != "" && text != "-" {
				defaults++
				v := reflect.New(f.Type).Elem()
				setText(v, text) // panics if it does not fit
				v = reflect.Indirect(v)
				if v.CanInt() {
					require.True(t, low <= v.Int() && v.Int() <= high, "%s.%s", typ, f.Name)
				}
				if enum, ok := v.Interface().(interface{ Values() []string }); ok {
					require.True(t, slices.Contains(enum.Values(), v.String()), "%s.%s", typ, f.Name)
				}
			}
			visit(f.Type)
		}
	}
	for _, s := range specs {
		visit(reflect.TypeOf(s))
	}
	require.GreaterOrEqual(t, defaults, 40)
}

func TestSetDefaults(t *testing.T) {
	no := false
	s := SegmentSpec{MTU: 9000, UnknownUnicastFlooding: &no}
	SetDefaults(&s)
	require.Equal(t, 9000, s.MTU, "what is given stays")
	require.False(t, *s.UnknownUnicastFlooding, "false is given too")
	require.True(t, *s.NeighborSuppression)
	require.Equal(t, "default", s.Router)
	require.Equal(t, 300, s.MACLearning.AgingSeconds)
	require.Equal(t, LimitAllow, s.MACLearning.LimitPolicy)

	p := PortSpec{Device: &Device{Type: DeviceTAP}}
	SetDefaults(&p)
	require.Equal(t, 1, p.Device.Queues)
	require.Nil(t, p.MACLearning, "the segment's settings hold where the port has none")
	require.Nil(t, p.Guard, "it depends on the addresses")
	require.Nil(t, p.Security.BPDUFilter, "the segment's filters hold")

	require.Panics(t, func() {
		SetDefaults(&struct {
			N int `default:"x"`
		}{})
	}, "a tag that does not fit is a bug")
}

func TestNetworkText(t *testing.T) {
	for _, row := range []struct{ why, text, want, hint string }{
		{"an address alone", "192.0.2.1", "192.0.2.1", ""},
		{"an address with its whole length is the same", "192.0.2.1/32", "192.0.2.1", ""},
		{"a network", "2001:db8::/32", "2001:db8::/32", ""},
		{"everything", "0.0.0.0/0", "0.0.0.0/0", ""},
		{"host bits may be a slip of either kind", "192.0.2.1/24", "", "bits are set after its prefix: write 192.0.2.0/24, or 192.0.2.1 for the address alone"},
		{"a zone is the host's own business", "fe80::1%eth0", "", "leave %eth0 out"},
		{"a mapped address is one of IPv4", "::ffff:192.0.2.1", "", "write 192.0.2.1"},
		{"so is a mapped network", "::ffff:192.0.2.0/120", "", "write it as IPv4"},
		{"a range is none", "192.0.2.1-192.0.2.9", "", "such as 192.0.2.1 or 192.0.2.0/24"},
		{"a length beyond the address", "192.0.2.0/33", "", "such as 192.0.2.1 or 192.0.2.0/24"},
		{"nothing", "", "", "such as 192.0.2.1 or 192.0.2.0/24"},
	} {
		var n Network
		err := n.UnmarshalText([]byte(row.text))
		if row.hint != "" {
			require.EqualError(t, err, row.hint, row.why)
			require.True(t, n.IsZero(), row.why)
			continue
		}
		require.NoError(t, err, row.why)
		require.Equal(t, row.want, n.String(), row.why)
		text, err := n.MarshalText()
		require.NoError(t, err)
		require.Equal(t, row.want, string(text), row.why)
	}
	text, err := Network{}.MarshalText()
	require.NoError(t, err)
	require.Empty(t, text)
}
