# Two commands are enough on a fresh machine: `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# ---- what can be changed: make demo PORT=9008 DIR=run-2 ----------------------------------------------------

# UDP port of the sidecar, and TCP port of Envoy or of the sidecar itself.
PORT ?= 8008
# Folder for sockets, certificates, logs and process ids of one demo.
DIR ?= run
# 1: bind the demo on all addresses, not on 127.0.0.1 alone.
OPEN ?=
# 1: end after the steps, with status 0 only if each gave the right answer.
ONCE ?=
# 1: the sidecar translates and serves HTTPS by itself; neither Envoy nor the filter is needed.
WITHOUT_ENVOY ?=
# Another homeserver than the embedded one, e.g. https://matrix.example.org, and two accounts there.
HOMESERVER ?=
USER1 ?=
PASSWORD1 ?=
USER2 ?=
PASSWORD2 ?=
# 1: `make bench-link` measures a few links, without other clients.
QUICK ?=
# TCP port of `make page-serve`.
PAGE_PORT ?= 8010
# Seconds that `make fuzz` spends on each target, and the targets. Bash takes SECONDS for its own clock, hence
# the longer name.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

# Where `make install` puts programs, filter, unit and man pages; DESTDIR is a root for packages.
PREFIX ?= /usr/local
DESTDIR ?=

export CARGO_TARGET_DIR := $(CURDIR)/target
LOGS := $(CARGO_TARGET_DIR)/logs
STEP := tools/step $(LOGS)
RELEASE := $(CARGO_TARGET_DIR)/release
FILTER := $(CARGO_TARGET_DIR)/lowband-filter.wasm
COPY_FILTER := $(CARGO_TARGET_DIR)/lowband-copy-filter.wasm
REFERENCE_CLIENT := $(CARGO_TARGET_DIR)/reference-client
REFERENCE_SERVER := $(CARGO_TARGET_DIR)/reference-server
REFERENCE_PROXY := $(CARGO_TARGET_DIR)/reference-proxy
GO_COAP_CLIENT := $(CARGO_TARGET_DIR)/go-coap-client
GO_COAP_SERVER := $(CARGO_TARGET_DIR)/go-coap-server
CALIFORNIUM := $(CARGO_TARGET_DIR)/californium
RUST_SDK := $(CARGO_TARGET_DIR)/foreign-rust-sdk
RUST_SDK_DAY := $(RUST_SDK)/debug/lowband-rust-sdk-day
ENVOY_GATEWAY := .tools/envoy-gateway
ISTIO := .tools/istio-pilot
KUBE_SCORE := .tools/kube-score
ACTIONLINT := .tools/actionlint
FUZZ := --locked --manifest-path fuzz/Cargo.toml
# libFuzzer and the address sanitizer come with the stable compiler, behind flags of the nightly one.
CARGO_FUZZ := RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=32 .tools/bin/cargo-fuzz

# ---- the two commands --------------------------------------------------------------------------------------

.PHONY: help demo down test check needed rust msrv unit test-npm test-wireshark e2e test-kubernetes test-more pictures figures bench-wire bench-load bench-link bench-codec bench-chain bench-client bench-filter bench-capture bench-npm fuzz advisories build man install filter images image-filter images-again kubernetes npm npm-module npm-again page page-module page-serve test-page setup setup-test setup-more clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# The passwords travel in the environment: every user of the machine can read a command line.
demo: export USER1 := $(USER1)
demo: export PASSWORD1 := $(PASSWORD1)
demo: export USER2 := $(USER2)
demo: export PASSWORD2 := $(PASSWORD2)
demo: $(if $(WITHOUT_ENVOY),.tools/system.stamp .tools/synapse.stamp build,setup build filter) ## the main job against a real homeserver; stays up until Ctrl-C
	@$(RELEASE)/demo up --port '$(PORT)' --dir '$(DIR)' $(if $(ONCE),--once) $(if $(OPEN),--open) $(if $(WITHOUT_ENVOY),--without-envoy) $(if $(HOMESERVER),--homeserver '$(HOMESERVER)')

down: ## end what `make demo` started, and nothing else
	@[ ! -x $(RELEASE)/demo ] || $(RELEASE)/demo down --dir '$(DIR)'

test: setup-test check unit test-npm test-page e2e test-kubernetes ## all tests, those with Envoy, Synapse and Kubernetes included

# ---- parts of `make test` ----------------------------------------------------------------------------------

# The target needs no root and no part of the tests: it names what the system lacks, and installs nothing but
# two linters.
check: needed .tools/bin/cargo-deny $(ACTIONLINT) ## formatting, lints, documentation, pages, licences, bans, sources
	tools/check-comments
	tools/check-pages
	tools/pictures --check
	tools/wireshark-tables --check
	$(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml
	cargo fetch --locked
	cargo fetch $(FUZZ)
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo fmt --manifest-path e2e/sdk/rust/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy $(FUZZ) --no-default-features --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	.tools/bin/cargo-deny --offline --log-level error check licenses bans sources
	.tools/bin/cargo-deny --offline --manifest-path fuzz/Cargo.toml --no-default-features --config deny.toml --log-level error \
	  check licenses bans sources
	@unformatted=$$(gofmt -l e2e/foreign e2e/ingress e2e/kubernetes); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted" >&2; exit 1; }
	$(GO) vet ./...

needed:
	@tools/needed

rust:
	@tools/needed --rust

# Only rustup has more than one compiler. Builds of this one go into a folder of their own.
msrv: ## the oldest compiler that Cargo.toml names still takes all crates; needs rustup
	rustup toolchain install --profile minimal $(MSRV)
	CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/msrv cargo +$(MSRV) check --locked --workspace --all-targets

test-npm: setup-test npm ## the npm package in Node, a Vite build and Chromium
	@env $(WITH_NODE) npm --prefix npm run --silent check
	@env $(WITH_NODE) LOWBAND_NPM_PACKED=$(PACKED) LOWBAND_NPM_MAX_GZIPPED=$(NPM_MAX_GZIPPED) npm --prefix npm test --silent

test-page: setup-test page ## the page in Chromium, from disk and from a server, with payloads and captures
	@env $(WITH_NODE) npm --prefix devtools run --silent check
	@env $(WITH_NODE) npm --prefix devtools test --silent

test-wireshark: .tools/test.stamp ## the Wireshark plugin in tshark; a quarter of a minute
	python3 devtools/wireshark/test_lowband.py

unit: ## the tests of all crates but e2e, and the fuzz targets over their seeds
	cargo test --locked --workspace --exclude lowband-e2e
	cargo test $(FUZZ) --no-default-features

# The tests that hold as well where the sidecar translates and there is no Envoy: a minute and a half.
WITHOUT_ENVOY := $(addprefix --test ,edges failure hostile_homeserver leaving long_poll main_job public_port rate_limit reference targets)

e2e: setup-test images page $(COPY_FILTER) ## the tests against the real parts
	python3 envoy-filter/tests/real_envoy.py
	python3 envoy-filter/tests/streaming.py
	python3 envoy-filter/tests/closing.py
	python3 envoy-filter/tests/trap.py
	python3 envoy-filter/tests/reload.py
	python3 envoy-filter/tests/early.py
	python3 envoy-filter/tests/own_answers.py
	python3 envoy-filter/tests/paths.py
	python3 envoy-filter/tests/flood.py
	python3 envoy-filter/tests/paused.py
	python3 envoy-filter/tests/certificate.py
	for test in real_envoy early reload own_answers paths flood certificate; do \
	  LOWBAND_ENVOY="$$(echo .venv/envoy-oldest/lib/python3*/site-packages/envoy/_bin/envoy)" python3 envoy-filter/tests/$$test.py || exit 1; \
	done
	python3 devtools/wireshark/test_lowband.py
	python3 envoy-filter/tests/image.py
	python3 e2e/kubernetes/images.py
	.venv/examples/bin/python envoy-filter/tests/overlays.py
	.venv/examples/bin/python envoy-filter/tests/overlays_in_envoy.py
	.venv/examples/bin/python e2e/ingress/plain_envoy.py
	.venv/monitoring/bin/python e2e/monitoring/monitoring_test.py
	env $(WITH_NODE) cargo test --locked -p lowband-e2e
	LOWBAND_TRANSLATOR=sidecar cargo test --locked -p lowband-e2e $(WITHOUT_ENVOY)
	$(RELEASE)/bench-wire --quick
	$(RELEASE)/bench-load --quick
	$(RELEASE)/bench-codec --gates
	python3 bench/filter.py --gates

test-kubernetes: setup-test images kubernetes .tools/linters.stamp $(KUBE_SCORE) ## deploy/ on a real Kubernetes of one node, as root; minutes, and as many again where it has to be built
	python3 e2e/kubernetes/lint.py
	python3 e2e/kubernetes/run.py

test-more: setup-more images-again kubernetes npm-again ## what takes too long for `make test` or needs Java, a newer Go or Rust, or systemd: two builds with the same bytes, late answers, matrix-rust-sdk, Envoy Gateway, Istio, 2,000 sessions, other bundlers, the unit; eleven minutes
	$(GO_COAP) vet ./...
	python3 e2e/systemd/run.py
	.venv/examples/bin/python e2e/ingress/envoy_gateway.py
	.venv/examples/bin/python e2e/ingress/istio.py
	python3 e2e/kubernetes/run.py memory ingress
	env $(WITH_NODE) LOWBAND_NPM_PACKED=$(PACKED) npm --prefix npm run --silent test-more
	env $(WITH_NODE) cargo test --locked -p lowband-e2e --test late --test bad_paths --test foreign_servers --test days -- --ignored
	LOWBAND_TRANSLATOR=sidecar cargo test --locked -p lowband-e2e --test nio --test replay

pictures: setup build filter ## the table of bytes in the README and its pictures, from a run of the demo
	@mkdir -p $(CARGO_TARGET_DIR)
	@$(RELEASE)/demo up --once --port '$(PORT)' --dir '$(CARGO_TARGET_DIR)/pictures' --table $(CARGO_TARGET_DIR)/table.txt
	@tools/pictures --table $(CARGO_TARGET_DIR)/table.txt

figures: setup-test build filter ## datagrams and bytes of the exchanges that the README names
	@$(RELEASE)/wire-figures

# The limit allows a socket for each of 12,000 sessions.
bench-wire: build ## what the sidecar costs, beside the reference's figures; eleven minutes
	@ulimit -n "$$(ulimit -H -n)" && $(RELEASE)/bench-wire

# The limit allows a socket for each of 5,000 sessions.
bench-load: build ## whether everybody is served, beside greedy clients and strangers as well; thirteen minutes
	@ulimit -n "$$(ulimit -H -n)" && $(RELEASE)/bench-load

bench-client: setup-test build filter ## what a server without Envoy costs, and what the local proxy costs and saves; five minutes
	@$(RELEASE)/bench-client

bench-link: $(if $(QUICK),build,setup-more build) ## how long bodies take over slow and lossy links, beside other clients; five minutes, QUICK=1: half of one
	@$(RELEASE)/bench-link $(if $(QUICK),--quick)

bench-codec: setup-test build ## what the codec costs: ratios over other ways, and instructions; half a minute
	@$(RELEASE)/bench-codec

bench-chain: setup build filter ## what sidecar, Envoy and filter cost together for 200 kB; half a minute
	@$(RELEASE)/bench-wire --chain

bench-filter: setup-test build filter $(COPY_FILTER) ## what the filter costs Envoy, beside a filter that copies; two minutes
	@python3 bench/filter.py

bench-capture: setup-test build ## how fast `lowband show` reads 100 MB of capture, beside tshark; two minutes
	@python3 bench/capture.py

# OpenSSL keeps some memory from one input to the next: a search for leaks after each would take most of the
# time. A real leak meets the limit of 2 GB.
fuzz: .tools/bin/cargo-fuzz ## look for inputs that break the transport or the codec: FUZZ_SECONDS=60 for each target
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  $(CARGO_FUZZ) run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 -detect_leaks=0 -print_final_stats=1; \
	done

bench-npm: npm ## the npm package beside JSON.parse and cbor-x, bytes to bytes
	@env $(WITH_NODE) npm --prefix npm run --silent bench

advisories: .tools/bin/cargo-deny ## known vulnerabilities of the dependencies; needs the network
	@.tools/bin/cargo-deny fetch db || { \
	  echo 'The database of advisories is out of reach: nothing has been checked.' >&2; exit 1; }
	@.tools/bin/cargo-deny check --disable-fetch advisories

# ---- building ----------------------------------------------------------------------------------------------

# Without the remapping a program holds the paths of this machine and differs from one machine to the next.
BUILD_RUSTFLAGS := $(strip $(RUSTFLAGS) --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/src)
BUILD := env RUSTFLAGS="$(BUILD_RUSTFLAGS)" cargo build --locked --release --workspace --exclude lowband-cli \
  --exclude lowband-envoy-filter --exclude lowband-copy-filter --exclude 'lowband-npm*' --exclude lowband-devtools
BUILD_CLIENT := env RUSTFLAGS="$(BUILD_RUSTFLAGS)" cargo build --locked --profile small --package lowband-cli

build: .tools/system.stamp ## release binaries: lowband-sidecar, lowband, demo, wire-figures, bench-wire, bench-load, bench-client, bench-link, bench-codec, writers
	@$(STEP)/build.log 'Building the sidecar and the demo' $(BUILD)
	@$(STEP)/build-client.log 'Building the client' $(BUILD_CLIENT)
	@ln -f $(CARGO_TARGET_DIR)/small/lowband $(RELEASE)/lowband

man: build ## man pages and completions: target/man/*.1, target/man/*.8, target/completions/lowband.*
	@$(RELEASE)/lowband man $(CARGO_TARGET_DIR)/man
	@$(RELEASE)/lowband-sidecar man $(CARGO_TARGET_DIR)/man
	@mkdir -p $(CARGO_TARGET_DIR)/completions
	@for shell in bash fish zsh; do \
	  $(RELEASE)/lowband completions $$shell > $(CARGO_TARGET_DIR)/completions/lowband.$$shell; done

# Builds nothing, so that root need not run cargo. The unit names the program by its path.
install: ## put what `make build filter` has made below PREFIX, with the systemd unit; DESTDIR=... for packages
	@for made in $(RELEASE)/lowband-sidecar $(RELEASE)/lowband $(FILTER); do \
	  [ -e "$$made" ] || { echo "$$made is missing: make build filter" >&2; exit 1; }; \
	done
	install -D -m 755 $(RELEASE)/lowband-sidecar $(RELEASE)/lowband -t '$(DESTDIR)$(PREFIX)/bin'
	install -D -m 644 $(FILTER) -t '$(DESTDIR)$(PREFIX)/share/lowband'
	install -D -m 644 deploy/systemd/lowband-sidecar.service -t '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	install -D -m 644 deploy/systemd/lowband-proxy.service -t '$(DESTDIR)$(PREFIX)/lib/systemd/user'
	sed -i 's|^ExecStart=/usr/local/|ExecStart=$(PREFIX)/|' '$(DESTDIR)$(PREFIX)/lib/systemd/system/lowband-sidecar.service' \
	  '$(DESTDIR)$(PREFIX)/lib/systemd/user/lowband-proxy.service'
	@for page in $(CARGO_TARGET_DIR)/man/*.[18]; do \
	  [ ! -e "$$page" ] || install -D -m 644 "$$page" -t "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}"; \
	done

# The wasm modules are built by the installed toolchain where it has the standard library for wasm
# (`rustup target add wasm32-unknown-unknown`), else by Debian's rustc-web, whose source package has
# the matching library.
WASM := wasm32-unknown-unknown
WASM_STD_LIB := $(wildcard $(shell rustc --print target-libdir --target $(WASM) 2>/dev/null))
WASM_DIR = $(CARGO_TARGET_DIR)/wasm
WASM_ENV = CARGO_TARGET_DIR=$(WASM_DIR)
# Without the remapping the module holds the paths of this machine and differs from one machine to the next.
WASM_RUSTFLAGS := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/src
ifeq ($(WASM_STD_LIB),)
WASM_PACKAGES := rustc-web rust-web-src lld-22
WASM_ENV += RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
WASM_FLAGS := -Zbuild-std=std,panic_abort
# Every page that uses the npm package fetches its module, and Envoy compiles its own when it starts: both use
# a library built for size, without texts for panics, each of which would be a trap and none of which is
# known.
WASM_FLAGS += -Zbuild-std-features=optimize_for_size
WASM_RUSTFLAGS += -Zunstable-options -Cpanic=immediate-abort
NPM_MAX_GZIPPED := 56320
else
# The library that comes with rustup is built for speed, with all its texts.
NPM_MAX_GZIPPED := 92000
endif
BINDGEN := $(CARGO_TARGET_DIR)/debug/lowband-npm-bindgen
PACKED := $(CARGO_TARGET_DIR)/npm
AGAIN := $(CARGO_TARGET_DIR)/npm-again

# The command that builds a module, except for its package. If a crate is a library for tests as well, Cargo
# optimises the module without a look at other crates, unless only the module is asked for.
WASM_BUILD = env $(WASM_ENV) CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$(WASM_RUSTFLAGS)" \
  cargo rustc --locked --profile wasm --target $(WASM) $(WASM_FLAGS) --crate-type cdylib
WASM_OUT = $(WASM_DIR)/$(WASM)/wasm

# Envoy's V8 has the vectors of WebAssembly, and a long answer costs a tenth less with them.
filter: WASM_RUSTFLAGS += -Ctarget-feature=+simd128
# Cargo keeps one build of a crate for all flags: in one folder each of the two would drive the other out.
filter: WASM_DIR = $(CARGO_TARGET_DIR)/wasm-filter
filter: .tools/system.stamp ## the Envoy filter: target/lowband-filter.wasm
	@$(STEP)/filter.log 'Building the Envoy filter' $(WASM_BUILD) -p lowband-envoy-filter
	@cp --update $(WASM_OUT)/lowband_envoy_filter.wasm $(FILTER)

npm: .tools/system.stamp .tools/npm.stamp ## the npm package lowband-codec: target/npm/*.tgz
	@$(STEP)/npm-bindgen.log 'Building what makes the JavaScript of the npm package' cargo build --locked -p lowband-npm-bindgen
	@$(MAKE) npm-module
	@$(STEP)/npm-cjs.log 'Making the npm package for require' env $(WITH_NODE) npm --prefix npm run --silent cjs
	@cp --update LICENSE npm/LICENSE
	@rm -rf $(PACKED) && mkdir -p $(PACKED)
	@$(STEP)/npm-pack.log 'Packing the npm package' env $(WITH_NODE) npm pack --silent --pack-destination $(PACKED) ./npm

npm-module:
	@$(STEP)/npm-module.log 'Building the module of the npm package' $(WASM_BUILD) -p lowband-npm
	@$(BINDGEN) npm/pkg $(WASM_OUT)/lowband_npm.wasm

page: page-module .tools/devtools.stamp ## the page that shows what is on the wire: target/page/index.html, one file that opens from disk
	@$(STEP)/page.log 'Building the page' env $(WITH_NODE) npm --prefix devtools run --silent build
	@echo target/page/index.html

page-serve: page ## the page on 127.0.0.1, at PAGE_PORT=8010
	python3 -m http.server --bind 127.0.0.1 --directory target/page $(PAGE_PORT)

page-module: .tools/system.stamp
	@$(STEP)/npm-bindgen.log 'Building what makes the JavaScript of the npm package' cargo build --locked -p lowband-npm-bindgen
	@$(STEP)/page-module.log 'Building the module of the page' $(WASM_BUILD) -p lowband-devtools
	@mkdir -p devtools/page/pkg devtools/extension/pkg
	@$(BINDGEN) devtools/page/pkg $(WASM_OUT)/lowband_devtools.wasm
	@cp devtools/page/pkg/*.js devtools/page/pkg/*.wasm devtools/extension/pkg

# The second build runs in another folder and at another time, with a copy of the standard library that was
# built for the first one: with other flags it would be built anew.
npm-again: npm
	@rm -rf $(AGAIN) && mkdir -p $(AGAIN)/src $(AGAIN)/target/wasm/$(WASM)
	@git ls-files -z | xargs -0 cp --parents -t $(AGAIN)/src
	@cp -a $(CARGO_TARGET_DIR)/wasm/wasm $(AGAIN)/target/wasm
	@cp -a $(WASM_OUT) $(AGAIN)/target/wasm/$(WASM)
	@$(MAKE) -C $(AGAIN)/src CARGO_TARGET_DIR=$(AGAIN)/target BINDGEN=$(BINDGEN) WASM_RUSTFLAGS='$(WASM_RUSTFLAGS)' npm-module
	@diff -r npm/pkg $(AGAIN)/src/npm/pkg && echo 'two builds of the npm package gave the same bytes'
	@rm -rf $(AGAIN)

$(COPY_FILTER): $(wildcard bench/copy-filter/*.toml bench/copy-filter/src/*) | .tools/system.stamp
	@$(STEP)/copy-filter.log 'Building the filter that copies' $(WASM_BUILD) -p lowband-copy-filter
	@cp --update $(WASM_OUT)/lowband_copy_filter.wasm $@

VERSION := $(shell sed -nE 's/^version = "(.*)"$$/\1/p' Cargo.toml)
MSRV = $(shell sed -nE 's/^rust-version = "(.*)"$$/\1/p' Cargo.toml)
SIDECAR_IMAGE := $(CARGO_TARGET_DIR)/lowband-sidecar.tar
FILTER_IMAGE := $(FILTER:.wasm=.tar)
# The compiler whose standard library is in the filter, which may be a different one.
WASM_SBOM := $(if $(WASM_STD_LIB),--rustc rustc,--rustc /usr/bin/rustc) --module lowband-envoy-filter

images: build image-filter ## OCI images of sidecar and filter, each with its SBOM: target/*.tar, target/*.spdx.json; prints their digests
	@digest=$$(tools/image-sidecar $(RELEASE)/lowband-sidecar $(FILTER) $(SIDECAR_IMAGE) $(VERSION)); \
	  tools/sbom lowband-sidecar $(VERSION) $$digest $(SIDECAR_IMAGE:.tar=.spdx.json) --rustc rustc --program lowband-sidecar $(WASM_SBOM) \
	    --files /etc/ssl/certs/ca-certificates.crt $$(tools/libraries $(RELEASE)/lowband-sidecar); \
	  echo "$(SIDECAR_IMAGE) $$digest"

image-filter: filter .tools/image.stamp ## the filter as an OCI image, with its SBOM: target/lowband-filter.tar; prints its digest
	@digest=$$(tools/image-filter $(FILTER) $(FILTER_IMAGE) $(VERSION)); \
	  tools/sbom lowband-filter $(VERSION) $$digest $(FILTER_IMAGE:.tar=.spdx.json) $(WASM_SBOM); \
	  echo "$(FILTER_IMAGE) $$digest"

# The second build runs in another folder and at another time, with a copy of the compiled foreign crates.
IMAGES_AGAIN := $(CARGO_TARGET_DIR)/images-again
images-again: images
	@rm -rf $(IMAGES_AGAIN) && mkdir -p $(IMAGES_AGAIN)/src $(IMAGES_AGAIN)/target
	@git ls-files -z | xargs -0 cp --parents -t $(IMAGES_AGAIN)/src
	@cp -a $(RELEASE) $(IMAGES_AGAIN)/target
	@rm -f $(IMAGES_AGAIN)/target/release/lowband*
	@cd $(IMAGES_AGAIN)/src && CARGO_TARGET_DIR=$(IMAGES_AGAIN)/target \
	  $(CURDIR)/$(STEP)/images-again.log 'Building the sidecar once more, elsewhere' $(BUILD) --bin lowband-sidecar
	@again=$$(tools/image-sidecar $(IMAGES_AGAIN)/target/release/lowband-sidecar $(FILTER) $(IMAGES_AGAIN)/sidecar.tar $(VERSION)); \
	  [ "$$again" = "$$(skopeo inspect --format '{{.Digest}}' oci-archive:$(SIDECAR_IMAGE))" ] || \
	    { echo "the sidecar's image differs when it is built in another folder: $$again" >&2; exit 1; }
	@echo 'two builds of the image of the sidecar gave the same digest'
	@rm -rf $(IMAGES_AGAIN)

# The build takes minutes the first time; then its result stays until its sources change.
kubernetes: .tools/kubernetes-packages.stamp .tools/test.stamp
	@$(STEP)/kubernetes.log 'Building Kubernetes for the tests' e2e/kubernetes/build .tools/kubernetes

# Only the modules of go.sum are fetched, and no other Go than the installed one.
GO := env -C e2e/foreign/reference GOTOOLCHAIN=local go

$(REFERENCE_CLIENT): $(wildcard e2e/foreign/reference/*) | .tools/test.stamp
	@mkdir -p $(@D)
	@$(STEP)/reference-client.log 'Building the foreign client of the tests' $(GO) build -trimpath -buildvcs=false -o $@

$(REFERENCE_SERVER): $(wildcard e2e/foreign/reference/go.* e2e/foreign/reference/server/*) | .tools/test.stamp
	@mkdir -p $(@D)
	@$(STEP)/reference-server.log 'Building the foreign server of the tests' $(GO) build -trimpath -buildvcs=false -o $@ ./server

$(REFERENCE_PROXY): $(wildcard e2e/foreign/reference/go.* e2e/foreign/reference/proxy/*) | .tools/test.stamp
	@mkdir -p $(@D)
	@$(STEP)/reference-proxy.log 'Building the foreign proxy that ours is measured beside' $(GO) build -trimpath -buildvcs=false -o $@ ./proxy

# Captures for the tests of another reader, in either byte order, with blocks and options of all kinds.
GOPACKET := github.com/gopacket/gopacket@v1.7.7 h1:9MaMKsjcFCnUVPI9CHp/ZDhu1SSV+rs0THQ2ztRAqmE=
.tools/captures.stamp: tools/captures | .tools/test.stamp
	@$(STEP)/captures.log 'Fetching captures that others made' tools/captures $(GOPACKET) .tools/captures
	@touch $@

GO_COAP := env -C e2e/foreign/go-coap GOTOOLCHAIN=local go

$(GO_COAP_CLIENT): $(wildcard e2e/foreign/go-coap/*) | .tools/test.stamp
	@mkdir -p $(@D)
	@$(STEP)/go-coap-client.log 'Building the client on go-coap v3, which needs Go 1.26' \
	  $(GO_COAP) build -trimpath -buildvcs=false -o $@

$(GO_COAP_SERVER): $(wildcard e2e/foreign/go-coap/go.* e2e/foreign/go-coap/server/*) | .tools/test.stamp
	@mkdir -p $(@D)
	@$(STEP)/go-coap-server.log 'Building the server on go-coap v3, which needs Go 1.26' \
	  $(GO_COAP) build -trimpath -buildvcs=false -o $@ ./server

$(KUBE_SCORE): $(wildcard e2e/kubernetes/linters/go.*) | .tools/test.stamp
	@$(STEP)/kube-score.log 'Building kube-score, which looks over the manifests' \
	  env -C e2e/kubernetes/linters GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
	  go build -trimpath -buildvcs=false -ldflags='-s -w' -o $(CURDIR)/$@ github.com/zegl/kube-score/cmd/kube-score

$(ACTIONLINT): $(wildcard tools/actionlint/go.*) | needed
	@$(STEP)/actionlint.log 'Building actionlint, which looks over the workflows' \
	  env -C tools/actionlint GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
	  go build -trimpath -buildvcs=false -ldflags='-s -w' -o $(CURDIR)/$@ github.com/rhysd/actionlint/cmd/actionlint

# The build takes four minutes the first time, on two cores.
$(ENVOY_GATEWAY): $(wildcard e2e/ingress/envoy-gateway/*) | .tools/test.stamp
	@$(STEP)/envoy-gateway.log 'Building Envoy Gateway for the tests, which needs Go 1.26' \
	  env -C e2e/ingress/envoy-gateway GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
	  go build -trimpath -buildvcs=false -ldflags='-s -w' -o $(CURDIR)/$@ github.com/envoyproxy/gateway/cmd/envoy-gateway

# The build takes as long as the previous one.
$(ISTIO): $(wildcard e2e/ingress/istio-pilot/*) | .tools/test.stamp
	@$(STEP)/istio.log "Building Istio's control plane for the tests, which needs Go 1.26" \
	  env -C e2e/ingress/istio-pilot GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
	  go test -c -vet=off -trimpath -buildvcs=false -ldflags='-s -w' -o $(CURDIR)/$@ .

# The library needs Rust 1.93. The build takes some four minutes the first time, on two cores.
$(RUST_SDK_DAY): $(wildcard e2e/sdk/rust/* e2e/sdk/rust/src/*) | .tools/test.stamp
	@$(STEP)/rust-sdk.log 'Building matrix-rust-sdk, a foreign client of the tests' \
	  cargo build --locked --manifest-path e2e/sdk/rust/Cargo.toml --target-dir $(RUST_SDK)
	@touch $@

# Maven checks no hash but the one that lies beside the file.
$(CALIFORNIUM)/FetchLate.class $(CALIFORNIUM)/ServeBody.class &: $(wildcard e2e/foreign/californium/* e2e/foreign/californium/src/*) | .tools/more.stamp
	@rm -rf $(CALIFORNIUM) && mkdir -p $(CALIFORNIUM)/lib
	@$(STEP)/californium.log 'Fetching Californium' mvn -B -q -f e2e/foreign/californium/pom.xml \
	  dependency:copy-dependencies -DoutputDirectory=$(CALIFORNIUM)/lib
	@cd $(CALIFORNIUM)/lib && sha256sum --quiet -c $(CURDIR)/e2e/foreign/californium/SHA256SUMS
	@javac -d $(CALIFORNIUM) -cp '$(CALIFORNIUM)/lib/*' e2e/foreign/californium/src/*.java

# ---- what has to be there ----------------------------------------------------------------------------------

# Vite asks for Node 20.19; Debian 12 has 18, so another one is installed where the existing one is too old.
NODE_HERE := $(shell node -p '(([major, minor]) => major > 20 || (major == 20 && minor >= 19) || "")(process.versions.node.split(".").map(Number))' 2>/dev/null)
WITH_NODE := $(if $(NODE_HERE),,PATH=$(CURDIR)/.venv/node/bin:$(PATH))

SYSTEM_PACKAGES := gcc libssl-dev pkg-config openssl python3-venv $(WASM_PACKAGES)
TEST_PACKAGES := iproute2 libcoap3-bin gnutls-bin curl tshark chromium valgrind $(if $(shell command -v go),,golang-go)
KUBERNETES_PACKAGES := containerd runc containernetworking-plugins iptables nftables conntrack
MORE_PACKAGES := systemd $(if $(shell command -v javac),,default-jdk-headless) $(if $(shell command -v mvn),,maven)

setup: .tools/system.stamp .tools/envoy.stamp .tools/synapse.stamp ## install what the demo needs: packages of the system, Envoy, Synapse

setup-test: setup ## install what the tests need besides
setup-test: .tools/test.stamp .tools/image.stamp .tools/envoy-oldest.stamp .tools/aiocoap.stamp .tools/nio.stamp \
  .tools/examples.stamp .tools/monitoring.stamp .tools/crds.stamp .tools/prometheus.stamp .tools/bin/cargo-deny $(ACTIONLINT) .tools/node-clients.stamp .tools/sdk.stamp .tools/captures.stamp $(REFERENCE_CLIENT) $(REFERENCE_SERVER) $(REFERENCE_PROXY)

setup-more: setup-test $(GO_COAP_CLIENT) $(GO_COAP_SERVER) $(RUST_SDK_DAY) $(ENVOY_GATEWAY) $(ISTIO) $(CALIFORNIUM)/FetchLate.class $(CALIFORNIUM)/ServeBody.class ## install what `make test-more` needs besides

.tools/system.stamp: Makefile tools/system-packages | rust
	@$(STEP)/system.log 'Looking for system packages' tools/system-packages $(SYSTEM_PACKAGES)
	@mkdir -p .tools && touch $@

.tools/test.stamp: Makefile tools/system-packages
	@$(STEP)/test-packages.log 'Looking for the packages of the tests' tools/system-packages $(TEST_PACKAGES)
	@mkdir -p .tools && touch $@

.tools/kubernetes-packages.stamp: Makefile tools/system-packages
	@$(STEP)/kubernetes-packages.log 'Looking for what a node is made of' tools/system-packages $(KUBERNETES_PACKAGES)
	@mkdir -p .tools && touch $@

.tools/more.stamp: Makefile tools/system-packages
	@$(STEP)/more-packages.log 'Looking for Java, Maven and systemd' tools/system-packages $(MORE_PACKAGES)
	@mkdir -p .tools && touch $@

.tools/image.stamp: Makefile tools/system-packages
	@$(STEP)/image-packages.log 'Looking for the packages that build images' tools/system-packages umoci skopeo
	@mkdir -p .tools && touch $@

# Each has a Python environment of its own, because their dependencies must not meet.
ENVIRONMENTS := envoy envoy-oldest synapse aiocoap nio examples monitoring linters node
REQUIREMENTS_envoy := tools/envoy-requirements.txt
REQUIREMENTS_envoy-oldest := tools/envoy-oldest-requirements.txt
REQUIREMENTS_synapse := e2e/homeserver/synapse-requirements.txt
REQUIREMENTS_aiocoap := e2e/foreign/aiocoap/requirements.txt
REQUIREMENTS_nio := e2e/foreign/nio/requirements.txt
REQUIREMENTS_examples := envoy-filter/tests/requirements.txt
REQUIREMENTS_monitoring := e2e/monitoring/requirements.txt
REQUIREMENTS_linters := e2e/kubernetes/linters/requirements.txt
REQUIREMENTS_node := npm/node-requirements.txt
WHAT_envoy := Envoy
WHAT_envoy-oldest := the oldest Envoy for the tests
WHAT_synapse := Synapse, the embedded homeserver
WHAT_aiocoap := aiocoap, a foreign client of the tests
WHAT_nio := matrix-nio, a foreign client of the tests
WHAT_examples := a reader of schemas for the tests
WHAT_monitoring := a reader of PromQL for the tests
WHAT_linters := checkov, which looks over the manifests
WHAT_node := Node

define ENVIRONMENT
.tools/$(1).stamp: $(REQUIREMENTS_$(1)) | .tools/system.stamp
	@python3 -m venv .venv/$(1)
	@$(STEP)/$(1).log 'Installing $(WHAT_$(1))' .venv/$(1)/bin/pip install --disable-pip-version-check -r $$<
	@touch $$@
endef
$(foreach each,$(ENVIRONMENTS),$(eval $(call ENVIRONMENT,$(each))))

.tools/crds.stamp: tools/crds | .tools/test.stamp
	@$(STEP)/crds.log 'Fetching the schemas of Envoy Gateway, Istio and others' tools/crds .tools/crds
	@touch $@

.tools/prometheus.stamp: tools/prometheus
	@$(STEP)/prometheus.log 'Fetching Prometheus for the tests' tools/prometheus .tools/prometheus
	@touch $@

.tools/npm.stamp: npm/package-lock.json npm/.npmrc | $(if $(WITH_NODE),.tools/node.stamp)
	@$(STEP)/npm-ci.log 'Installing what the tests of the npm package use' env $(WITH_NODE) npm --prefix npm ci
	@touch $@

.tools/devtools.stamp: devtools/package-lock.json devtools/.npmrc | $(if $(WITH_NODE),.tools/node.stamp)
	@$(STEP)/devtools.log 'Installing what builds and tests the page' env $(WITH_NODE) npm --prefix devtools ci
	@touch $@

.tools/node-clients.stamp: e2e/foreign/node/package-lock.json e2e/foreign/node/.npmrc | $(if $(WITH_NODE),.tools/node.stamp)
	@$(STEP)/node-clients.log 'Installing the clients of the tests that need Node' $(NODE_CLIENTS)
	@touch $@

# matrix-js-sdk wants Node 22, which few systems have.
.tools/sdk.stamp: e2e/sdk/js/package-lock.json e2e/sdk/js/.npmrc | .tools/node.stamp
	@$(STEP)/sdk.log 'Installing matrix-js-sdk, a foreign client of the tests' \
	  env PATH=$(CURDIR)/.venv/node/bin:$(PATH) npm --prefix e2e/sdk/js ci
	@touch $@

# `npm ci` refuses: one of them names packages for other machines that the registry does not have. This
# command keeps to the lock as well.
NODE_CLIENTS = env $(WITH_NODE) npm --prefix e2e/foreign/node install --no-save

# Optimised it takes three times as long to build, and saves less than a second.
.tools/bin/cargo-deny: | needed
	@$(STEP)/cargo-deny.log 'Building cargo-deny' env -u CARGO_TARGET_DIR \
	  cargo install cargo-deny --version 0.20.2 --locked --debug --root .tools

.tools/bin/cargo-fuzz: | .tools/fuzz.stamp
	@$(STEP)/cargo-fuzz.log 'Building cargo-fuzz' env -u CARGO_TARGET_DIR \
	  cargo install cargo-fuzz --version 0.13.2 --locked --root .tools

.tools/fuzz.stamp: Makefile tools/system-packages | .tools/system.stamp
	@$(STEP)/fuzz-packages.log 'Looking for the packages of the fuzzer' tools/system-packages g++
	@mkdir -p .tools && touch $@

clean: ## remove what was built and installed here
	rm -rf target .tools .venv npm/node_modules npm/cjs npm/pkg npm/LICENSE devtools/page/pkg devtools/extension/pkg devtools/node_modules e2e/foreign/node/node_modules e2e/sdk/js/node_modules
