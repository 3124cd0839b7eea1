package archtest

import (
	"go/ast"
	"slices"
)

// Ambient is what a package may not ask its surroundings for.
type Ambient struct {
	Packages  []string            // as in Row
	Except    []string            // files that may
	Functions map[string][]string // import path to the functions of it
	Why       string
}

// PureFunction is what makes replay, traceflow, tests and the live pipeline
// one code path: (frame, port, time, state) to (frames, events).
var PureFunction = Ambient{
	Packages: []string{"packet", "flowtable", "dataplane", "firewall", "lb", "qos", "mirror", "route", "trace"},
	Except:   []string{"dataplane/clock.go"}, // the worker's clock, read once per vector
	Functions: map[string][]string{
		"time":         {"Now", "Since", "Until"},
		"crypto/rand":  {"Int", "Prime", "Read", "Text"},
		"math/rand":    {"ExpFloat64", "Float32", "Float64", "Int", "Int31", "Int31n", "Int63", "Int63n", "Intn", "NormFloat64", "Perm", "Shuffle", "Uint32", "Uint64"},
		"math/rand/v2": {"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN", "N", "NormFloat64", "Perm", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN"},
		"hash/maphash": {"MakeSeed"},
		"os":           {"Getenv", "LookupEnv"},
	},
	Why: "time, randomness, seeds and settings come in as arguments",
}

// Impure returns the uses of a's functions, in files that are not tests.
// Packages that help tests are not asked.
func Impure(t *Tree, a Ambient) []Fault {
	var faults []Fault
	for _, f := range t.Files {
		_, asked := matchAny(a.Packages, f.Dir)
		if !asked || f.IsTest() || isTestHelper(f.Dir) || slices.Contains(a.Except, f.Path) {
			continue
		}
		for importPath, functions := range a.Functions {
			name := f.localName(importPath)
			if name == "" {
				continue
			}
			ast.Inspect(f.AST, func(n ast.Node) bool {
				sel, isSelector := n.(*ast.SelectorExpr)
				if !isSelector {
					return true
				}
				if x, isIdent := sel.X.(*ast.Ident); isIdent && x.Name == name && slices.Contains(functions, sel.Sel.Name) {
					faults = append(faults, t.fault(f, sel.Pos(), "%s.%s: %s", importPath, sel.Sel.Name, a.Why))
				}
				return true
			})
		}
	}
	return faults
}
