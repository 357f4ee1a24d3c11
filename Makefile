# Everything that a developer or CI does with this project. `make` alone lists it.
#
# make test works on a fresh Debian 12 with Go, gcc, node and npm; it installs what else it needs, or names it. Longer
# explanations are in CONTRIBUTING.md.
SHELL      := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.SILENT:
MAKEFLAGS  += --no-builtin-rules

GO      ?= go
# Arguments of go test that all stages share, such as GOTESTFLAGS=-v.
GOTESTFLAGS ?=
BIN     := bin
TOOL    := $(GO) tool -modfile=tools/go.mod
# go test without a clear end is cut after this long.
LIMIT   := -timeout 20m

# What the race detector does not watch: SQLite as C made into Go, and arithmetic, none of which shares memory with our code. Watched,
# they take most of its time.
CALM := modernc.org/... golang.org/x/crypto/... github.com/decred/dcrd/dcrec/... github.com/btcsuite/btcd/btcec/...

# Tests that the race detector leaves out: one that holds the process to a memory limit, which it multiplies, and long ones that do one
# thing after another, in which there is nothing for it to find.
UNRACED := ^(TestBombs|TestPlans|TestEveryRoute|TestJournalOfManyRecords|TestConformanceOnBitcoind|TestBuilderOnBitcoind)$$

.PHONY: help
help: ## list the targets
	awk 'BEGIN { FS = ":.*## "; print "targets:" } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/pipe and bin/pipe-demo
	mkdir -p $(BIN)
	for cmd in cmd/*/; do
		echo "build $$cmd"
		CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./$$cmd
	done

.PHONY: setup
setup: ## install what the tests need beside Go: PostgreSQL, Chromium, fonts, a bitcoind
	tools/setup.sh

.PHONY: test
test: export PIPE_NEED_BROWSER = 1
test: ## everything: setup, build, vet, lint, all tests with real nodes and databases, race detector, govulncheck
	tools/test.sh

.PHONY: test-fast
test-fast: ## the tests of packages that link no geth node
	$(GO) test $(LIMIT) $(GOTESTFLAGS) $$(tools/packages.sh)

.PHONY: soak
soak: export PIPE_STORIES = all
soak: ## every story with kill -9 between any two steps, and every crash, on every database; about an hour
	$(GO) test -count=1 -timeout 3h $(GOTESTFLAGS) ./internal/demo ./internal/e2e

.PHONY: test-browser
test-browser: export PIPE_NEED_BROWSER = 1
test-browser: export PIPE_BROWSER_WHOLE = 1
test-browser: ## payment page and admin in Chromium: every page, language, colour and width, with the figures
	$(GO) test -count=1 -v $(LIMIT) $(GOTESTFLAGS) ./internal/checkout/... ./internal/admin/...

.PHONY: race
race: ## the race detector over the packages that link no geth node and start no other program; the long forms run without it
	$(GO) test -race $(foreach one,$(CALM),'-gcflags=$(one)=-race=false') -short -vet=off -skip '$(UNRACED)' $(LIMIT) $(GOTESTFLAGS) $$(tools/packages.sh | grep -vE '/internal/(e2e|sim|bench|tidy|devchain/bitcoind|checkout/browsertest|admin/browsertest)$$')

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## gofmt, the linters of tools/lint, staticcheck
	tools/lint.sh

.PHONY: govulncheck
govulncheck: ## known vulnerabilities; says so where the database cannot be reached
	tools/govulncheck.sh

.PHONY: generate
generate: ## the code of the queries, and the documents that tests compare with the code
	$(TOOL) sqlc generate
	tools/golden.sh

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10s)
	tools/fuzz.sh $${FUZZTIME:-10s}

.PHONY: sim
sim: ## play PIPE against a hostile world for SIMTIME (10m) from a drawn seed; SIMFLAGS=-sim.seed=N plays one again
	$(GO) test ./internal/sim -run 'TestPlays$$' -v -timeout 0 -sim.first=0 -sim.for=$${SIMTIME:-10m} $(SIMFLAGS)

.PHONY: bench
bench: ## measure against limit programs; writes docs/performance.md (BENCHFLAGS=-h tells more)
	$(GO) run ./internal/bench $(BENCHFLAGS)

.PHONY: demo
demo: ## PIPE with local chains, a shop and a faucet
	$(GO) run ./cmd/pipe-demo

.PHONY: clean
clean: ## remove what build made
	rm -rf $(BIN)
