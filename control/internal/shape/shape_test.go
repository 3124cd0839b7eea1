package shape

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/sluice-net/sluice/api"
)

// TestRulesAreOfFields: a rule whose field has another name in a new version of k8s.io/api would
// silently be none.
func TestRulesAreOfFields(t *testing.T) {
	for p, r := range kubernetesRules {
		fields := FieldsOf(p.owner)
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == p.name })
		require.GreaterOrEqual(t, i, 0, "%s.%s", p.owner, p.name)
		form, _ := FormOf(fields[i].Type)
		if r.max != 0 {
			require.Contains(t, []Form{Integer, List}, form, "%s.%s has a bound", p.owner, p.name)
		}
		if r.standard != "" && fields[i].Enum != nil {
			require.Contains(t, fields[i].Enum, r.standard, "%s.%s", p.owner, p.name)
		}
	}
}

func TestFieldsOf(t *testing.T) {
	named := func(t reflect.Type, name string) Field {
		fields := FieldsOf(t)
		return fields[slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })]
	}
	for _, row := range []struct {
		why   string
		field Field
		check func(t *testing.T, f Field)
	}{
		{"an embedded struct's field says whose it is, and where", named(reflect.TypeFor[networkingv1.IngressRule](), "http"), func(t *testing.T, f Field) {
			require.Equal(t, reflect.TypeFor[networkingv1.IngressRuleValue](), f.Owner)
			require.Equal(t, []int{1, 0}, f.Index)
		}},
		{"tags bound native fields", named(reflect.TypeFor[api.SegmentSpec](), "mtu"), func(t *testing.T, f Field) {
			low, high := f.Range()
			require.Equal(t, [2]int64{576, 65535}, [2]int64{low, high})
			require.Equal(t, "1500", f.Default)
		}},
		{"rules bound Kubernetes'", named(reflect.TypeFor[corev1.ServicePort](), "port"), func(t *testing.T, f Field) {
			low, high := f.Range()
			require.Equal(t, [2]int64{1, 65535}, [2]int64{low, high})
			require.True(t, f.Required)
		}},
		{"others have their type's", named(reflect.TypeFor[corev1.PodSpec](), "priority"), func(t *testing.T, f Field) {
			low, high := f.Range()
			require.Equal(t, [2]int64{-1 << 31, 1<<31 - 1}, [2]int64{low, high})
		}},
		{"an enumeration of Kubernetes' may be empty, for not given", named(reflect.TypeFor[corev1.ServiceSpec](), "type"), func(t *testing.T, f Field) {
			require.Len(t, f.Enum, 4)
			require.True(t, f.EmptyToo)
		}},
		{"an element of one may not", named(reflect.TypeFor[corev1.ServiceSpec](), "ipFamilies").Element(), func(t *testing.T, f Field) {
			require.Equal(t, []string{"IPv4", "IPv6"}, f.Enum)
			require.False(t, f.EmptyToo)
		}},
		{"an argument of a container may", named(reflect.TypeFor[corev1.Container](), "args").Element(), func(t *testing.T, f Field) {
			require.True(t, f.Required && f.EmptyToo, "empty, but not null")
		}},
		{"a native list's string may not", named(reflect.TypeFor[api.SegmentDHCP](), "searchDomains").Element(), func(t *testing.T, f Field) {
			require.True(t, f.Required && !f.EmptyToo)
		}},
	} {
		t.Run(row.why, func(t *testing.T) { row.check(t, row.field) })
	}
}
