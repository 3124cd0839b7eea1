package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the Makefile: -ldflags "-X main.version=…".
var version string

func newVersion() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print what was built, from what, and by which compiler",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := buildVersion()
			switch output {
			case "":
				_, err := fmt.Fprintf(c.OutOrStdout(), "sluice %s %s %s/%s\n", v.Version, v.Go, v.OS, v.Arch)
				return withStatus(exitFailure, err)
			case "json":
				return withStatus(exitFailure, json.NewEncoder(c.OutOrStdout()).Encode(v))
			}
			return withStatus(exitUsage, fmt.Errorf("-o %s: want json", output))
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for a line of text")
	return c
}

// versionInfo is what `version -o json` prints.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func buildVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, found := debug.ReadBuildInfo(); found {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}
