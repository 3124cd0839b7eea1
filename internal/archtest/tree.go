// Package archtest holds the rules that this repository keeps about itself:
// who may import whom, what a file may look like, which modules it leans on.
//
// The rules are data (see Layout, Ambient); the functions that check them take
// a tree and return the faults they find, all of them at once. Sources are
// parsed, not built and not listed by the go command, so that the tests run
// anywhere the sources are and see files of every platform and build tag.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the Go source of one module.
type Tree struct {
	Module string  // module path, from go.mod
	Files  []*File // in the order of their paths

	fset *token.FileSet
}

// File is a Go source file of a Tree.
type File struct {
	Path   string // slash-separated, from the module's root
	Dir    string // of the package, from the module's root; "." for the root
	Source []byte
	AST    *ast.File
}

// Fault is one place where a rule is broken.
type Fault struct {
	File string // path from the module's root
	Line int    // 0 if the fault is the whole file's or the package's
	Why  string
}

// String returns "file:line: why", the form that editors follow.
func (f Fault) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Why
	}
	return f.File + ":" + strconv.Itoa(f.Line) + ": " + f.Why
}

// Read parses every Go file of the module whose root is fsys. It leaves out
// what the go command leaves out: testdata, vendor, names that start with a
// dot or an underscore, and modules nested in this one.
func Read(fsys fs.FS) (*Tree, error) {
	mod, err := readMod(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	t := &Tree{Module: mod.Path, fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(fsys, name):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || hidden(path.Base(name)):
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		t.Files = append(t.Files, &File{Path: name, Dir: path.Dir(name), Source: src, AST: parsed})
		return nil
	})
	return t, err
}

func skipped(fsys fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	if hidden(base) || base == "testdata" || base == "vendor" {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func hidden(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

// IsTest reports whether the file is compiled for tests only.
func (f *File) IsTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Generated reports whether the name says that a program wrote the file.
func (f *File) Generated() bool {
	return strings.HasSuffix(f.Path, "_gen.go") || strings.HasSuffix(f.Path, "_string.go")
}

// Imports calls yield for each import of the file.
func (f *File) Imports(yield func(spec *ast.ImportSpec, importPath string)) {
	for _, spec := range f.AST.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value) // the parser has accepted it
		yield(spec, importPath)
	}
}

// localName returns the name by which the file refers to the package that it
// imports by importPath, or "" if it does not import it under a name.
func (f *File) localName(importPath string) string {
	name := ""
	f.Imports(func(spec *ast.ImportSpec, p string) {
		switch {
		case p != importPath:
		case spec.Name != nil:
			name = spec.Name.Name
		default:
			name = defaultName(p)
		}
	})
	return name
}

// defaultName is the last element of an import path that is no version.
func defaultName(importPath string) string {
	base := path.Base(importPath)
	if v, ok := strings.CutPrefix(base, "v"); ok {
		if _, err := strconv.Atoi(v); err == nil {
			return path.Base(path.Dir(importPath))
		}
	}
	return base
}

func (t *Tree) fault(f *File, pos token.Pos, format string, args ...any) Fault {
	return Fault{File: f.Path, Line: t.fset.Position(pos).Line, Why: fmt.Sprintf(format, args...)}
}

// dirs returns the directories that hold Go files, sorted, each with its files.
func (t *Tree) dirs(yield func(dir string, files []*File)) {
	byDir := map[string][]*File{}
	for _, f := range t.Files {
		byDir[f.Dir] = append(byDir[f.Dir], f)
	}
	names := make([]string, 0, len(byDir))
	for dir := range byDir {
		names = append(names, dir)
	}
	slices.Sort(names)
	for _, dir := range names {
		yield(dir, byDir[dir])
	}
}

// under reports whether the slash-separated p is root or lies below it.
func under(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}
