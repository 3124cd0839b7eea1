package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Mod is what a go.mod file says, as far as this package asks.
type Mod struct {
	Path     string
	Tools    []string      // packages of the tool directives
	Requires []Requirement // in the file's order
}

// Requirement is one required module.
type Requirement struct {
	Path     string
	Indirect bool // marked so; go get leaves the mark on until go mod tidy
	Line     int
}

// readMod reads the part of go.mod's grammar that the go command itself
// writes: one directive a line, alone or in a parenthesised block.
func readMod(fsys fs.FS, name string) (Mod, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return Mod{}, err
	}
	var m Mod
	block := ""
	lines := bufio.NewScanner(bytes.NewReader(src))
	for n := 1; lines.Scan(); n++ {
		text, comment, _ := strings.Cut(lines.Text(), "//")
		words := strings.Fields(text)
		if block != "" {
			words = append([]string{block}, words...)
		}
		switch {
		case len(words) < 2:
		case words[1] == ")":
			block = ""
		case words[1] == "(":
			block = words[0]
		case words[0] == "module":
			m.Path = words[1]
		case words[0] == "tool":
			m.Tools = append(m.Tools, words[1])
		case words[0] == "require":
			indirect := strings.HasPrefix(strings.TrimSpace(comment), "indirect")
			m.Requires = append(m.Requires, Requirement{Path: words[1], Indirect: indirect, Line: n})
		}
	}
	if m.Path == "" {
		return m, fmt.Errorf("%s: no module directive", name)
	}
	return m, lines.Err()
}

// dependenciesFile explains each module that this one leans on.
const dependenciesFile = "docs/dependencies.md"

// sections of dependenciesFile, each with a table whose first column is a
// module path in backquotes.
const (
	inUse   = "In use"
	tools   = "Tools"
	planned = "Planned"
)

var (
	heading   = regexp.MustCompile(`^## (.+)$`)
	moduleRow = regexp.MustCompile("^\\| *`([^`]+)` *\\|")
)

// Dependencies compares the modules that the Go files of t import, those that
// go.mod and tools/go.mod require, and those that docs/dependencies.md explains.
func Dependencies(t *Tree, fsys fs.FS) ([]Fault, error) {
	mod, err := readMod(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	toolMod, err := readMod(fsys, "tools/go.mod")
	if err != nil {
		return nil, err
	}
	documented, err := readDocumented(fsys)
	if err != nil {
		return nil, err
	}

	var faults []Fault
	imported := importedModules(t, mod.Requires)
	var direct []string
	for _, r := range mod.Requires {
		if r.Indirect && imported[r.Path] {
			faults = append(faults, Fault{"go.mod", r.Line, r.Path + " is marked indirect and imported here: run go mod tidy"})
		}
		if r.Indirect && !imported[r.Path] {
			continue
		}
		direct = append(direct, r.Path)
		if _, found := documented[inUse][r.Path]; !found {
			faults = append(faults, Fault{"go.mod", r.Line, r.Path + " is not explained under \"" + inUse + "\" in " + dependenciesFile})
		}
	}
	for path, line := range documented[inUse] {
		if !slices.Contains(direct, path) {
			faults = append(faults, Fault{dependenciesFile, line, path + " is not required by go.mod: move it to \"" + planned + "\" or delete it"})
		}
	}
	for path, line := range documented[planned] {
		if slices.Contains(direct, path) {
			faults = append(faults, Fault{dependenciesFile, line, path + " is required by go.mod: it is planned no more"})
		}
	}
	return append(faults, toolFaults(toolMod, documented[tools])...), nil
}

// toolFaults compares tool directives, which name packages, with the modules documented.
func toolFaults(mod Mod, documented map[string]int) []Fault {
	var faults []Fault
	for _, tool := range mod.Tools {
		explained := false
		for path := range documented {
			explained = explained || under(tool, path)
		}
		if !explained {
			faults = append(faults, Fault{"tools/go.mod", 0, tool + " is not explained under \"" + tools + "\" in " + dependenciesFile})
		}
	}
	for path, line := range documented {
		if !slices.ContainsFunc(mod.Tools, func(tool string) bool { return under(tool, path) }) {
			faults = append(faults, Fault{dependenciesFile, line, path + " is no tool of tools/go.mod"})
		}
	}
	return faults
}

// importedModules returns which of the required modules the tree's files,
// tests included, import a package of.
func importedModules(t *Tree, requires []Requirement) map[string]bool {
	imported := map[string]bool{}
	for _, f := range t.Files {
		f.Imports(func(_ *ast.ImportSpec, importPath string) {
			longest := "" // modules nest: k8s.io/a and k8s.io/a/b may both be one
			for _, r := range requires {
				if under(importPath, r.Path) && len(r.Path) > len(longest) {
					longest = r.Path
				}
			}
			if longest != "" {
				imported[longest] = true
			}
		})
	}
	return imported
}

// readDocumented returns, for each section of dependenciesFile, the modules of
// its table and their lines.
func readDocumented(fsys fs.FS) (map[string]map[string]int, error) {
	src, err := fs.ReadFile(fsys, dependenciesFile)
	if err != nil {
		return nil, err
	}
	sections := map[string]map[string]int{inUse: {}, tools: {}, planned: {}}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(src))
	for n := 1; lines.Scan(); n++ {
		if m := heading.FindStringSubmatch(lines.Text()); m != nil {
			section = m[1]
		}
		if m := moduleRow.FindStringSubmatch(lines.Text()); m != nil && sections[section] != nil {
			sections[section][m[1]] = n
		}
	}
	return sections, lines.Err()
}
