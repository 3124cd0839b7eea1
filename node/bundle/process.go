package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// processSources are what the daemon's process is, as the kernel sees it.
func (c *collector) processSources() []source {
	return []source{
		{"process/process.txt", "the daemon's process: memory, rights, limits", false, c.process},
		{"process/threads.txt", "its threads: state, processor time, where they run", false, c.threads},
		{"process/cgroup.txt", "limits of its control groups", false, c.cgroups},
		{"state.txt", "files of the state folder: names and sizes", false, c.stateFiles},
	}
}

// proc returns a file of the daemon's process. Nothing is known of one that nobody answers for.
func (c *collector) proc(name string) string { return fmt.Sprintf("proc/%d/%s", c.pid, name) }

func (c *collector) process(context.Context) (any, error) {
	if c.pid == 0 {
		return nil, nil
	}
	content, err := c.files(c.proc("status"), c.proc("limits"), c.proc("sched"), c.proc("oom_score_adj"), c.proc("io"))
	text, _ := content.(string)
	arguments, e := c.read(c.proc("cmdline"))
	text = fmt.Sprintf("command: %s\n%s", strings.ReplaceAll(strings.TrimRight(arguments, "\x00"), "\x00", " "), text)
	open, e2 := fs.ReadDir(c.Root, c.proc("fd"))
	return text + fmt.Sprintf("open files: %d\n", len(open)), errors.Join(err, e, e2)
}

// threads has a line of stat for each: fields 3, 14, 15 and 39 are what matters
// (proc_pid_stat(5)), the others come with it.
func (c *collector) threads(context.Context) (any, error) {
	if c.pid == 0 {
		return nil, nil
	}
	tasks, err := fs.ReadDir(c.Root, c.proc("task"))
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("/proc/PID/task/*/stat, then what each waits for\n")
	for _, t := range tasks {
		stat, err := c.read(c.proc(path.Join("task", t.Name(), "stat")))
		if err != nil {
			continue // it has ended
		}
		waits, err := c.read(c.proc(path.Join("task", t.Name(), "wchan")))
		if err != nil {
			waits = "?"
		}
		fmt.Fprintf(&b, "%s %s\n", strings.TrimSpace(stat), waits)
	}
	return b.String(), nil
}

// groupLimits are files of control groups, of version 2 and of version 1.
var groupLimits = []string{
	"cpu.max", "cpu.weight", "cpu.stat", "cpuset.cpus.effective", "memory.max", "memory.high", "memory.current",
	"memory.events", "memory.swap.max", "pids.max", "pids.current", "io.max",
	"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.effective_cpus", "memory.limit_in_bytes", "memory.usage_in_bytes",
}

// cgroups are the limits of the daemon's groups, from its own up to the root.
func (c *collector) cgroups(context.Context) (any, error) {
	name := "proc/self/cgroup"
	if c.pid != 0 {
		name = c.proc("cgroup")
	}
	text, err := c.read(name)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "== /%s\n%s\n", name, text)
	for line := range strings.Lines(text) {
		// N:CONTROLLERS:PATH (cgroups(7)); of version 2, 0::PATH.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for group := parts[2]; ; group = path.Dir(group) {
			for _, limit := range groupLimits {
				if err := c.appendFile(&b, path.Join("sys/fs/cgroup", parts[1], group, limit)); err != nil {
					return b.String(), err
				}
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return b.String(), nil
}

// stateFiles are the files of the state folder. What is in them is nobody's business:
// Secrets are.
func (c *collector) stateFiles(context.Context) (any, error) {
	if c.State == "" {
		return nil, nil
	}
	var b strings.Builder
	err := fs.WalkDir(c.Root, strings.TrimPrefix(path.Clean(c.State), "/"), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // it has gone meanwhile
		}
		fmt.Fprintf(&b, "%s %10d %s /%s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), name)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return some(&b), err
}

// some is what was collected; nil if nothing was.
func some(b *strings.Builder) any {
	if b.Len() == 0 {
		return nil
	}
	return b.String()
}
