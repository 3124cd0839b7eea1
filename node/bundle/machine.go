package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFile is how much of a file of the kernel is read, bytes.
const maxFile = 1 << 20

// machineSources are what the machine is.
func (c *collector) machineSources() []source {
	files := func(name, what string, patterns ...string) source {
		return source{"machine/" + name, what, false, func(context.Context) (any, error) { return c.files(patterns...) }}
	}
	return []source{
		{"doctor.json", "what sluice doctor finds", false, c.doctor},
		{"machine/kernel.txt", "the kernel", false, func(context.Context) (any, error) { return c.kernel() }},
		{"machine/cpu.txt", "the processors", false, func(context.Context) (any, error) { return c.processors() }},
		files("memory.txt", "memory and huge pages", "proc/meminfo", "proc/pressure/*",
			"sys/kernel/mm/transparent_hugepage/enabled", "sys/kernel/mm/transparent_hugepage/defrag",
			"sys/kernel/mm/hugepages/*/nr_hugepages", "sys/kernel/mm/hugepages/*/free_hugepages"),
		files("modules.txt", "modules of the kernel", "proc/modules"),
		files("interrupts.txt", "interrupts, and what the kernel's network stack has done by processor",
			"proc/softirqs", "proc/net/softnet_stat", "proc/interrupts"),
		files("sysctls.txt", "settings of the kernel", sysctls...),
		{"machine/network.json", "devices, addresses, routes and rules of the network namespaces that are used", false, c.network},
	}
}

// sysctls are the settings that bear on what a switch does.
var sysctls = []string{
	"proc/sys/kernel/unprivileged_bpf_disabled", "proc/sys/kernel/sched_rt_runtime_us", "proc/sys/kernel/pid_max",
	"proc/sys/kernel/randomize_va_space", "proc/sys/kernel/threads-max",
	"proc/sys/vm/nr_hugepages", "proc/sys/vm/overcommit_memory", "proc/sys/vm/max_map_count", "proc/sys/vm/swappiness",
	"proc/sys/fs/file-max", "proc/sys/fs/inotify/*",
	"proc/sys/net/core/rmem_*", "proc/sys/net/core/wmem_*", "proc/sys/net/core/optmem_max",
	"proc/sys/net/core/netdev_budget*", "proc/sys/net/core/netdev_max_backlog", "proc/sys/net/core/dev_weight*", "proc/sys/net/core/bpf_jit_*", "proc/sys/net/core/busy_*",
	"proc/sys/net/bridge/*", "proc/sys/net/netfilter/nf_conntrack_max", "proc/sys/net/netfilter/nf_conntrack_count",
	"proc/sys/net/ipv4/ip_forward", "proc/sys/net/ipv4/conf/*/rp_filter", "proc/sys/net/ipv4/conf/*/forwarding",
	"proc/sys/net/ipv4/conf/*/proxy_arp", "proc/sys/net/ipv6/conf/*/disable_ipv6", "proc/sys/net/ipv6/conf/*/forwarding",
	"proc/sys/net/ipv6/conf/*/accept_ra",
}

// files returns the contents of files, each below its name. Those that are not there
// are passed over.
func (c *collector) files(patterns ...string) (any, error) {
	var b strings.Builder
	var errs []error
	for _, pattern := range patterns {
		names, err := fs.Glob(c.Root, pattern)
		errs = append(errs, err)
		for _, name := range names {
			errs = append(errs, c.appendFile(&b, name))
		}
	}
	return some(&b), errors.Join(errs...)
}

// appendFile appends a file: in one line if it has but one.
func (c *collector) appendFile(b *strings.Builder, name string) error {
	text, err := c.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	text = strings.TrimRight(text, "\n")
	if strings.Contains(text, "\n") {
		fmt.Fprintf(b, "== /%s\n%s\n\n", name, text)
	} else {
		fmt.Fprintf(b, "/%s: %s\n", name, text)
	}
	return nil
}

// read returns a file's text, at most maxFile of it.
func (c *collector) read(name string) (string, error) {
	f, err := c.Root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 0, 4096)
	for len(b) < maxFile {
		b = append(b, make([]byte, 4096)...)
		n, err := f.Read(b[len(b)-4096:])
		b = b[:len(b)-4096+n]
		if n == 0 || err != nil {
			break // files of /proc end, or say that they can't be read: it is all there is
		}
	}
	return string(b), nil
}

func (c *collector) kernel() (any, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	var b strings.Builder
	for _, field := range [][65]byte{u.Sysname, u.Nodename, u.Release, u.Version, u.Machine} {
		b.WriteString(unix.ByteSliceToString(field[:]) + " ")
	}
	b.WriteString("\n")
	rest, err := c.files("proc/cmdline", "proc/uptime", "proc/loadavg", "etc/os-release",
		"sys/devices/system/clocksource/clocksource0/current_clocksource", "sys/kernel/security/lsm", "sys/kernel/security/lockdown")
	text, _ := rest.(string)
	return b.String() + text, err
}

// processors are how many there are, and what the first one is: all others are alike.
func (c *collector) processors() (any, error) {
	text, err := c.read("proc/cpuinfo")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(text, "\n\n")
	rest, err := c.files("sys/devices/system/cpu/online", "sys/devices/system/cpu/isolated", "sys/devices/system/cpu/smt/active",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "sys/devices/system/cpu/cpuidle/current_driver",
		"sys/devices/system/cpu/vulnerabilities/*", "sys/devices/system/node/online")
	more, _ := rest.(string)
	return fmt.Sprintf("processors: %d; the first:\n%s\n\n%s", strings.Count(text, "\nprocessor")+min(1, len(text)), first, more), err
}
