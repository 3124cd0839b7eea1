package api

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
)

// SetDefaults gives every field of the struct that p points to, and of the
// structs in it, its default where it has none of its own. Pointers to structs
// that are nil stay so: their absence means something. A field with the
// default "-" is left alone with all that is in it.
//
// It panics if p is not a pointer to a struct or a tag does not fit its field.
func SetDefaults(p any) {
	setDefaults(reflect.ValueOf(p).Elem())
}

func setDefaults(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f, tag := v.Field(i), t.Field(i).Tag.Get("default")
		switch {
		case tag == "-" || !t.Field(i).IsExported():
		case tag != "":
			if f.IsZero() {
				setText(f, tag)
			}
		case f.Kind() == reflect.Struct:
			setDefaults(f)
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && !f.IsNil():
			setDefaults(f.Elem())
		}
	}
}

func setText(f reflect.Value, text string) {
	if f.Kind() == reflect.Pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	var err error
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err = u.UnmarshalText([]byte(text))
	} else {
		switch f.Kind() {
		case reflect.String:
			f.SetString(text)
		case reflect.Int:
			var n int64
			n, err = strconv.ParseInt(text, 10, 64)
			f.SetInt(n)
		case reflect.Float64:
			var x float64
			x, err = strconv.ParseFloat(text, 64)
			f.SetFloat(x)
		case reflect.Bool:
			var b bool
			b, err = strconv.ParseBool(text)
			f.SetBool(b)
		default:
			err = fmt.Errorf("no defaults for %s", f.Type())
		}
	}
	if err != nil {
		panic("api: default " + strconv.Quote(text) + ": " + err.Error())
	}
}
