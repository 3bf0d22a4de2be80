# Two commands do all the set-up: `make run` and `make test`.
MODULES := $(shell sed -n 's|^\t\./||p' go.work)
BIN := .bin
GOLANGCI_VERSION := v2.15.0
LINTER := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME ?= 10s
ADMIN := services/gateway/internal/admin/dist/index.html
ADMIN_SOURCES := $(shell find web -name node_modules -prune -o -name dist -prune -o -type f \( -path 'web/admin/*' -o -path 'web/provider/src/*' \) ! -path '*/test/*' ! -name '*.md' -print)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: admin-if-node ## the whole product in one process, on embedded defaults
	@go build -o $(BIN)/resonance ./deploy/standalone
	@exec $(BIN)/resonance

.PHONY: admin
admin: $(ADMIN) ## the web admin, for the gateway to embed; needs Node

$(ADMIN): $(ADMIN_SOURCES) web/node_modules/.ready
	@cd web && npm run --silent build -w admin -- --logLevel warn

web/node_modules/.ready: web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel error
	@touch $@

# Without Node the product is whole but for the admin, whose place a page takes that says so.
.PHONY: admin-if-node
admin-if-node:
	@if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a === 20 && +b >= 19) ? 0 : 1)' 2>/dev/null; then \
	  echo "The web admin is left out: building it needs Node 20.19 or newer."; \
	elif ! $(MAKE) --no-print-directory -s admin; then \
	  echo "The web admin could not be built, for the reason above; everything else goes on without it."; \
	fi

.PHONY: test race
test: admin ## every test but those in a browser; needs Go and Node
race: admin ## the same with the race detector, which takes several times as long
test race:
	go test $(if $(filter race,$@),-race) -timeout 15m $(addsuffix /...,$(addprefix ./,$(MODULES)))
	cd web && npm test

.PHONY: e2e
e2e: build ## the admin in a real Chromium (CHROMIUM, default /usr/bin/chromium) against the whole product
	cd web && npm run e2e -w e2e

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' $(MODULES) | while read -r file; do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' $$file); do \
	    echo "$$(dirname $$file) $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
	  done; \
	done

.PHONY: chaos
chaos: ## kill services and NATS at random while orders change, a minute or more for each CHAOS_MODE; CHAOS_SEED, CHAOS_SECONDS
	CHAOS_SECONDS=$(or $(CHAOS_SECONDS),75) go test -race -count 1 -v -timeout 30m ./deploy/chaos

.PHONY: bench
bench: ## speed beside its floors, measured in the same run
	@go build -o $(BIN)/resonance ./deploy/standalone
	@go build -o $(BIN)/bench ./deploy/bench
	@$(BIN)/bench

# The types of the API need what npm installs; without it they stay as they are, and a test of the provider says so.
.PHONY: nats-keys
nats-keys: ## keys, certificates and accounts for the NATS of deploy/nats, into its folder keys; PROGRAMS=… and HOSTS=… for more
	go run ./pkg/natsauth/cmd/natskeys -dir deploy/nats/keys $(if $(HOSTS),-hosts $(HOSTS)) $(PROGRAMS)

.PHONY: generate
generate: ## what follows from the table of columns, pkg/event/schema/columns.go, and the types of the API
	cd pkg/event/schema && go generate .
	@if [ -d web/node_modules ]; then go run ./services/gateway/cmd/openapi >web/provider/openapi.json && \
	  (cd web && OPENAPI=openapi.json npm run --silent generate -w provider >/dev/null) && rm web/provider/openapi.json; \
	else echo "web/provider/src/api.d.ts is left as it is: cd web && npm ci"; fi

.PHONY: lint
lint: $(LINTER) web/node_modules/.ready ## golangci-lint, Biome and tsc, and that modules and formatting are tidy
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && $(CURDIR)/$(LINTER) run ./...) || exit 1; done
	@cd pkg/event/schema && go run ./generate -check -root ../../..
	@cd web && npm run --silent lint
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go build -o /dev/null ./...) || exit 1; done

$(LINTER):
	GOWORK=off GOBIN=$(CURDIR)/$(BIN)/install go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/install/golangci-lint $@

.PHONY: build
build: admin-if-node ## the four services and the standalone, into .bin
	@for s in gateway airtable-sync orders odoo-bridge; do CGO_ENABLED=0 go build -o $(BIN)/$$s ./services/$$s/cmd/$$s || exit 1; done
	@CGO_ENABLED=0 go build -o $(BIN)/resonance ./deploy/standalone

.PHONY: clean
clean: ## remove what was built; .data stays
	rm -rf $(BIN)
