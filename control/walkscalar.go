package control

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/internal/shape"
)

// scalar checks a string, boolean or number.
func (w *walker) scalar(n *yaml.Node, f shape.Field, form shape.Form, v reflect.Value) bool {
	if n.Kind != yaml.ScalarNode {
		w.fault(n, "must be "+wanted(form)+", not "+w.describe(n), "")
		return false
	}
	switch form {
	case shape.String:
		if !w.str(n, f) {
			return false
		}
		v.SetString(n.Value)
		return true
	case shape.Boolean:
		var b bool
		if n.ShortTag() == "!!bool" && n.Decode(&b) == nil {
			v.SetBool(b)
			return true
		}
		hint := ""
		if strings.Contains(" yes no on off y n true false ", " "+strings.ToLower(n.Value)+" ") {
			hint = "write true or false"
		}
		w.fault(n, "must be true or false, not "+w.describe(n), hint)
	case shape.Integer:
		return w.whole(n, f, v)
	case shape.Number:
		var x float64
		if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" || n.Decode(&x) != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			w.fault(n, "must be a number, not "+w.describe(n), "")
			return false
		}
		if low, high := f.Bounds(); x < low || x > high {
			w.fault(n, fmt.Sprintf("%s is out of range: %g to %g", clip(n.Value), low, high), "")
			return false
		}
		v.SetFloat(x)
		return true
	default:
		w.fault(n, "can't be given in a document", "")
	}
	return false
}

// wanted names a form in messages.
func wanted(f shape.Form) string {
	switch f {
	case shape.String:
		return "a string"
	case shape.Boolean:
		return "true or false"
	case shape.Number:
		return "a number"
	default:
		return "a whole number"
	}
}

// str reports whether a string is good.
func (w *walker) str(n *yaml.Node, f shape.Field) bool {
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date is text until somebody asks for a date
	default:
		hint := "write it in quotation marks"
		if text := w.describe(n); text == describe(n) {
			hint += ": " + strconv.Quote(clip(n.Value))
		}
		w.fault(n, "must be a string, not "+w.describe(n), hint)
		return false
	}
	if f.Enum != nil && (n.Value != "" || !f.EmptyToo) {
		return w.oneOf(n, f.Enum)
	}
	if f.Required && !f.EmptyToo && n.Value == "" {
		w.fault(n, "must not be empty", "")
		return false
	}
	return true
}

func (w *walker) oneOf(n *yaml.Node, values []string) bool {
	for _, v := range values {
		if n.Value == v {
			return true
		}
	}
	hint := ""
	if near := nearest(n.Value, values); near != "" {
		hint = "did you mean " + near + "?"
	}
	w.fault(n, strconv.Quote(clip(n.Value))+" is not one of "+strings.Join(values, ", "), hint)
	return false
}

// whole checks an integer and its bounds.
func (w *walker) whole(n *yaml.Node, f shape.Field, v reflect.Value) bool {
	digits := strings.TrimLeft(n.Value, "+-")
	if n.ShortTag() != "!!int" {
		hint := ""
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			hint = "leave the quotation marks out"
		}
		w.fault(n, "must be a whole number, not "+w.describe(n), hint)
		return false
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		w.fault(n, "the number "+clip(n.Value)+" starts with 0: it would be read in base 8", "leave the 0 out")
		return false
	}
	low, high := f.Range()
	var x int64
	if n.Decode(&x) != nil || x < low || x > high {
		w.fault(n, fmt.Sprintf("%s is out of range: %d to %d", clip(n.Value), low, high), "")
		return false
	}
	if v.CanUint() {
		v.SetUint(uint64(x))
	} else {
		v.SetInt(x)
	}
	return true
}

// text checks a scalar of a type that reads itself from text.
func (w *walker) text(n *yaml.Node, f shape.Field, v reflect.Value) bool {
	if n.Kind != yaml.ScalarNode {
		w.fault(n, "must be "+textForm(f.Type)+", not "+w.describe(n), "")
		return false
	}
	read := reflect.New(f.Type)
	err := read.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	hint := ""
	switch x := read.Elem().Interface().(type) {
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
		case err == nil && f.Network && x != x.Masked():
			w.fault(n, x.String()+" has bits set after its prefix", "write "+x.Masked().String())
			return false
		}
	case api.Network:
		if err != nil {
			hint = err.Error()
		}
	}
	if err != nil {
		w.fault(n, strconv.Quote(clip(n.Value))+" is not "+textForm(f.Type), hint)
		return false
	}
	v.Set(read.Elem())
	return true
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
	case reflect.TypeFor[api.Network]():
		return "an address or a network"
	}
	return "a " + t.Name()
}

// unmarshaled checks a value of a type that reads itself from JSON by letting
// it try.
func (w *walker) unmarshaled(n *yaml.Node, v reflect.Value) bool {
	before := len(w.faults)
	value := w.plain(n)
	if len(w.faults) > before {
		return false
	}
	data, err := json.Marshal(value)
	read := reflect.New(v.Type())
	if err == nil {
		err = json.Unmarshal(data, read.Interface())
	}
	if err != nil {
		w.fault(n, describe(n)+" is not a "+v.Type().Name(), typeHints[v.Type().Name()])
		return false
	}
	v.Set(read.Elem())
	return true
}

// bytes checks base64.
func (w *walker) bytes(n *yaml.Node, v reflect.Value) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if data, err := base64.StdEncoding.DecodeString(n.Value); err == nil {
			v.SetBytes(data)
			return true
		}
	}
	w.fault(n, w.describe(n)+" is not base64 text", "base64 of the value, as `base64 -w0 FILE` prints it")
	return false
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
	w.fault(n, w.describe(n)+" can't be read", "write it in quotation marks")
	return nil
}
