package packet

import (
	"encoding/json"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// standards reads the published test vectors of checksums and hashes.
func standards(t *testing.T, section string, into any) {
	t.Helper()
	b, err := os.ReadFile(sharedtest.Path(t, "vectors", "standards.json"))
	require.NoError(t, err)
	var sections map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(b, &sections))
	require.NoError(t, json.Unmarshal(sections[section], into))
}

// hexNumber parses 0x....
func hexNumber(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 0, 32)
	require.NoError(t, err)
	return uint32(n)
}

func addr(s string) Addr { return AddrFrom(netip.MustParseAddr(s)) }
