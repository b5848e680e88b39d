# make demo   the example shop, its consent host and stand-in third parties, on loopback
# make test   installs what the tests need if it is missing, then checks and tests everything
# make soak   goes round all faults under load until SOAK (10m) is up
# make bench  sizes, and requests a second beside a bare echo handler and nginx
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# A package may take long on a machine that is slow, or that does other things as well.
GOTEST = TMPDIR=$(SCRATCH) go test -timeout 30m

TOOLS := $(CURDIR)/.cache/bin
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

# Tests sync many small databases and browser profiles: in memory, where there is such a place, that takes no disk's time.
SCRATCH := $(shell d=$$(mktemp -d -p /dev/shm 2>/dev/null) && rmdir $$d && echo /dev/shm || echo $${TMPDIR:-/tmp})

# What runs goroutines: the race detector slows the rest down tenfold and finds nothing there. It needs no property tests in
# full (-short), and ./server is run a second time on PostgreSQL.
CONCURRENT := ./server ./server/ledger ./server/ledger/postgrestest ./server/outbox ./server/tally ./cmd/... ./examples/...

.PHONY: demo build test check generate generated thirdparty types lint fuzz soak bench pictures chromium

demo:
	@go run ./cmd/stile demo

build:
	go build -trimpath -o bin/stile ./cmd/stile

test: chromium check
	$(GOTEST) $$(go list ./... | grep -v -e /e2e$$ -e /e2e/fault$$ -e /server$$)
	$(GOTEST) ./e2e/fault
	$(GOTEST) -race -short $(CONCURRENT)
	$(GOTEST) -race -run 'Store|Through' ./server/gate
	STILE_TEST_ENGINE=postgres $(GOTEST) ./server
	CI=true $(GOTEST) -parallel 2 -timeout 60m ./e2e

check: generated types lint
	go vet ./...

generate:
	go tool templ generate -log-level error

# The table of third-party hosts, from the npm package that has it.
thirdparty: e2e/node_modules/.package-lock.json
	go run ./server/thirdparty/generate e2e/node_modules/third-party-web/dist/entities-nostats.json >server/thirdparty/entities.tsv

# What is committed is what the sources generate.
generated: generate
	@git diff --exit-code -- '*_templ.go' || { echo "generated files differ from their sources: run make generate, and commit"; exit 1; }
	@test -z "$$(git status --porcelain -- '*_templ.go' | grep '^??')" || { echo "generated files are not committed"; exit 1; }

# The browser's sources carry their types in comments.
types: e2e/node_modules/.package-lock.json
	cd e2e && node_modules/.bin/tsc -p ../assets

e2e/node_modules/.package-lock.json: e2e/package-lock.json
	@command -v npm >/dev/null || $(MAKE) --no-print-directory install-npm
	cd e2e && npm ci --no-audit --no-fund --loglevel error
	@touch $@

lint: $(GOLANGCI)
	$(GOLANGCI) run ./...

$(GOLANGCI):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

# The React example as its test serves it, built where its sources changed.
test: examples/react/dist
.PHONY: examples/react/dist
examples/react/dist: examples/react/dist/index.html
examples/react/dist/index.html: examples/react/node_modules/.package-lock.json $(wildcard examples/react/*.html examples/react/*.js examples/react/src/* examples/react/src/img/*)
	cd examples/react && node_modules/.bin/vite build --logLevel warn

examples/react/node_modules/.package-lock.json: examples/react/package-lock.json
	@command -v npm >/dev/null || $(MAKE) --no-print-directory install-npm
	cd examples/react && npm ci --no-audit --no-fund --loglevel error
	@touch $@

# Debian's packages, where root can install them; elsewhere a line that says what to do.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || $(MAKE) --no-print-directory install-chromium
	@command -v gcc >/dev/null || $(MAKE) --no-print-directory install-gcc

# Two engines more. Where they cannot be had the tests go on without them, and say so here: go test does not show why a
# test was skipped unless it is asked to.
test: engines
.PHONY: engines
engines:
	@command -v firefox-esr >/dev/null || $(MAKE) --no-print-directory install-firefox-esr || \
		echo "the tests in Firefox will be skipped: firefox-esr is missing, and could not be installed"
	@{ command -v WebKitWebDriver && command -v Xvfb; } >/dev/null || $(MAKE) --no-print-directory install-webkit2gtk-driver || \
		echo "the tests in WebKit will be skipped: webkit2gtk-driver or xvfb is missing, and could not be installed"

# What starts the files of examples/deploy. Where one of them is missing its file is read by rules of the tests' own.
test: deploy
.PHONY: deploy
deploy:
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || $(MAKE) --no-print-directory install-nginx-light || echo "examples/deploy/nginx.conf will not be started: nginx is missing"
	@command -v caddy >/dev/null || echo "examples/deploy/Caddyfile will be linted and not started: Caddy is missing"
	@docker version >/dev/null 2>&1 || echo "examples/deploy/Dockerfile will be linted, its binary built and started, and its image not: no Docker engine answers"
	@command -v systemd-analyze >/dev/null || echo "examples/deploy/stile.service will be started and not verified: systemd is missing"
	@CGO_ENABLED=0 go build -trimpath -o /dev/null ./cmd/stile # as the Dockerfile does, before browsers need the processor

# PostgreSQL's programs, with which tests make clusters of their own, and iproute2, with which they take one's network away.
test: postgresql
.PHONY: postgresql
postgresql:
	@compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || \
		{ $(WITHOUT_CLUSTER) && $(MAKE) --no-print-directory install-postgresql; } || \
		echo "the tests with PostgreSQL will be skipped: postgresql is missing, and could not be installed"
	@command -v ip >/dev/null || test -x /usr/sbin/ip || $(MAKE) --no-print-directory install-iproute2 || \
		echo "the tests of a network's partition will be skipped: iproute2 is missing, and could not be installed"

# Debian's package makes a cluster of the machine's own and starts it, unless it is told otherwise while it is installed.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/stile.conf
WITHOUT_CLUSTER = if [ -w /etc ]; then trap 'rm -f $(NO_CLUSTER)' EXIT && mkdir -p $(dir $(NO_CLUSTER)) && \
	echo "create_main_cluster = false" >$(NO_CLUSTER); fi

PACKAGES_gcc := gcc libc6-dev
PACKAGES_webkit2gtk-driver := webkit2gtk-driver xvfb

install-%:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(or $(PACKAGES_$*),$*) >/dev/null; \
	else echo "the tests need $*: install it (on Debian: apt-get install $*), then run make test again"; exit 1; fi

FUZZTIME ?= 20s
fuzz:
	go test ./server/cookie -run '^$$' -fuzz FuzzDecode -fuzztime $(FUZZTIME)
	go test ./server/cookie -run '^$$' -fuzz FuzzDeserialize -fuzztime $(FUZZTIME)
	go test ./server/keys -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME)
	go test ./server/config -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME)
	go test ./server/vendors -run '^$$' -fuzz FuzzTag -fuzztime $(FUZZTIME)
	go test ./server/ledger -run '^$$' -fuzz FuzzParseLeaf -fuzztime $(FUZZTIME)
	go test ./server/ledger -run '^$$' -fuzz FuzzParseAuditLeaf -fuzztime $(FUZZTIME)
	go test ./server/ledger -run '^$$' -fuzz FuzzParseLeaves -fuzztime $(FUZZTIME)
	go test ./server/tally -run '^$$' -fuzz FuzzDecode -fuzztime $(FUZZTIME)
	go test ./server/policy -run '^$$' -fuzz FuzzRender -fuzztime $(FUZZTIME)
	go test ./server/region -run '^$$' -fuzz FuzzForwardedFor -fuzztime $(FUZZTIME)
	go test ./server/merkle -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME)
	go test ./server/receipt -run '^$$' -fuzz FuzzCheck -fuzzminimizetime 10x -fuzztime $(FUZZTIME)
	go test ./server/sighting -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME)
	go test ./server/page -run '^$$' -fuzz FuzzGate -fuzztime $(FUZZTIME)

SOAK ?= 10m
soak: postgresql
	TMPDIR=$(SCRATCH) go test ./e2e/fault -run '^TestSoak$$' -count 1 -timeout 0 -v -soak $(SOAK)

bench:
	go test -run '^$$' -bench . -benchtime 1s ./server/...
	go run ./e2e/bench

# The README's pictures, from a browser run.
pictures: chromium
	go test ./e2e -run '^(TestReadmePictures|TestDemoDashboard)$$' -count 1 -pictures $(CURDIR)/e2e/pictures
