package main

import (
	"github.com/spf13/cobra"
)

// flowTable is the table of sessions as flows; see resources.
const flowTable = "flows"

func newFlows() *cobra.Command {
	return newSessionList(flowTable, `Flows are the live sessions of a node, a line each: who asked for what, which service
took it, who was chosen and why, how packets leave (the translated tuple), and how
many there were both ways. The word list may be left away.`, `  sluice flows list --vip 172.30.158.1
  sluice flows --service demo/web --follow
  sluice flows --member demo/web-1 -o wide
  sluice flows --port demo/client --protocol tcp -o json`)
}

func newSessions() *cobra.Command {
	return newSessionList("sessions", `Sessions are the connections that a node keeps track of. It is what sluice get sessions
shows. The word list may be left away.`, `  sluice sessions --state established
  sluice sessions list --port demo/web-1 --follow`)
}

// newSessionList is a command that lists sessions in a table of its own.
func newSessionList(table, long, example string) *cobra.Command {
	build := func(use string) *cobra.Command {
		o := getOptions{table: table}
		cmd := &cobra.Command{
			Use: use, Short: "List the live " + table + " of a running node", Long: long, Example: example, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, []string{"sessions"}) },
		}
		o.conn.addFlags(cmd)
		o.addSessionFilters(cmd)
		f := cmd.Flags()
		f.StringVarP(&o.output, "output", "o", formTable, "table, wide, json, yaml, jsonpath=TEMPLATE or custom-columns=HEADER:FIELD,…")
		f.BoolVarP(&o.watch, "follow", "f", false, "go on, and print what is new or changes")
		f.BoolVar(&o.noHeaders, "no-headers", false, "tables without their first line")
		f.StringVar(&o.sortBy, "sort-by", "", "order by a field, as .original.bytes")
		f.IntVar(&o.filter.Limit, "limit", 0, "so many at most; 0 is all")
		completeWords(cmd, "output", formTable, formWide, formJSON, formYAML, formJSONPath+"=", formColumns+"=")
		return cmd
	}
	cmd := build(table)
	cmd.AddCommand(build("list"))
	return cmd
}
