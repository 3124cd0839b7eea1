package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control"
)

// manifests are the files that -f names.
type manifests struct {
	paths     []string
	recursive bool
}

// addFlags adds -f and -R.
func (m *manifests) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&m.paths, "filename", "f", nil, "a file, a folder, or - for standard input; may be repeated")
	f.BoolVarP(&m.recursive, "recursive", "R", false, "folders with their folders")
	completeFlag(cmd, "filename", completeFiles)
}

// read reads the files. What can't be read is a fault.
func (m *manifests) read(cmd *cobra.Command) ([]control.File, error) {
	paths := m.paths
	if m.recursive {
		paths = nil
		for _, path := range m.paths {
			below, err := folders(path)
			if err != nil {
				return nil, withStatus(exitConfig, control.Faults{{File: path, Message: err.Error()}})
			}
			paths = append(paths, below...)
		}
	}
	files, faults := control.ReadFiles(paths, cmd.InOrStdin())
	return files, withStatus(exitConfig, faults.Err())
}

// folders lists a folder with all folders below that have something to read, but hidden ones; or
// the path itself if it is something else.
func folders(path string) ([]string, error) {
	if info, err := os.Stat(path); path == "-" || err != nil || !info.IsDir() {
		return []string{path}, nil // reading it says what is wrong
	}
	var list []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != path && d.Name()[0] == '.':
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if dir := filepath.Dir(p); isManifest(d.Name()) && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
		return nil
	})
	if err == nil && len(list) == 0 {
		err = errors.New("the folder and those below have no *.yaml, *.yml or *.json file")
	}
	slices.Sort(list)
	return list, err
}

// isManifest reports whether control.ReadFiles takes a folder's file of that name.
func isManifest(name string) bool {
	ext := filepath.Ext(name)
	return name[0] != '.' && (ext == ".yaml" || ext == ".yml" || ext == ".json")
}
