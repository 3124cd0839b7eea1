// Command ports measures real ports beside what the kernel does itself: two
// pods, each a network namespace, joined by a veth pair alone, by a Linux bridge, and
// by Sluice over packet sockets, TAPs and AF_XDP.
//
//	ports -sluice FILE [-rounds N] [-seconds S] [-only WAY,...] [-measure WHAT,...]
//
// Measured are streams, request and response, and frames of 64 bytes; and of the
// daemon by itself how soon it forwards, what memory it has and what it costs when idle.
//
// All are set up at the same time and measured in turns, because machines are
// shared and change their mood. Besides the time that passes, CPU time is
// counted: that of the whole machine, and of the daemon. Results are Markdown on stdout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ports:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) >= 3 {
		switch args[0] { // an end of a measurement, in a pod
		case "rr-server":
			return serveRequests(args[1], args[2])
		case "rr-client":
			return sendRequests(args[1], args[2], args[3])
		case "udp-server":
			return countDatagrams(args[1], args[2])
		case "udp-client":
			return sendDatagrams(args[1], args[2])
		}
	}
	flags := flag.NewFlagSet("ports", flag.ContinueOnError)
	sluice := flags.String("sluice", "bin/sluice", "the binary to measure")
	rounds := flags.Int("rounds", 5, "interleaved rounds; medians are shown")
	seconds := flags.Int("seconds", 2, "seconds of each measurement")
	only := flags.String("only", "", "names of the ways to measure, separated by commas; all if empty")
	what := flags.String("measure", "", "streams, requests, frames, separated by commas; these and the daemon by itself if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	b := &bed{prefix: fmt.Sprintf("slb%d", os.Getpid()%100000), sluice: *sluice, duration: time.Duration(*seconds) * time.Second}
	defer func() { err = errors.Join(err, b.close()) }()
	ways := allWays()
	if *only != "" {
		ways = choose(ways, strings.Split(*only, ","))
	}
	var names []string
	if *what != "" {
		names = strings.Split(*what, ",")
	}
	for _, w := range ways {
		if err := b.build(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	results := newResults()
	for round := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, *rounds)
		for _, w := range ways {
			if err := b.measure(ctx, w, names, results); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	results.print(os.Stdout, ways, *rounds, *seconds)
	judged := results.judge()
	if *only == "" && *what == "" {
		fmt.Fprintln(os.Stderr, "the daemon by itself")
		f, err := b.measureDaemon(ctx, *rounds)
		if err != nil {
			return err
		}
		f.print(os.Stdout)
		judged = append(judged, f.judge()...)
	}
	printGoals(os.Stdout, judged)
	return nil
}
