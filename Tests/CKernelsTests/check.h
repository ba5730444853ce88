// What the kernel tests share: cases, seeded inputs of exact extent, guarded outputs, comparisons.
// Called by: every file of this folder. `make test-kernels` and `make test-arm64` build and run them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../../Sources/CKernels/include/CKernels.h"

// MARK: - Tables

extern const vos_kernels vos_kernels_double;      // the formulas of CKernels.h in double
extern const vos_kernels vos_kernels_portable16;  // the 16-lane code paths on any CPU

/// One test: `tested` must compute what `expected` does. Scalar is tested against double, every
/// other table against scalar.
typedef void test_function(const vos_kernels *tested, const vos_kernels *expected);

test_function test_gemm, test_depthwise, test_dilated;                    // products.c
test_function test_softmax, test_subtract_distances, test_top_k,          // memory.c
    test_gather, test_packing;
test_function test_upsample2, test_normalize, test_resize, test_combine,  // maps.c
    test_aggregate, test_argmax, test_max_pool;

/// Every integer table that this CPU can run against the integer specification, and that one against
/// formulas.
void test_int8(uint64_t seed);  // int8.c

// MARK: - Cases

/// What the cases that follow test: a table and one of its kernels, and the inputs to begin with.
void begin_test(const char *table, const char *test, uint64_t seed);
/// Starts a case, named as printf does. The case before it ends: what it allocated is freed.
void begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// Fails the current case; only its first message is printed.
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// MARK: - Inputs

size_t random_below(size_t bound);
/// Memory of exactly this many bytes until the case ends: the address sanitizer sees a read beyond.
void *allocate(size_t bytes);
/// Uniform in low ..< high.
float *random_floats(size_t count, float low, float high);
/// Multiples of `unit` from -4 to 4 units. Sums of their products are exact in float, so that every
/// order of summation must give the same bits.
float *random_integers(size_t count, float unit);

// MARK: - Outputs

/// A matrix between guards. All that is no element (guards, gaps between rows) must stay untouched.
typedef struct {
  float *data;
  size_t rows, columns, stride;
} matrix;

matrix new_matrix(size_t rows, size_t columns, size_t stride);
void copy_elements(matrix from, matrix to);

/// Every element within absolute + relative · |expected|, no NaN (unless both), and nothing else
/// of `actual` written. The worst element is reported.
void expect_near(matrix actual, matrix expected, double absolute, double relative);
