package archtest

import (
	"go/ast"
	"path"
	"strings"
)

// Imports returns the imports that rows does not allow, in files that are not
// tests, and the packages that no row is about.
func Imports(t *Tree, rows []Row) []Fault {
	var faults []Fault
	t.dirs(func(dir string, files []*File) {
		row, root, found := rowOf(rows, dir)
		for _, f := range files {
			if f.IsTest() {
				continue
			}
			if !found {
				faults = append(faults, Fault{File: dir, Why: "no row of archtest.Layout says what this package may import"})
				return
			}
			f.Imports(func(spec *ast.ImportSpec, importPath string) {
				if why := refuse(t.Module, row, root, importPath); why != "" {
					faults = append(faults, t.fault(f, spec.Pos(), "%s may not import %s: %s", dir, importPath, why))
				}
			})
		}
	})
	return faults
}

// refuse returns why a package of the row may not import importPath, or "".
func refuse(module string, row Row, root, importPath string) string {
	switch {
	case under(importPath, module):
		return refuseOurs(row, root, strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/"))
	case isStandard(importPath):
		return ""
	default:
		return refuseTheirs(row, importPath)
	}
}

func refuseOurs(row Row, root, dir string) string {
	if under(dir, root) {
		return ""
	}
	if isTestHelper(dir) {
		if row.Packages[0] == testHelpers {
			return ""
		}
		return "only tests import packages that help tests"
	}
	if _, matched := matchAny(row.Ours, dir); matched {
		return ""
	}
	return row.Why
}

func refuseTheirs(row Row, importPath string) string {
	anyone := false
	for _, module := range row.Theirs {
		if under(importPath, module) {
			return ""
		}
		anyone = anyone || module == Anyone
	}
	for module, why := range Reserved {
		if under(importPath, module) {
			return why
		}
	}
	if anyone {
		return ""
	}
	return row.Why
}

// rowOf returns the first row that is about dir, and the root of dir's own
// family: the packages below it import each other freely.
func rowOf(rows []Row, dir string) (row Row, root string, found bool) {
	for _, row := range rows {
		if root, matched := matchAny(row.Packages, dir); matched {
			return row, root, true
		}
	}
	return Row{}, "", false
}

// testHelpers is the pattern of packages that exist for tests.
const testHelpers = "*test"

func isTestHelper(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// matchAny is match with the first pattern that covers dir.
func matchAny(patterns []string, dir string) (root string, matched bool) {
	for _, pattern := range patterns {
		if root, matched := match(pattern, dir); matched {
			return root, true
		}
	}
	return "", false
}

// match reports whether pattern, as in Row.Packages, covers dir, and which
// directory is the root of what it covers there.
func match(pattern, dir string) (root string, matched bool) {
	if pattern == testHelpers {
		return dir, isTestHelper(dir)
	}
	parent, each := strings.CutSuffix(pattern, "/*")
	if !each {
		return pattern, under(dir, pattern)
	}
	below, isBelow := strings.CutPrefix(dir, parent+"/")
	child, _, _ := strings.Cut(below, "/")
	return path.Join(parent, child), isBelow
}

// isStandard reports whether importPath is the standard library's: the first
// element of every other path is a domain name.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
