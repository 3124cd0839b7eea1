package control

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/api"
)

// scalar checks a string, boolean or number.
func (w *walker) scalar(n *yaml.Node, f field) any {
	t := f.typ
	if n.Kind != yaml.ScalarNode {
		w.fault(n, "must be "+wanted(t)+", not "+describe(n), "")
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return w.str(n, f)
	case reflect.Bool:
		if n.ShortTag() == "!!bool" {
			var b bool
			if n.Decode(&b) == nil {
				return b
			}
		}
		hint := ""
		if strings.Contains(" yes no on off y n true false ", " "+strings.ToLower(n.Value)+" ") {
			hint = "write true or false"
		}
		w.fault(n, "must be true or false, not "+describe(n), hint)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return w.whole(n, f)
	case reflect.Float32, reflect.Float64:
		var x float64
		if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" || n.Decode(&x) != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			w.fault(n, "must be a number, not "+describe(n), "")
			return nil
		}
		return x
	default:
		w.fault(n, "can't be given in a document", "")
	}
	return nil
}

// wanted names a type in messages.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func (w *walker) str(n *yaml.Node, f field) any {
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date is text until somebody asks for a date
	default:
		w.fault(n, "must be a string, not "+describe(n), "write it in quotation marks: "+strconv.Quote(clip(n.Value)))
		return nil
	}
	if enum, ok := reflect.Zero(f.typ).Interface().(interface{ Values() []string }); ok {
		return w.oneOf(n, enum.Values())
	}
	if f.required && n.Value == "" {
		w.fault(n, "must not be empty", "")
		return nil
	}
	return n.Value
}

func (w *walker) oneOf(n *yaml.Node, values []string) any {
	for _, v := range values {
		if n.Value == v {
			return v
		}
	}
	hint := ""
	if near := nearest(n.Value, values); near != "" {
		hint = "did you mean " + near + "?"
	}
	w.fault(n, strconv.Quote(clip(n.Value))+" is not one of "+strings.Join(values, ", "), hint)
	return nil
}

// whole checks an integer and its bounds.
func (w *walker) whole(n *yaml.Node, f field) any {
	digits := strings.TrimLeft(n.Value, "+-")
	if n.ShortTag() != "!!int" {
		hint := ""
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			hint = "leave the quotation marks out"
		}
		w.fault(n, "must be a whole number, not "+describe(n), hint)
		return nil
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		w.fault(n, "the number "+clip(n.Value)+" starts with 0: it would be read in base 8", "leave the 0 out")
		return nil
	}
	low, high := limits(f)
	var v int64
	if n.Decode(&v) != nil || v < low || v > high {
		w.fault(n, fmt.Sprintf("%s is out of range: %d to %d", clip(n.Value), low, high), "")
		return nil
	}
	return v
}

// limits are those of the field's tags, else of its type.
func limits(f field) (low, high int64) {
	bits := f.typ.Bits()
	if f.typ.Kind() >= reflect.Uint {
		low, high = 0, math.MaxInt64
		if bits < 64 {
			high = 1<<bits - 1
		}
	} else {
		low, high = -1<<(bits-1), 1<<(bits-1)-1
	}
	if f.min != nil {
		low = *f.min
	}
	if f.max != nil {
		high = *f.max
	}
	return low, high
}

// text checks a scalar of a type that reads itself from text.
func (w *walker) text(n *yaml.Node, f field) any {
	if n.Kind != yaml.ScalarNode {
		w.fault(n, "must be "+textForm(f.typ)+", not "+describe(n), "")
		return nil
	}
	v := reflect.New(f.typ)
	err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	hint := ""
	switch x := v.Elem().Interface().(type) {
	case netip.Addr:
		switch {
		case err != nil && strings.Contains(n.Value, "/"):
			hint = "leave the prefix length out"
		case err == nil && !x.IsValid():
			err = fmt.Errorf("empty")
		case x.Is4In6():
			err, hint = fmt.Errorf("mapped"), "write "+x.Unmap().String()
		case x.Zone() != "":
			err, hint = fmt.Errorf("zone"), "leave %"+clip(x.Zone())+" out"
		}
	case netip.Prefix:
		switch {
		case err != nil && !strings.Contains(n.Value, "/") && n.Value != "":
			if a, addrErr := netip.ParseAddr(n.Value); addrErr == nil {
				hint = "the prefix length is missing: " + a.String() + "/…"
			}
		case err == nil && !x.IsValid():
			err = fmt.Errorf("empty")
		case x.Addr().Is4In6():
			err, hint = fmt.Errorf("mapped"), "write it as IPv4"
		case err == nil && f.network && x != x.Masked():
			w.fault(n, x.String()+" has bits set after its prefix", "write "+x.Masked().String())
			return nil
		}
	}
	if err != nil {
		w.fault(n, strconv.Quote(clip(n.Value))+" is not "+textForm(f.typ), hint)
		return nil
	}
	return n.Value
}

// textForm says what the text of such a type looks like.
func textForm(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "an IP address"
	case reflect.TypeFor[netip.Prefix]():
		return "a prefix such as 10.244.1.0/24"
	case reflect.TypeFor[api.MAC]():
		return "a MAC address such as 0a:58:0a:f4:01:0a"
	}
	return "a " + t.Name()
}

// unmarshaled checks a value of a type that reads itself from JSON by letting
// it try.
func (w *walker) unmarshaled(n *yaml.Node, t reflect.Type) any {
	before := len(w.faults)
	value := w.free(n)
	if len(w.faults) > before {
		return nil
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	if err != nil {
		w.fault(n, describe(n)+" is not a "+typeWord(t), typeHints[t.Name()])
		return nil
	}
	return value
}

// typeHints give an example of Kubernetes' types that read themselves; their
// own words are made for programmers.
var typeHints = map[string]string{
	"Time":        "such as 2026-11-23T10:00:00Z",
	"MicroTime":   "such as 2026-11-23T10:00:00.000000Z",
	"Duration":    "such as 1m30s",
	"Quantity":    "such as 500m, 10M or 2Gi",
	"IntOrString": "a number or a name",
}

func typeWord(t reflect.Type) string {
	if t.Name() == "" {
		return "base64 text"
	}
	return t.Name()
}

func (w *walker) freeScalar(n *yaml.Node) any {
	var err error
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if err = n.Decode(&b); err == nil {
			return b
		}
	case "!!int":
		var i int64
		var u uint64
		if n.Decode(&i) == nil {
			return i
		}
		if err = n.Decode(&u); err == nil {
			return u
		}
	case "!!float":
		var x float64
		if err = n.Decode(&x); err == nil && (math.IsInf(x, 0) || math.IsNaN(x)) {
			err = fmt.Errorf("%s is not a number", n.Value)
		}
		if err == nil {
			return x
		}
	default:
		return n.Value
	}
	w.fault(n, describe(n)+" can't be read", "write it in quotation marks")
	return nil
}
