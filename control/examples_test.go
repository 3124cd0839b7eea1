package control

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
)

// TestExamples holds every file of examples/ to what it tells its reader.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	require.NoError(t, err)
	say := map[string]func(*testing.T, *Model){
		"demo.yaml": func(t *testing.T, m *Model) {
			require.Equal(t, []string{"10.244.1.10 0a:58:0a:f4:01:0a", "fd00:244:1::10 0a:58:0a:f4:01:0a"}, addresses(port(t, m, "web/a")))
			require.Equal(t, "10.244.1.1", segment(t, m, "web").Subnets[0].Gateway.String())
			require.True(t, port(t, m, "web/b").Guard)
			require.Equal(t, 1400, port(t, m, "uplink").MTU)
		},
		"vlan-trunk.yaml": func(t *testing.T, m *Model) {
			require.Equal(t, []Attachment{{0, 0, 1}}, port(t, m, "desk").Attachments, "untagged frames only, of office")
			require.Equal(t, []Attachment{{10, 0, 1}, {20, 0, 2}}, port(t, m, "tower-switch").Attachments, "office and voice by their tags")
			require.Equal(t, []Attachment{{100, 30, 0}}, port(t, m, "provider").Attachments, "lab by both tags")
			require.Equal(t, -1, segment(t, m, "lab").Router)
		},
		"pods.yaml": func(t *testing.T, m *Model) {
			require.Equal(t, "10.100.0.0/26", segment(t, m, "shop").Subnets[0].Prefix.String())
			for _, name := range []string{"shop/front", "shop/cart", "shop-tests/probe"} {
				p := port(t, m, name)
				require.Equal(t, "shop", m.Segments[p.Segment].Name)
				require.True(t, segment(t, m, "shop").Subnets[0].Prefix.Contains(p.Addresses[0].IP), name)
			}
			require.Equal(t, []string{"10.200.0.40 0a:58:0a:c8:00:28"}, addresses(port(t, m, "storage/disk-0")))
		},
		"node.yaml": func(t *testing.T, m *Model) {
			require.EqualValues(t, "afpacket", port(t, m, "web/vm").Device.Type, "the hypervisor has the TAP's inner side")
			require.Equal(t, []string{"10.244.1.30 52:54:00:00:00:30"}, addresses(port(t, m, "web/vm")))
			require.EqualValues(t, "tap", port(t, m, "web/host").Device.Type)
			require.True(t, port(t, m, "web/host").Device.Persistent)
			require.Equal(t, "eth1", port(t, m, "uplink").Device.Name)
		},
		"load-balancing.yaml": func(t *testing.T, m *Model) {
			c := m.Services
			require.Len(t, c.Servers, 1)
			shop := c.Servers[0]
			require.Equal(t, "192.0.2.100", shop.Frontends[0].Address.String(), "the first of the pool")
			for i, port := range []uint16{8080, 8443} {
				members := shop.Frontends[i].Inside.Members
				require.Len(t, members, 2)
				require.Equal(t, port, members[0].Port)
				require.Equal(t, service.Draining, members[1].Admin)
				require.Equal(t, "10.244.1.12", shop.Frontends[i].Sorry.Members[0].Address.String())
			}
			var rules []string
			for _, r := range c.Rules {
				rules = append(rules, r.Name)
			}
			require.Equal(t, []string{"ssh", "partner", "outside"}, rules, "in order of priority")
			require.Len(t, c.Rules[2].Pool.Addresses, 4)
		},
		"overlapping.yaml": func(t *testing.T, m *Model) {
			red, blue := port(t, m, "red/app"), port(t, m, "blue/app")
			require.Equal(t, red.Addresses, blue.Addresses)
			require.NotEqual(t, m.Segments[red.Segment].Zone, m.Segments[blue.Segment].Zone)
		},
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			objects, faults := Load([]string{file}, nil, Options{})
			require.NoError(t, faults.Err())
			check := say[filepath.Base(file)]
			require.NotNil(t, check, "say here what the example shows")
			check(t, compile(t, Input{Objects: objects, Revision: 1}))
			delete(say, filepath.Base(file))
		})
	}
	require.Empty(t, say, "examples that are gone")
}
