# make            builds build/larder
# make test       installs what is missing, builds, runs all tests
# make run        installs what is missing, builds, asks the demo model three things
# make check      the checks of .ci/run without its tests: formatting, lengths and include arrows,
#                 warnings with both compilers, sanitizers, fuzzers
# make acceptance every script of tests/acceptance (needs root, about 25 GB of disk and an hour)
# make format | style | tidy | install (PREFIX=/usr/local, DESTDIR=) | clean

BUILD ?= build
BUILD_TYPE ?= Release
PREFIX ?= /usr/local
CMAKE_OPTIONS ?=

# A cmake or ninja on PATH that does not run (a broken pip shim, say) gives way to the distribution's.
CMAKE ?= $(shell cmake --version >/dev/null 2>&1 && echo cmake || echo /usr/bin/cmake)
CTEST ?= $(shell ctest --version >/dev/null 2>&1 && echo ctest || echo /usr/bin/ctest)
NINJA := $(shell for n in ninja /usr/bin/ninja; do $$n --version >/dev/null 2>&1 && command -v $$n && break; done)
JOBS ?= $(shell nproc)
GENERATOR = $(if $(NINJA),-G Ninja -DCMAKE_MAKE_PROGRAM=$(NINJA))

.PHONY: all configure deps test run check acceptance format style tidy install clean

all: configure
	$(CMAKE) --build $(BUILD) -j $(JOBS)

# The generator of an existing build folder is kept; CMake would refuse another one.
configure:
	@$(CMAKE) -S . -B $(BUILD) $(if $(wildcard $(BUILD)/CMakeCache.txt),,$(GENERATOR)) \
	  -DCMAKE_BUILD_TYPE=$(BUILD_TYPE) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_OPTIONS)

deps:
	@scripts/install-deps

# Sub-makes, so that tools which `deps` has just installed are found.
test: deps
	@$(MAKE) --no-print-directory all
	$(CTEST) --test-dir $(BUILD) --output-on-failure -j $(JOBS)

run: deps
	@$(MAKE) --no-print-directory all
	@scripts/run-demo $(BUILD)/larder

check:
	.ci/run --checks-only

acceptance: deps
	@$(MAKE) --no-print-directory all
	tests/acceptance/run --all

format:
	@scripts/format

style:
	@$(MAKE) --no-print-directory configure
	@$(CMAKE) --build $(BUILD) --target style_test
	@$(BUILD)/style_test --gtest_brief=1

tidy:
	@$(MAKE) --no-print-directory configure
	@scripts/tidy $(BUILD)

install: all
	$(CMAKE) --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf $(BUILD)
