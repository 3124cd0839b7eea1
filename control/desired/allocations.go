package desired

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/control/vips"
)

// Allocations are kept as a record each, so that a change writes what it changes:
//
//	allocation/zone/NAME             number
//	allocation/zone-last             number
//	allocation/router/NAME           number
//	allocation/number/PORT           number
//	allocation/rules/KIND/NS/NAME    JSON: list of rules and numbers
//	allocation/subnets/SEGMENT       list of prefixes
//	allocation/addresses/PORT        list of addresses
//	allocation/freed/ADDRESS/AT/PORT nothing; AT is Unix time in ns
//	allocation/service-ids/KIND/NS/NAME  JSON: list of virtual servers, pools, members and NAT rules, and numbers
//	allocation/service-id-last       number
//	allocation/vips/KIND/NS/NAME     JSON: addresses and node ports
//	allocation/freed-vips/ADDRESS/AT/KIND/NS/NAME  nothing; AT as above
//
// Before there were objects over the API, they were one record, state/allocations. It
// is read, and goes with the first change.
const (
	allocationPrefix    = "allocation/"
	zonePrefix          = allocationPrefix + "zone/"
	lastZoneKey         = allocationPrefix + "zone-last"
	lastRuleKey         = allocationPrefix + "rule-last"
	routerPrefix        = allocationPrefix + "router/"
	numberPrefix        = allocationPrefix + "number/"
	rulesPrefix         = allocationPrefix + "rules/"
	subnetsPrefix       = allocationPrefix + "subnets/"
	addressesPrefix     = allocationPrefix + "addresses/"
	freedPrefix         = allocationPrefix + "freed/"
	serviceIDsPrefix    = allocationPrefix + "service-ids/"
	lastServiceIDKey    = allocationPrefix + "service-id-last"
	vipsPrefix          = allocationPrefix + "vips/"
	freedVIPsPrefix     = allocationPrefix + "freed-vips/"
	allocationsInOneKey = "state/allocations"
)

// batch collects the records that a store's transaction writes, by key; nil deletes.
type batch map[string][]byte

// changes returns the batch for a store.
func (b batch) changes() []store.Change {
	list := make([]store.Change, 0, len(b))
	// bbolt splits its pages when it commits: until then each record that does not come
	// last moves all behind it, 45,000 in any order for 40 seconds.
	for _, key := range slices.Sorted(maps.Keys(b)) {
		list = append(list, store.Change{Key: key, Value: b[key], Was: store.Any})
	}
	return list
}

// allocations puts the records in which two Allocations differ.
func (b batch) allocations(before, after *control.Allocations) {
	differ(b, zonePrefix, before.Zones, after.Zones, equal, number)
	differ(b, routerPrefix, before.Routers, after.Routers, equal, number)
	differ(b, rulesPrefix, before.Rules, after.Rules, ruleset.RuleIDs.Equal, plain)
	differ(b, serviceIDsPrefix, before.ServiceIDs, after.ServiceIDs, services.IDs.Equal, plain)
	differ(b, numberPrefix, before.Numbers, after.Numbers, equal, number)
	differ(b, subnetsPrefix, before.Subnets, after.Subnets, slices.Equal, list)
	differ(b, addressesPrefix, before.Addresses, after.Addresses, slices.Equal, list)
	differ(b, freedPrefix, freedByKey(before.Freed), freedByKey(after.Freed), equal, nothing)
	if was, is := vipsOf(before), vipsOf(after); was != is {
		differ(b, vipsPrefix, was.Held, is.Held, (*vips.Held).Equal, plain)
		differ(b, freedVIPsPrefix, freedVIPsByKey(was.Freed), freedVIPsByKey(is.Freed), equal, nothing)
	}
	if before.LastZone != after.LastZone {
		b[lastZoneKey] = number(after.LastZone)
	}
	if before.LastServiceID != after.LastServiceID {
		b[lastServiceIDKey] = number(after.LastServiceID)
	}
	if before.LastRule != after.LastRule {
		b[lastRuleKey] = number(after.LastRule)
	}
}

func differ[V any](b batch, prefix string, before, after map[string]V, equal func(x, y V) bool, encode func(V) []byte) {
	for name, v := range after {
		if old, there := before[name]; !there || !equal(old, v) {
			b[prefix+name] = encode(v)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			b[prefix+name] = nil
		}
	}
}

func equal[V comparable](x, y V) bool { return x == y }

func number[N uint16 | uint32](n N) []byte { return strconv.AppendUint(nil, uint64(n), 10) }

func list[T fmt.Stringer](values []T) []byte {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}
	return []byte(strings.Join(texts, ","))
}

func plain[T any](v T) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("desired: what is allocated is plain data: " + err.Error())
	}
	return data
}

func nothing(struct{}) []byte { return []byte{} }

func freedByKey(freed []control.Freed) map[string]struct{} {
	keys := make(map[string]struct{}, len(freed))
	for _, f := range freed {
		keys[freedKey(f.Address, f.At, f.Port)] = struct{}{}
	}
	return keys
}

func freedVIPsByKey(freed []vips.Freed) map[string]struct{} {
	keys := make(map[string]struct{}, len(freed))
	for _, f := range freed {
		keys[freedKey(f.Address, f.At, f.Owner)] = struct{}{}
	}
	return keys
}

func freedKey(address netip.Addr, at int64, owner string) string {
	return address.String() + "/" + strconv.FormatInt(at, 10) + "/" + owner
}

// vipsOf returns what services have, not nil.
func vipsOf(a *control.Allocations) *vips.Allocations {
	if a.VIPs == nil {
		return &vips.Allocations{}
	}
	return a.VIPs
}

// decodeAllocations reads the records under allocationPrefix.
func decodeAllocations(records []store.Record) (*control.Allocations, error) {
	a := &control.Allocations{
		Zones: map[string]uint32{}, Routers: map[string]uint32{}, Numbers: map[string]uint16{}, Rules: map[string]ruleset.RuleIDs{},
		Subnets: map[string][]netip.Prefix{}, Addresses: map[string][]netip.Addr{},
	}
	for _, r := range records {
		if err := decodeAllocation(a, r); err != nil {
			return nil, damaged(r.Key, err)
		}
	}
	slices.SortFunc(a.Freed, func(x, y control.Freed) int { // as control.Compile does
		return cmp.Or(x.Address.Compare(y.Address), cmp.Compare(x.Port, y.Port), cmp.Compare(x.At, y.At))
	})
	if a.VIPs != nil {
		a.VIPs.Sort()
	}
	return a, nil
}

func decodeAllocation(a *control.Allocations, r store.Record) (err error) {
	value := string(r.Value)
	under := func(prefix string) (name string, found bool) { return strings.CutPrefix(r.Key, prefix) }
	if name, found := under(zonePrefix); found {
		a.Zones[name], err = parseNumber[uint32](value, 32)
	} else if name, found := under(routerPrefix); found {
		a.Routers[name], err = parseNumber[uint32](value, 32)
	} else if name, found := under(rulesPrefix); found {
		a.Rules[name], err = ruleset.ParseRuleIDs(r.Value)
	} else if name, found := under(serviceIDsPrefix); found {
		if a.ServiceIDs == nil {
			a.ServiceIDs = map[string]services.IDs{}
		}
		a.ServiceIDs[name], err = ruleset.ParseRuleIDs(r.Value)
	} else if name, found := under(numberPrefix); found {
		a.Numbers[name], err = parseNumber[uint16](value, 16)
	} else if name, found := under(subnetsPrefix); found {
		a.Subnets[name], err = parseList(value, netip.ParsePrefix)
	} else if name, found := under(addressesPrefix); found {
		a.Addresses[name], err = parseList(value, netip.ParseAddr)
	} else if name, found := under(freedPrefix); found {
		var f control.Freed
		f.Address, f.At, f.Port, err = parseFreed(name)
		a.Freed = append(a.Freed, f)
	} else if name, found := under(vipsPrefix); found {
		held := new(vips.Held)
		err = json.Unmarshal(r.Value, held)
		decodedVIPs(a).Held[name] = held
	} else if name, found := under(freedVIPsPrefix); found {
		var f vips.Freed
		f.Address, f.At, f.Owner, err = parseFreed(name)
		v := decodedVIPs(a)
		v.Freed = append(v.Freed, f)
	} else if r.Key == lastZoneKey {
		a.LastZone, err = parseNumber[uint32](value, 32)
	} else if r.Key == lastServiceIDKey {
		a.LastServiceID, err = parseNumber[uint32](value, 32)
	} else if r.Key == lastRuleKey {
		a.LastRule, err = parseNumber[uint32](value, 32)
	} else {
		err = errors.New("there is no such allocation")
	}
	return err
}

func parseNumber[N uint16 | uint32](text string, bits int) (N, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	return N(n), err
}

func parseList[T any](text string, parse func(string) (T, error)) (values []T, err error) {
	for part := range strings.SplitSeq(text, ",") {
		v, err := parse(part)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func parseFreed(name string) (address netip.Addr, at int64, owner string, err error) {
	first, rest, _ := strings.Cut(name, "/")
	when, owner, found := strings.Cut(rest, "/")
	if !found {
		return address, 0, "", errors.New("want ADDRESS/AT/OWNER")
	}
	if address, err = netip.ParseAddr(first); err != nil {
		return address, 0, "", err
	}
	at, err = strconv.ParseInt(when, 10, 64)
	return address, at, owner, err
}

// decodedVIPs returns where to put what services have.
func decodedVIPs(a *control.Allocations) *vips.Allocations {
	if a.VIPs == nil {
		a.VIPs = &vips.Allocations{Held: map[string]*vips.Held{}}
	}
	return a.VIPs
}
