// Package afxdptest gives tests a generator and a sink of package framegen that
// go with the test, and skips where the kernel has none.
package afxdptest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev/framegen"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// NewGenerator is framegen.NewGenerator; it is closed when the test ends.
func NewGenerator(t testing.TB, ns *netnstest.NS, device string, frame []byte, flows int) *framegen.Generator {
	t.Helper()
	g, err := framegen.NewGenerator(ns.Name, device, frame, flows)
	need(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// NewSink is framegen.NewSink in the driver; it is closed when the test ends.
func NewSink(t testing.TB, ns *netnstest.NS, device string) *framegen.Sink {
	t.Helper()
	s, err := framegen.NewSink(ns.Name, device, framegen.InDriver)
	need(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func need(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
}
