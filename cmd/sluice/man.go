package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/internal/manpage"
)

// newGen makes what packages are built with: it is nothing to users.
func newGen() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "gen",
		Short:  "Write files that come with the program",
		Hidden: true,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "man DIR",
			Short: "Write the manual pages",
			Long:  `Man writes a page for each command. Their date is SOURCE_DATE_EPOCH, if that is set, else today.`,
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"), time.Now())
				if err != nil {
					return withStatus(exitUsage, err)
				}
				return withStatus(exitFailure, writeManual(cmd.Root(), args[0], date))
			},
		},
		&cobra.Command{
			Use:   "completion DIR",
			Short: "Write the completions of shells",
			Long:  `Completion writes DIR/bash/sluice, DIR/zsh/_sluice and DIR/fish/sluice.fish.`,
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return withStatus(exitFailure, writeCompletions(cmd.Root(), args[0]))
			},
		})
	return cmd
}

// sourceDate reads SOURCE_DATE_EPOCH: seconds, reproducible-builds.org/specs/source-date-epoch.
func sourceDate(epoch string, now time.Time) (time.Time, error) {
	if epoch == "" {
		return now, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return now, fmt.Errorf("SOURCE_DATE_EPOCH is %q: want seconds since 1970, or unset it", epoch)
	}
	return time.Unix(seconds, 0), nil
}

// exitLine matches a line of exitHelp.
var exitLine = regexp.MustCompile(`(?m)^ +(\d+)  (.+)$`)

// manualOptions are what pages say that help does not.
func manualOptions(date time.Time) manpage.Options {
	o := manpage.Options{
		Date: date, Version: buildVersion().Version, Manual: "Sluice Manual",
		SeeAlso: []string{"https://github.com/sluice-net/sluice/tree/main/docs"},
	}
	for _, m := range exitLine.FindAllStringSubmatch(exitHelp, -1) {
		o.Exit = append(o.Exit, manpage.Item{Term: m[1], Text: m[2]})
	}
	environment := manpage.Section{Title: "ENVIRONMENT", Items: []manpage.Item{
		{Term: "SLUICE_API", Text: "where the daemon answers, for all commands that ask it, unless --api says"},
		{Term: "NO_COLOR", Text: "no colors, if it is not empty"},
	}}
	service := []manpage.Section{
		{Title: "SIGNALS", Items: []manpage.Item{
			{Term: "SIGHUP", Text: "read the files of the configuration again"},
			{Term: "SIGTERM, SIGINT", Text: "end in order; the second ends at once"},
		}},
		{Title: "FILES", Items: []manpage.Item{
			{Term: defaultConfig, Text: "configuration of the service"},
			{Term: defaultState, Text: "state: what has to survive the daemon"},
			{Term: api.DefaultAPI, Text: "the socket of the API"},
		}},
		{Title: "ENVIRONMENT", Items: []manpage.Item{
			{Term: "STATE_DIRECTORY", Text: "the state folder, unless --state names one; of systemd"},
			{Term: "NOTIFY_SOCKET, WATCHDOG_USEC", Text: "where the service manager wants to be told how the daemon does"},
			{Term: "GOGC, GOMEMLIMIT, GOMAXPROCS", Text: "settings of the Go runtime, in place of the daemon's own"},
		}},
	}
	o.More = map[string][]manpage.Section{"sluice": {environment}, "sluice run": service}
	return o
}

// writeManual writes the pages of all commands.
func writeManual(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	o := manualOptions(date)
	for _, c := range manpage.Commands(root) {
		var b bytes.Buffer
		if err := manpage.Write(&b, c, o); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, manpage.File(c)), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeCompletions writes a file for each shell, by the name that it looks for.
func writeCompletions(root *cobra.Command, dir string) error {
	for _, shell := range []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"bash/sluice", func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) }},
		{"zsh/_sluice", func(b *bytes.Buffer) error { return root.GenZshCompletion(b) }},
		{"fish/sluice.fish", func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) }},
	} {
		var b bytes.Buffer
		if err := shell.write(&b); err != nil {
			return err
		}
		path := filepath.Join(dir, shell.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
