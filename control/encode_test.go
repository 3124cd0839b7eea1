package control

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

// leaves visits the places of all values in v that have no parts, with their paths;
// lists and maps get one element. change makes the value another.
func leaves(v reflect.Value, path string, visit func(path string, change func())) {
	switch v.Interface().(type) {
	case netip.Addr:
		visit(path, func() { v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.7"))) })
		return
	case api.MAC:
		visit(path, func() { v.Set(reflect.ValueOf(api.MAC{2, 3})) })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		visit(path, func() { v.Set(reflect.MakeSlice(v.Type(), 0, 0)) })
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		visit(path, func() { v.Set(reflect.MakeSlice(v.Type(), 2, 2)) })
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		leaves(v.Index(0), path+"[0]", visit)
	case reflect.Map:
		visit(path, func() { v.Set(reflect.MakeMap(v.Type())) })
		visit(path, func() { v.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf("b")) })
		visit(path, func() { v.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf("c")) })
	case reflect.Bool:
		visit(path, func() { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int64:
		visit(path, func() { v.SetInt(v.Int() + 1) })
	case reflect.Uint16:
		visit(path, func() { v.SetUint(v.Uint() + 1) })
	case reflect.String:
		visit(path, func() { v.SetString(v.String() + "x") })
	default:
		panic(fmt.Sprint("no values for ", v.Type()))
	}
}

// TestEncodingHasEveryField: a field of a port that is missing in its encoding could change
// without anybody noticing.
func TestEncodingHasEveryField(t *testing.T) {
	p := &Port{}
	seen := map[string]string{}
	text := func() string {
		var e encoded
		e.port(p)
		return string(e)
	}
	seen[text()] = "the zero port"
	n := 0
	leaves(reflect.ValueOf(p).Elem(), "Port", func(path string, change func()) {
		change()
		n++
		require.NotContains(t, seen, text(), "%s is as if it were not there", path)
		seen[text()] = path
	})
	require.Greater(t, n, 50)
}
