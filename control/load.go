package control

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a file's content under the name that faults give it.
type File struct {
	Name string
	Data []byte
}

// ReadFiles reads files, the *.yaml, *.yml and *.json files of directories, in order of
// names, without their subdirectories, and, for "-", stdin. Faults are those of all
// of them, beside the files that can be read.
func ReadFiles(paths []string, stdin io.Reader) ([]File, Faults) {
	var all []File
	var faults Faults
	for _, path := range paths {
		names, err := filesOf(path)
		if err != nil {
			faults = append(faults, readFault(path, err))
		}
		for _, name := range names {
			data, err := readFile(name, stdin)
			if err != nil {
				faults = append(faults, readFault(name, err))
				continue
			}
			all = append(all, File{name, data})
		}
	}
	return all, faults
}

// DecodeFiles reads the objects of files, as Decode does. Faults are those of all of them,
// also objects that are there twice; objects are returned only if there is none.
func DecodeFiles(files []File, opt Options) ([]*Object, Faults) {
	return decodeFiles(files, nil, opt)
}

// Load is ReadFiles and DecodeFiles.
func Load(paths []string, stdin io.Reader, opt Options) ([]*Object, Faults) {
	files, faults := ReadFiles(paths, stdin)
	return decodeFiles(files, faults, opt)
}

// decodeFiles adds to the faults that reading had.
func decodeFiles(files []File, faults Faults, opt Options) ([]*Object, Faults) {
	var objects []*Object
	for _, f := range files {
		more, wrong := decode(f.Name, f.Data, opt)
		objects = append(objects, more...)
		faults = append(faults, wrong...)
	}
	return finish(objects, faults)
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// filesOf lists the files that a path stands for.
func filesOf(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, nil // reading it says what is wrong
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".yaml", ".yml", ".json":
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, errors.New("the directory has no *.yaml, *.yml or *.json file")
	}
	return files, nil
}

func readFault(file string, err error) Fault {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the name is in File
	}
	return Fault{File: file, Message: err.Error()}
}
