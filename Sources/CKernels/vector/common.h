// What the kernels share. Included once per instruction set, first after its vector header, with
// VOS_NAME(name) defined: the name with the instruction set's ending.

#define VOS_INLINE static inline __attribute__((always_inline))
#define VOS_UNROLL _Pragma("clang loop unroll(full)")

// min(count, VOS_LANES) floats, in the first lanes. With a constant count nothing is decided.
VOS_INLINE vec VOS_NAME(load_up_to)(const float *p, size_t count) {
  return count < VOS_LANES ? v_load_some(p, count) : v_load(p);
}

VOS_INLINE void VOS_NAME(store_up_to)(float *p, size_t count, vec x) {
  if (count < VOS_LANES)
    v_store_some(p, count, x);
  else
    v_store(p, x);
}

VOS_INLINE float VOS_NAME(sum_lanes)(vec x) {
  float lanes[VOS_LANES], sum = 0;
  v_store(lanes, x);
  for (int lane = 0; lane < VOS_LANES; lane++) sum += lanes[lane];
  return sum;
}

VOS_INLINE float VOS_NAME(largest_lane)(vec x) {
  float lanes[VOS_LANES];
  v_store(lanes, x);
  float largest = lanes[0];
  for (int lane = 1; lane < VOS_LANES; lane++)
    largest = lanes[lane] > largest ? lanes[lane] : largest;
  return largest;
}
