// The runner of the kernel tests: every table that this CPU can run, and the portable 16-lane one,
// against the specification. `main [seed]`; exits with 1 when a case failed.
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/CKernels/tables.h"

// MARK: - Cases

static struct {
  int passed, failed;
  int case_failed;
  char name[256];
  const char *table, *test;
} run;

static void *allocations[64];
static size_t allocation_count;

static void end_case(void) {
  for (size_t i = 0; i < allocation_count; i++) free(allocations[i]);
  allocation_count = 0;
  if (!run.name[0]) return;
  run.failed += run.case_failed;
  run.passed += !run.case_failed;
  run.name[0] = 0;
}

void begin(const char *format, ...) {
  end_case();
  run.case_failed = 0;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(run.name, sizeof run.name, format, arguments);
  va_end(arguments);
}

void fail(const char *format, ...) {
  if (run.case_failed) return;
  run.case_failed = 1;
  printf("FAILED %s %s (%s): ", run.table, run.test, run.name);
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
}

// MARK: - Inputs

static uint64_t random_state;

// Marsaglia's xorshift64* ("An experimental exploration of Marsaglia's xorshift generators", Vigna).
static uint32_t random_bits(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

void begin_test(const char *table, const char *test, uint64_t seed) {
  end_case();
  run.table = table;
  run.test = test;
  random_state = seed * 2 + 1;
}

size_t random_below(size_t bound) { return (size_t)(((uint64_t)random_bits() * bound) >> 32); }

void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if ((!memory && bytes) || allocation_count == sizeof allocations / sizeof *allocations) {
    fprintf(stderr, "no memory for a case\n");
    exit(2);
  }
  return allocations[allocation_count++] = memory;
}

float *random_floats(size_t count, float low, float high) {
  float *values = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++)
    values[i] = low + (high - low) * ((float)(random_bits() >> 8) * 0x1p-24f);
  return values;
}

float *random_integers(size_t count, float unit) {
  float *values = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++) values[i] = unit * ((float)random_below(9) - 4);
  return values;
}

// MARK: - Outputs

enum { guard = 64 };  // floats before and after a matrix
static const uint32_t untouched = 0x7fc0dead;  // a NaN that no kernel computes

static size_t extent(matrix m) { return m.rows ? (m.rows - 1) * m.stride + m.columns : 0; }

matrix new_matrix(size_t rows, size_t columns, size_t stride) {
  matrix m = {NULL, rows, columns, stride};
  const size_t count = extent(m) + 2 * guard;
  float *all = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++) memcpy(all + i, &untouched, sizeof untouched);
  m.data = all + guard;
  return m;
}

void copy_elements(matrix from, matrix to) {
  for (size_t m = 0; m < from.rows; m++)
    memcpy(to.data + m * to.stride, from.data + m * from.stride, from.columns * sizeof(float));
}

void expect_near(matrix actual, matrix expected, double absolute, double relative) {
  const float *all = actual.data - guard;
  for (size_t i = 0; i < extent(actual) + 2 * guard; i++) {
    const size_t at = i - guard;  // wraps below 0: no element either
    if (i >= guard && at < extent(actual) && at % actual.stride < actual.columns) continue;
    if (memcmp(all + i, &untouched, sizeof untouched)) {
      fail("wrote outside its output, at %td of %zu x %zu", (ptrdiff_t)at, actual.rows,
           actual.columns);
      return;
    }
  }
  double worst = 0;
  size_t row = 0, column = 0;
  for (size_t m = 0; m < actual.rows; m++)
    for (size_t n = 0; n < actual.columns; n++) {
      const double a = actual.data[m * actual.stride + n];
      const double e = expected.data[m * expected.stride + n];
      const double error = fabs(a - e), excess = error - (absolute + relative * fabs(e));
      if (a == e || (isnan(a) && isnan(e))) continue;
      if (!(excess <= 0) && !(excess + absolute <= worst)) {
        worst = isnan(excess) ? INFINITY : excess + absolute;
        row = m, column = n;
      }
    }
  if (worst > 0)
    fail("[%zu, %zu] is %.9g, expected %.9g (tolerance %g + %g of it)", row, column,
         (double)actual.data[row * actual.stride + column],
         (double)expected.data[row * expected.stride + column], absolute, relative);
}

// MARK: - What is not in a table

static void test_denormals(void) {
  run.table = "CPU", run.test = "denormals";
  volatile float tiny = 1e-30f, product;
  begin("flushed between flush and restore");
  const uint64_t control = vos_flush_denormals();
  product = tiny * 1e-10f;
  const float flushed = product;
  vos_restore_denormals(control);
  product = tiny * 1e-10f;
  if (flushed != 0) fail("1e-40 was not flushed");
  if (product == 0) fail("1e-40 is still flushed after restore");
  end_case();
}

static void test_dispatch(void) {
  run.table = "CPU", run.test = "dispatch";
  for (int isa = VOS_ISA_SCALAR; isa <= VOS_ISA_NEON; isa++) {
    const vos_kernels *table = vos_kernels_for((vos_isa)isa);
    begin("instruction set %d", isa);
    if (isa == VOS_ISA_SCALAR && table != &vos_kernels_scalar) fail("no scalar table");
    if (table && table->isa != (vos_isa)isa) fail("its table says %d", table->isa);
  }
  begin("unknown instruction set");
  if (vos_kernels_for((vos_isa)99)) fail("has a table");
  end_case();
}

int main(int argc, char **argv) {
  const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20210131;
  printf("seed %" PRIu64 "\n", seed);
  const struct {
    const char *name;
    test_function *function;
  } tests[] = {
    {"gemm", test_gemm},           {"depthwise", test_depthwise}, {"softmax", test_softmax},
    {"top_k", test_top_k},         {"gather", test_gather},       {"packing", test_packing},
    {"upsample2", test_upsample2}, {"normalize", test_normalize}, {"resize", test_resize},
    {"combine", test_combine},     {"aggregate", test_aggregate}, {"argmax", test_argmax},
    {"dilated", test_dilated},     {"max_pool", test_max_pool},
    {"subtract_distances", test_subtract_distances},
  };
  const vos_kernels *tables[] = {
    &vos_kernels_scalar,           vos_kernels_for(VOS_ISA_AVX2), vos_kernels_for(VOS_ISA_AVX512),
    vos_kernels_for(VOS_ISA_NEON), &vos_kernels_portable16,
  };
  test_dispatch();
  test_denormals();
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
    if (!tables[t]) continue;
    run.table = tables[t]->name;
    const int before = run.passed;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
      run.test = tests[i].name;
      random_state = seed * 2 + 1;
      tests[i].function(tables[t], t == 0 ? &vos_kernels_double : &vos_kernels_scalar);
      end_case();
    }
    printf("%-10s %d passed\n", run.table, run.passed - before);
  }
  const int before = run.passed;
  test_int8(seed);
  end_case();
  printf("%-10s %d passed\n", "int8", run.passed - before);
  printf("%d passed, %d failed\n", run.passed, run.failed);
  return run.failed != 0;
}
