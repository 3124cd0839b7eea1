package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"regexp"
	"strings"
)

// MaxLines is the length beyond which a file has more than one subject. The
// guide asks for 500; the rest is room for a test table that is still one.
const MaxLines = 600

// Long returns the files of more than MaxLines lines, but for generated ones.
func Long(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		if n := bytes.Count(f.Source, []byte("\n")); n > MaxLines && !f.Generated() {
			faults = append(faults, Fault{File: f.Path, Why: fmt.Sprintf("%d lines, at most %d: split it by subject", n, MaxLines)})
		}
	}
	return faults
}

// Unformatted returns the files that gofmt would change.
func Unformatted(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		if formatted, err := format.Source(f.Source); err != nil || !bytes.Equal(formatted, f.Source) {
			faults = append(faults, Fault{File: f.Path, Why: "not formatted: run make format"})
		}
	}
	return faults
}

// Inits returns the init functions: what they do happens in an order that no
// reader sees, and before any argument can be given.
func Inits(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		for _, decl := range f.AST.Decls {
			if fn, isFunc := decl.(*ast.FuncDecl); isFunc && fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults, t.fault(f, fn.Pos(), "func init: do it in a constructor, with arguments"))
			}
		}
	}
	return faults
}

// Cgo returns the imports of "C": with one of them the binary is no longer
// static, and a call costs more than a packet may.
func Cgo(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		f.Imports(func(spec *ast.ImportSpec, importPath string) {
			if importPath == "C" {
				faults = append(faults, t.fault(f, spec.Pos(), `import "C": the binary is static and built without cgo`))
			}
		})
	}
	return faults
}

// unfinished finds the marks of unfinished work. The brackets keep the pattern
// from being found by itself, here and by a plain grep.
var unfinished = regexp.MustCompile(`\b(T[O]DO|F[I]XME|X[X]X)\b`)

// Unfinished returns the comments that say something is still to be done.
func Unfinished(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if mark := unfinished.FindString(c.Text); mark != "" {
					faults = append(faults, t.fault(f, c.Pos(), "%s: finish it, or say in the docs what is not supported", mark))
				}
			}
		}
	}
	return faults
}

// PackageComments returns the packages that do not have exactly one package
// comment, or one that does not begin as godoc expects. A package whose files
// are all tests is asked for one too.
func PackageComments(t *Tree) []Fault {
	var faults []Fault
	t.dirs(func(dir string, files []*File) {
		var commented []*File
		first := subjectFiles(files)[0]
		for _, f := range subjectFiles(files) {
			if f.AST.Doc == nil {
				continue
			}
			commented = append(commented, f)
			want := "Package " + f.AST.Name.Name + " "
			if f.AST.Name.Name == "main" {
				want = "Command "
			}
			if !strings.HasPrefix(f.AST.Doc.Text(), want) {
				faults = append(faults, t.fault(f, f.AST.Doc.Pos(), "the package comment begins %q", want+"..."))
			}
		}
		switch {
		case len(commented) == 0:
			faults = append(faults, Fault{File: dir, Why: "package " + first.AST.Name.Name + " has no package comment"})
		case len(commented) > 1:
			for _, f := range commented[1:] {
				faults = append(faults, t.fault(f, f.AST.Doc.Pos(), "second package comment; the first is in %s", commented[0].Path))
			}
		}
	})
	return faults
}

// subjectFiles are the files of a directory that carry its package's comment:
// those that are no tests, or all if there are no others.
func subjectFiles(files []*File) []*File {
	var subject []*File
	for _, f := range files {
		if !f.IsTest() {
			subject = append(subject, f)
		}
	}
	if len(subject) == 0 {
		return files
	}
	return subject
}
