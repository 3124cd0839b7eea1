package packet

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// standards reads the published test vectors of checksums and hashes.
func standards(t *testing.T, section string, into any) {
	t.Helper()
	dir := os.Getenv("SLUICE_SHARED")
	if dir == "" {
		dir = "../../shared"
	}
	b, err := os.ReadFile(filepath.Join(dir, "vectors", "standards.json"))
	if err != nil {
		t.Skipf("no vectors: set SLUICE_SHARED: %v", err)
	}
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
