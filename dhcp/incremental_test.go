package dhcp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// TestIncrementalCompile makes random changes, one after the other. What is compiled
// from what was before must be what is compiled from nothing, and what a change does
// not concern must be the same thing.
func TestIncrementalCompile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := NewState(StateConfig{})
	c := &Config{GatewayMAC: gatewayMAC}
	shared := 0
	for i := range 2000 {
		next := randomChange(r, c)
		part, err := Compile(next, s)
		require.NoError(t, err)
		current := s.current
		s.current = nil
		whole, err := Compile(next, s)
		s.current = current
		require.NoError(t, err)
		require.Equal(t, whole.lans, part.lans, i)
		require.Equal(t, whole.advertised, part.advertised, i)
		for zone, l := range part.lans {
			if current != nil && current.lans[zone] == l {
				shared++
			}
		}
		if r.IntN(8) > 0 { // else it is not published
			s.Adopt(part)
			c = next
		}
	}
	require.Greater(t, shared, 4000, "most segments stay what they are")
}

// randomChange returns a configuration that differs a little, and leaves the other as it is.
func randomChange(r *rand.Rand, old *Config) *Config {
	c := *old
	c.Segments, c.Ports = slices.Clone(c.Segments), slices.Clone(c.Ports)
	network := func(n int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n), 0}), 24) }
	segment := func(zone packet.Zone) Segment {
		in := Segment{Name: fmt.Sprint("s", r.IntN(4)), Zone: zone, MTU: r.IntN(2) * 1400}
		if r.IntN(3) > 0 {
			p := network(int(zone))
			in.DHCP = &DHCP{Lease: time.Duration(1+r.IntN(2)) * time.Hour, Subnets: []Subnet{{Prefix: p, Server: p.Addr().Next()}}}
		}
		if r.IntN(3) > 0 {
			in.Advertisement = &Advertisement{Interval: time.Minute, Stateful: r.IntN(2) > 0, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}}
		}
		return in
	}
	port := func(number uint16) *Port {
		p := &Port{Number: number, MTU: r.IntN(2) * 1300, Zone: packet.Zone(1 + r.IntN(6))}
		for zone := range packet.Zone(7) {
			if r.IntN(3) == 0 {
				p.Zones = append(p.Zones, Attachment{Zone: zone, Tags: dataplane.Tags{Outer: uint16(r.IntN(2))}})
			}
		}
		for _, a := range []string{"10.0.1.9", "10.0.2.9", "2001:db8::9"} {
			p.Addresses = append(p.Addresses, Address{MAC: packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(2))}, IP: ip(a)})
		}
		return p
	}
	zone, number := packet.Zone(1+r.IntN(6)), uint16(1+r.IntN(20))
	switch r.IntN(8) {
	case 0, 1: // a segment comes, goes, or is another
		c.Segments = slices.DeleteFunc(c.Segments, func(s Segment) bool { return s.Zone == zone })
		if r.IntN(4) > 0 {
			c.Segments = append(c.Segments, segment(zone))
		}
	case 2: // a segment is written anew
		for i := range c.Segments {
			if in := &c.Segments[i]; in.DHCP != nil {
				own := *in.DHCP
				own.Subnets = slices.Clone(own.Subnets)
				in.DHCP = &own
			}
		}
	case 3:
		c.GatewayMAC[5] = byte(r.IntN(2))
	case 4:
		r.Shuffle(len(c.Segments), func(i, j int) { c.Segments[i], c.Segments[j] = c.Segments[j], c.Segments[i] })
	default: // a port does
		c.Ports = slices.DeleteFunc(c.Ports, func(p *Port) bool { return p.Number == number })
		if r.IntN(5) > 0 {
			c.Ports = append(c.Ports, port(number))
		}
	}
	return &c
}

// TestSegmentEqual: every field counts, also those that are to come.
func TestSegmentEqual(t *testing.T) {
	c := dualStack()
	s := &c.Segments[0]
	require.True(t, s.equal(&frozen(c).Segments[0]))
	for _, row := range []struct {
		name string
		part func(*Segment) any
	}{
		{"Segment", func(s *Segment) any { return s }},
		{"DHCP", func(s *Segment) any { return s.DHCP }},
		{"Advertisement", func(s *Segment) any { return s.Advertisement }},
	} {
		for i := range reflect.ValueOf(row.part(s)).Elem().NumField() {
			other := frozen(c).Segments[0]
			v := reflect.ValueOf(row.part(&other)).Elem()
			alter(v.Field(i))
			require.False(t, s.equal(&other), "%s.%s", row.name, v.Type().Field(i).Name)
			require.False(t, other.equal(s), "%s.%s", row.name, v.Type().Field(i).Name)
		}
	}
}

// TestPortEqual: every field counts here too.
func TestPortEqual(t *testing.T) {
	p := dualStack().Ports[0]
	for i := range reflect.TypeFor[Port]().NumField() {
		other := *p
		require.True(t, p.Equal(&other))
		v := reflect.ValueOf(&other).Elem()
		alter(v.Field(i))
		require.False(t, p.Equal(&other), v.Type().Field(i).Name)
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
	default:
		v.SetZero() // the others are not zero
	}
}
