package control

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Load reads the objects of files, of directories (their *.yaml, *.yml and
// *.json files, in order of names, without their subdirectories) and, for "-",
// of stdin. Faults are those of all of them, also objects that two files hold;
// objects are returned only if there is none.
func Load(paths []string, stdin io.Reader, opt Options) ([]*Object, Faults) {
	var objects []*Object
	var faults Faults
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			faults = append(faults, readFault(path, err))
		}
		for _, file := range files {
			data, err := readFile(file, stdin)
			if err != nil {
				faults = append(faults, readFault(file, err))
				continue
			}
			more, wrong := decode(file, data, opt)
			objects = append(objects, more...)
			faults = append(faults, wrong...)
		}
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
