// Command testreport reads what go test -json writes and prints what a person
// wants of it: a line per package as it finishes, the whole output of what
// failed, why tests were skipped, and a closing count.
//
//	go test -json ./... | go run ./internal/testreport -name tests
//
// It exits with 1 if anything failed or if no test ran at all.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	name := flag.String("name", "tests", "one word before the closing count")
	flag.Parse()
	r := report{out: os.Stdout}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.close(*name) {
		os.Exit(1)
	}
}
