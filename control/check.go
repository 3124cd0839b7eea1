package control

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/api"
)

// checker looks at what fields of one of Kubernetes' objects demand of each other. What a
// field may hold by itself, the walker has seen to. It refuses what Kubernetes' API server refuses
// and what would bite later; whatever a cluster prints passes.
type checker struct {
	object *Object
	faults Faults
}

// checkObject returns the faults of an object whose fields are good by themselves,
// and adds warnings to it.
func checkObject(o *Object) Faults {
	c := &checker{object: o}
	switch v := o.Value.(type) {
	case *api.Group:
		c.group(v)
	case *api.Pool:
		c.pool(v)
	case *api.Port:
		c.namedPorts(v)
	case *corev1.Service:
		c.service(v)
	case *corev1.Endpoints: //lint:ignore SA1019 deprecated, and still what clusters print
		c.endpoints(v)
	case *discoveryv1.EndpointSlice:
		c.endpointSlice(v)
	case *networkingv1.Ingress:
		c.ingress(v)
	case *networkingv1.NetworkPolicy:
		c.networkPolicy(v)
	case *v1alpha2.ClusterNetworkPolicy:
		c.clusterNetworkPolicy(v)
	case *v1alpha1.AdminNetworkPolicy:
		c.adminNetworkPolicy(v)
	case *v1alpha1.BaselineAdminNetworkPolicy:
		c.baselineAdminNetworkPolicy(v)
	case *corev1.Secret:
		c.secret(v)
	}
	return c.faults
}

// at starts a path; at("spec", "ports") is spec.ports.
func at(name string, more ...string) *field.Path { return field.NewPath(name, more...) }

func (c *checker) fault(path *field.Path, message, hint string) {
	c.faults = append(c.faults, c.object.at(path.String(), message, hint))
}

func (c *checker) warn(path *field.Path, text string) {
	c.object.Warnings = append(c.object.Warnings, c.object.written(path.String())+": "+text)
}

// Hints about the form of names.
const (
	labelForm    = "lower-case letters, digits and -, at most 63, a letter or digit first and last"
	portNameForm = "lower-case letters, digits and single -, at most 15, with a letter in it, a letter or digit first and last"
	labelKeyForm = "at most 63 letters, digits, -, _ and ., after an optional domain and /"
	valueForm    = "at most 63 letters, digits, -, _ and ., a letter or digit first and last"
	hostForm     = `a name such as shop.example.com, or *.example.com for all names below it`
)

// label checks a DNS label.
func (c *checker) label(path *field.Path, value, what string) {
	if len(validation.IsDNS1123Label(value)) > 0 {
		c.fault(path, strconv.Quote(clip(value))+" is not "+what, labelForm)
	}
}

func (c *checker) subdomain(path *field.Path, value, what string) {
	if len(validation.IsDNS1123Subdomain(value)) > 0 {
		c.fault(path, strconv.Quote(clip(value))+" is not "+what, nameForm)
	}
}

// portOrName checks a port that is given by its number or by its name.
func (c *checker) portOrName(path *field.Path, p intstr.IntOrString) {
	switch {
	case p.Type == intstr.Int && len(validation.IsValidPortNum(p.IntValue())) > 0:
		c.fault(path, strconv.Itoa(p.IntValue())+" is out of range: 1 to 65535", "")
	case p.Type == intstr.String && len(validation.IsValidPortName(p.StrVal)) > 0:
		hint := portNameForm
		if _, err := strconv.Atoi(p.StrVal); err == nil {
			hint = "leave the quotation marks out: a number in them is taken for a name"
		}
		c.fault(path, strconv.Quote(clip(p.StrVal))+" is not a port's name", hint)
	}
}

// ip checks an address. Kubernetes has it from when it took 010.0.0.1, too, which some
// programs read in base 8 (CVE-2021-29923); here that is a fault.
func (c *checker) ip(path *field.Path, text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		hint := ""
		if strings.Contains(text, "/") {
			hint = "leave the prefix length out"
		}
		c.fault(path, strconv.Quote(clip(text))+" is not an IP address", hint)
	case a.Zone() != "":
		c.fault(path, strconv.Quote(clip(text))+" is not an IP address", "leave %"+clip(a.Zone())+" out")
	}
	return a.WithZone("").Unmap()
}

// special reports an endpoint's address that stands for no host of the network, as the API server does.
func (c *checker) special(path *field.Path, a netip.Addr) {
	for _, row := range []struct {
		is   bool
		what string
	}{
		{a.IsUnspecified(), "unspecified"},
		{a.IsLoopback(), "a loopback address"},
		{a.IsLinkLocalUnicast(), "link-local"},
		{a.IsLinkLocalMulticast(), "link-local multicast"},
	} {
		if row.is && a.IsValid() {
			c.fault(path, a.String()+" is "+row.what, "an address that other hosts reach it by")
		}
	}
}

// cidr checks a network. The API server takes one with bits after its prefix and ignores them.
func (c *checker) cidr(path *field.Path, text string) (p netip.Prefix, valid bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		hint := ""
		if a, err := netip.ParseAddr(text); err == nil {
			hint = "the prefix length is missing: " + a.String() + "/" + strconv.Itoa(a.BitLen()) + " is the address alone"
		}
		c.fault(path, strconv.Quote(clip(text))+" is not a prefix such as 10.244.1.0/24", hint)
		return netip.Prefix{}, false
	}
	if p != p.Masked() {
		c.warn(path, p.String()+" has bits set after its prefix: it is read as "+p.Masked().String())
	}
	return p.Masked(), true
}

// labels checks a selector that is a mapping.
func (c *checker) labels(path *field.Path, selector map[string]string) {
	for _, key := range sortedKeys(selector) {
		c.labelKey(path.Key(cleanKey(key)), key)
		c.labelValue(path.Key(cleanKey(key)), selector[key])
	}
}

func (c *checker) labelKey(path *field.Path, key string) {
	if len(validation.IsQualifiedName(key)) > 0 {
		c.fault(path, strconv.Quote(clip(key))+" is not a label's key", labelKeyForm)
	}
}

func (c *checker) labelValue(path *field.Path, value string) {
	if len(validation.IsValidLabelValue(value)) > 0 {
		c.fault(path, strconv.Quote(clip(value))+" is not a label's value", valueForm)
	}
}

// selector checks a selector with expressions; what is wrong with it, Kubernetes' own
// validation says, which has the last word on its meaning.
func (c *checker) selector(path *field.Path, s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	before := len(c.faults)
	c.labels(path.Child("matchLabels"), s.MatchLabels)
	for i, e := range s.MatchExpressions {
		where := path.Child("matchExpressions").Index(i)
		c.labelKey(where.Child("key"), e.Key)
		many := e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn
		switch {
		case many && len(e.Values) == 0:
			c.fault(where, "values are needed with the operator "+string(e.Operator), "Exists and DoesNotExist need none")
		case !many && len(e.Values) > 0:
			c.fault(where.Child("values"), "not with the operator "+string(e.Operator), "leave them out, or write In or NotIn")
		}
		for j, v := range e.Values {
			c.labelValue(where.Child("values").Index(j), v)
		}
	}
	if len(c.faults) > before {
		return
	}
	for _, e := range metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path) {
		c.fault(at(e.Field), e.ErrorBody(), "")
	}
}

// unique reports values that are there twice. What is empty is never the same.
type unique struct {
	c     *checker
	first map[string]string // value to path
}

func (c *checker) unique() unique { return unique{c, map[string]string{}} }

func (u unique) add(path *field.Path, value, what string) {
	if value == "" {
		return
	}
	if first, found := u.first[value]; found {
		u.c.fault(path, what+" is there twice", "also at "+u.c.object.written(first))
		return
	}
	u.first[value] = path.String()
}
