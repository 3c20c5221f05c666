# Everything a person needs: `make run` and `make test`. `make help` lists the rest.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Skald is plain Go: what is built and tested is what users get, with no C compiler involved.
export CGO_ENABLED := 0

# `make run` passes these through; give others on the command line: make run LISTEN=127.0.0.1:9090 DATA=/tmp/shop
LISTEN ?= 127.0.0.1:8080
DATA   ?= ./data
MODE   ?= orchestrated
# The drone system's Package service: go, node, or auto for node where it is installed.
PACKAGE ?= auto

# The packages of all three modules (go.work makes them one workspace), those that take longest first, and of these the ones that mostly wait beside one that computes: go test begins them in this order.
PACKAGES := ./examples/commande/e2e ./examples/commande/faults ./skaldtest ./internal/soak ./examples/theatre ./examples/drone/e2e ./internal/... ./... ./examples/... ./bench/...

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# Built and then started, not `go run`: that one does not pass a SIGTERM on to the program.
.PHONY: run
run: ## start both example systems with everything they need, on LISTEN, with their data in DATA; MODE of new orders
	@scripts/setup.sh go
	@echo 'Starting. The first time Go fetches and builds for a minute or two.'
	@mkdir -p -m 700 '$(DATA)'
	@go build -o .tools/all ./examples/cmd/all
	@LISTEN='$(LISTEN)' DATA='$(DATA)' MODE='$(MODE)' PACKAGE='$(PACKAGE)' exec .tools/all

# Many tests wait, for disks, processes and browsers, and some only compute and give way to those (scripts/run-test.sh): so two packages more than there are processors run at a time.
TEST_PACKAGES_AT_ONCE ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 2 )))

# -ldflags=-w: a hundred test programs are linked, and without what only debuggers read that takes a third less; stack traces are the same.
# -count=1: Go's test cache does not see that a browser or a server was installed since, so it would repeat old skips.
.PHONY: test
test: ## run all tests, after installing what they need; TESTFLAGS are passed on to go test
	@scripts/setup.sh tests
	@go build -o .tools/testreport ./internal/testreport
	@scratch=$$(scripts/scratch.sh) && trap 'rm -rf "$$scratch"' EXIT && export GOTMPDIR="$${TMPDIR:-/tmp}" TMPDIR="$$scratch" && \
		go test -json -count=1 -ldflags=-w -p=$(TEST_PACKAGES_AT_ONCE) -exec='$(CURDIR)/scripts/run-test.sh' -timeout=45m $(TESTFLAGS) $(PACKAGES) | .tools/testreport

# The race detector is the one thing that needs C. It looks at everything but what has nothing for it: the crash explorer runs one goroutine at a time, the machine and others that only compute have none, others read and
# write texts, the house's own tools are no product, and programs only choose parts. It does not look at the tests that try many cases, or fill a disk, with one goroutine, nor at those that wait for a cluster of other
# processes and do what others do with one server. Of the end-to-end tests it sees those
# that run the systems inside the test, and with them the examples' services; those that start processes and browsers would show it nothing more.
RACE_SEES_NOTHING := skaldtest|internal/machine|internal/plan|internal/plan/plantest|internal/architecture|internal/testreport|internal/shape|internal/pages|internal/filelock|internal/ownfile|internal/owndisk|journal|store|webhook
RACE_SEES_NOTHING := $(RACE_SEES_NOTHING)|console|asyncapi|vet|(.*/)?cmd/.*|examples/browsertest|examples/killtest|examples/front|examples/theatre|examples/commande/placeorder|examples/commande/receipt
RACE_SEES_NOTHING := $(RACE_SEES_NOTHING)|examples/drone/page|examples/drone/node|examples/drone/area|examples/drone/deliver|examples/drone/flight|examples/drone/geo|examples/.*/(faults|e2e|contract/.*)
RACE_SEES_NOTHING := $(RACE_SEES_NOTHING)|examples/commande/(gateway|mail|mailbox|orchestrator|orchestrator/eventlog|shop|system|service/.*)|examples/drone/(bus|system|web|service/.*)|examples/(local|pages|problem|program)
RACE_PACKAGES ?= $(shell go list ./... ./examples/... ./bench/... 2>/dev/null | grep -vE '^github.com/skaldhq/skald/($(RACE_SEES_NOTHING))$$')
RACE_SKIPS := ^Test(F20_SagasUnderWayEndOnAFullDisk|RandomOrdersOfLargerDefinitionsEndRight|EveryBrokenProtocolIsCaught|ConformanceOnACluster|F31_TheSuiteHoldsWhileLeadersDie)$$
RACE_SYSTEMS := $(if $(filter command,$(firstword $(origin RACE_PACKAGES))),,./examples/commande/e2e ./examples/drone/e2e)
RACE_IN_THEM := ^Test(OrderCompletes|RefusedOrderIsRolledBack|StreamTells.*|F04F05.*|F34.*|F01SystemStopped.*|ParcelIsDelivered|CancelBeforeTheDrone.*|OrchestratedTheSame.*)$$
# SQLite itself, which is C translated to Go, keeps its data where the detector does not look: compiling its memory accesses to tell the detector takes long, and so do they. Its driver is looked at like all else.
RACE_NOT_IN_C := -gcflags=modernc.org/libc/...=-race=false -gcflags=modernc.org/sqlite/lib=-race=false
RACE := go test -race $(RACE_NOT_IN_C) -short -json -count=1 -ldflags=-w -vet=off -timeout=20m -skip='$(RACE_SKIPS)'
.PHONY: race
race: ## run the tests under the race detector (needs gcc); RACE_PACKAGES names some
	@go build -o .tools/testreport ./internal/testreport
	@scratch=$$(scripts/scratch.sh) && trap 'rm -rf "$$scratch"' EXIT && export GOTMPDIR="$${TMPDIR:-/tmp}" TMPDIR="$$scratch" CGO_ENABLED=1 && \
		{ $(RACE) -p=$(TEST_PACKAGES_AT_ONCE) $(TESTFLAGS) $(RACE_PACKAGES) || failed=1; \
		  [ -z '$(RACE_SYSTEMS)' ] || $(RACE) $(TESTFLAGS) -run='$(RACE_IN_THEM)' $(RACE_SYSTEMS) || failed=1; \
		  [ -z "$${failed:-}" ]; } | .tools/testreport

.PHONY: fuzz
fuzz: ## let every fuzz target run for FUZZTIME seconds (30); FUZZONLY names some
	@scripts/setup.sh go
	@scripts/fuzz.sh '$(or $(FUZZTIME),30)' '$(FUZZONLY)'

.PHONY: bench
bench: ## print figures: sagas beside the floor, medians of interleaved rounds; BENCHFLAGS are passed on (-only, -rounds, -slice, -dir, -history, -open, -sleeping, -profiles)
	@scripts/setup.sh go
	@go run ./bench/cmd/bench $(BENCHFLAGS)

# A named target, because it takes tens of minutes and several gigabytes, and nobody expects that of `make bench`.
.PHONY: bench-million
bench-million: ## print the figures about many sagas at full size: 1,000,000 ended, 1,000,000 open, 100,000 asleep; BENCHFLAGS as for bench
	@scripts/setup.sh go
	@go run ./bench/cmd/bench -only orchestration -parts '^$$' -history 1000000 -open 1000000 -sleeping 100000 $(BENCHFLAGS)

.PHONY: microbench
microbench: ## run the benchmarks of single functions of all modules; BENCHFLAGS are passed on to go test
	@scripts/setup.sh go
	@go test -run='^$$' -bench=. -benchmem $(BENCHFLAGS) $(PACKAGES)

.PHONY: lint
lint: ## gofmt and golangci-lint, which has the checks of go vet, over all modules
	@scripts/lint.sh format lint

.PHONY: pictures
pictures: ## take the console's pictures in docs/images anew, from a theatre in a real browser
	@scripts/setup.sh tests
	@go test -count=1 -v -run='^TestPicturesOfTheDocs$$' ./examples/theatre -pictures='$(CURDIR)/docs/images'

.PHONY: generate
generate: ## write all generated and built files anew (everything behind a go:generate line); needs Node for the console
	@scripts/setup.sh generate
	@go generate $(PACKAGES)
