package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node/dfwlog"
	"github.com/sluice-net/sluice/packet"
)

// Lines are written until the end, also what the node's end leaves, and the newest can be asked for.
func TestFirewallLog(t *testing.T) {
	section := &policy.Section{Title: "web", Rules: []policy.Rule{{ID: 1000, Logged: true}, {ID: 1001, Logged: true}}}
	log := firewall.NewLog(firewall.LogConfig{Workers: 1})
	path := filepath.Join(t.TempDir(), "firewall.log")
	file, err := export.OpenRotated(path, export.RotateConfig{})
	require.NoError(t, err)
	l := &firewallLog{file: file, writer: dfwlog.New(dfwlog.Config{
		Log: log, Out: file, Keep: keptLines, WallClock: func(now int64) int64 { return now },
		Port: func(number uint16) string { return fmt.Sprintf("shop/web-%d", number) },
	})}
	note := func(rule int, port uint16, now int64) {
		frame, err := frametext.Parse("udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
		require.NoError(t, err)
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(frame, &in))
		log.Packet(0, section, &section.Rules[rule], port, policy.In, packet.PolicyDenied, &in, frame, now)
	}
	note(0, 1, 1e9)
	note(1, 1, 2e9)
	note(1, 2, 3e9)
	done := make(chan struct{})
	close(done)
	l.run(done)
	numbers := func(f api.FirewallLogFilter) (list []uint64) {
		for _, x := range l.FirewallLines(&f) {
			require.Contains(t, x.Line, fmt.Sprintf("/%d IN ", x.Rule))
			require.NotContains(t, x.Line, "\n")
			list = append(list, x.Number)
		}
		return list
	}
	require.Equal(t, []uint64{1, 2, 3}, numbers(api.FirewallLogFilter{Lines: 10}))
	require.Equal(t, []uint64{2, 3}, numbers(api.FirewallLogFilter{Lines: 2}))
	require.Equal(t, []uint64{1, 2}, numbers(api.FirewallLogFilter{Lines: 2, Port: "shop/web-1"}))
	require.Equal(t, []uint64{3}, numbers(api.FirewallLogFilter{Lines: 1, Rule: 1001}))
	require.Equal(t, []uint64{3}, numbers(api.FirewallLogFilter{Lines: 10, After: 2}))
	require.Empty(t, numbers(api.FirewallLogFilter{Lines: 10, After: 3}))
	require.Empty(t, numbers(api.FirewallLogFilter{}))

	note(0, 2, 4e9)
	require.NoError(t, l.close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 4, strings.Count(string(text), "\n"))
	require.NoError(t, (*firewallLog)(nil).close(), "a daemon whose start failed has none")
}
