// Command testreport reads what go test -json writes and prints what a person
// wants of it: a line per package as it finishes, the whole output of what
// failed, why tests were skipped, and a closing count.
//
//	go test -json ./... | go run ./internal/testreport -name tests
//
// It exits with 1 if anything failed or if no test ran at all. With -again FILE it writes there
// which tests failed, "PACKAGE TEST" on a line each, if these are few and nothing speaks against
// trying them once more: no data race, no panic, nothing that did not build.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	name := flag.String("name", "tests", "one word before the closing count")
	again := flag.String("again", "", "file for the tests to try once more")
	flag.Parse()
	r := report{out: os.Stdout}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	well := r.close(*name)
	if *again != "" {
		if err := os.WriteFile(*again, []byte(r.again()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "testreport:", err)
			os.Exit(1)
		}
	}
	if !well {
		os.Exit(1)
	}
}
