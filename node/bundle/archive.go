package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"text/tabwriter"
	"time"
)

// manifest is the archive's first file.
const manifest = "MANIFEST.txt"

// odd is what does not belong into the name of a folder.
var odd = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// Name returns what a bundle of this machine is called: sluice-support-HOST-TIME.
func Name(now time.Time) string {
	host, err := os.Hostname()
	if host = odd.ReplaceAllString(host, "-"); err != nil || host == "" {
		host = "unknown"
	}
	return "sluice-support-" + host + "-" + now.UTC().Format("20060102T150405Z")
}

// archive writes the parts, and what they are. One that failed has, instead or beside,
// a file that says why.
func (c *collector) archive(w io.Writer, r *Report, files [][]byte) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	folder := Name(c.Now)
	add := func(name string, content []byte) error {
		err := t.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(folder, name), Mode: 0o600, Size: int64(len(content)),
			ModTime: c.Now.Truncate(time.Second), Format: tar.FormatPAX,
		})
		if err == nil {
			_, err = t.Write(content)
		}
		return err
	}
	if err := add(manifest, c.manifest(r)); err != nil {
		return err
	}
	for i, p := range r.Parts {
		if files[i] != nil {
			if err := add(p.File, files[i]); err != nil {
				return err
			}
		}
		if p.Err != nil && !r.unasked(p) {
			if err := add(p.File+".error", []byte(p.Err.Error()+"\n")); err != nil {
				return err
			}
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

// manifest tells what the files are.
func (c *collector) manifest(r *Report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Support bundle of Sluice, made at %s.\n\n", c.Now.UTC().Format(time.RFC3339))
	if r.Daemon != nil {
		fmt.Fprintf(&b, "ONLY WHAT THE MACHINE SAYS IS IN IT, not what the daemon does: %v.\n\n", c.scrub.text(r.Daemon.Error()))
	} else {
		fmt.Fprintf(&b, "The daemon on %s has answered.\n\n", c.API)
	}
	b.WriteString(`Taken out: values of Secrets, wherever they come up; what is named like a password,
token or key; annotations in which kubectl keeps objects; environments, commands and
arguments of Pods; private keys; frames over which a worker crashed, but for their headers.
`)
	if c.Sessions {
		b.WriteString("All live sessions are in it, as was asked for: with everybody's addresses.\n")
	} else {
		b.WriteString("Of the sessions, the summary has the addresses of the 20 largest.\n")
	}
	b.WriteString("It has names, addresses and routes of the network. Look at it before you hand it on.\n\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tWHAT")
	for _, p := range r.Parts {
		note := ""
		switch {
		case r.unasked(p):
			note = "; not asked for"
		case p.Err != nil && p.Size == 0:
			note = "; failed: see " + p.File + ".error"
		case p.Err != nil:
			note = "; in part: see " + p.File + ".error"
		case p.Size == 0:
			note = "; there is none"
		case p.Cut:
			note = "; cut at that length"
		}
		fmt.Fprintf(t, "%s\t%d\t%s%s\n", p.File, p.Size, p.What, note)
	}
	_ = t.Flush() // into memory
	return b.Bytes()
}
