// Command demo makes the capture that `make demo` replays, and tells in words
// what the replay wrote.
//
//	demo capture FILE                      write the scenes' frames
//	demo configure CAPTURE                 write a configuration for any capture
//	demo topology CONFIG                   draw the switch
//	demo scenes CONFIG RESULTS             what became of each frame of the scenes
//	demo summary CONFIG RESULTS            tables about any replay
//
// CONFIG is what --config was, RESULTS the folder that --out was. The exit
// status is 1 if a scene went otherwise than it should, or something failed.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/sluice-net/sluice/control"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	p := &page{w: out, colours: onTerminal(os.Stdout)}
	err := run(p, os.Args[1:])
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// onTerminal reports whether colours are welcome: see no-color.org.
func onTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

var errUsage = errors.New("want capture FILE, configure CAPTURE, topology CONFIG, scenes CONFIG RESULTS, or summary CONFIG RESULTS")

func run(p *page, args []string) error {
	if len(args) == 2 && args[0] == "capture" {
		return writeCapture(args[1], scenes())
	}
	if len(args) == 2 && args[0] == "configure" {
		return writeConfiguration(p.w, args[1])
	}
	if len(args) < 2 {
		return errUsage
	}
	model, err := load(args[1])
	if err != nil {
		return err
	}
	if len(args) == 2 && args[0] == "topology" {
		drawTopology(p, model)
		return nil
	}
	if len(args) != 3 {
		return errUsage
	}
	r, err := readResults(args[2], model)
	if err != nil {
		return err
	}
	switch args[0] {
	case "scenes":
		return tellScenes(p, r, scenes())
	case "summary":
		tellSummary(p, r)
		return nil
	}
	return errUsage
}

// load reads a configuration as sluice replay does.
func load(path string) (*control.Model, error) {
	objects, faults := control.Load([]string{path}, os.Stdin, control.Options{})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	model, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	return model, faults.Err()
}
