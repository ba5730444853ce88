// The operations of CAugment.h.

#include "../include/CAugment.h"

#include <math.h>

static inline int mirrored(int i, int n) {
  if ((unsigned)i < (unsigned)n) return i;
  if (n == 1) return 0;
  int period = 2 * (n - 1);
  i = (i < 0 ? -i : i) % period;
  return i < n ? i : period - i;
}

// Positions far outside say nothing more than positions a few pictures away, and must fit an int.
static inline double bounded(double v) {
  v = v > -1e6 ? v : -1e6;
  return v < 1e6 ? v : 1e6;
}

// Floor without a library call, of a bounded number.
static inline int floored(double v) {
  int i = (int)v;
  return i - (v < i);
}

// The displacement at x of a row, between grid rows a and b.
static inline void displace(const vos_warp *warp, const float *a, const float *b, float fy, int x,
                            double *px, double *py) {
  int cell = x / warp->step;
  if (cell >= warp->cells) cell = warp->cells - 1;
  float fx = (float)(x - cell * warp->step) / warp->step;
  a += 2 * cell;
  b += 2 * cell;
  *px += (a[0] * (1 - fx) + a[2] * fx) * (1 - fy) + (b[0] * (1 - fx) + b[2] * fx) * fy;
  *py += (a[1] * (1 - fx) + a[3] * fx) * (1 - fy) + (b[1] * (1 - fx) + b[3] * fx) * fy;
}

// Source positions of a part of a row, for x0 <= x < x0 + count.
enum { PART = 64 };
static void positions(const vos_warp *warp, int x0, int y, int count, double *sx, double *sy) {
  const double *m = warp->m;
  if (!warp->displacement) {
    for (int i = 0; i < count; i++) {
      sx[i] = bounded(m[0] * (x0 + i) + (m[1] * y + m[2]));
      sy[i] = bounded(m[3] * (x0 + i) + (m[4] * y + m[5]));
    }
    return;
  }
  int cell = y / warp->step;
  if (cell >= warp->cells) cell = warp->cells - 1;
  float fy = (float)(y - cell * warp->step) / warp->step;
  const float *a = warp->displacement + (size_t)2 * cell * (warp->cells + 1);
  const float *b = a + 2 * (warp->cells + 1);
  for (int i = 0; i < count; i++) {
    double px = x0 + i, py = y;
    displace(warp, a, b, fy, x0 + i, &px, &py);
    sx[i] = bounded(m[0] * px + m[1] * py + m[2]);
    sy[i] = bounded(m[3] * px + m[4] * py + m[5]);
  }
}

static inline int part(int x, int width) { return width - x < PART ? width - x : PART; }

void vos_warp_rgb(const uint8_t *in, int width, int height, const vos_warp *warp, int out_width,
                  int out_height, uint8_t *out) {
  double sx[PART], sy[PART];
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x += PART) {
      int count = part(x, out_width);
      positions(warp, x, y, count, sx, sy);
      for (int i = 0; i < count; i++, out += 3) {
        int ix = floored(sx[i]), iy = floored(sy[i]);
        int fx = (int)((sx[i] - ix) * 256 + 0.5), fy = (int)((sy[i] - iy) * 256 + 0.5);
        const uint8_t *a, *b;
        int next = 3;
        if (ix >= 0 && ix + 1 < width && iy >= 0 && iy + 1 < height) {
          a = in + ((size_t)iy * width + ix) * 3;
          b = a + (size_t)width * 3;
        } else {
          int x0 = mirrored(ix, width);
          a = in + ((size_t)mirrored(iy, height) * width + x0) * 3;
          b = in + ((size_t)mirrored(iy + 1, height) * width + x0) * 3;
          next = (mirrored(ix + 1, width) - x0) * 3;
        }
        int w11 = fx * fy, w01 = (fx << 8) - w11, w10 = (fy << 8) - w11;
        int w00 = (1 << 16) - w11 - w01 - w10;
        for (int c = 0; c < 3; c++)
          out[c] = (uint8_t)((a[c] * w00 + a[next + c] * w01 + b[c] * w10 + b[next + c] * w11 +
                              (1 << 15)) >> 16);
      }
    }
  }
}

void vos_warp_labels(const uint8_t *in, int width, int height, const uint8_t *table,
                     const vos_warp *warp, int out_width, int out_height, uint8_t *out) {
  double sx[PART], sy[PART];
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x += PART) {
      int count = part(x, out_width);
      positions(warp, x, y, count, sx, sy);
      for (int i = 0; i < count; i++) {
        int ix = mirrored(floored(sx[i] + 0.5), width), iy = mirrored(floored(sy[i] + 0.5), height);
        *out++ = table[in[(size_t)iy * width + ix]];
      }
    }
  }
}

void vos_warp_planes(const float *in, int planes, int width, int height, const vos_warp *warp,
                     int out_width, int out_height, float *out) {
  double sx[PART], sy[PART];
  size_t area = (size_t)width * height, out_area = (size_t)out_width * out_height;
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x += PART) {
      int count = part(x, out_width);
      positions(warp, x, y, count, sx, sy);
      for (int i = 0; i < count; i++, out++) {
        int ix = floored(sx[i]), iy = floored(sy[i]);
        float fx = (float)(sx[i] - ix), fy = (float)(sy[i] - iy);
        int x0 = mirrored(ix, width), x1 = mirrored(ix + 1, width);
        size_t y0 = (size_t)mirrored(iy, height) * width;
        size_t y1 = (size_t)mirrored(iy + 1, height) * width;
        for (int p = 0; p < planes; p++) {
          const float *plane = in + p * area;
          float above = plane[y0 + x0] * (1 - fx) + plane[y0 + x1] * fx;
          float below = plane[y1 + x0] * (1 - fx) + plane[y1 + x1] * fx;
          out[p * out_area] = above * (1 - fy) + below * fy;
        }
      }
    }
  }
}

static inline float clamped(float v) { return v > 0 ? (v < 255 ? v : 255) : 0; }

void vos_color(const uint8_t *in, size_t pixels, float brightness, float contrast,
               float saturation, float *out) {
  uint64_t sum = 0;
  for (size_t i = 0; i < 3 * pixels; i++) sum += in[i];
  float mean = pixels ? (float)((double)sum / (3.0 * (double)pixels)) * brightness : 0;
  float gain = brightness * contrast, shift = mean * (1 - contrast);
  for (size_t i = 0; i < pixels; i++, in += 3, out += 3) {
    float r = in[0] * gain + shift, g = in[1] * gain + shift, b = in[2] * gain + shift;
    float grey = (r + g + b) * (1.0f / 3) * (1 - saturation);
    out[0] = clamped(r * saturation + grey) * (1 / 127.5f) - 1;
    out[1] = clamped(g * saturation + grey) * (1 / 127.5f) - 1;
    out[2] = clamped(b * saturation + grey) * (1 / 127.5f) - 1;
  }
}

void vos_shrink_rgb(const uint8_t *in, int width, int height, int out_width, int out_height,
                    uint8_t *out) {
  for (int y = 0; y < out_height; y++) {
    double top = (double)y * height / out_height, bottom = (double)(y + 1) * height / out_height;
    for (int x = 0; x < out_width; x++, out += 3) {
      double left = (double)x * width / out_width, right = (double)(x + 1) * width / out_width;
      float total = 0, sum[3] = {0, 0, 0};
      for (int sy = (int)top; sy < height && sy < bottom; sy++) {
        float wy = (float)(fmin(sy + 1, bottom) - fmax(sy, top));
        const uint8_t *row = in + (size_t)sy * width * 3;
        for (int sx = (int)left; sx < width && sx < right; sx++) {
          float weight = wy * (float)(fmin(sx + 1, right) - fmax(sx, left));
          total += weight;
          for (int c = 0; c < 3; c++) sum[c] += weight * row[3 * sx + c];
        }
      }
      for (int c = 0; c < 3; c++) out[c] = (uint8_t)clamped(sum[c] / total + 0.5f);
    }
  }
}

static void morph_line(float *line, size_t stride, int count, int radius, int dilate,
                       float *scratch) {
  for (int i = 0; i < count; i++) scratch[i] = line[i * stride];
  for (int i = 0; i < count; i++) {
    int first = i < radius ? 0 : i - radius, last = i + radius < count ? i + radius : count - 1;
    float best = scratch[first];
    for (int j = first + 1; j <= last; j++)
      best = dilate ? (scratch[j] > best ? scratch[j] : best)
                    : (scratch[j] < best ? scratch[j] : best);
    line[i * stride] = best;
  }
}

void vos_morphology(float *plane, int width, int height, int radius, int dilate, float *scratch) {
  for (int y = 0; y < height; y++)
    morph_line(plane + (size_t)y * width, 1, width, radius, dilate, scratch);
  for (int x = 0; x < width; x++)
    morph_line(plane + x, (size_t)width, height, radius, dilate, scratch);
}

void vos_paste_rgb(const uint8_t *in, const uint8_t *mask, int width, int height, uint8_t *out) {
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      int alpha = 0;
      for (int dy = -1; dy <= 1; dy++) {
        if (y + dy < 0 || y + dy >= height) continue;
        const uint8_t *row = mask + (size_t)(y + dy) * width;
        int sum = 2 * (row[x] != 0);
        if (x > 0) sum += row[x - 1] != 0;
        if (x + 1 < width) sum += row[x + 1] != 0;
        alpha += sum * (dy == 0 ? 2 : 1);
      }
      if (!alpha) continue;
      size_t i = 3 * ((size_t)y * width + x);
      for (int c = 0; c < 3; c++)
        out[i + c] = (uint8_t)((out[i + c] * (16 - alpha) + in[i + c] * alpha + 8) >> 4);
    }
  }
}
