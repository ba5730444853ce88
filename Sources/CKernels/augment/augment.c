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
static inline double bounded(double v) { return v > -1e6 ? (v < 1e6 ? v : 1e6) : -1e6; }

static inline void source(const vos_warp *warp, int x, int y, double *sx, double *sy) {
  double px = x, py = y;
  if (warp->displacement) {
    int cx = x / warp->step, cy = y / warp->step;
    if (cx >= warp->cells) cx = warp->cells - 1;
    if (cy >= warp->cells) cy = warp->cells - 1;
    float fx = (float)(x - cx * warp->step) / warp->step;
    float fy = (float)(y - cy * warp->step) / warp->step;
    const float *a = warp->displacement + 2 * ((size_t)cy * (warp->cells + 1) + cx);
    const float *b = a + 2 * (warp->cells + 1);
    px += (a[0] * (1 - fx) + a[2] * fx) * (1 - fy) + (b[0] * (1 - fx) + b[2] * fx) * fy;
    py += (a[1] * (1 - fx) + a[3] * fx) * (1 - fy) + (b[1] * (1 - fx) + b[3] * fx) * fy;
  }
  *sx = bounded(warp->m[0] * px + warp->m[1] * py + warp->m[2]);
  *sy = bounded(warp->m[3] * px + warp->m[4] * py + warp->m[5]);
}

void vos_warp_rgb(const uint8_t *in, int width, int height, const vos_warp *warp, int out_width,
                  int out_height, uint8_t *out) {
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x++, out += 3) {
      double sx, sy;
      source(warp, x, y, &sx, &sy);
      double left = floor(sx), top = floor(sy);
      int ix = (int)left, iy = (int)top;
      int fx = (int)((sx - left) * 256 + 0.5), fy = (int)((sy - top) * 256 + 0.5);
      int x0 = mirrored(ix, width), x1 = mirrored(ix + 1, width);
      const uint8_t *a = in + (size_t)mirrored(iy, height) * width * 3;
      const uint8_t *b = in + (size_t)mirrored(iy + 1, height) * width * 3;
      for (int c = 0; c < 3; c++) {
        int above = a[3 * x0 + c] * (256 - fx) + a[3 * x1 + c] * fx;
        int below = b[3 * x0 + c] * (256 - fx) + b[3 * x1 + c] * fx;
        out[c] = (uint8_t)((above * (256 - fy) + below * fy + (1 << 15)) >> 16);
      }
    }
  }
}

void vos_warp_labels(const uint8_t *in, int width, int height, const uint8_t *table,
                     const vos_warp *warp, int out_width, int out_height, uint8_t *out) {
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x++) {
      double sx, sy;
      source(warp, x, y, &sx, &sy);
      int ix = mirrored((int)floor(sx + 0.5), width), iy = mirrored((int)floor(sy + 0.5), height);
      *out++ = table[in[(size_t)iy * width + ix]];
    }
  }
}

void vos_warp_planes(const float *in, int planes, int width, int height, const vos_warp *warp,
                     int out_width, int out_height, float *out) {
  size_t area = (size_t)width * height, out_area = (size_t)out_width * out_height;
  for (int y = 0; y < out_height; y++) {
    for (int x = 0; x < out_width; x++, out++) {
      double sx, sy;
      source(warp, x, y, &sx, &sy);
      double left = floor(sx), top = floor(sy);
      float fx = (float)(sx - left), fy = (float)(sy - top);
      int x0 = mirrored((int)left, width), x1 = mirrored((int)left + 1, width);
      size_t y0 = (size_t)mirrored((int)top, height) * width;
      size_t y1 = (size_t)mirrored((int)top + 1, height) * width;
      for (int p = 0; p < planes; p++) {
        const float *plane = in + p * area;
        float above = plane[y0 + x0] * (1 - fx) + plane[y0 + x1] * fx;
        float below = plane[y1 + x0] * (1 - fx) + plane[y1 + x1] * fx;
        out[p * out_area] = above * (1 - fy) + below * fy;
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
