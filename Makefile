# MemoryVOS. `make demo` and `make test` install what they need; everything else is for developers.

PREFIX ?= /usr/local
BUILD := .build/release
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := libopenblas-dev libavformat-dev libavcodec-dev libavutil-dev libswscale-dev \
  libpng-dev libtiff-dev libarchive-dev pkg-config make

.PHONY: demo test build install format lint bench test-kernels test-arm64 packages clean

# Nothing is asked of the mirrors when every package is there.
packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $$missing >/dev/null; fi

build: packages
	swift build -c release --product vos-cli

format:
	swift format --in-place --recursive Package.swift Sources Tests

lint:
	swift format lint --strict --recursive Package.swift Sources Tests

clean:
	rm -rf .build build demo
