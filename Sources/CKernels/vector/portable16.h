// Vectors of 16 floats in clang's own vector types: runs the code of the AVX-512 variant on any CPU.
//
// For tests: everything but the spelling of the intrinsics in avx512.h is then tested without one.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64)));
typedef int32_t vec_int __attribute__((vector_size(64)));

#define VOS_LANES 16
#define VOS_TILE_ROWS 9
#define VOS_TILE_VECTORS 2

static inline vec v_load(const float *p) {
  vec x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void v_store(float *p, vec x) { memcpy(p, &x, sizeof x); }
static inline vec v_load_some(const float *p, size_t count) {
  float line[VOS_LANES] = {0};
  memcpy(line, p, count * sizeof(float));
  return v_load(line);
}
static inline void v_store_some(float *p, size_t count, vec x) {
  float line[VOS_LANES];
  v_store(line, x);
  memcpy(p, line, count * sizeof(float));
}
static inline vec v_set(float x) { return x - (vec){0}; }
static inline vec v_broadcast(const float *p) { return v_set(*p); }
static inline vec v_add(vec a, vec b) { return a + b; }
static inline vec v_sub(vec a, vec b) { return a - b; }
static inline vec v_mul(vec a, vec b) { return a * b; }
static inline vec v_div(vec a, vec b) { return a / b; }
#define VOS_EACH(expression)                                \
  do {                                                      \
    for (int lane = 0; lane < VOS_LANES; lane++) expression; \
  } while (0)
static inline vec v_min(vec a, vec b) {
  VOS_EACH(a[lane] = a[lane] < b[lane] ? a[lane] : b[lane]);
  return a;
}
static inline vec v_max(vec a, vec b) {
  VOS_EACH(a[lane] = a[lane] > b[lane] ? a[lane] : b[lane]);
  return a;
}
static inline vec v_fma(vec a, vec b, vec c) {
  VOS_EACH(c[lane] = fmaf(a[lane], b[lane], c[lane]));
  return c;
}
static inline vec v_round(vec a) {
  VOS_EACH(a[lane] = rintf(a[lane]));
  return a;
}
static inline vec v_power_of_two(vec n) {
  VOS_EACH(n[lane] = ldexpf(1, (int)n[lane]));
  return n;
}
static inline vec v_where_less(vec a, vec b, vec x, vec y) {
  VOS_EACH(x[lane] = a[lane] < b[lane] ? x[lane] : y[lane]);
  return x;
}
static inline uint32_t v_not_less(vec a, vec b) {
  uint32_t bits = 0;
  VOS_EACH(bits |= (uint32_t)(a[lane] >= b[lane]) << lane);
  return bits;
}
static inline vec v_gather(const float *p, const int32_t *index) {
  vec x;
  VOS_EACH(x[lane] = p[index[lane]]);
  return x;
}
