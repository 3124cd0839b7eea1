package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lab"
)

func TestLabListsWhatThereIs(t *testing.T) {
	got := sluice(t, "lab", "list", "--dir", filepath.Join(t.TempDir(), "labs"))
	require.Equal(t, exitOK, got.status, got.err)
	all, err := lab.Shipped()
	require.NoError(t, err)
	for _, s := range all {
		require.Contains(t, got.out, s.Name)
		require.Contains(t, got.out, s.About)
	}
	require.NotContains(t, got.out, "LAB", "none is up")
}

// TestLabRefusals are of what is found out before anything is made, so that
// they need no rights.
func TestLabRefusals(t *testing.T) {
	dir := t.TempDir()
	labs := filepath.Join(dir, "labs")
	faulty := write(t, dir, "faulty.yaml", "name: x\nabout: y\npods: [{nam: a}]\nsteps: [{in: a}]\n")
	good := write(t, dir, "good.yaml", "name: x\nabout: y\n")
	for _, row := range []struct {
		why    string
		args   []string
		status int
		want   string
	}{
		{"All faults of a file are listed, with their places.", []string{"run", faulty}, exitConfig, faulty + ":3:9: pods[0]: unknown field \"nam\""},
		{"A fault in one file keeps the others from being played.", []string{"run", good, faulty}, exitConfig, "faults in the configuration: 2"},
		{"A name that is none is answered with those that are.", []string{"run", "tow-namespaces"}, exitInput, "those are afxdp-pair,"},
		{"A file that is not there.", []string{"run", "./nothing.yaml"}, exitInput, "no such file"},
		{"Something has to be played.", []string{"run"}, exitUsage, "requires at least 1 arg"},
		{"One topology can be left up at a time.", []string{"up", good, good}, exitUsage, "accepts 1 arg"},
		{"An output that is none.", []string{"run", "-o", "xml", good}, exitUsage, "-o xml: want text or json"},
		{"Nothing is up that could be ended.", []string{"down", "--dir", labs}, exitFailure, "no lab is up"},
	} {
		t.Run(row.why, func(t *testing.T) {
			got := sluice(t, append([]string{"lab"}, row.args...)...)
			require.Equal(t, row.status, got.status, got.err)
			require.Contains(t, got.err, row.want)
		})
	}
}
