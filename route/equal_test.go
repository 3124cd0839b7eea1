package route

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// TestPortEqual: every field counts, also those that are to come.
func TestPortEqual(t *testing.T) {
	whole := func() *Port {
		yes := true
		return &Port{
			Number: 1, Name: "a", Guard: true, MTU: 1500, Addresses: []Address{{hostMAC(1), netip.MustParseAddr("10.0.0.1")}},
			Zones: []Attachment{{
				Zone: 1, Tags: dataplane.Tags{Outer: 1, Inner: 2}, Learning: &Learning{}, FloodUnknown: &yes,
				Security: Security{AllowReserved: []packet.MAC{group(14)}},
			}},
		}
	}
	require.True(t, whole().Equal(whole()))
	for _, row := range []struct {
		name string
		part func(*Port) any
	}{
		{"Port", func(p *Port) any { return p }},
		{"Attachment", func(p *Port) any { return &p.Zones[0] }},
		{"Tags", func(p *Port) any { return &p.Zones[0].Tags }},
		{"Security", func(p *Port) any { return &p.Zones[0].Security }},
		{"Learning", func(p *Port) any { return p.Zones[0].Learning }},
		{"FloodUnknown", func(p *Port) any { return &struct{ Value *bool }{p.Zones[0].FloodUnknown} }},
		{"Address", func(p *Port) any { return &p.Addresses[0] }},
	} {
		for i := range reflect.ValueOf(row.part(whole())).Elem().NumField() {
			other := whole()
			v := reflect.ValueOf(row.part(other)).Elem()
			alter(v.Field(i))
			require.False(t, whole().Equal(other), "%s.%s", row.name, v.Type().Field(i).Name)
			require.False(t, other.Equal(whole()), "%s.%s", row.name, v.Type().Field(i).Name)
		}
	}
}

// alter gives a field another value.
func alter(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1))
	case reflect.Pointer:
		switch {
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
		case v.Elem().Kind() == reflect.Bool:
			alter(v.Elem())
		default:
			v.SetZero()
		}
	default:
		v.SetZero() // the others are not zero
	}
}
