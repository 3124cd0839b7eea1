package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/control"
)

// unit is what the service is called.
const unit = "sluice.service"

// serviceSources are what the service manager knows, and what the daemon would read if
// it were started.
func (c *collector) serviceSources() []source {
	list := []source{
		{"service/systemd.txt", "what systemd knows of " + unit, false, c.systemd},
		{"service/journal.txt", "what the journal has of it", false, c.journal},
	}
	for _, place := range c.Config {
		name := strings.Trim(odd.ReplaceAllString(place, "-"), "-")
		list = append(list,
			source{"files/" + name + ".json", "the configuration in " + place, false, func(context.Context) (any, error) { return documents(place) }},
			source{"files/" + name + ".faults.txt", "faults of it", false, func(context.Context) (any, error) { return faultsOf(place) }})
	}
	return list
}

// hasSystemd is sd_booted(3).
func (c *collector) hasSystemd() bool {
	_, err := fs.Stat(c.Root, "run/systemd/system")
	return err == nil
}

// systemd asks for properties that are about the service's life. Its environment is not
// among them.
func (c *collector) systemd(ctx context.Context) (any, error) {
	if !c.hasSystemd() {
		return nil, nil
	}
	return c.output(ctx, "systemctl", "show", unit, "--no-pager", "--property="+strings.Join([]string{
		"Id", "LoadState", "LoadError", "FragmentPath", "DropInPaths", "UnitFileState", "NeedDaemonReload",
		"ActiveState", "SubState", "Result", "StatusText", "StatusErrno", "MainPID", "ExecMainStatus", "ExecMainCode",
		"ExecMainStartTimestamp", "ExecMainExitTimestamp", "NRestarts", "ActiveEnterTimestamp", "InactiveEnterTimestamp",
		"WatchdogUSec", "WatchdogTimestamp", "MemoryCurrent", "MemoryPeak", "MemoryMax", "CPUUsageNSec", "TasksCurrent", "TasksMax",
		"LimitMEMLOCK", "LimitNOFILE", "CapabilityBoundingSet", "ExecStart",
	}, ","))
}

func (c *collector) journal(ctx context.Context) (any, error) {
	if !c.hasSystemd() {
		return nil, nil
	}
	return c.output(ctx, "journalctl", "--no-pager", "--unit="+unit, "--lines=5000", "--output=short-iso-precise")
}

// output runs a program. What it says wrong is in the error.
func (c *collector) output(ctx context.Context, name string, args ...string) (any, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, bad := limited{most: 4 * c.MostBytes}, limited{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = &out, &bad
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C.UTF-8"}
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w %s", name, err, bytes.TrimSpace(bad.b.Bytes()))
	}
	return out.content(), err
}

// documents are the objects in the files of a place. Comments are left out: who knows what
// is in them. What can't be read as YAML can't be searched for secrets, and so is not there.
func documents(place string) (any, error) {
	if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	type document struct {
		File   string `json:"file"`
		Object any    `json:"object"`
	}
	var list []document
	files, faults := control.ReadFiles([]string{place}, nil)
	for _, f := range files {
		decoder := yaml.NewDecoder(bytes.NewReader(f.Data))
		for {
			var object any
			err := decoder.Decode(&object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				faults = append(faults, control.Fault{File: f.Name, Message: "is no YAML, and left out from there on"})
				break
			}
			if object != nil {
				list = append(list, document{f.Name, object})
			}
		}
	}
	if len(faults) > 0 {
		return list, faults
	}
	return list, nil
}

// faultsOf are what a daemon would say if it were started with a place. They have no
// values of Secrets.
func faultsOf(place string) (any, error) {
	if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	objects, faults := control.Load([]string{place}, nil, control.Options{})
	if len(faults) == 0 {
		_, faults = control.Compile(control.Input{Objects: objects, Revision: 1})
	}
	if len(faults) == 0 {
		return "none\n", nil
	}
	return faults.Error() + "\n", nil
}
