package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The names of ObjectFilter's and HistoryFilter's fields in a query, beside those
// that Filter has.
const (
	fieldKind      = "kind"
	fieldNamespace = "namespace"
	fieldLabels    = "labelSelector"
	fieldFields    = "fieldSelector"
	fieldBefore    = "before"
)

// maxSelector is how long a selector may be, bytes.
const maxSelector = 4096

// ObjectFields are the fields of a query that ParseObjectFilter takes.
func ObjectFields() []string {
	return []string{fieldKind, fieldNamespace, fieldName, fieldLabels, fieldFields, fieldLimit}
}

// HistoryFields are the fields of a query that ParseHistoryFilter takes.
func HistoryFields() []string {
	return []string{fieldLimit, fieldBefore, fieldKind, fieldNamespace, fieldName}
}

// ParseObjectFilter reads a query; ObjectFilter.Query is its inverse. The error names
// every fault and wraps ErrInvalid. Whether there are such kinds, and whether selectors
// make sense, is for who has objects to say.
func ParseObjectFilter(q url.Values) (ObjectFilter, error) {
	var f ObjectFilter
	err := readQuery(q, "objects can't be asked for by %q; want %s", ObjectFields(), []string{fieldKind, fieldName}, func(field, v string) (err error) {
		switch field {
		case fieldKind:
			f.Kinds = append(f.Kinds, v)
		case fieldName:
			f.Names = append(f.Names, v)
		case fieldNamespace:
			f.Namespace = v
		case fieldLabels:
			f.Labels = v
		case fieldFields:
			f.Fields = v
		case fieldLimit:
			f.Limit, err = parseLimit(v)
		}
		return err
	})
	if err != nil {
		return ObjectFilter{}, err
	}
	return f, nil
}

// ParseHistoryFilter reads a query; HistoryFilter.Query is its inverse. The error
// names every fault and wraps ErrInvalid.
func ParseHistoryFilter(q url.Values) (HistoryFilter, error) {
	var f HistoryFilter
	err := readQuery(q, "the history can't be asked for by %q; want %s", HistoryFields(), nil, func(field, v string) (err error) {
		switch field {
		case fieldKind:
			f.Object.Kind = v
		case fieldNamespace:
			f.Object.Namespace = v
		case fieldName:
			f.Object.Name = v
		case fieldLimit:
			f.Limit, err = parseLimit(v)
		case fieldBefore:
			f.Before, err = strconv.ParseUint(v, 10, 64)
			if err != nil || f.Before == 0 {
				err = errors.New("want a revision, a number from 1")
			}
		}
		return err
	})
	switch {
	case err != nil:
		return HistoryFilter{}, err
	case (f.Object.Kind == "") != (f.Object.Name == "") || f.Object.Namespace != "" && f.Object.Name == "":
		return HistoryFilter{}, Invalid("the history of an object needs its kind and its name, and its namespace if it has one")
	}
	return f, nil
}

// readQuery calls set for each value of a query, and returns all faults; refusal is a format for a
// field that is not among fields, and these. Fields that are not among several are given once.
func readQuery(q url.Values, refusal string, fields, several []string, set func(field, v string) error) error {
	var faults []error
	for _, field := range sortedFields(q) {
		values := q[field]
		switch {
		case !slices.Contains(fields, field):
			faults = append(faults, fmt.Errorf(refusal, clip(field), strings.Join(fields, ", ")))
		case slices.Contains(several, field) && len(values) > maxFilterNames:
			faults = append(faults, fmt.Errorf("%d %ss are too many; at most %d", len(values), field, maxFilterNames))
		case !slices.Contains(several, field) && len(values) > 1:
			faults = append(faults, fmt.Errorf("%s is given %d times", field, len(values)))
		default:
			for _, v := range values {
				if err := setOne(field, v, set); err != nil {
					faults = append(faults, fmt.Errorf("%s %q: %w", field, clip(v), err))
				}
			}
		}
	}
	if len(faults) > 0 {
		return invalid{errors.Join(faults...)}
	}
	return nil
}

func setOne(field, v string, set func(field, v string) error) error {
	most := maxFilterText
	if field == fieldLabels || field == fieldFields {
		most = maxSelector
	}
	switch {
	case v == "":
		return errors.New("is empty")
	case len(v) > most:
		return fmt.Errorf("has %d bytes; at most %d", len(v), most)
	}
	return set(field, v)
}

func parseLimit(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, errors.New("want a number from 1")
	}
	return n, nil
}
