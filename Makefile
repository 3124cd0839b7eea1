# make help lists the targets. Long recipes are scripts in scripts/.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A Debian machine may have Go unpacked and not in PATH.
export PATH := $(PATH):/usr/local/go/bin

# What `sluice version` says; a tree without git has no history to ask.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)

PREFIX    ?= /usr/local
DESTDIR   ?=
PKG       ?= ./...
FUZZTIME  ?= 60s
BENCH     ?= .
BENCHTIME ?= 1s
COUNT     ?= 1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  settings: PKG=$(PKG) FUZZTIME=$(FUZZTIME) BENCH=$(BENCH) BENCHTIME=$(BENCHTIME) COUNT=$(COUNT)"

.PHONY: setup
setup: ## install the Debian packages that tests and labs use, if any is missing
	@scripts/setup.sh

# -buildvcs=false: the version comes from above, and a work tree owned by
# somebody else would make the go command refuse to ask git.
.PHONY: build
build: ## build the static binary bin/sluice
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/sluice ./cmd/sluice

.PHONY: test
test: setup ## run all tests, then all again under the race detector with -short
	@scripts/test.sh

.PHONY: race
race: ## run all tests under the race detector
	CGO_ENABLED=1 go test -race $(PKG)

.PHONY: lint
lint: ## vet, gofumpt, staticcheck, and the project's own rules
	@scripts/lint.sh

.PHONY: format
format: ## format every Go file as lint wants it
	go tool -modfile=tools/go.mod gofumpt -w .

.PHONY: fuzz
fuzz: ## run every fuzz test of PKG for FUZZTIME each; stops at the first crash
	@scripts/fuzz.sh $(FUZZTIME) $(PKG)

.PHONY: bench
bench: ## run the benchmarks of PKG that match BENCH
	@scripts/bench.sh '$(BENCH)' $(BENCHTIME) $(COUNT) $(PKG)

.PHONY: demo
demo: setup build ## see it work, on real traffic
	@scripts/demo.sh

.PHONY: generate
generate: ## write the generated files anew; fails if that changes one
	@scripts/generate.sh

# These put in place what `make build` has built, as whoever may write there.
.PHONY: install
install: ## install bin/sluice, its unit, manual and example; PREFIX=/usr/local DESTDIR=
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh install

.PHONY: uninstall
uninstall: ## take away what install has installed; not a configuration, nor state
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh uninstall

.PHONY: deb
deb: ## build a Debian package in dist/
	@scripts/deb.sh '$(VERSION)'

.PHONY: man
man: build ## write the manual pages to dist/man
	bin/sluice gen man dist/man

.PHONY: completions
completions: build ## write completions for bash, zsh and fish to dist/completions
	bin/sluice gen completion dist/completions

.PHONY: clean
clean: ## delete what was built
	rm -rf bin dist
