# MemoryVOS. `make demo` and `make test` install what they need; everything else is for developers.

PREFIX ?= /usr/local
BUILD := .build/release
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := libopenblas-dev libavformat-dev libavcodec-dev libavutil-dev libswscale-dev \
  libpng-dev libtiff-dev libarchive-dev zlib1g-dev pkg-config make

.PHONY: demo test build-mpi test-mpi build install format lint bench test-kernels test-vnni test-arm64 bench-kernels packages clean

# Nothing is asked of the mirrors when every package is there.
packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; \
	  $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi

# A clip with exact ground truth: rendered, tracked with the shipped checkpoint, scored, drawn.
demo: build
	@echo "rendering a clip of 72 frames"
	@$(BUILD)/vos-cli render-sample --output demo/sample --video demo/sample.mp4
	@echo "tracking its objects from the mask on the first frame"
	@$(BUILD)/vos-cli track demo/sample/frames --mask demo/sample/Annotations/00000.png \
	  --output demo/masks --overlay demo/overlay.mp4 --measure demo/objects.csv --overwrite
	@echo "scoring the masks against the exact ones"
	@$(BUILD)/vos-cli score --truth demo/sample/Annotations --results demo/masks --protocol folder
	@echo
	@echo "$(CURDIR)/demo:"
	@echo "  overlay.mp4  the clip with its tracked objects"
	@echo "  masks/       one indexed PNG for each frame"
	@echo "  objects.csv  area, centroid, box and confidence of each object in each frame"
	@echo "  sample/      the rendered frames and their exact masks"

build: packages
	swift build -c release --product vos-cli

# Optimised: the scalar kernels, which are the reference, take minutes without. In a folder of their
# own, because tests look into modules and the command's build does not.
TEST_BUILD := -c release -Xswiftc -enable-testing --scratch-path .build-test

# Data-parallel training: a command that mpirun can start, and its tests.
MPI_BUILD := .build-mpi
build-mpi: PACKAGES += libopenmpi-dev openmpi-bin
build-mpi: packages
	swift build -c release --traits MPI --product vos-cli --scratch-path $(MPI_BUILD)

test-mpi: build-mpi
	swift build $(TEST_BUILD) --build-tests
	VOS_MPI_COMMAND=$(CURDIR)/$(MPI_BUILD)/release/vos-cli \
	  swift test $(TEST_BUILD) --skip-build --filter MPITests

test: packages build/kernels/test
	build/kernels/test
	swift build $(TEST_BUILD) --build-tests
	swift test $(TEST_BUILD) --skip-build

# One step with one object and with three, with the top 30 and with a full memory read.
bench: build
	$(BUILD)/vos-cli benchmark
	$(BUILD)/vos-cli benchmark --top-k 0
	$(BUILD)/vos-cli benchmark --objects 3

SHARE := $(DESTDIR)$(PREFIX)/share
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/memoryvos $(SHARE)/bash-completion/completions \
	  $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	install -m 755 $(BUILD)/vos-cli $(DESTDIR)$(PREFIX)/bin
	install -m 644 Checkpoints/*.safetensors Checkpoints/README.md LICENSE $(SHARE)/memoryvos
	$(BUILD)/vos-cli --generate-completion-script bash > $(SHARE)/bash-completion/completions/vos-cli
	$(BUILD)/vos-cli --generate-completion-script zsh > $(SHARE)/zsh/site-functions/_vos-cli
	$(BUILD)/vos-cli --generate-completion-script fish > $(SHARE)/fish/vendor_completions.d/vos-cli.fish

# The C kernels by themselves: optimised, and under the address and undefined-behaviour sanitizers.
KERNELS := $(wildcard Sources/CKernels/*.c Sources/CKernels/scalar/*.c Sources/CKernels/int8/*.c)
KERNEL_TESTS := $(wildcard Tests/CKernelsTests/*.c)
KERNEL_HEADERS := $(wildcard Sources/CKernels/*.h Sources/CKernels/*/*.h Tests/CKernelsTests/*.h)
KERNEL_FLAGS := -std=c11 -g -Wall -Wextra -Wno-psabi

build/kernels/test: $(KERNELS) $(KERNEL_TESTS) $(KERNEL_HEADERS)
	@mkdir -p $(@D)
	clang $(KERNEL_FLAGS) -Werror -O2 $(KERNELS) $(KERNEL_TESTS) -lm -o $@

build/kernels/test-sanitized: $(KERNELS) $(KERNEL_TESTS) $(KERNEL_HEADERS)
	@mkdir -p $(@D)
	clang -fuse-ld=lld $(KERNEL_FLAGS) -Werror -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	  $(KERNELS) $(KERNEL_TESTS) -lm -o $@

test-kernels: build/kernels/test build/kernels/test-sanitized
	build/kernels/test
	build/kernels/test-sanitized

# The integer kernels for CPUs with VNNI, on any x86: SIMDe computes what the CPU lacks. gcc, because it ignores the
# pragmas by which clang would compile for AVX-512, and a dispatch that offers every table.
VNNI := Sources/CKernels/int8/avx512vnni.c Sources/CKernels/int8/avxvnni.c Sources/CKernels/int8/dispatch.c
VNNI_FLAGS := -std=gnu11 -g -Wall -Wextra -Werror -Wno-psabi -Wno-unknown-pragmas -mavx2 -mfma \
  -ffp-contract=off \
  "-D__builtin_cpu_supports(name)=1" -ITests/CKernelsTests/simde

build/kernels/test-vnni: SANITIZE = -O2
build/kernels/test-vnni-sanitized: SANITIZE = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
build/kernels/test-vnni build/kernels/test-vnni-sanitized: $(KERNELS) $(KERNEL_TESTS) $(KERNEL_HEADERS) Tests/CKernelsTests/simde/immintrin.h
	@mkdir -p $@-objects
	cd $@-objects && gcc $(VNNI_FLAGS:-I%=-I$(CURDIR)/%) $(SANITIZE) -c $(VNNI:%=$(CURDIR)/%)
	clang -fuse-ld=lld $(KERNEL_FLAGS) -Werror $(SANITIZE) $(filter-out $(VNNI),$(KERNELS)) $(KERNEL_TESTS) \
	  $@-objects/*.o -lm -o $@

test-vnni:
	@$(MAKE) --no-print-directory packages PACKAGES="gcc libsimde-dev"
	@$(MAKE) --no-print-directory build/kernels/test-vnni build/kernels/test-vnni-sanitized
	build/kernels/test-vnni
	build/kernels/test-vnni-sanitized

# The NEON variants, built by Debian's cross compiler and run by qemu.
ARM64_PACKAGES := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

build/kernels/test-arm64: $(KERNELS) $(KERNEL_TESTS) $(KERNEL_HEADERS)
	@mkdir -p $(@D)
	aarch64-linux-gnu-gcc $(KERNEL_FLAGS) -Wno-unknown-pragmas -Wno-array-bounds \
	  -Wno-stringop-overflow -Wno-stringop-overread -O3 -static \
	  $(KERNELS) $(KERNEL_TESTS) -lm -o $@

test-arm64:
	@$(MAKE) --no-print-directory packages PACKAGES="$(ARM64_PACKAGES)"
	@$(MAKE) --no-print-directory build/kernels/test-arm64
	qemu-aarch64 -cpu max build/kernels/test-arm64

# Every kernel at the network's shapes, against scalar, the FMA peak and OpenBLAS.
build/kernels/bench: Benchmarks/kernels.c $(KERNELS) $(KERNEL_HEADERS)
	@mkdir -p $(@D)
	clang $(KERNEL_FLAGS) -DNDEBUG -O2 $$(pkg-config --cflags openblas) $< $(KERNELS) \
	  $$(pkg-config --libs openblas) -lm -o $@

bench-kernels: packages
	@$(MAKE) --no-print-directory build/kernels/bench
	build/kernels/bench

format:
	swift format --in-place --recursive Package.swift Sources Tests

lint:
	swift format lint --strict --recursive Package.swift Sources Tests

clean:
	rm -rf .build .build-test build demo
