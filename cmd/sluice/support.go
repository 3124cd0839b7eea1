package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/node/bundle"
)

// defaultConfig is where the service has its configuration.
const defaultConfig = "/etc/sluice"

func newSupportBundle() *cobra.Command {
	var (
		at   connection
		file string
		o    bundle.Options
	)
	cmd := &cobra.Command{
		Use:   "support-bundle [-o FILE.tar.gz]",
		Short: "Collect what somebody needs who is to find out what is wrong",
		Long: `Support-bundle writes one archive with what the daemon says (configuration, changes,
status, counters, its log), what the machine is (kernel, settings, devices, routes,
limits, the service's journal), and what doctor finds. MANIFEST.txt in it says what
each file is. There is a bundle also if the daemon is dead or does not answer; it then
has what the machine says and what the files of --config would do.

No secret is in it: values of Secrets are taken out wherever they come up, as is what is
named like a password, token or key. Names and addresses are in it: look at it before
you hand it on. What makes it needs root to see everything.`,
		Example: `  sluice support-bundle
  sluice support-bundle -o /tmp/sluice.tar.gz --sessions
  sluice support-bundle -o - | ssh elsewhere 'cat > sluice.tar.gz'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := at.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			o.Client, o.API, o.Version, o.Now = c, at.address, buildVersion(), time.Now()
			return writeBundle(cmd, o, cmp.Or(file, bundle.Name(o.Now)+".tar.gz"))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "output", "o", "", "the archive, which must not be there yet; - is standard output; default: sluice-support-HOST-TIME.tar.gz")
	f.BoolVar(&o.Sessions, "sessions", false, "have all live sessions in it, with everybody's addresses")
	f.StringArrayVar(&o.Config, "config", []string{defaultConfig}, "the daemon's configuration: a file or a folder; may be repeated")
	f.StringVar(&o.State, "state", defaultState, "the daemon's state folder; names and sizes of its files are in the bundle")
	f.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "how long it may take")
	at.addFlags(cmd)
	return cmd
}

// writeBundle writes a bundle to a file that nobody else may read, or to standard output.
func writeBundle(cmd *cobra.Command, o bundle.Options, name string) error {
	if o.Timeout <= 0 {
		return withStatus(exitUsage, fmt.Errorf("--timeout %v: want a time above 0", o.Timeout))
	}
	p := newProgress(cmd.ErrOrStderr())
	o.Progress = func(what string) { p.say("%s", what) }
	var report bundle.Report
	write := func(w io.Writer) (err error) {
		defer p.clear()
		report, err = bundle.Write(cmd.Context(), w, o)
		return err
	}
	var err error
	if name == "-" {
		err = write(cmd.OutOrStdout())
	} else {
		err = writeNew(name, write)
	}
	if errors.Is(err, fs.ErrExist) {
		return withStatus(exitUsage, fmt.Errorf("%s is there already: remove it, or name another file (-o)", name))
	}
	if err != nil {
		return runFailure(err)
	}
	for _, part := range report.Failed() {
		fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %s: %v\n", part.File, part.Err)
	}
	if report.Daemon != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %v; the bundle has what the machine says, no more\n", report.Daemon)
	}
	if name != "-" {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), name)
	}
	return withStatus(exitFailure, err)
}

// writeNew writes a file that was not there, not even as a link that somebody else has
// made, and that only its owner may read. Half of it is of no use, and removed.
func writeNew(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
