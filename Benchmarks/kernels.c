// Speed of every kernel at the shapes of the network, per instruction set, on one thread:
// `make bench-kernels`. Dense products also against the FMA peak and OpenBLAS, on the same product.
//
// Machines are shared: contestants take turns in each round, the clock counts this thread's CPU time
// only, and the table holds medians. BLAS
// computes the bare product of a contiguous A; our gemm adds bias and clamp. "row": one row of the
// map, as the engine's chains compute it; "map": all rows in one call, which chains never hold.
#define _POSIX_C_SOURCE 200809L  // clock_gettime
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../Sources/CKernels/include/CKernels.h"

void openblas_set_num_threads(int);  // Not declared by every cblas.h.
char *openblas_get_corename(void);

enum { rounds = 15, max_contestants = 6 };

// MARK: - Timing

typedef struct {
  const char *name;
  const vos_kernels *kernels;  // NULL: BLAS or the peak
  double median;               // work per nanosecond
} contestant;

typedef void job(const contestant *contestant, const void *shape);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double time_per_run(job *job, const contestant *contestant, const void *shape, size_t runs) {
  const double start = now();
  for (size_t i = 0; i < runs; i++) job(contestant, shape);
  return (now() - start) / (double)runs;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Gives every contestant its median rate: `work` (operations or bytes) per nanosecond.
static void measure(job *job, const void *shape, double work, contestant *contestants, size_t count) {
  double times[max_contestants][rounds];
  size_t runs[max_contestants];
  for (size_t c = 0; c < count; c++) {
    const double once = time_per_run(job, contestants + c, shape, 3);
    runs[c] = once < 1e6 ? (size_t)(1e6 / once) + 1 : 1;
  }
  for (size_t r = 0; r < rounds; r++)
    for (size_t c = 0; c < count; c++)
      times[c][r] = time_per_run(job, contestants + c, shape, runs[c]);
  for (size_t c = 0; c < count; c++) {
    qsort(times[c], rounds, sizeof(double), by_value);
    contestants[c].median = work / times[c][rounds / 2];
  }
}

static float *floats(size_t count, float scale) {
  float *values = malloc((count + 16) * sizeof(float));
  if (!values) abort();
  for (size_t i = 0; i < count + 16; i++)
    values[i] = scale * ((float)rand() / (float)RAND_MAX - 0.5f);
  return values;
}

static size_t tables(contestant *contestants) {
  size_t count = 0;
  for (int isa = VOS_ISA_SCALAR; isa <= VOS_ISA_NEON; isa++) {
    const vos_kernels *table = vos_kernels_for((vos_isa)isa);
    if (table) contestants[count++] = (contestant){table->name, table, 0};
  }
  return count;
}

// MARK: - Peak

#if defined(__x86_64__)
#include <immintrin.h>
enum { peak_sums = 12, peak_steps = 4000 };
static volatile float peak_result;
__attribute__((target("avx2,fma"))) static void peak(const contestant *c, const void *shape) {
  (void)c, (void)shape;
  __m256 sum[peak_sums];
  for (int i = 0; i < peak_sums; i++) sum[i] = _mm256_set1_ps((float)i);
  __m256 x = _mm256_set1_ps(0.999f);
  for (int step = 0; step < peak_steps; step++) {
    for (int i = 0; i < peak_sums; i++) sum[i] = _mm256_fmadd_ps(sum[i], x, x);
    __asm__ volatile("" : "+x"(x));
  }
  for (int i = 1; i < peak_sums; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  peak_result = _mm256_cvtss_f32(sum[0]);
}
#endif

// MARK: - Dense products

typedef struct {
  size_t rows, depth, columns, lines;  // lines: rows of the map at 480×864
} product;

static const product products[] = {
  {54, 64, 384, 30},   {54, 384, 64, 30},   {54, 384, 96, 30},   {54, 96, 576, 30},
  {54, 576, 96, 30},   {54, 864, 64, 30},   {54, 225, 128, 30},  {54, 128, 256, 30},
  {54, 256, 128, 30},  {54, 192, 128, 30},  {108, 32, 192, 60},  {108, 192, 32, 60},
  {108, 192, 64, 60},  {108, 80, 96, 60},   {108, 64, 128, 60},  {108, 128, 64, 60},
  {216, 144, 24, 120}, {216, 24, 144, 120}, {216, 144, 32, 120}, {216, 64, 32, 120},
  {216, 40, 48, 120},  {216, 288, 1, 120},  {216, 98, 16, 120},  {432, 16, 96, 240},
  {432, 96, 24, 240},  {432, 27, 32, 240},  {24, 64, 1620, 68},  {24, 3240, 128, 68},
};

static struct {
  float *a, *b, *bias, *out;
} operands;

static void run_product(const contestant *c, const void *shape) {
  const product *p = shape;
  if (!c->kernels) {
    const size_t rows = strstr(c->name, "map") ? p->rows * p->lines : p->rows;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)p->columns,
                (int)p->depth, 1, operands.a, (int)p->depth, operands.b, (int)p->columns, 0,
                operands.out, (int)p->columns);
    return;
  }
  const vos_segment segment = {operands.a, (ptrdiff_t)p->depth, p->depth};
  const vos_clamp relu6 = {0, 6};
  c->kernels->gemm(p->rows, p->columns, &segment, 1, operands.b, operands.bias, NULL, 0,
                   operands.out, (ptrdiff_t)p->columns, relu6);
}

static void bench_products(void) {
  contestant contestants[max_contestants] = {{0}};
  size_t count = tables(contestants);
  const size_t ours = count - 1, row = count, map = count + 1;
  contestants[count++] = (contestant){"BLAS row", NULL, 0};
  contestants[count++] = (contestant){"BLAS map", NULL, 0};
  double peak_rate = 0;
#if defined(__x86_64__)
  if (vos_kernels_for(VOS_ISA_AVX2)) {
    contestant registers = {"peak", NULL, 0};
    measure(peak, NULL, 2.0 * 8 * peak_sums * peak_steps, &registers, 1);
    peak_rate = registers.median;
    printf("AVX2 FMA peak of this core: %.1f GFLOP/s; OpenBLAS core: %s\n\n", peak_rate,
           openblas_get_corename());
  }
#endif
  printf("| gemm, GFLOP/s: rows x K x N |");
  for (size_t c = 0; c < count; c++) printf(" %s |", contestants[c].name);
  printf(" of peak | ours / BLAS row | ours / BLAS map |\n|---|");
  for (size_t c = 0; c < count + 3; c++) printf("---:|");
  printf("\n");
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    const product *p = products + i;
    operands.a = floats(p->rows * p->lines * p->depth, 1);
    operands.b = floats(p->depth * (p->columns + 15) / 16 * 16 + p->depth * 16, 1);
    operands.bias = floats(p->columns, 1);
    operands.out = floats(p->rows * p->lines * p->columns, 1);
    const double work = 2.0 * (double)(p->rows * p->depth * p->columns);
    measure(run_product, p, work, contestants, count);
    contestants[map].median *= (double)p->lines;
    printf("| %zu x %zu x %zu |", p->rows, p->depth, p->columns);
    for (size_t c = 0; c < count; c++) printf(" %.1f |", contestants[c].median);
    const double own = contestants[ours].median;
    printf(" %.0f %% | %.2f | %.2f |\n", 100 * own / peak_rate, own / contestants[row].median,
           own / contestants[map].median);
    fflush(stdout);
    free(operands.a), free(operands.b), free(operands.bias), free(operands.out);
  }
}

// MARK: - The other kernels

typedef struct {
  const char *name;
  job *run;
  size_t a, b, c, d;  // the kernel's sizes, in the order that its job says
  double work;
  const char *unit;
} shape;

static struct {
  float *in, *weights, *bias, *out, *scores;
  uint8_t *bytes;
  int32_t *start;
  uint32_t *index;
} data;

enum { capacity = 1 << 20 };

static void run_depthwise(const contestant *c, const void *at) {  // width, channels, kernel, stride
  const shape *s = at;
  const float *rows[5];
  for (size_t i = 0; i < s->c; i++) rows[i] = data.in + i * (s->a * s->d + 5) * s->b;
  c->kernels->depthwise(rows, s->c, s->d, s->a, s->b, data.weights, data.bias, data.out,
                        (vos_clamp){0, 6});
}

static void run_upsample2(const contestant *c, const void *at) {  // width, channels
  const shape *s = at;
  c->kernels->upsample2(data.in, data.in + s->a * s->b, s->a, s->b, data.out);
}

static void run_normalize(const contestant *c, const void *at) {  // rows, channels
  const shape *s = at;
  c->kernels->normalize(data.in, (ptrdiff_t)s->b, s->a, s->b, data.out, (ptrdiff_t)s->b);
}

static void run_softmax(const contestant *c, const void *at) {  // rows, count
  const shape *s = at;
  memcpy(data.out, data.scores, s->a * s->b * sizeof(float));
  c->kernels->softmax(data.out, (ptrdiff_t)s->b, s->a, s->b, 1);
}

static void run_top_k(const contestant *c, const void *at) {  // rows, count, k
  const shape *s = at;
  c->kernels->top_k(data.scores, (ptrdiff_t)s->b, s->a, s->b, s->c, 1, data.index, data.out);
}

static void run_gather(const contestant *c, const void *at) {  // rows, k, values, channels
  const shape *s = at;
  c->kernels->gather(data.index, data.weights, s->a, s->b, data.in, s->c, s->d, data.out,
                     (ptrdiff_t)s->d);
}

static void run_pack_columns(const contestant *c, const void *at) {  // rows, depth
  const shape *s = at;
  c->kernels->pack_columns(data.in, (ptrdiff_t)s->b, s->a, s->b, data.out);
}

static void run_pack_rows(const contestant *c, const void *at) {  // rows, columns
  const shape *s = at;
  c->kernels->pack_rows(data.in, (ptrdiff_t)s->b, s->a, s->b, data.out);
}

static void run_resize_u8(const contestant *c, const void *at) {  // width, channels, taps
  const shape *s = at;
  c->kernels->resize_row_u8(data.bytes, s->b, data.start, data.weights, s->c, s->a, data.out);
}

static void run_resize(const contestant *c, const void *at) {  // width, taps
  const shape *s = at;
  c->kernels->resize_row(data.in, data.start, data.weights, s->b, s->a, data.out);
}

static void run_combine(const contestant *c, const void *at) {  // count, taps
  const shape *s = at;
  const float *rows[16];
  for (size_t j = 0; j < s->b; j++) rows[j] = data.in + j * s->a;
  c->kernels->combine_rows(rows, data.weights, s->b, s->a, 0.5f, 1, data.out);
}

static void run_aggregate(const contestant *c, const void *at) {  // count, objects
  const shape *s = at;
  const float *logits[16];
  float *planes[17];
  for (size_t k = 0; k < s->b; k++) logits[k] = data.scores + k * s->a;
  for (size_t k = 0; k <= s->b; k++) planes[k] = data.out + k * s->a;
  c->kernels->aggregate(logits, s->b, s->a, planes);
}

static void run_argmax(const contestant *c, const void *at) {  // count, planes
  const shape *s = at;
  const float *planes[16];
  for (size_t k = 0; k < s->b; k++) planes[k] = data.scores + k * s->a;
  c->kernels->argmax(planes, s->b, s->a, data.bytes, (uint8_t *)data.out);
}

static const shape shapes[] = {
  {"depthwise 3x3, 54 x 384", run_depthwise, 54, 384, 3, 1, 2.0 * 9 * 54 * 384, "GFLOP/s"},
  {"depthwise 3x3, 54 x 576", run_depthwise, 54, 576, 3, 1, 2.0 * 9 * 54 * 576, "GFLOP/s"},
  {"depthwise 3x3, 108 x 192", run_depthwise, 108, 192, 3, 1, 2.0 * 9 * 108 * 192, "GFLOP/s"},
  {"depthwise 3x3, 216 x 144", run_depthwise, 216, 144, 3, 1, 2.0 * 9 * 216 * 144, "GFLOP/s"},
  {"depthwise 3x3, 432 x 32", run_depthwise, 432, 32, 3, 1, 2.0 * 9 * 432 * 32, "GFLOP/s"},
  {"depthwise 3x3, 216 x 24", run_depthwise, 216, 24, 3, 1, 2.0 * 9 * 216 * 24, "GFLOP/s"},
  {"depthwise 3x3 / 2, 216 x 96", run_depthwise, 216, 96, 3, 2, 2.0 * 9 * 216 * 96, "GFLOP/s"},
  {"depthwise 5x5, 54 x 128", run_depthwise, 54, 128, 5, 1, 2.0 * 25 * 54 * 128, "GFLOP/s"},
  {"upsample2, 54 x 128", run_upsample2, 54, 128, 0, 0, 4.0 * 4 * 54 * 128, "GB/s"},
  {"normalize, 54 x 64", run_normalize, 54, 64, 0, 0, 4.0 * 2 * 54 * 64, "GB/s"},
  {"softmax, 24 x 3240 and a copy", run_softmax, 24, 3240, 0, 0, 4.0 * 24 * 3240, "GB/s"},
  {"top_k 30, 24 x 1620", run_top_k, 24, 1620, 30, 0, 4.0 * 24 * 1620, "GB/s"},
  {"top_k 30, 24 x 3240", run_top_k, 24, 3240, 30, 0, 4.0 * 24 * 3240, "GB/s"},
  {"gather 24 x 30 of 3240 x 128", run_gather, 24, 30, 3240, 128, 2.0 * 24 * 30 * 128, "GFLOP/s"},
  {"pack_columns, 1620 x 64", run_pack_columns, 1620, 64, 0, 0, 8.0 * 1620 * 64, "GB/s"},
  {"pack_rows, 1620 x 128", run_pack_rows, 1620, 128, 0, 0, 8.0 * 1620 * 128, "GB/s"},
  {"resize_row_u8, 864 RGB, 3 taps", run_resize_u8, 864, 3, 3, 0, 2.0 * 3 * 864 * 3, "GFLOP/s"},
  {"resize_row_u8, 864 RGB, 6 taps", run_resize_u8, 864, 3, 6, 0, 2.0 * 3 * 864 * 6, "GFLOP/s"},
  {"resize_row_u8, 864 grey, 3 taps", run_resize_u8, 864, 1, 3, 0, 2.0 * 864 * 3, "GFLOP/s"},
  {"resize_row, 854, 2 taps", run_resize, 854, 2, 0, 0, 2.0 * 854 * 2, "GFLOP/s"},
  {"combine_rows, 2592 from 3", run_combine, 2592, 3, 0, 0, 4.0 * 4 * 2592, "GB/s"},
  {"aggregate, 864, 1 object", run_aggregate, 864, 1, 0, 0, 4.0 * 3 * 864, "GB/s"},
  {"aggregate, 864, 3 objects", run_aggregate, 864, 3, 0, 0, 4.0 * 7 * 864, "GB/s"},
  {"argmax, 854 of 2", run_argmax, 854, 2, 0, 0, 4.0 * 2 * 854, "GB/s"},
  {"argmax, 854 of 4", run_argmax, 854, 4, 0, 0, 4.0 * 4 * 854, "GB/s"},
};

static void bench_others(void) {
  data.in = floats(capacity, 1);
  data.weights = floats(capacity, 1);
  data.bias = floats(capacity, 1);
  data.out = floats(capacity, 1);
  data.scores = floats(capacity, 20);
  data.bytes = malloc(capacity);
  data.start = malloc(capacity * sizeof *data.start);
  data.index = malloc(capacity * sizeof *data.index);
  if (!data.bytes || !data.start || !data.index) abort();
  for (size_t i = 0; i < capacity; i++) {
    data.bytes[i] = (uint8_t)rand();
    data.start[i] = (int32_t)(i * 3 / 2);
    data.index[i] = (uint32_t)(rand() % 3240);
  }
  contestant contestants[max_contestants] = {{0}};
  const size_t count = tables(contestants);
  printf("\n| kernel | unit |");
  for (size_t c = 0; c < count; c++) printf(" %s |", contestants[c].name);
  printf(" last / scalar |\n|---|---|");
  for (size_t c = 0; c < count + 1; c++) printf("---:|");
  printf("\n");
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    measure(shapes[i].run, shapes + i, shapes[i].work, contestants, count);
    printf("| %s | %s |", shapes[i].name, shapes[i].unit);
    for (size_t c = 0; c < count; c++) printf(" %.2f |", contestants[c].median);
    printf(" %.1f |\n", contestants[count - 1].median / contestants[0].median);
    fflush(stdout);
  }
}

int main(void) {
  openblas_set_num_threads(1);
  bench_products();
  bench_others();
}
