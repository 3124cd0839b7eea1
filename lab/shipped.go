package lab

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

//go:embed scenarios/*.yaml
var shippedFiles embed.FS

// Shipped lists the scenarios that come with the binary, by name.
func Shipped() ([]*Scenario, error) {
	files, err := fs.Glob(shippedFiles, "scenarios/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	for _, file := range files {
		data, err := shippedFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, faults := Decode(file, data)
		if err := faults.Err(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// read returns the bytes of a scenario, and the name of its file. A name
// without a slash and a dot is that of a scenario that comes with sluice.
func read(name string) (data []byte, file string, err error) {
	if strings.ContainsAny(name, "/.") {
		data, err = os.ReadFile(name)
		return data, name, err
	}
	file = "scenarios/" + name + ".yaml"
	if data, err = shippedFiles.ReadFile(file); err == nil {
		return data, file, nil
	}
	files, _ := fs.Glob(shippedFiles, "scenarios/*.yaml")
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return nil, name, fmt.Errorf("no scenario that comes with sluice is called %s: those are %s; write ./%s for a file", name, strings.Join(files, ", "), name)
}
