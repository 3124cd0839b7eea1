// Command mkdeb makes a Debian package of a tree of files: what is below /etc is
// configuration, and all belongs to root.
//
//	mkdeb -root dist/root -scripts deploy/debian -version 1.2.3 -arch amd64 -out sluice.deb
//
// The same tree, version and SOURCE_DATE_EPOCH make the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

const description = `userspace virtual switch and edge data plane
Sluice switches and routes frames between ports of a node in user space:
containers, virtual machines, and the network outside. It takes Kubernetes
objects or its own, and needs neither a kernel module nor DPDK.
.
The package brings the daemon with its command line, a systemd unit, manual
pages, and completions of shells.`

func main() {
	root := flag.String("root", "", "the tree of files, as they are to be installed")
	scripts := flag.String("scripts", "", "folder of postinst, prerm and postrm")
	version := flag.String("version", "", "of the package, as Debian has versions")
	arch := flag.String("arch", "", "as Go names it: amd64")
	out := flag.String("out", "", "the package")
	flag.Parse()
	if err := run(*root, *scripts, *version, *arch, *out); err != nil {
		fmt.Fprintf(os.Stderr, "mkdeb: %v\n", err)
		os.Exit(1)
	}
}

func run(root, scripts, version, arch, out string) error {
	for name, value := range map[string]string{"root": root, "scripts": scripts, "version": version, "arch": arch, "out": out} {
		if value == "" {
			return fmt.Errorf("-%s is missing", name)
		}
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return errors.New("SOURCE_DATE_EPOCH: want the seconds since 1970 of the sources")
	}
	date := time.Unix(epoch, 0).UTC()
	contents, err := tree(root, date)
	if err != nil {
		return err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "sluice", Arch: arch, Platform: "linux", Version: version, VersionSchema: "none",
		Section: "net", Priority: "optional", Maintainer: "Sluice maintainers <maintainers@sluice.dev>",
		Description: description, Homepage: "https://github.com/sluice-net/sluice", License: "Apache-2.0",
		MTime: date,
		Overridables: nfpm.Overridables{
			// deb-systemd-helper and deb-systemd-invoke, for the scripts.
			Depends:  []string{"init-system-helpers (>= 1.54~)"},
			Suggests: []string{"iproute2", "bash-completion"},
			Contents: contents,
			Umask:    0o022,
			Scripts:  nfpm.Scripts{PostInstall: filepath.Join(scripts, "postinst"), PreRemove: filepath.Join(scripts, "prerm"), PostRemove: filepath.Join(scripts, "postrm")},
			Deb:      nfpm.Deb{Compression: "gzip"},
		},
	})
	if err := nfpm.Validate(info); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := errors.Join(deb.Default.Package(info, f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	return nil
}

// tree lists the files and folders below root; folders that Debian has anyway come
// with their parents' modes.
func tree(root string, date time.Time) (files.Contents, error) {
	var list files.Contents
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		destination := "/" + filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(path, root), "/"))
		c := &files.Content{
			Source: path, Destination: destination, Type: files.TypeFile,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: info.Mode().Perm(), MTime: date},
		}
		switch {
		case d.IsDir():
			c.Source, c.Type = "", files.TypeDir
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", path)
		case strings.HasPrefix(destination, "/etc/"):
			c.Type = files.TypeConfigNoReplace
		}
		list = append(list, c)
		return nil
	})
	return list, err
}
